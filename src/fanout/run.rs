//! One dispatch from its cursor to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::domain::dispatch::{Dispatch, Scope};
use crate::domain::ids::{DeviceNum, Seq};
use crate::domain::outcome::{Outcome, RetryScope};
use crate::domain::retry::next_attempt;
use crate::domain::summary::Phrasebook;
use crate::fanout::batch::{self, Push, Sent};
use crate::fanout::content::Outgoing;
use crate::fanout::recipients::{Candidate, Judge};
use crate::fanout::worker::Road;
use crate::fanout::{Error, Shared};
use crate::metrics;
use crate::store::ledger::{Progress, Saved, State, Waiting};
use crate::store::registry::Range;

/// How often a dispatch that waits looks whether it was superseded meanwhile.
const WAKE: Duration = Duration::from_millis(250);
/// How long a cancel waits for the batch in flight of the dispatch it withdraws. A worker that
/// died leaves its intent behind, and that is then taken as reached.
const SETTLE: Duration = Duration::from_secs(10);
/// A misconfigured channel is asked again this often: an operator has to act first.
const MISCONFIGURED_RETRY: Duration = Duration::from_secs(60);

/// Why a run came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left to do: its record may be acknowledged.
    Finished,
    /// The node stops; the next worker goes on at the cursor.
    Stopped,
}

/// One dispatch in work.
#[derive(Debug)]
pub struct Run<'a> {
    shared: &'a Shared,
    road: &'a Road,
    outgoing: &'a Outgoing,
    book: Phrasebook<'a>,
    progress: Progress,
    /// Rows of the dispatches whose reached members this one goes to.
    reached: Vec<Progress>,
    /// The intent found at the start: members up to it may get it a second time.
    intent_before: Seq,
    scanned: bool,
}

/// A planned batch and what it adds to the counts once it is answered.
#[derive(Debug, Default)]
struct Plan {
    pushes: Vec<Push>,
    examined: u64,
    skipped: u64,
    repeated: u64,
    last: Option<Seq>,
}

enum Next {
    Batch(Plan),
    Wait(Timestamp),
    Finished,
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
    let progress = shared.ledger.open(dispatch).await?;
    if progress.state != State::Open {
        return Ok(Ended::Finished);
    }
    let reached = settled(shared, &dispatch.reached_by).await?;
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
    run.go(active, stop).await
}

/// The rows of earlier dispatches once none of them has a batch in flight.
async fn settled(
    shared: &Shared,
    ids: &[crate::domain::dispatch::DispatchId],
) -> Result<Vec<Progress>, Error> {
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
    async fn go(
        &mut self,
        active: &Semaphore,
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let mut permit = None;
        let mut hot = None;
        loop {
            if stop.is_cancelled() {
                self.save().await?;
                return Ok(Ended::Stopped);
            }
            if let Some(state) = self.over() {
                return self.settle(state).await;
            }
            if permit.is_none() {
                permit = active.acquire().await.ok();
                hot = self.shared.gate.enter(self.road.lane);
                continue;
            }
            self.shared.gate.pass(self.road.lane).await;
            let before = self.progress.clone();
            match self.next().await? {
                Next::Finished => {
                    self.progress.state = State::Done;
                    self.save().await?;
                    return Ok(Ended::Finished);
                }
                Next::Wait(until) => {
                    self.save().await?;
                    (permit, hot) = (None, None);
                    self.sleep_until(until, stop).await;
                }
                Next::Batch(plan) => {
                    // The intent is durable before anything of the batch is sent.
                    if self.save().await? == Saved::Frozen {
                        self.progress = before;
                        return self.settle(State::Superseded).await;
                    }
                    self.execute(plan).await?;
                }
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

    async fn save(&mut self) -> Result<Saved, Error> {
        self.progress.counts.waiting = self.progress.retries.len() as u64;
        let saved = self.shared.ledger.save(&self.progress).await?;
        if saved == Saved::Frozen {
            self.progress.frozen = true;
        }
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

    /// The next batch: due retries first, then the next members, unless too many wait already.
    async fn next(&mut self) -> Result<Next, Error> {
        let now = self.shared.clock.now();
        if let Some(until) = self.road.pace.paused_until(now) {
            return Ok(Next::Wait(until));
        }
        let due: Vec<Waiting> = self
            .progress
            .retries
            .iter()
            .filter(|waiting| waiting.not_before <= now)
            .take(self.shared.settings.batch)
            .cloned()
            .collect();
        if !due.is_empty() {
            return Ok(Next::Batch(self.plan_retries(due).await?));
        }
        while !self.scanned && self.progress.retries.len() < self.shared.settings.retries_max {
            let plan = self.plan_scan().await?;
            if plan.pushes.is_empty() {
                self.count(&plan);
            } else {
                return Ok(Next::Batch(plan));
            }
        }
        let earliest = self.progress.retries.iter().map(|waiting| waiting.not_before).min();
        Ok(earliest.map_or(Next::Finished, Next::Wait))
    }

    async fn plan_scan(&mut self) -> Result<Plan, Error> {
        let limit = self.shared.settings.batch;
        let candidates = self.fetch(self.progress.cursor, limit).await?;
        self.scanned = candidates.len() < limit;
        let mut plan = Plan { last: candidates.last().map(|last| last.seq), ..Plan::default() };
        for candidate in candidates {
            plan.examined += 1;
            plan.repeated += u64::from(candidate.seq <= self.intent_before);
            match self.push(&candidate, 1).await? {
                Some(push) => {
                    self.progress.unreached.remove(candidate.seq.0);
                    plan.pushes.push(push);
                }
                None => {
                    self.progress.unreached.insert(candidate.seq.0);
                    plan.skipped += 1;
                }
            }
        }
        self.progress.intent = self.progress.intent.max(plan.last.unwrap_or_default());
        Ok(plan)
    }

    /// Members that wait stay in the list until they are answered, so that a crash forgets none.
    async fn plan_retries(&mut self, due: Vec<Waiting>) -> Result<Plan, Error> {
        let seqs: Vec<Seq> = due.iter().map(|waiting| waiting.seq).collect();
        let mut plan = Plan::default();
        let mut gone = Vec::new();
        let candidates = self.fetch_these(&seqs).await?;
        for waiting in due {
            let candidate = candidates.iter().find(|candidate| candidate.seq == waiting.seq);
            let push = match candidate {
                Some(candidate) => self.push(candidate, waiting.attempt + 1).await?,
                None => None,
            };
            match push {
                Some(push) => {
                    self.progress.unreached.remove(waiting.seq.0);
                    plan.pushes.push(push);
                }
                None => gone.push(waiting.seq),
            }
        }
        plan.skipped = gone.len() as u64;
        self.progress.retries.retain(|waiting| !gone.contains(&waiting.seq));
        Ok(plan)
    }

    async fn push(&self, candidate: &Candidate, attempt: u32) -> Result<Option<Push>, Error> {
        let judge = Judge {
            shared: self.shared,
            outgoing: self.outgoing,
            book: &self.book,
            dispatch: &self.progress.dispatch,
            reached: &self.reached,
            minute: self.local_minute(),
        };
        let Some(key) = judge.verdict(candidate).await? else { return Ok(None) };
        let Some(device) = candidate.device.clone() else { return Ok(None) };
        let (sender, channel) = (&self.road.sender, self.road.channel);
        let prepared = self.outgoing.prepared(sender, channel, (key, &self.book))?;
        Ok(Some(Push { seq: candidate.seq, device, prepared, attempt }))
    }

    fn local_minute(&self) -> u16 {
        let offset = i64::from(self.shared.settings.utc_offset_minutes);
        let minutes = self.shared.clock.now().as_second().div_euclid(60) + offset;
        minutes.rem_euclid(24 * 60) as u16
    }

    async fn fetch(&self, after: Seq, limit: usize) -> Result<Vec<Candidate>, Error> {
        let registry = &self.shared.registry;
        match &self.progress.dispatch.scope {
            Scope::Range { unit, shard, upto } => {
                let range = Range {
                    unit: unit.clone(),
                    channel: self.road.channel,
                    shard: *shard,
                    after,
                    upto: *upto,
                };
                let members = registry.scan(&range, limit).await?;
                Ok(members.into_iter().map(|one| Candidate::of_member(one, Some(*shard))).collect())
            }
            Scope::Late { members, .. } => {
                let rest: Vec<Seq> =
                    members.iter().copied().filter(|seq| *seq > after).take(limit).collect();
                self.fetch_these(&rest).await
            }
            Scope::Subject { subject } => {
                let devices = registry.of_subject(subject).await?;
                let mut candidates: Vec<_> = devices
                    .into_iter()
                    .filter(|device| Seq(device.num.0) > after)
                    .map(citizens_device)
                    .collect();
                candidates.sort_by_key(|candidate| candidate.seq);
                candidates.truncate(limit);
                Ok(candidates)
            }
        }
    }

    async fn fetch_these(&self, seqs: &[Seq]) -> Result<Vec<Candidate>, Error> {
        if let Scope::Subject { .. } = self.progress.dispatch.scope {
            let all = Box::pin(self.fetch(Seq(0), usize::MAX)).await?;
            return Ok(all.into_iter().filter(|one| seqs.contains(&one.seq)).collect());
        }
        let shard = match self.progress.dispatch.scope {
            Scope::Range { shard, .. } => Some(shard),
            _ => None,
        };
        let members = self.shared.registry.members(seqs).await?;
        Ok(members.into_iter().map(|one| Candidate::of_member(one, shard)).collect())
    }

    async fn execute(&mut self, mut plan: Plan) -> Result<(), Error> {
        let pushes = std::mem::take(&mut plan.pushes);
        let publication = Arc::clone(&self.outgoing.publication);
        let answers = batch::send(self.shared, self.road, &publication, pushes).await;
        let mut outcomes: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (push, sent) in answers {
            *outcomes.entry(sent.name()).or_default() += 1;
            self.apply(&push, sent).await?;
        }
        for (outcome, count) in outcomes {
            metrics::attempts(self.road.channel, self.road.lane, outcome, count);
        }
        self.count(&plan);
        Ok(())
    }

    fn count(&mut self, plan: &Plan) {
        let counts = &mut self.progress.counts;
        counts.targeted += plan.examined;
        counts.skipped += plan.skipped;
        counts.repeated += plan.repeated;
        if let Some(last) = plan.last {
            self.progress.cursor = last;
        }
    }

    async fn apply(&mut self, push: &Push, sent: Sent) -> Result<(), Error> {
        let now = self.shared.clock.now();
        if push.attempt > 1 {
            self.progress.retries.retain(|waiting| waiting.seq != push.seq);
        }
        let counts = &mut self.progress.counts;
        if push.attempt == 1 && sent != Sent::Superseded {
            counts.sent += 1;
        }
        let reached = sent == Sent::Answered(Outcome::Accepted);
        match sent {
            Sent::Superseded => counts.superseded += 1,
            Sent::Answered(Outcome::Expired) => counts.expired += 1,
            Sent::Answered(Outcome::Accepted) => {
                counts.accepted += 1;
                let accepted_at = self.outgoing.publication.accepted_at;
                let ms = now.as_millisecond() - accepted_at.as_millisecond();
                self.progress.accepted_ms.record(ms.max(0) as u64);
            }
            Sent::Answered(Outcome::Rejected { reason }) => {
                *counts.failed.entry(reason.to_owned()).or_default() += 1;
            }
            Sent::Answered(Outcome::DeadAddress { reason, since }) => {
                counts.dead += 1;
                tracing::debug!(reason, channel = %self.road.channel, "address is dead");
                let device: DeviceNum = push.device.num;
                let address = &push.device.profile.address;
                self.shared.registry.deactivate_address(device, address, since).await?;
            }
            Sent::Answered(Outcome::Retry { after, scope, reason }) => {
                self.retry(push, (after, scope, reason), now);
            }
            Sent::Answered(Outcome::Misconfigured { reason }) => {
                tracing::error!(
                    channel = %self.road.channel,
                    reason,
                    "the provider refuses our credentials or configuration: an operator must act"
                );
                self.retry(push, (Some(MISCONFIGURED_RETRY), RetryScope::Channel, reason), now);
            }
        }
        if !reached {
            self.progress.unreached.insert(push.seq.0);
        }
        Ok(())
    }

    fn retry(
        &mut self,
        push: &Push,
        (after, scope, reason): (Option<Duration>, RetryScope, &'static str),
        now: Timestamp,
    ) {
        let expires = self.outgoing.publication.expires;
        let Some(due) = next_attempt(now, expires, push.attempt, after, rand::random()) else {
            self.progress.counts.expired += 1;
            return;
        };
        if scope == RetryScope::Channel && after.is_some() {
            self.road.pace.pause_until(due);
        }
        self.progress.retries.push(Waiting {
            seq: push.seq,
            attempt: push.attempt,
            not_before: due,
            reason: reason.into(),
        });
    }

    /// Stops for good: nothing more is sent. The state is stored first, since a cancel may wait
    /// for it; then whoever was not reached is counted.
    async fn settle(&mut self, state: State) -> Result<Ended, Error> {
        let waiting = std::mem::take(&mut self.progress.retries).len() as u64;
        self.progress.state = state;
        self.add_unsent(state, waiting);
        self.save().await?;
        let mut after = self.progress.cursor;
        let limit = self.shared.settings.batch;
        let mut unsent = 0;
        loop {
            let candidates = self.fetch(after, limit).await?;
            let Some(last) = candidates.last() else { break };
            after = last.seq;
            for candidate in &candidates {
                self.progress.counts.targeted += 1;
                match self.push(candidate, 1).await? {
                    Some(_) => unsent += 1,
                    None => self.progress.counts.skipped += 1,
                }
            }
        }
        self.add_unsent(state, unsent);
        self.save().await?;
        Ok(Ended::Finished)
    }

    fn add_unsent(&mut self, state: State, count: u64) {
        let counts = &mut self.progress.counts;
        match state {
            State::Expired => counts.expired += count,
            _ => counts.superseded += count,
        }
    }
}

fn citizens_device(device: Arc<crate::domain::device::Device>) -> Candidate {
    Candidate {
        seq: Seq(device.num.0),
        shard: None,
        place: None,
        left: false,
        device: Some(device),
    }
}
