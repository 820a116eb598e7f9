//! Cancels: an agency's own CAP `Cancel`, or one that Loa writes from the alert it withdraws.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::agency::{Agency, Kind};
use crate::domain::alert::{
    Alert, CapTime, Info, MsgType, Reference, ResponseType, Scope, Urgency,
};
use crate::domain::audience::Audience;
use crate::domain::publication::{Content, Publication};
use crate::http::{Code, Problem};
use crate::ingest::Ingest;
use crate::ingest::alert::{Reviewed, identity};
use crate::ingest::audience::union;
use crate::ingest::chain::Continued;
use crate::ingest::publish::{Checked, within_jurisdiction};

/// A withdrawal must still reach those who were warned just before the expiry.
const CANCEL_LIFE_MIN: SignedDuration = SignedDuration::from_hours(1);

/// What an agency may say with a cancel; everything is optional.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelRequest {
    /// Why, for the record (CAP `note`).
    pub note: Option<String>,
    /// Words by BCP 47 language; a language without words says that the alert was cancelled.
    pub texts: BTreeMap<String, CancelText>,
}

/// A cancel's words in one language.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelText {
    /// One line.
    pub headline: Option<String>,
    /// What happened.
    pub description: Option<String>,
    /// What people should do now.
    pub instruction: Option<String>,
}

impl Ingest {
    /// Checks a cancel. It has no audience of its own: it goes to whom the chain was for, and of
    /// them only to those who got it.
    pub async fn review_cancel(
        &self,
        agency: &Agency,
        alert: Alert,
        raw: Option<Bytes>,
    ) -> Result<Reviewed, Problem> {
        let continued = self.continued(agency, &alert).await?;
        let area = union(&continued.in_force)
            .ok_or_else(|| Problem::new(Code::Conflict, "the chain is not an alert's"))?;
        let audience = Audience::Area(area);
        within_jurisdiction(agency, Kind::Alert, &audience, (&[], None))?;
        let checked = Checked {
            lane: continued.lane(),
            chain: Some(continued.chain),
            expires: lasting(&continued, self.clock.now()),
            supersedes: continued.supersedes(),
            identity: identity(&alert),
            audience,
            raw,
            signed_by: None,
            content: Content::Alert(Box::new(alert)),
        };
        Ok(Reviewed { checked, warnings: Vec::new() })
    }

    /// Writes the cancel of a publication's chain.
    pub async fn cancel_of(
        &self,
        publication: &Publication,
        request: CancelRequest,
    ) -> Result<Alert, Problem> {
        let continued = self.in_force(publication.chain).await?;
        let now = self.clock.now();
        let alerts: Vec<&Alert> = continued.in_force.iter().filter_map(alert_of).collect();
        let last = *alerts
            .last()
            .ok_or_else(|| Problem::new(Code::Conflict, "the publication is not an alert"))?;
        let sent = CapTime::new(second(now), last.sent.offset_minutes());
        let expires = CapTime::new(lasting(&continued, now), last.sent.offset_minutes());
        let infos = last.infos.iter().map(|info| withdrawn(info, &request, expires)).collect();
        Ok(Alert {
            identifier: format!("{}.cancel.{}", last.identifier, now.as_millisecond()),
            sender: last.sender.clone(),
            sent,
            status: last.status,
            msg_type: MsgType::Cancel,
            source: last.source.clone(),
            scope: Scope::Public,
            restriction: None,
            addresses: Vec::new(),
            codes: last.codes.clone(),
            note: request.note.or_else(|| last.note.clone()),
            references: references(&alerts),
            incidents: last.incidents.clone(),
            infos,
            signatures: Vec::new(),
        })
    }
}

/// The alert a publication carries, if it carries one.
pub fn alert_of(publication: &Publication) -> Option<&Alert> {
    match &publication.content {
        Content::Alert(alert) => Some(alert),
        _ => None,
    }
}

/// All earlier messages of a chain that are still in force, as CAP references.
pub fn references(alerts: &[&Alert]) -> Vec<Reference> {
    let reference = |alert: &&Alert| Reference {
        sender: alert.sender.clone(),
        identifier: alert.identifier.clone(),
        sent: alert.sent,
    };
    alerts.iter().map(reference).collect()
}

/// CAP times have whole seconds.
pub fn second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}

fn lasting(continued: &Continued, now: Timestamp) -> Timestamp {
    let least = now.checked_add(CANCEL_LIFE_MIN).unwrap_or(now);
    second(continued.expires().unwrap_or(least).max(least))
}

fn withdrawn(info: &Info, request: &CancelRequest, expires: CapTime) -> Info {
    let said = request.texts.get(&info.language).or_else(|| {
        let main = info.language.split('-').next().unwrap_or_default();
        request.texts.get(main)
    });
    let said = said.cloned().unwrap_or_default();
    Info {
        response_types: vec![ResponseType::AllClear],
        urgency: Urgency::Past,
        effective: None,
        onset: None,
        expires: Some(expires),
        headline: said.headline.or_else(|| info.headline.clone()),
        description: said.description,
        instruction: said.instruction,
        parameters: Vec::new(),
        resources: Vec::new(),
        ..info.clone()
    }
}
