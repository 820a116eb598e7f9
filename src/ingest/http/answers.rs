//! What the agencies' face answers.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::domain::audience::{AreaAudience, Audience};
use crate::domain::channel::Channel;
use crate::domain::draft::{Draft, State as DraftState};
use crate::domain::forecast::{Forecast, Outlook};
use crate::domain::lane::Lane;
use crate::http::answers::boundaries;
use crate::http::problem::Document;
use crate::ingest::alert::Warning;
use crate::ingest::publish::Published;
use crate::store::registry::Estimate;

/// What a publishing route answers, as the description of the API says it once.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only described")]
pub enum Publishing {
    #[response(
        status = 202,
        description = "Accepted and durable. A hot alert of an agency that wants two people waits: \
                       then `state` is `submitted` and `id` is the draft's"
    )]
    Accepted(AcceptedAnswer),
    #[response(status = 200, description = "Dry run")]
    DryRun(DryRunAnswer),
    #[response(
        status = "4XX",
        description = "Refused by name: problem details (RFC 9457)",
        content_type = "application/problem+json"
    )]
    Refused(Document),
}

/// A publication was accepted: it is durable.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AcceptedAnswer {
    /// The publication's id.
    pub id: String,
    /// The chain it belongs to.
    pub chain: String,
    /// Its lane: emergency, personal or routine.
    pub lane: String,
    /// It had been accepted before; nothing was published again.
    pub repeated: bool,
    /// How true the boundaries were: `approximate` or `imported`; absent for one citizen's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundaries: Option<&'static str>,
    /// Where to watch it.
    pub funnel: String,
    /// Remarks of the content linter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl AcceptedAnswer {
    /// The answer for a published one.
    pub fn of(published: &Published, audience: Option<&Audience>, warnings: Vec<Warning>) -> Self {
        Self {
            id: published.id.to_string(),
            chain: published.chain.to_string(),
            lane: published.lane.to_string(),
            repeated: published.repeated,
            boundaries: audience.and_then(boundaries),
            funnel: format!("/v1/publications/{}/funnel", published.id),
            warnings,
        }
    }
}

/// A hot alert that waits for a second person; it is stored and not published.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WaitingAnswer {
    /// The draft's id.
    pub id: String,
    /// Where it stands: `submitted`, until somebody decides.
    #[schema(value_type = String)]
    pub state: DraftState,
    /// Its version.
    pub version: u64,
    /// What it became, where it was approved since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publication: Option<String>,
    /// The lane it will take.
    pub lane: String,
    /// How true the boundaries are: `approximate` or `imported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundaries: Option<&'static str>,
    /// Where another person or key approves it.
    pub approve: String,
    /// Remarks of the content linter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl WaitingAnswer {
    /// The answer for a draft that waits.
    pub fn of(draft: &Draft, (lane, audience): (Lane, &Audience), warnings: Vec<Warning>) -> Self {
        Self {
            id: draft.id.to_string(),
            state: draft.state,
            version: draft.version,
            publication: draft.publication.map(|id| id.to_string()),
            lane: lane.to_string(),
            boundaries: boundaries(audience),
            approve: format!("/v1/alerts/{}/approve", draft.id),
            warnings,
        }
    }
}

/// What a dry run found; nothing was published.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DryRunAnswer {
    /// The lane it would take.
    pub lane: String,
    /// How true the boundaries are.
    pub boundaries: &'static str,
    /// The units it would go to.
    pub units: Vec<UnitAnswer>,
    /// Devices by channel. A device with two places inside counts at both.
    pub channels: BTreeMap<String, u64>,
    /// Devices together.
    pub devices: u64,
    /// Those whose place is a whole unit that is covered only in part.
    pub coarse: u64,
    /// How long an undisturbed broadcast to them takes, by channel, and what limits it.
    #[schema(value_type = Object)]
    pub forecast: BTreeMap<Channel, Forecast>,
    /// Remarks of the content linter.
    pub warnings: Vec<Warning>,
}

/// One unit of a dry run's audience.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UnitAnswer {
    /// Its code.
    pub code: String,
    /// The part of its area inside the target, 0..=1.
    pub share: f64,
    /// Its devices, by channel.
    pub channels: BTreeMap<String, u64>,
}

impl DryRunAnswer {
    /// The answer for an audience and its estimate.
    pub fn of(
        lane: Lane,
        area: &AreaAudience,
        (estimate, outlook): (&Estimate, &Outlook),
        warnings: Vec<Warning>,
    ) -> Self {
        let named = |counts: &BTreeMap<Channel, u64>| {
            counts.iter().map(|(channel, count)| (channel.to_string(), *count)).collect()
        };
        let units = area.units.iter().map(|unit| UnitAnswer {
            code: unit.code.to_string(),
            share: unit.share,
            channels: estimate.units.get(&unit.code).map(named).unwrap_or_default(),
        });
        Self {
            lane: lane.to_string(),
            boundaries: area.boundaries.as_str(),
            units: units.collect(),
            channels: named(&estimate.channels),
            devices: estimate.total,
            coarse: estimate.coarse,
            forecast: outlook.forecast(estimate.channels.iter().map(|(of, count)| (*of, *count))),
            warnings,
        }
    }
}
