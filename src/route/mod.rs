//! Stage 2: a publication's audience becomes dispatches.
//!
//! The router decides what to send where, once; it never lists recipients. A dispatch names a unit
//! and a shard, and its id follows from what it covers, so routing a record twice (at least once)
//! makes nothing twice. Order of effects: rows in the ledger, then dispatches on the log, then the
//! offset. What it promises:
//!
//! - *Nothing false*: an update or cancel freezes the older dispatches before its own are made, and
//!   goes to everyone they reached ([`supersede`]).
//! - *Late joiners are warned*: it follows the registry's changes ([`late`]).
//! - *Only who may*: a record that ingest did not sign, or that its agency may not say, goes to the
//!   dead letters and into the audit ([`crate::auth::gate`]).
//! - *Who has left is left alone*: what was sealed for a citizen cannot be read once their key is
//!   destroyed, and is passed over.
//! - *Stores that lost their last moments heal*: what was routed a while before is routed again
//!   ([`again`]).

pub mod again;
pub mod census;
pub mod late;
pub mod plan;
pub mod router;
pub mod supersede;

use crate::auth::gate::Gate;
use crate::bus::{self, Bus};
use crate::clock::Clock;
use crate::event::envelope;
use crate::lifecycle::Lifecycle;
use crate::store::agencies;
use crate::store::alerts::{self, Alerts};
use crate::store::ledger::{self, Ledger};
use crate::store::registry::{self, Registry};
use crate::trail::Trail;

/// Why routing cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log failed.
    #[error("the event log failed: {0}")]
    Bus(#[from] bus::Error),
    /// The registry failed.
    #[error("the registry failed: {0}")]
    Registry(#[from] registry::Error),
    /// The ledger failed.
    #[error("the ledger failed: {0}")]
    Ledger(#[from] ledger::Error),
    /// The alerts store failed.
    #[error("the alerts store failed: {0}")]
    Alerts(#[from] alerts::Error),
    /// A record is no publication.
    #[error("a record is no publication: {0}")]
    Record(#[from] envelope::Error),
    /// The agencies cannot be read.
    #[error("the agencies cannot be read: {0}")]
    Agencies(#[from] agencies::Error),
}

/// What the router needs of the rest of the node.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// The log.
    pub bus: Bus,
    /// Devices.
    pub registry: Registry,
    /// Cursors and counts.
    pub ledger: Ledger,
    /// Publications.
    pub alerts: Alerts,
    /// What is believed of the log.
    pub gate: Gate,
    /// Where it is written down what is not.
    pub trail: Trail,
}

/// Starts a router for each lane, so that no lane waits for another, and the follower of late
/// joiners.
pub async fn start(parts: Parts, tasks: &Lifecycle) -> Result<(), Error> {
    let routed = late::Routed::default();
    for lane in crate::domain::lane::Lane::ALL {
        router::start(parts.clone(), lane, routed.clone(), tasks).await?;
    }
    again::start(parts.clone(), routed.clone(), tasks);
    late::start(parts, routed, tasks).await
}
