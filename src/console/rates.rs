//! How fast a publication went: devices a second, one entry a second of the last ten minutes, then
//! one a minute. In memory: after a restart it begins anew, the funnel does not.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::funnel::Counts;

/// Seconds that are kept one by one.
const SECONDS_MAX: usize = 600;
/// Minutes that are kept after that: a day.
const MINUTES_MAX: usize = 1_440;

/// Devices a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rate {
    /// The end of the second, or of the minute.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// Attempted.
    pub sent: f64,
    /// Taken by the provider, or written to the socket.
    pub accepted: f64,
    /// The app said that it has it.
    pub received: f64,
    /// The app said that it was on the screen.
    pub shown: f64,
}

/// The rates of one publication.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    last: Option<(Timestamp, [u64; 4])>,
    seconds: VecDeque<Rate>,
    minutes: VecDeque<Rate>,
}

fn four(counts: &Counts) -> [u64; 4] {
    [counts.sent, counts.accepted, counts.received, counts.shown]
}

impl Rates {
    /// The rates of what begins now: nothing has gone out yet.
    pub fn beginning(now: Timestamp) -> Self {
        Self { last: Some((now, [0; 4])), ..Self::default() }
    }

    /// Takes the counts of now. The first time only remembers them.
    pub fn take(&mut self, counts: &Counts, now: Timestamp) {
        let counts = four(counts);
        if let Some((before, had)) = self.last {
            let seconds = now.duration_since(before).as_secs_f64().max(1.0);
            let rate = |index: usize| counts[index].saturating_sub(had[index]) as f64 / seconds;
            let (sent, accepted, received, shown) = (rate(0), rate(1), rate(2), rate(3));
            self.seconds.push_back(Rate { at: now, sent, accepted, received, shown });
        }
        self.last = Some((now, counts));
        self.thin(now);
    }

    /// Nothing changed since: the next rate counts from now.
    pub fn rest(&mut self, now: Timestamp) {
        if let Some((before, _)) = &mut self.last {
            *before = now;
        }
    }

    /// Everything known, the oldest first.
    pub fn all(&self) -> Vec<Rate> {
        self.minutes.iter().chain(&self.seconds).copied().collect()
    }

    /// Folds what is older than ten minutes into minutes.
    fn thin(&mut self, now: Timestamp) {
        let keep = now.checked_sub(SignedDuration::from_secs(SECONDS_MAX as i64)).unwrap_or(now);
        while self.seconds.len() > SECONDS_MAX
            || self.seconds.front().is_some_and(|oldest| oldest.at < keep)
        {
            let Some(old) = self.seconds.pop_front() else { return };
            let minute = old.at.as_second().div_euclid(60);
            match self.minutes.back_mut() {
                Some(last) if last.at.as_second().div_euclid(60) == minute => {
                    last.sent += old.sent / 60.0;
                    last.accepted += old.accepted / 60.0;
                    last.received += old.received / 60.0;
                    last.shown += old.shown / 60.0;
                    last.at = old.at;
                }
                _ => self.minutes.push_back(Rate {
                    sent: old.sent / 60.0,
                    accepted: old.accepted / 60.0,
                    received: old.received / 60.0,
                    shown: old.shown / 60.0,
                    ..old
                }),
            }
            if self.minutes.len() > MINUTES_MAX {
                self.minutes.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("an instant")
    }

    #[test]
    fn rates_are_differences_and_old_ones_become_minutes() {
        let mut rates = Rates::default();
        let sent = |sent| Counts { sent, ..Counts::default() };
        rates.take(&sent(100), at(0));
        assert!(rates.all().is_empty());
        rates.take(&sent(160), at(1));
        rates.take(&sent(160), at(2));
        let all: Vec<_> = rates.all().iter().map(|rate| rate.sent).collect();
        assert_eq!(all, [60.0, 0.0]);
        rates.rest(at(700));
        rates.take(&sent(170), at(701));
        let all: Vec<_> = rates.all().iter().map(|rate| rate.sent).collect();
        assert_eq!(all, [1.0, 10.0], "sixty in one second of a minute, then ten in a second");
    }
}
