//! The gateway with everything embedded in a fresh directory, and alerts put straight to its hub.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use loa::auth::citizen::Doorkeeper;
use loa::auth::gate::{self, Gate};
use loa::auth::names::Names;
use loa::auth::oidc::session::Sessions;
use loa::auth::pseudonym::Pseudonyms;
use loa::auth::ring::{Keyring, Ring, SEED_BYTES};
use loa::auth::ticket::Tickets;
use loa::bus::Bus;
use loa::clock::Clock;
use loa::domain::audience::{AreaAudience, Audience, AudienceUnit, Boundaries, Coverage};
use loa::domain::device::Place;
use loa::domain::ids::{ChainId, PublicationId};
use loa::domain::lane::Lane;
use loa::domain::publication::{Content, Publication};
use loa::gateway::position::Slot;
use loa::gateway::settings::Settings;
use loa::gateway::{Gateway, Parts};
use loa::geofence::{BUILTIN_CITY, City};
use loa::http::{limits, serve, shield};
use loa::lifecycle::Lifecycle;
use loa::store::alerts::{self, Alerts};
use loa::store::answers::{self, Answers};
use loa::store::ledger::{self, Ledger};
use loa::store::registry::{self, Registry};
use loa::store::replies::{self, Replies};
use serde_json::json;
use uuid::Uuid;

use crate::client::{nanos, people};
use crate::pair::{anon_kb, settle};
use crate::report::cpu_seconds;

/// Payload of the frame an alert becomes; held to by [`alert`].
pub const FRAME_BYTES: usize = 672;
const PLENTY: u32 = 1_000_000;
/// How often every device is read, so many at once, before the sockets are opened.
const PASSES: usize = 4;
const AT_ONCE: usize = 16;

/// Serves until the standard input ends.
pub fn serve(sockets: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = tempfile::tempdir()?;
    let city = Arc::new(City::builtin(BUILTIN_CITY)?);
    let Open { gateway, registry, port } = runtime.block_on(open(dir.path(), &city, sockets))?;
    println!("port {port}");
    let mut offset = 0;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "warm" {
            runtime.block_on(warm(&registry, sockets))?;
        }
        let Some(count) = line.strip_prefix("alert ") else {
            println!("memory {}", anon_kb()?);
            continue;
        };
        let count: u64 = count.parse()?;
        let alerts: Vec<_> = (0..count).map(|_| Arc::new(alert(&city))).collect();
        let (began, before) = (nanos()?, cpu_seconds()?);
        let hub = gateway.hub().clone();
        runtime.block_on(async {
            for alert in alerts {
                hub.publish(Slot { index: 0, offset }, alert).await;
                offset += 1;
            }
        });
        settle();
        println!("went {began} {}", cpu_seconds()? - before);
    }
    Ok(())
}

/// A gateway that serves.
struct Open {
    gateway: Gateway,
    registry: Registry,
    port: u16,
}

async fn open(dir: &std::path::Path, city: &Arc<City>, sockets: usize) -> Result<Open> {
    let clock = Clock::System;
    let bus = Bus::open(&loa::bus::Settings::new(dir), clock.clone()).await?;
    let registry = Registry::open(&registry::Settings::at(dir), clock.clone()).await?;
    let people = people(sockets)?;
    // All in one unit: its frame names one, and is as short as an alert's can be.
    let unit = city.units()[0].code.clone();
    let devices = (0..sockets as u32).map(move |index| {
        let mut device = people.device(index);
        device.profile.places = vec![Place { unit: unit.clone(), cell: None }];
        device
    });
    registry.bulk_load(devices).await?;
    let keys = Keyring::new(Ring::fresh());
    let alerts = Alerts::open(&alerts::Settings { dir: dir.to_owned() }).await?;
    let answers = Answers::open(&answers::Settings { dir: dir.to_owned() }).await?;
    let pseudonyms = Pseudonyms::new(keys.clone(), [7; SEED_BYTES], clock.clone());
    let names = Names::new(pseudonyms, (alerts.clone(), registry.clone(), answers.clone()));
    let parts = Parts {
        kinds: Arc::default(),
        together: None,
        gate: Gate::new(keys, clock.clone(), gate::Settings::default()),
        apns_apps: None,
        doorkeeper: Doorkeeper::new(
            names,
            None,
            (Tickets::new(b"a key"), Sessions::new(b"a key")),
            clock.clone(),
        ),
        bus,
        registry: registry.clone(),
        alerts,
        ledger: Ledger::start(&ledger::Settings { dir: dir.to_owned() }, clock.clone()).await?,
        replies: Replies::open(&replies::Settings::new(dir), clock.clone()).await?,
        answers,
        city: Arc::clone(city),
        node_key: Arc::from(&b"a key"[..]),
        webpush: None,
        clock,
    };
    let settings = Settings {
        streams_max: PLENTY as usize,
        streams_per_address: PLENTY as usize,
        new_streams_per_second: PLENTY,
        new_streams_burst: PLENTY,
        // The client answers nothing.
        ping_ms: 3_600_000,
        ..Settings::default()
    };
    let life = Lifecycle::new();
    let (gateway, services) = Gateway::open(parts, &settings, &[], &life).await?;
    gateway.start(services);
    let listener = serve::bind("127.0.0.1:0".parse()?)?;
    let port = listener.local_addr()?.port();
    let limits = plenty();
    let router = shield::around(gateway.router().split_for_parts().0, &limits, None);
    let (stop, grace) = (life.token().clone(), Duration::from_secs(5));
    let face = serve::Face { listener, router, door: None, refusals: None };
    life.service("http", async move { serve::serve(face, &limits, stop, grace).await });
    while !life.not_ready().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(Open { gateway, registry, port })
}

/// Limits that nobody reaches.
fn plenty() -> limits::Settings {
    limits::Settings {
        requests_per_second: PLENTY,
        request_burst: PLENTY,
        credential_requests_per_second: PLENTY,
        credential_request_burst: PLENTY,
        citizen_requests_per_second: PLENTY,
        citizen_request_burst: PLENTY,
        ..limits::Settings::default()
    }
}

/// Reads every device on every connection of the registry, as a day of a node does: its cache of
/// pages, which is bounded and belongs to no stream, is as full as it gets.
async fn warm(registry: &Registry, sockets: usize) -> Result<()> {
    let people = people(sockets)?;
    for _ in 0..PASSES {
        let ids: Vec<_> = (0..sockets as u32).map(|index| people.id(index)).collect();
        for some in ids.chunks(AT_ONCE) {
            let read = some.iter().map(async |id| {
                let stored = registry.get(id).await?.context("every device is registered")?;
                registry.memberships_of(stored.device.num).await.map_err(anyhow::Error::from)
            });
            try_join_all(read).await?;
        }
    }
    Ok(())
}

/// An alert to everybody whose frame has [`FRAME_BYTES`], but for a few for its position.
fn alert(city: &City) -> Publication {
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
