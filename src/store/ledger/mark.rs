//! What is counted of receipts and deliveries, the same in every implementation: marks, each a
//! device that reached some stages.

use jiff::Timestamp;

use crate::domain::channel::Channel;
use crate::domain::ids::{DeviceNum, PublicationId, UnitCode};
use crate::domain::receipt::{Receipt, Stage};
use crate::store::ledger::{AcceptedAt, Delivered};

/// Written to the socket: the stage before those of `Stage`.
pub const DELIVERED: u8 = 0;
/// Stages with the delivery.
pub const STAGES: usize = 1 + Stage::ALL.len();

/// A stage as it is stored.
pub fn stage_code(stage: Stage) -> u8 {
    match stage {
        Stage::Received => 1,
        Stage::Shown => 2,
        Stage::Acknowledged => 3,
    }
}

/// One thing to count: a device reached these stages.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Of what.
    pub publication: PublicationId,
    /// Which device.
    pub device: DeviceNum,
    /// The unit it counts in.
    pub unit: Option<UnitCode>,
    /// The channel it counts in.
    pub channel: Channel,
    /// The first stage it reached.
    pub first: u8,
    /// The last.
    pub last: u8,
    at: Timestamp,
    /// Since when the publication was on its way, if known.
    accepted_at: Option<Timestamp>,
}

impl Mark {
    /// A receipt implies the stages before it, and on the websocket the delivery too.
    pub fn receipt(receipt: Receipt, accepted_at: &AcceptedAt) -> Self {
        let implied = if receipt.channel == Channel::Websocket { DELIVERED } else { 1 };
        Self {
            publication: receipt.publication,
            device: receipt.device,
            unit: receipt.unit,
            channel: receipt.channel,
            first: implied,
            last: stage_code(receipt.stage),
            at: receipt.at,
            accepted_at: accepted_at.get(&receipt.publication).copied(),
        }
    }

    /// A delivery to a websocket.
    pub fn delivery(delivered: Delivered, accepted_at: &AcceptedAt) -> Self {
        Self {
            publication: delivered.publication,
            device: delivered.device,
            unit: delivered.unit,
            channel: Channel::Websocket,
            first: DELIVERED,
            last: DELIVERED,
            at: delivered.at,
            accepted_at: accepted_at.get(&delivered.publication).copied(),
        }
    }

    /// Milliseconds since acceptance, if that is known.
    pub fn latency_ms(&self) -> Option<u64> {
        let elapsed = self.at.as_millisecond() - self.accepted_at?.as_millisecond();
        // A gateway's clock may be a little behind the one that accepted.
        Some(elapsed.max(0) as u64)
    }

    /// Which 65,536 devices its device is one of.
    pub fn chunk(&self) -> u64 {
        self.device.0 >> 16
    }
}

/// A device's place within its chunk.
pub fn within_chunk(device: DeviceNum) -> u32 {
    (device.0 & 0xffff) as u32
}
