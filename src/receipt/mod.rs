//! Stage 4: citizens' receipts become counts.
//!
//! Receipts come over the log, so an answered receipt survives any crash; the ledger counts a
//! device once for each stage, so a repeated one changes nothing. (The providers' answers are
//! counted by the fan-out, which stores them with its cursor.)
//!
//! A ledger on Redis may lose its last moments. It says when that may have happened, and then the
//! receipts of a while before are read and counted again (`recount`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::bus::{self, Bus, Consumer, Delivery, TopicId};
use crate::clock::Clock;
use crate::domain::ids::PublicationId;
use crate::domain::receipt::Receipt;
use crate::event;
use crate::event::dead_letter::Reason;
use crate::lifecycle::Lifecycle;
use crate::metrics;
use crate::store::alerts::{self, Alerts};
use crate::store::ledger::{self, Counted, Ledger};

mod recount;

/// The consumer group.
pub const GROUP: &str = "receipt";
/// Receipts counted in one transaction.
const BATCH: usize = 2_000;
/// Pause before counting is tried again; the stores have waited before they fail.
const PAUSE: Duration = Duration::from_secs(1);
/// Times of acceptance remembered.
const REMEMBERED: usize = 4_096;

/// Why counting cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log failed.
    #[error("the event log failed: {0}")]
    Bus(#[from] bus::Error),
    /// The ledger failed.
    #[error("the ledger failed: {0}")]
    Ledger(#[from] ledger::Error),
    /// The alerts store failed.
    #[error("the alerts store failed: {0}")]
    Alerts(#[from] alerts::Error),
}

/// What counting needs of the rest of the node.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// The log.
    pub bus: Bus,
    /// Where it is counted.
    pub ledger: Ledger,
    /// When publications were accepted.
    pub alerts: Alerts,
}

/// Starts the counter.
pub async fn start(parts: Parts, tasks: &Lifecycle) -> Result<(), Error> {
    let consumer = parts.bus.consumer(GROUP, &[TopicId::Receipts]).await?;
    let stop = tasks.token().clone();
    recount::start(Counter::new(parts.clone()), tasks);
    tasks.service("receipt", async move {
        let counter = Counter::new(parts);
        tokio::select! {
            ended = counter.serve(consumer) => ended,
            () = stop.cancelled() => Ok(()),
        }
    });
    Ok(())
}

#[derive(Debug)]
struct Counter {
    parts: Parts,
    accepted_at: HashMap<PublicationId, Timestamp>,
}

impl Counter {
    fn new(parts: Parts) -> Self {
        Self { parts, accepted_at: HashMap::new() }
    }

    async fn serve(mut self, mut consumer: Consumer) -> Result<(), Error> {
        loop {
            let deliveries = consumer.next_batch(BATCH).await?;
            let receipts = self.read(&deliveries).await?;
            // One commit a partition, all in one flush: the last of each, and none goes back.
            let mut last: BTreeMap<u32, &Delivery> = BTreeMap::new();
            for delivery in &deliveries {
                last.insert(delivery.position.partition, delivery);
            }
            let next =
                |(part, last): (&u32, &&Delivery)| (part.to_string(), last.position.offset + 1);
            let counted: Counted = last.iter().map(next).collect();
            while let Err(error) = self.count(&receipts, &counted).await {
                tracing::error!(%error, "receipts wait until they can be counted");
                tokio::time::sleep(PAUSE).await;
            }
            let commits = last.into_values().map(|last| consumer.commit(last.position.next()));
            try_join_all(commits).await?;
        }
    }

    async fn count(&mut self, receipts: &[Receipt], counted: &Counted) -> Result<(), Error> {
        let accepted_at = self.accepted_at(receipts).await?;
        let fresh = self.parts.ledger.record_receipts(receipts.to_vec(), &accepted_at).await?;
        metrics::receipts(fresh);
        Ok(self.parts.ledger.counted(GROUP, counted).await?)
    }

    async fn read(&self, deliveries: &[Delivery]) -> Result<Vec<Receipt>, Error> {
        let mut receipts = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            match event::receipt::decode(&delivery.headers, &delivery.payload) {
                Ok(receipt) => receipts.push(receipt),
                Err(error) => {
                    let now = self.parts.clock.now();
                    self.parts.bus.bury(delivery, Reason::from(&error), 1, now).await?;
                }
            }
        }
        Ok(receipts)
    }

    async fn accepted_at(
        &mut self,
        receipts: &[Receipt],
    ) -> Result<BTreeMap<PublicationId, Timestamp>, Error> {
        let mut wanted = BTreeMap::new();
        for receipt in receipts {
            let id = receipt.publication;
            if wanted.contains_key(&id) {
                continue;
            }
            if !self.accepted_at.contains_key(&id)
                && let Some(stored) = self.parts.alerts.get(id).await?
            {
                if self.accepted_at.len() >= REMEMBERED {
                    self.accepted_at.clear();
                }
                self.accepted_at.insert(id, stored.publication.accepted_at);
            }
            if let Some(at) = self.accepted_at.get(&id) {
                wanted.insert(id, *at);
            }
        }
        Ok(wanted)
    }
}
