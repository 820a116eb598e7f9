//! What became of a batch, and of a dispatch that is over: counts, cursor, retries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::outcome::{Arrival, Outcome};
use crate::domain::retry::next_attempt;
use crate::fanout::Error;
use crate::fanout::batch::{self, MISCONFIGURED_RETRY, Push};
use crate::fanout::plan::Plan;
use crate::fanout::run::{Ended, Run, ended};
use crate::metrics::{self, Room};
use crate::store::ledger::{Saved, State, Waiting};

/// What an answer asks of the next attempt.
type Wish = (Option<Duration>, &'static str);

impl Run<'_> {
    pub(super) async fn execute(&mut self, mut plan: Plan) -> Result<(), Error> {
        let pushes = std::mem::take(&mut plan.pushes);
        let publication = Arc::clone(&self.outgoing.publication);
        let began = Instant::now();
        let sending = batch::send(self.shared, self.road, &publication, pushes);
        let (answers, is_last) = tokio::join!(sending, self.is_last(plan.perhaps_last));
        let answered = Instant::now();
        metrics::room(Room::Send, answered.duration_since(began));
        let mut outcomes: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut refusals: BTreeMap<&'static str, u64> = BTreeMap::new();
        let (hygiene, now) = (&self.road.hygiene, self.shared.clock.now());
        hygiene.remove(&self.shared.registry, hygiene.note(&answers, now)).await;
        for (push, outcome) in answers {
            *outcomes.entry(outcome.name()).or_default() += 1;
            if let Outcome::Rejected { reason } | Outcome::Misconfigured { reason } = &outcome {
                *refusals.entry(reason).or_default() += 1;
            }
            self.apply(&push, outcome);
        }
        for (outcome, count) in outcomes {
            metrics::attempts(self.road.channel, self.road.lane, outcome, count);
        }
        for (reason, pushes) in refusals {
            tracing::error!(
                channel = %self.road.channel,
                reason,
                pushes,
                "pushes are refused for what we send, our credentials or our configuration: an \
                 operator must act"
            );
        }
        self.count(&plan);
        metrics::room(Room::Answer, answered.elapsed());
        self.scanned |= is_last;
        Ok(())
    }

    pub(super) fn count(&mut self, plan: &Plan) {
        let counts = &mut self.progress.counts;
        counts.targeted += plan.examined;
        counts.skipped += plan.skipped;
        counts.repeated += plan.repeated;
        if let Some(last) = plan.last {
            self.progress.cursor = last;
        }
    }

    fn apply(&mut self, push: &Push, outcome: Outcome) {
        let now = self.shared.clock.now();
        let mut arrival = self.take_doubt(push);
        if let Outcome::Retry { arrival: latest, .. } = &outcome {
            arrival = arrival.max(*latest);
        }
        let counts = &mut self.progress.counts;
        if push.attempt == 1 && outcome != Outcome::Withdrawn {
            counts.sent += 1;
        }
        if outcome != Outcome::Accepted && arrival == Arrival::Excluded {
            self.progress.unreached.insert(push.seq.0);
        }
        match outcome {
            Outcome::Withdrawn => counts.superseded += 1,
            Outcome::Expired => counts.expired += 1,
            Outcome::Accepted => {
                counts.accepted += 1;
                let accepted_at = self.outgoing.publication.accepted_at;
                let ms = now.as_millisecond() - accepted_at.as_millisecond();
                self.progress.accepted_ms.record(ms.max(0) as u64);
            }
            Outcome::Rejected { reason } => {
                *counts.failed.entry(reason.to_owned()).or_default() += 1;
            }
            Outcome::DeadAddress { reason, .. } => {
                counts.dead += 1;
                tracing::debug!(reason, channel = %self.road.channel, "address is called dead");
            }
            Outcome::Retry { after, reason, .. } => {
                self.retry(push, (after, reason), arrival);
            }
            Outcome::Misconfigured { reason } => {
                self.retry(push, (Some(MISCONFIGURED_RETRY), reason), arrival);
            }
        }
    }

    /// Takes a push off the list of those that wait, with what is known of its earlier attempts: if
    /// one may have arrived, it may have, whatever is answered now.
    fn take_doubt(&mut self, push: &Push) -> Arrival {
        let retries = &mut self.progress.retries;
        let waits = |waiting: &Waiting| push.attempt > 1 && waiting.seq == push.seq;
        match retries.iter().position(waits) {
            Some(at) => retries.remove(at).arrival,
            None => Arrival::Excluded,
        }
    }

    fn retry(&mut self, push: &Push, (after, reason): Wish, arrival: Arrival) {
        let now = self.shared.clock.now();
        let expires = self.outgoing.publication.expires;
        let Some(due) = next_attempt(now, expires, push.attempt, after, rand::random()) else {
            self.progress.counts.expired += 1;
            return;
        };
        self.progress.retries.push(Waiting {
            seq: push.seq,
            attempt: push.attempt,
            not_before: due,
            arrival,
            reason: reason.into(),
        });
    }

    /// Stops for good: nothing more is sent. The state is stored first, since a cancel may wait
    /// for it; then whoever was not reached is counted.
    pub(super) async fn settle(&mut self, state: State) -> Result<Ended, Error> {
        let waiting = std::mem::take(&mut self.progress.retries).len() as u64;
        self.progress.state = state;
        self.add_unsent(state, waiting);
        if self.save().await? == Saved::Replaced {
            return Ok(Ended::Replaced);
        }
        let mut after = self.progress.cursor;
        let limit = self.shared.settings.batch;
        let mut unsent = 0;
        loop {
            let candidates = self.fetch(after, limit).await?;
            let Some(last) = candidates.last() else { break };
            after = last.seq;
            for candidate in &candidates {
                let is_sent_to = self.push(candidate, 1).await?.is_some();
                let left_out = !is_sent_to && self.was_targeted(candidate);
                unsent += u64::from(is_sent_to);
                self.progress.counts.targeted += u64::from(is_sent_to || left_out);
                self.progress.counts.skipped += u64::from(left_out);
            }
        }
        self.add_unsent(state, unsent);
        Ok(ended(self.save().await?, Ended::Finished))
    }

    fn add_unsent(&mut self, state: State, count: u64) {
        let counts = &mut self.progress.counts;
        match state {
            State::Expired => counts.expired += count,
            _ => counts.superseded += count,
        }
    }
}
