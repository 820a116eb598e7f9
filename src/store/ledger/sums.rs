//! From sums to a funnel, the same in every implementation.

use std::collections::BTreeMap;

use crate::domain::channel::Channel;
use crate::domain::funnel::{Counts, Funnel, FunnelCell, Latency};
use crate::domain::ids::{PublicationId, UnitCode};
use crate::store::ledger::mark::DELIVERED;

/// Counts by unit and channel.
pub type Cells = BTreeMap<(Option<UnitCode>, Channel), Counts>;

/// What is known of a publication, added up.
#[derive(Debug, Default)]
pub struct Sums {
    /// Targets, workers' counts and receipts.
    pub cells: Cells,
    /// Dispatches not finished.
    pub open_dispatches: u64,
    /// The workers' latencies.
    pub by_channel: BTreeMap<Channel, Latency>,
    /// The latencies of deliveries.
    pub delivered: Latency,
    /// The latencies of receipts.
    pub received: Latency,
}

impl Sums {
    /// The funnel they make.
    pub fn funnel(self, id: PublicationId) -> Funnel {
        let Self { cells, open_dispatches, mut by_channel, delivered, received } = self;
        // Only the gateways tell of what they delivered.
        by_channel.entry(Channel::Websocket).or_default().add(&delivered);
        by_channel.retain(|_, latency| latency.first_ms.is_some());
        let mut accepted_ms = Latency::default();
        by_channel.values().for_each(|latency| accepted_ms.add(latency));
        let mut funnel = Funnel {
            publication: id,
            total: Counts::default(),
            channels: BTreeMap::new(),
            units: BTreeMap::new(),
            cells: Vec::with_capacity(cells.len()),
            open_dispatches,
            accepted_ms,
            accepted_ms_by_channel: by_channel,
            received_ms: received,
        };
        for ((unit, channel), mut counts) in cells {
            // Whoever was pushed to was targeted, also where the number was an estimate, or where
            // a batch was on its way, its outcome unknown, when those it reached were counted. Not
            // so for websockets: gateways send before the router has counted anybody.
            if channel != Channel::Websocket {
                counts.targeted = counts.targeted.max(counts.sent);
            }
            funnel.total.add(&counts);
            funnel.channels.entry(channel).or_default().add(&counts);
            if let Some(unit) = &unit {
                funnel.units.entry(unit.clone()).or_default().add(&counts);
            }
            funnel.cells.push(FunnelCell { unit, channel, counts });
        }
        funnel
    }
}

/// What a worker may say: it knows what it sent; targets and receipts are counted elsewhere.
pub fn workers(counts: Counts) -> Counts {
    Counts { targeted: 0, received: 0, shown: 0, acknowledged: 0, ..counts }
}

/// Adds devices that reached a stage.
pub fn add_stage(counts: &mut Counts, stage: u8, count: u64) {
    match stage {
        DELIVERED => {
            counts.sent += count;
            counts.accepted += count;
        }
        1 => counts.received += count,
        2 => counts.shown += count,
        _ => counts.acknowledged += count,
    }
}
