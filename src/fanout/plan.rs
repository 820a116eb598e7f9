//! What a dispatch sends next: due retries first, then the next members of its scope.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::domain::audience::Audience;
use crate::domain::device::Device;
use crate::domain::dispatch::Scope;
use crate::domain::ids::Seq;
use crate::fanout::Error;
use crate::fanout::batch::Push;
use crate::fanout::recipients::{Candidate, Judge};
use crate::fanout::run::Run;
use crate::metrics::{self, Room};
use crate::store::ledger::Waiting;
use crate::store::registry::Range;

/// A planned batch and what it adds to the counts once it is answered.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) pushes: Vec<Push>,
    pub(super) examined: u64,
    pub(super) skipped: u64,
    pub(super) repeated: u64,
    pub(super) last: Option<Seq>,
    /// It is probably the last of its range: look whether anybody comes after this member.
    pub(super) perhaps_last: Option<Seq>,
}

pub(super) enum Next {
    Batch(Plan),
    Wait(Timestamp),
    Finished,
}

impl Run<'_> {
    /// The next batch: due retries first, then the next members, unless too many wait already.
    pub(super) async fn next(&mut self) -> Result<Next, Error> {
        let now = self.shared.clock.now();
        if let Some(until) = self.road.sender.paused_until(now) {
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
        let began = Instant::now();
        let candidates = self.fetch(self.progress.cursor, limit).await?;
        metrics::room(Room::Fetch, began.elapsed());
        // A short page may come before the end; only an empty one is the end.
        self.scanned = candidates.is_empty();
        let last = candidates.last().map(|last| last.seq);
        let perhaps_last = last.filter(|_| candidates.len() < limit);
        let mut plan = Plan { last, perhaps_last, ..Plan::default() };
        for candidate in candidates {
            plan.repeated += u64::from(candidate.seq <= self.intent_before);
            match self.push(&candidate, 1).await? {
                Some(push) => {
                    self.progress.unreached.remove(candidate.seq.0);
                    plan.examined += 1;
                    plan.pushes.push(push);
                }
                None => {
                    self.progress.unreached.insert(candidate.seq.0);
                    let left_out = u64::from(self.was_targeted(&candidate));
                    plan.examined += left_out;
                    plan.skipped += left_out;
                }
            }
        }
        self.progress.intent = self.progress.intent.max(plan.last.unwrap_or_default());
        Ok(plan)
    }

    /// Whether a member that is not sent to was counted when the publication was routed: its place
    /// lay inside, and it was still there. Others of the range are none of its business.
    pub(super) fn was_targeted(&self, candidate: &Candidate) -> bool {
        let publication = &self.outgoing.publication;
        let inside = match (&publication.audience, &candidate.place) {
            (Audience::Area(area), Some(place)) => area.fit(place).is_some(),
            _ => true,
        };
        let there = candidate.left_at.is_none_or(|left| left >= publication.accepted_at);
        self.progress.dispatch.reached_by.is_empty() && inside && there
    }

    /// Whether nobody is left behind a member. Nobody ever joins a range below its end, so who
    /// looks while a batch is sent sees what the scan after it would; a citizen's devices may grow.
    pub(super) async fn is_last(&self, member: Option<Seq>) -> bool {
        let Some(member) = member else { return false };
        let fixed = !matches!(self.progress.dispatch.scope, Scope::Subject { .. });
        // A failure shows at the next scan.
        fixed && self.fetch(member, 1).await.is_ok_and(|rest| rest.is_empty())
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

    pub(super) async fn push(
        &self,
        candidate: &Candidate,
        attempt: u32,
    ) -> Result<Option<Push>, Error> {
        let judge = Judge {
            shared: self.shared,
            outgoing: self.outgoing,
            book: &self.book,
            dispatch: &self.progress.dispatch,
            reached: &self.reached,
            minute: self.local_minute(),
        };
        let Some(key) = judge.verdict(candidate, attempt > 1).await? else { return Ok(None) };
        let Some(device) = candidate.device.clone() else { return Ok(None) };
        // A gateway serves those who are reached by their stream alone.
        let sender = self.shared.senders.get(&device.profile.address.channel());
        let Some(sender) = sender.map(Arc::clone) else { return Ok(None) };
        let prepared = self.outgoing.prepared(&sender, (key, &self.book))?;
        Ok(Some(Push { seq: candidate.seq, device, sender, prepared, attempt }))
    }

    fn local_minute(&self) -> u16 {
        let offset = i64::from(self.shared.settings.utc_offset_minutes);
        let minutes = self.shared.clock.now().as_second().div_euclid(60) + offset;
        minutes.rem_euclid(24 * 60) as u16
    }

    pub(super) async fn fetch(&self, after: Seq, limit: usize) -> Result<Vec<Candidate>, Error> {
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
            Scope::Subject { .. } => {
                let names = self.outgoing.publication.audience.names();
                let devices = registry.of_names(names).await?;
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
}

fn citizens_device(device: Arc<Device>) -> Candidate {
    Candidate {
        seq: Seq(device.num.0),
        shard: None,
        place: None,
        left_at: None,
        device: Some(device),
    }
}
