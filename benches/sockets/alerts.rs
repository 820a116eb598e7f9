//! The alerts: straight to the hub, or signed and on the log as the node's own are.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use loa::auth::gate;
use loa::auth::ring::Keyring;
use loa::bus::{Bus, Record, TopicId};
use loa::domain::audience::{AreaAudience, Audience, AudienceUnit, Boundaries, Coverage};
use loa::domain::ids::{ChainId, PublicationId};
use loa::domain::lane::Lane;
use loa::domain::publication::{Content, Publication};
use loa::event;
use loa::geofence::City;
use loa::store::alerts::{Accepting, Alerts, Identity};
use serde_json::json;
use uuid::Uuid;

/// Payload of the frame an alert becomes; held to by [`alert`].
pub const FRAME_BYTES: usize = 672;

/// Accepts an alert to everybody: it is stored and on the log. Answers its id.
pub async fn log(city: &City, alerts: &Alerts, bus: &Bus, keys: &Keyring) -> Result<PublicationId> {
    let publication = alert(city);
    let (id, lane) = (publication.id, publication.lane);
    let mut record: Record = event::publication::encode(&publication).into();
    let Record { key, headers, payload } = &record;
    let parts = gate::Parts { key, headers, payload };
    let seal = gate::seal(keys, parts, Timestamp::now()).context("a key that signs")?;
    record.headers.extend(seal);
    let (identity, digest) = (Identity::of(&publication), [0; 32]);
    alerts.accept(Accepting { publication, identity, digest, raw: None }).await?;
    bus.publish(TopicId::Publications(lane), vec![record]).await?;
    Ok(id)
}

/// An alert to everybody whose frame has [`FRAME_BYTES`], but for a few for its position.
pub fn alert(city: &City) -> Publication {
    let (id, now) = (Uuid::now_v7(), Timestamp::now());
    let info = json!({
        "language": "vi", "categories": ["Met"], "event": "Flood", "urgency": "Immediate",
        "severity": "Extreme", "certainty": "Observed", "headline": "Flood",
        "instruction": "Rise to the second floor",
    });
    let alert = serde_json::from_value(json!({
        "identifier": id.to_string(), "sender": "bench@loa.example",
        "sent": "2026-11-22T12:00:00+07:00", "status": "Actual", "msg_type": "Alert",
        "scope": "Public", "infos": [info],
    }));
    let unit = |unit: &loa::geofence::Unit| AudienceUnit {
        code: unit.code.clone(),
        share: 1.0,
        coverage: Coverage::Whole,
    };
    let area = AreaAudience {
        boundaries: Boundaries::Approximate,
        vintage: city.vintage().clone(),
        units: city.units().iter().take(1).map(unit).collect(),
    };
    Publication {
        id: PublicationId(id),
        chain: ChainId(id),
        lane: Lane::Emergency,
        agency: "bench".parse().expect("an agency"),
        accepted_at: now,
        expires: now + SignedDuration::from_hours(1),
        supersedes: vec![],
        audience: Audience::Area(area),
        content: Content::Alert(Box::new(alert.expect("an alert"))),
        agency_name: None,
        signature: None,
        signed_by: None,
    }
}
