//! What every worker's node learns from the publications themselves, without asking anybody: which
//! were superseded, so that an update or cancel stops the older one's sends here, and that an
//! emergency is coming, so that the other lanes make way for it on every node before its dispatches
//! are there.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::auth::gate::{self as seals, Gate as Seals};
use crate::bus::{Bus, Delivery, Reader, TopicId};
use crate::domain::ids::PublicationId;
use crate::domain::lane::Lane;
use crate::domain::publication::Publication;
use crate::event::publication;
use crate::fanout::Error;
use crate::fanout::gate::{Gate, Hot};
use crate::lifecycle::Lifecycle;
use crate::metrics;
use crate::store::ledger::Ledger;

/// Ids remembered; beyond, the set is emptied and the ledger's freeze alone stops old work (one
/// batch later).
const REMEMBERED: usize = 100_000;

/// The superseded publications this node knows of. Clones share the set.
#[derive(Clone, Debug)]
pub struct Superseded {
    ids: Arc<RwLock<HashSet<PublicationId>>>,
    grown: Arc<watch::Sender<()>>,
}

impl Superseded {
    /// Whether a publication must not be sent any more.
    pub fn contains(&self, id: PublicationId) -> bool {
        self.ids.read().expect("no holder of this lock panics").contains(&id)
    }

    /// Notes superseded publications.
    pub fn extend(&self, ids: &[PublicationId]) {
        if ids.is_empty() {
            return;
        }
        let mut known = self.ids.write().expect("no holder of this lock panics");
        if known.len() + ids.len() > REMEMBERED {
            known.clear();
        }
        known.extend(ids);
        drop(known);
        self.grown.send_replace(());
    }

    /// Waits until a publication is superseded.
    pub async fn wait(&self, id: PublicationId) {
        let mut grown = self.grown.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = grown.wait_for(|()| self.contains(id)).await;
    }
}

impl Default for Superseded {
    fn default() -> Self {
        Self { ids: Arc::default(), grown: Arc::new(watch::Sender::new(())) }
    }
}

/// How long the other lanes make way on every node after an emergency was accepted: its routing,
/// and the first batches of most, on a busy day.
const HEAD_START: Duration = Duration::from_secs(2);
/// And how long at most, while the ledger says that the emergency is at work on any node: what the
/// others send meanwhile takes providers, stores and brokers from it. Then a node without emergency
/// work of its own goes on, whatever the emergency waits for.
const HEAD_START_MAX: Duration = Duration::from_secs(10);
/// Between two looks at the ledger, and what one may take.
const LOOK: Duration = Duration::from_millis(500);

/// Follows the publications of every lane, from the oldest retained one.
pub async fn follow(
    bus: &Bus,
    (superseded, gate): (&Superseded, &Gate),
    (seals, ledger): (&Seals, &Ledger),
    tasks: &Lifecycle,
) -> Result<(), Error> {
    for lane in Lane::ALL {
        let topic = TopicId::Publications(lane);
        for partition in 0..bus.partitions(topic) {
            let start = bus.bounds(topic, partition).await?.start;
            let follower = Follower {
                lane,
                reader: bus.reader(topic, partition, start).await?,
                superseded: superseded.clone(),
                gate: gate.clone(),
                seals: seals.clone(),
                ledger: ledger.clone(),
                head: None,
            };
            let stop = tasks.token().clone();
            tasks.service("fanout.superseded", async move {
                tokio::select! {
                    ended = follower.follow() => ended,
                    () = stop.cancelled() => Ok(()),
                }
            });
        }
    }
    Ok(())
}

/// The follower of one partition.
struct Follower {
    lane: Lane,
    reader: Reader,
    superseded: Superseded,
    gate: Gate,
    seals: Seals,
    ledger: Ledger,
    head: Option<Head>,
}

/// The head start of the newest emergency.
struct Head {
    _hot: Hot,
    of: PublicationId,
    until: Instant,
    at_most: Instant,
}

impl Follower {
    async fn follow(mut self) -> Result<(), Error> {
        loop {
            let end = self.head.as_ref().map(|head| head.until);
            tokio::select! {
                batch = self.reader.next_batch(256) => batch?.iter().for_each(|one| self.take(one)),
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {
                    self.head = self.prolonged().await;
                }
            }
        }
    }

    /// What cannot be read, or was not written by ingest, is the router's to report and
    /// dead-letter. A forged withdrawal stops nothing.
    fn take(&mut self, delivery: &Delivery) {
        let read = publication::decode(&delivery.headers, &delivery.payload);
        let Ok(publication) = read else { return };
        let head_start = self.head_start(&publication);
        if head_start.is_none() && publication.supersedes.is_empty() {
            return;
        }
        let (key, headers, payload) = (&delivery.key, &delivery.headers, &delivery.payload);
        let record = seals::Parts { key, headers, payload };
        if let Err(refused) = self.seals.genuine(self.lane, record, &publication) {
            metrics::record_refused("fanout", refused.code());
            return;
        }
        if let Some(left) = head_start
            && let Some(hot) = self.gate.enter(publication.lane)
        {
            let until = Instant::now() + left;
            let at_most = until + (HEAD_START_MAX - HEAD_START);
            self.head = Some(Head { _hot: hot, of: publication.id, until, at_most });
        }
        self.superseded.extend(&publication.supersedes);
    }

    /// The head start for another moment, if the emergency is at work somewhere. A ledger that does
    /// not answer ends it: then nobody's work goes on anyway.
    async fn prolonged(&mut self) -> Option<Head> {
        let head = self.head.take()?;
        let now = Instant::now();
        if now >= head.at_most {
            return None;
        }
        let funnel = tokio::time::timeout(LOOK, self.ledger.funnel(head.of)).await.ok()?.ok()?;
        (funnel.open_dispatches > 0).then(|| Head { until: now + LOOK, ..head })
    }

    /// What is left of an emergency's head start: nothing of one that was found on the log later.
    fn head_start(&self, publication: &Publication) -> Option<Duration> {
        let since = self.seals.now().duration_since(publication.accepted_at);
        // Another node's clock may be a little ahead of ours.
        let since = Duration::try_from(since).unwrap_or_default();
        HEAD_START.checked_sub(since).filter(|left| !left.is_zero())
    }
}
