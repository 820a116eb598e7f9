//! A worker: takes dispatches of one channel and lane, many at once, and acknowledges each record
//! when its dispatch is finished. A dispatch that fails or panics is tried again and then goes to
//! the dead letters: it never stops the lane.

use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join_all;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::bus::{self, Acks, Committer, Consumer, Delivery, Position, Tenure, TopicId, Work};
use crate::channel::Sender;
use crate::domain::channel::Channel;
use crate::domain::dispatch::{Dispatch, DispatchId};
use crate::domain::lane::Lane;
use crate::event::dead_letter::Reason;
use crate::event::dispatch;
use crate::fanout::hygiene::Hygiene;
use crate::fanout::run::{Ended, elsewhere, run};
use crate::fanout::{Error, Shared};
use crate::lifecycle::Lifecycle;

/// The consumer group of all workers.
pub const GROUP: &str = "fanout";
/// Dispatches of a channel and lane that are open at once, those that only wait for a retry
/// included: a city-wide alert's, with room. Each holds a few kilobytes.
const OPEN_MAX: usize = 4_096;
/// Of these, from one partition: beyond, the partition is held back until half of them have ended,
/// so that a slow one leaves the others their room. A city-wide alert has about 90 in each.
const OPEN_OF_PARTITION_MAX: usize = 512;
/// Tries of a dispatch that fails or panics before it goes to the dead letters.
const TRIES: u32 = 5;
/// Pause before such a try; long enough for a full disk or a locked file to pass.
const PAUSE: Duration = Duration::from_millis(500);

/// What a worker serves.
#[derive(Clone, Debug)]
pub struct Road {
    /// The channel.
    pub channel: Channel,
    /// The lane.
    pub lane: Lane,
    /// The channel's sender.
    pub sender: Arc<Sender>,
    /// What becomes of the channel's dead addresses.
    pub hygiene: Arc<Hygiene>,
}

/// The dispatches this node works on, so that of a record that comes twice only one is worked on
/// at a time.
#[derive(Debug, Default)]
pub struct Running {
    ids: Mutex<HashSet<DispatchId>>,
    ended: Notify,
}

impl Running {
    /// Waits while the dispatch is in work from an earlier record. That one's end makes this one
    /// short, since its row says what was done; before it, this one must not be acknowledged.
    async fn begin(&self, id: DispatchId) {
        loop {
            let ended = self.ended.notified();
            if self.ids.lock().expect("no holder of this lock panics").insert(id) {
                return;
            }
            ended.await;
        }
    }

    fn end(&self, id: DispatchId) {
        self.ids.lock().expect("no holder of this lock panics").remove(&id);
        self.ended.notify_waiters();
    }
}

/// Starts the worker of one channel and lane.
pub async fn start(shared: Arc<Shared>, road: Road, tasks: &Lifecycle) -> Result<(), Error> {
    let topic = TopicId::Dispatches(road.channel, road.lane);
    let consumer = shared.bus.consumer(GROUP, &[topic]).await?;
    let stop = tasks.token().clone();
    tasks.service("fanout.worker", async move { work(shared, road, consumer, stop).await });
    Ok(())
}

async fn work(
    shared: Arc<Shared>,
    road: Road,
    consumer: Consumer,
    stop: CancellationToken,
) -> Result<(), Error> {
    let mut committing = Committing::new(consumer.committer());
    let active = Arc::new(Semaphore::new(shared.settings.dispatches(road.lane)));
    let mut open = JoinSet::new();
    // Kept while dispatches finish: begun anew each time, a thousand that finish would cost a
    // thousand reads of the log thrown away, and the next dispatches would wait for the last of
    // these.
    let mut coming = Box::pin(take(consumer));
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(finished) = open.join_next(), if !open.is_empty() => {
                committing.finished(finished)?;
                while let Some(finished) = open.try_join_next() {
                    committing.finished(finished)?;
                }
            }
            done = committing.flight.join_next(), if !committing.flight.is_empty() => {
                committing.landed(done)?;
            }
            (consumer, batch) = &mut coming, if open.len() < OPEN_MAX => {
                coming = Box::pin(take(consumer));
                for delivery in batch? {
                    // What was read of a partition that went meanwhile is another's to work on.
                    let Some(work) = committing.begun(delivery.position) else { continue };
                    let (shared, road) = (Arc::clone(&shared), road.clone());
                    let (active, stop) = (Arc::clone(&active), stop.clone());
                    open.spawn(async move {
                        let at = delivery.position;
                        let limits = (&*active, &stop, &work);
                        let is_done = one(&shared, &road, delivery, limits).await?;
                        Ok((at, work, is_done))
                    });
                }
            }
        }
        committing.take_off();
    }
    // Each dispatch ends its batch, stores its cursor and comes back.
    while let Some(finished) = open.join_next().await {
        committing.finished(finished)?;
    }
    committing.land().await
}

async fn take(mut consumer: Consumer) -> (Consumer, bus::Result<Vec<Delivery>>) {
    let batch = consumer.next_batch(256).await;
    (consumer, batch)
}

/// A record that is worked on no more, and whether it may be acknowledged.
type Finished = Result<(Position, Work, bool), Error>;

/// What of one partition is in work.
#[derive(Debug, Default)]
struct Open {
    tenure: Tenure,
    dispatches: usize,
    /// Whether it is held back.
    held: bool,
}

/// Offsets on their way: while one commit is under way the others gather, so that a thousand small
/// dispatches cost a few flushes and no new dispatch waits for one.
struct Committing {
    acks: Acks,
    committer: Committer,
    /// What is to be committed next, by topic and partition.
    due: BTreeMap<(TopicId, u32), Position>,
    open: BTreeMap<(TopicId, u32), Open>,
    /// The commit under way, at most one.
    flight: JoinSet<Result<(), bus::Error>>,
}

impl Committing {
    fn new(committer: Committer) -> Self {
        let (acks, flight) = (Acks::new(), JoinSet::new());
        Self { acks, committer, due: BTreeMap::new(), open: BTreeMap::new(), flight }
    }

    /// Begins a record, unless its partition is another's by now.
    fn begun(&mut self, position: Position) -> Option<Work> {
        let Position { topic, partition, .. } = position;
        let tenure = self.committer.tenure(topic, partition)?;
        let work = tenure.work()?;
        let open = self.open.entry((topic, partition)).or_default();
        if !open.tenure.is(&tenure) {
            // It was away, or is new: it goes on where its last owner's commit stands.
            self.acks.forget(topic, partition);
            *open = Open { tenure, ..Open::default() };
        }
        self.acks.begin(position);
        open.dispatches += 1;
        if open.dispatches >= OPEN_OF_PARTITION_MAX && !open.held {
            open.held = true;
            self.committer.hold(topic, partition, true);
        }
        Some(work)
    }

    fn ended(&mut self, Position { topic, partition, .. }: Position, work: &Work) {
        let Some(open) = self.open.get_mut(&(topic, partition)) else { return };
        if !work.is_of(&open.tenure) {
            return;
        }
        open.dispatches = open.dispatches.saturating_sub(1);
        if open.held && open.dispatches <= OPEN_OF_PARTITION_MAX / 2 {
            open.held = false;
            self.committer.hold(topic, partition, false);
        }
    }

    fn finished(&mut self, finished: Result<Finished, JoinError>) -> Result<(), Error> {
        // Panics are caught inside; a task is only ever aborted with the whole set.
        let Ok(finished) = finished else { return Ok(()) };
        let (position, work, is_done) = finished?;
        self.ended(position, &work);
        if let Some(next) = is_done.then(|| self.acks.done(position)).flatten() {
            self.due.insert((next.topic, next.partition), next);
        }
        Ok(())
    }

    fn take_off(&mut self) {
        if self.flight.is_empty() && !self.due.is_empty() {
            let (due, committer) = (std::mem::take(&mut self.due), self.committer.clone());
            self.flight.spawn(async move {
                let commits = due.into_values().map(|next| committer.commit(next));
                try_join_all(commits).await.map(drop)
            });
        }
    }

    fn landed(&self, done: Option<Result<Result<(), bus::Error>, JoinError>>) -> Result<(), Error> {
        match done {
            Some(Ok(done)) => Ok(done?),
            // Aborted with the whole set, or none was under way.
            Some(Err(_)) | None => Ok(()),
        }
    }

    /// Commits what is left.
    async fn land(mut self) -> Result<(), Error> {
        while !(self.flight.is_empty() && self.due.is_empty()) {
            self.take_off();
            let done = self.flight.join_next().await;
            self.landed(done)?;
        }
        Ok(())
    }
}

/// Works on one record until it may be acknowledged, or until the node stops or the record's
/// partition is to go to another: whether it may.
async fn one(
    shared: &Shared,
    road: &Road,
    delivery: Delivery,
    (active, stop, work): (&Semaphore, &CancellationToken, &Work),
) -> Result<bool, Error> {
    let decoded = match dispatch::decode(&delivery.headers, &delivery.payload) {
        Ok(decoded) => decoded,
        Err(error) => {
            let now = shared.clock.now();
            shared.bus.bury(&delivery, Reason::from(&error), 1, now).await?;
            return Ok(true);
        }
    };
    tokio::select! {
        () = shared.running.begin(decoded.id) => {}
        () = stop.cancelled() => return Ok(false),
        () = work.over() => return Ok(false),
    }
    let halt = stop.child_token();
    let ended = {
        let mut persisting = pin!(persist(shared, road, &decoded, (active, &halt)));
        tokio::select! {
            ended = &mut persisting => ended,
            () = work.over() => {
                halt.cancel();
                persisting.await
            }
        }
    };
    shared.running.end(decoded.id);
    match ended {
        Ok(Ended::Finished) => Ok(true),
        Ok(Ended::Stopped | Ended::Replaced) => Ok(false),
        Err(reason) => {
            let reason = Reason { code: "dispatch_failed".to_owned(), detail: reason, field: None };
            shared.bus.bury(&delivery, reason, TRIES, shared.clock.now()).await?;
            Ok(true)
        }
    }
}

async fn persist(
    shared: &Shared,
    road: &Road,
    dispatch: &Dispatch,
    (active, stop): (&Semaphore, &CancellationToken),
) -> Result<Ended, String> {
    let mut tries = 0;
    loop {
        let running = AssertUnwindSafe(step((shared, road), dispatch, active, stop));
        let (reason, passes) = match running.catch_unwind().await {
            Ok(Ok(Some(ended))) => return Ok(ended),
            Ok(Ok(None)) => continue,
            Ok(Err(error)) => (error.to_string(), error.passes()),
            Err(_) => ("the worker panicked".to_owned(), false),
        };
        // While a store is away a dispatch waits for it, however long that takes.
        tries += u32::from(!passes);
        tracing::warn!(dispatch.id = %dispatch.id.0, tries, reason, "a dispatch failed");
        if tries == TRIES {
            return Err(reason);
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return Ok(Ended::Stopped),
        }
    }
}

/// Runs a dispatch, and waits for another worker that took it over meanwhile; `None` when it must
/// be taken back.
async fn step(
    (shared, road): (&Shared, &Road),
    dispatch: &Dispatch,
    active: &Semaphore,
    stop: &CancellationToken,
) -> Result<Option<Ended>, Error> {
    match run((shared, road), dispatch, active, stop).await? {
        Ended::Replaced if stop.is_cancelled() => Ok(Some(Ended::Stopped)),
        Ended::Replaced => {
            tracing::info!(dispatch.id = %dispatch.id.0, "another worker took a dispatch over");
            elsewhere(shared, &dispatch.id, stop).await
        }
        ended => Ok(Some(ended)),
    }
}
