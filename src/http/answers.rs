//! Answers that several faces give alike.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::audience::Audience;
use crate::domain::channel::Channel;
use crate::domain::forecast::{Compared, Fact, Outlook};
use crate::domain::funnel::{Counts, Funnel};

/// The funnel as it is now, and how true the boundaries were by which its units were chosen.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FunnelAnswer {
    /// `approximate` or `imported`; absent for one citizen's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundaries: Option<&'static str>,
    /// What was to be expected of each push channel, and what came to pass so far.
    #[schema(value_type = Object)]
    pub forecast: BTreeMap<Channel, Compared>,
    /// Counts per unit and channel, and latencies.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub funnel: Funnel,
}

impl FunnelAnswer {
    /// The answer for a publication's funnel.
    pub fn of(funnel: Funnel, audience: &Audience, outlook: &Outlook) -> Self {
        let devices = |counts: &Counts| counts.targeted.saturating_sub(counts.skipped);
        let devices = funnel.channels.iter().map(|(channel, of)| (*channel, devices(of)));
        let compared = outlook.forecast(devices).into_iter().map(|(channel, expected)| {
            let latency = funnel.accepted_ms_by_channel.get(&channel).cloned().unwrap_or_default();
            let fact = Fact {
                accepted: funnel.channels.get(&channel).map_or(0, |counts| counts.accepted),
                p50_ms: latency.quantile_ms(0.5),
                p99_ms: latency.quantile_ms(0.99),
                last_ms: latency.last_ms,
            };
            (channel, Compared { expected, fact })
        });
        Self { boundaries: boundaries(audience), forecast: compared.collect(), funnel }
    }
}

/// How true the boundaries were by which an audience was chosen.
pub fn boundaries(audience: &Audience) -> Option<&'static str> {
    match audience {
        Audience::Area(area) => Some(area.boundaries.as_str()),
        Audience::Subject { .. } => None,
    }
}
