//! One dispatch from its cursor to its end.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::domain::dispatch::{Dispatch, DispatchId};
use crate::domain::ids::Seq;
use crate::domain::summary::Phrasebook;
use crate::fanout::content::Outgoing;
use crate::fanout::plan::Next;
use crate::fanout::worker::Road;
use crate::fanout::{Error, Shared};
use crate::metrics::{self, Room};
use crate::store::ledger::{Progress, Saved, State};

/// How often a dispatch that waits looks whether it was superseded meanwhile.
const WAKE: Duration = Duration::from_millis(250);
/// How long a cancel waits for the batch in flight of the dispatch it withdraws. A worker that
/// died leaves its intent behind, and that is then taken as reached.
const SETTLE: Duration = Duration::from_secs(10);
/// How long a dispatch that another worker took over may stand still before it is taken back, as
/// long as its partition is ours. A batch's answers come in less.
const STILL: Duration = Duration::from_secs(10);

/// Why a run came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left to do: its record may be acknowledged.
    Finished,
    /// The node stops, or the partition goes to another; the next worker goes on at the cursor.
    Stopped,
    /// Another worker has taken it over.
    Replaced,
}

/// One dispatch in work.
#[derive(Debug)]
pub struct Run<'a> {
    pub(super) shared: &'a Shared,
    pub(super) road: &'a Road,
    pub(super) outgoing: &'a Outgoing,
    pub(super) book: Phrasebook<'a>,
    pub(super) progress: Progress,
    /// Rows of the dispatches whose reached members this one goes to.
    pub(super) reached: Vec<Progress>,
    /// The intent found at the start: members up to it may get it a second time.
    pub(super) intent_before: Seq,
    pub(super) scanned: bool,
}

/// Runs a dispatch to its end, or until the node stops. `active` bounds the dispatches of the lane
/// that do something now; waiting for a retry does not count.
pub async fn run(
    (shared, road): (&Shared, &Road),
    dispatch: &Dispatch,
    active: &Semaphore,
    stop: &CancellationToken,
) -> Result<Ended, Error> {
    let outgoing = shared.contents.get(dispatch.publication).await?;
    let mine = shared.ledger.open_if_free(dispatch).await?;
    if mine.as_ref().is_some_and(|progress| progress.state != State::Open) {
        return Ok(Ended::Finished);
    }
    let reached = settled(shared, &dispatch.reached_by).await?;
    let (progress, permit) = match mine {
        Some(progress) => (progress, None),
        // Another worker began it. While this one waits its turn that one goes on, if it lives.
        None => {
            let permit = tokio::select! {
                permit = active.acquire() => permit.ok(),
                () = stop.cancelled() => return Ok(Ended::Stopped),
            };
            (shared.ledger.open(dispatch).await?, permit)
        }
    };
    if progress.state != State::Open {
        return Ok(Ended::Finished);
    }
    let intent_before = progress.intent;
    let book = Phrasebook::new(&outgoing.publication, &shared.contents.kinds);
    let mut run = Run {
        shared,
        road,
        outgoing: &outgoing,
        book,
        progress,
        reached,
        intent_before,
        scanned: false,
    };
    run.go((active, permit), stop).await
}

/// Waits for another worker that took a dispatch over: until it is over or this one is to stop,
/// or, and then there is no end, until nothing has moved for a while. The record is ours as long as
/// its partition is, and must not be acknowledged before.
pub async fn elsewhere(
    shared: &Shared,
    id: &DispatchId,
    stop: &CancellationToken,
) -> Result<Option<Ended>, Error> {
    let mut seen = None;
    loop {
        let Some(row) = shared.ledger.get(id).await? else { return Ok(Some(Ended::Finished)) };
        if row.state != State::Open {
            return Ok(Some(Ended::Finished));
        }
        if seen.as_ref() == Some(&row) {
            return Ok(None);
        }
        seen = Some(row);
        tokio::select! {
            () = tokio::time::sleep(STILL) => {}
            () = stop.cancelled() => return Ok(Some(Ended::Stopped)),
        }
    }
}

/// The rows of earlier dispatches once none of them has a batch in flight.
async fn settled(shared: &Shared, ids: &[DispatchId]) -> Result<Vec<Progress>, Error> {
    let mut rows = Vec::with_capacity(ids.len());
    let deadline = tokio::time::Instant::now() + SETTLE;
    for id in ids {
        let mut changes = shared.ledger.watch();
        loop {
            changes.borrow_and_update();
            let Some(row) = shared.ledger.get(id).await? else { break };
            let quiet = row.state != State::Open || row.intent == Seq(0);
            if quiet || tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                rows.push(row);
                break;
            }
        }
    }
    Ok(rows)
}

impl Run<'_> {
    async fn go<'p>(
        &mut self,
        (active, mut permit): (&'p Semaphore, Option<SemaphorePermit<'p>>),
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let mut hot = permit.as_ref().and_then(|_| self.shared.gate.enter(self.road.lane));
        loop {
            if stop.is_cancelled() {
                return Ok(ended(self.save().await?, Ended::Stopped));
            }
            if let Some(state) = self.over() {
                return self.settle(state).await;
            }
            if permit.is_none() {
                tokio::select! {
                    free = active.acquire() => permit = free.ok(),
                    () = stop.cancelled() => continue,
                }
                hot = self.shared.gate.enter(self.road.lane);
                continue;
            }
            tokio::select! {
                () = self.shared.gate.pass(self.road.lane) => {}
                () = stop.cancelled() => continue,
            }
            let before = self.progress.clone();
            match self.next().await? {
                Next::Finished => {
                    // Nothing is left to send: the next dispatch need not wait for this save.
                    drop((permit.take(), hot.take()));
                    return self.finish().await;
                }
                Next::Wait(until) => {
                    if self.save().await? == Saved::Replaced {
                        return Ok(Ended::Replaced);
                    }
                    (permit, hot) = (None, None);
                    self.sleep_until(until, stop).await;
                }
                // The intent is durable before anything of the batch is sent.
                Next::Batch(plan) => match self.save().await? {
                    Saved::Saved => self.execute(plan).await?,
                    Saved::Frozen => {
                        self.progress = Progress { frozen: true, ..before };
                        return self.settle(State::Superseded).await;
                    }
                    Saved::Replaced => return Ok(Ended::Replaced),
                },
            }
            debug_assert!(hot.is_none() || permit.is_some());
        }
    }

    fn over(&self) -> Option<State> {
        let publication = &self.outgoing.publication;
        if self.progress.frozen || self.shared.superseded.contains(publication.id) {
            Some(State::Superseded)
        } else if publication.is_expired(self.shared.clock.now()) {
            Some(State::Expired)
        } else {
            None
        }
    }

    async fn finish(&mut self) -> Result<Ended, Error> {
        self.progress.state = State::Done;
        Ok(ended(self.save().await?, Ended::Finished))
    }

    /// Stores the progress; a frozen dispatch is marked so, and the loop then settles it.
    pub(super) async fn save(&mut self) -> Result<Saved, Error> {
        self.progress.counts.waiting = self.progress.retries.len() as u64;
        let began = Instant::now();
        let saved = self.shared.ledger.save(&self.progress).await?;
        metrics::room(Room::Ledger, began.elapsed());
        self.progress.frozen |= saved == Saved::Frozen;
        Ok(saved)
    }

    async fn sleep_until(&self, until: Timestamp, stop: &CancellationToken) {
        while !stop.is_cancelled() && self.over().is_none() {
            let now = self.shared.clock.now();
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(WAKE)) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// How a run ends with its last save.
pub(super) fn ended(saved: Saved, otherwise: Ended) -> Ended {
    if saved == Saved::Replaced { Ended::Replaced } else { otherwise }
}
