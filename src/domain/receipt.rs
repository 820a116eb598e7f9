//! Receipts: what apps tell us back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;
use crate::domain::ids::{DeviceNum, PublicationId, UnitCode};

/// How far a publication got on a device, in rising order. A stage implies those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The app has it.
    Received,
    /// It was on the screen.
    Shown,
    /// The person acknowledged it.
    Acknowledged,
}

impl Stage {
    /// Every stage in rising order.
    pub const ALL: [Stage; 3] = [Stage::Received, Stage::Shown, Stage::Acknowledged];

    /// The stage's name in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Received => "received",
            Stage::Shown => "shown",
            Stage::Acknowledged => "acknowledged",
        }
    }
}

/// One receipt, completed by the gateway with what the ledger counts by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// What was received.
    pub publication: PublicationId,
    /// By which device.
    pub device: DeviceNum,
    /// The device's channel.
    pub channel: Channel,
    /// The unit that owned the delivery; absent for a subject's.
    pub unit: Option<UnitCode>,
    /// How far it got.
    pub stage: Stage,
    /// When the gateway took the receipt.
    pub at: Timestamp,
}
