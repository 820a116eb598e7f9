//! Stage 3: dispatches become sends.
//!
//! A worker takes a dispatch from its lane's topic, scans just that range of the registry in
//! batches, filters, sends, and stores cursor and counts in the ledger. What it promises:
//!
//! - *Once on screen*: before a batch is sent its last membership is durable as the dispatch's
//!   `intent`, so a crash repeats at most one batch per dispatch, under the same ids.
//! - *Hot first*: other lanes yield to runnable emergency work ([`gate`]), on every node from the
//!   moment an emergency is on the log ([`superseded`]).
//! - *Nothing late, nothing false*: expiry and supersession are looked at before every send.
//!
//! Limits: `batch` members at a time, `retries_max` waiting members per dispatch (then it takes no
//! new ones: the provider pays, not our memory), `dispatches` at once per channel and lane.

mod account;
pub mod batch;
pub mod content;
pub mod gate;
pub mod hygiene;
mod plan;
pub mod recipients;
pub mod run;
pub mod superseded;
mod topics;
pub mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bus::{self, Bus};
use crate::channel::Sender;
use crate::clock::Clock;
use crate::domain::channel::Channel;
use crate::domain::lane::Lane;
use crate::lifecycle::Lifecycle;
use crate::store::alerts::{self, Alerts};
use crate::store::ledger::{self, Ledger};
use crate::store::registry::{self, Registry};

/// How much of what at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Members in one batch: the bound on repeats per dispatch after a crash.
    pub batch: usize,
    /// Dispatches in work at once, per channel, on each lane.
    pub dispatches_emergency: usize,
    /// The same for one citizen's status changes: many small ones.
    pub dispatches_personal: usize,
    /// The same for news.
    pub dispatches_routine: usize,
    /// Members of one dispatch that may wait for a retry before it pauses.
    pub retries_max: usize,
    /// Local time minus UTC, in minutes, for people's quiet hours.
    pub utc_offset_minutes: i32,
    /// When dead addresses are believed.
    pub hygiene: hygiene::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: 500,
            dispatches_emergency: 32,
            dispatches_personal: 64,
            dispatches_routine: 8,
            retries_max: 5_000,
            utc_offset_minutes: 420,
            hygiene: hygiene::Settings::default(),
        }
    }
}

impl Settings {
    /// Dispatches of a lane in work at once, per channel.
    pub fn dispatches(&self, lane: Lane) -> usize {
        match lane {
            Lane::Emergency => self.dispatches_emergency,
            Lane::Personal => self.dispatches_personal,
            Lane::Routine => self.dispatches_routine,
        }
    }
}

/// Why fan-out stopped, or why one dispatch cannot go on now.
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
    /// A dispatch names a publication that is not in the alerts store.
    #[error("publication {0} of the dispatch is not known")]
    UnknownPublication(crate::domain::ids::PublicationId),
    /// The words do not fit into the channel's payload.
    #[error("the payload cannot be made: {0}")]
    Payload(#[from] crate::channel::payload::Error),
}

impl Error {
    /// Whether it is a store that is away for a while, which is no fault of the dispatch.
    pub fn passes(&self) -> bool {
        match self {
            Error::Ledger(ledger::Error::Storage(failure))
            | Error::Registry(registry::Error::Storage(failure))
            | Error::Alerts(alerts::Error::Storage(failure)) => failure.passes(),
            _ => false,
        }
    }
}

/// Everything the workers of a node share.
#[derive(Debug)]
pub struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) bus: Bus,
    pub(crate) registry: Registry,
    pub(crate) ledger: Ledger,
    pub(crate) senders: BTreeMap<Channel, Arc<Sender>>,
    pub(crate) contents: content::Contents,
    pub(crate) gate: gate::Gate,
    pub(crate) superseded: superseded::Superseded,
    pub(crate) running: worker::Running,
}

/// What the fan-out needs of the rest of the node.
#[derive(Debug)]
pub struct Parts {
    /// How much of what at once.
    pub settings: Settings,
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
    /// Tells what ingest wrote to the log from what it did not.
    pub seals: crate::auth::gate::Gate,
    /// Texts of the kinds of status change.
    pub kinds: Arc<crate::domain::status_kinds::StatusKinds>,
    /// The push channels.
    pub senders: BTreeMap<Channel, Arc<Sender>>,
}

/// Starts the workers: for each push channel one on each lane, and the follower of supersessions.
pub async fn start(parts: Parts, tasks: &Lifecycle) -> Result<(), Error> {
    let superseded = superseded::Superseded::default();
    let gate = gate::Gate::default();
    let sources = (&parts.seals, &parts.ledger);
    superseded::follow(&parts.bus, (&superseded, &gate), sources, tasks).await?;
    let senders = parts.senders.clone();
    let shared = Arc::new(Shared {
        senders: parts.senders,
        contents: content::Contents::new(parts.alerts, parts.kinds, parts.clock.clone()),
        settings: parts.settings,
        clock: parts.clock,
        bus: parts.bus,
        registry: parts.registry,
        ledger: parts.ledger,
        gate,
        superseded,
        running: worker::Running::default(),
    });
    for (channel, sender) in senders {
        let settings = shared.settings.hygiene.clone();
        let hygiene = Arc::new(hygiene::Hygiene::new(settings, Arc::clone(&sender)));
        hygiene::start(Arc::clone(&hygiene), shared.registry.clone(), tasks);
        if let Some(topics) = sender.topics() {
            topics::start(&shared, topics, tasks).await?;
        }
        for lane in Lane::ALL {
            let (sender, hygiene) = (Arc::clone(&sender), Arc::clone(&hygiene));
            let road = worker::Road { channel, lane, sender, hygiene };
            worker::start(Arc::clone(&shared), road, tasks).await?;
        }
    }
    Ok(())
}
