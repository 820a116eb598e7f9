//! A quota of messages a minute. In any minute no more than the quota goes out. Ordinary lanes are
//! paced beneath it and rise to their full pace over a minute (FACTS F7), so that there is always
//! quota left for an emergency, which only the quota itself holds back.

use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use super::core::Class;
use crate::domain::allowance::Allowance;

/// A minute and the second that is begun, so that any 60 seconds in a row are covered.
const SECONDS: usize = 61;
/// The ordinary lanes may run ahead of their pace by this much: timers are no finer.
const BURST: Duration = Duration::from_millis(50);
/// The ramp begins at this share of the full pace.
const FLOOR: f64 = 0.01;
/// Who waits for tokens asks again sooner than this, or went away.
const PATIENCE: Duration = Duration::from_secs(1);
/// Who found no share of a quota that nodes share asks again after this.
const NO_SHARE: Duration = Duration::from_millis(10);
/// Nobody is woken sooner.
const TICK: Duration = Duration::from_millis(1);

/// What went out lately, and the ordinary lanes' pace.
#[derive(Debug)]
pub struct Rate {
    quota: u32,
    start: Instant,
    /// Messages by second, `SECONDS` back; `second` is the newest.
    sent: [u32; SECONDS],
    second: u64,
    total: u32,
    pace: Pace,
    /// What other nodes leave of the quota, where nodes share it.
    allowance: Option<Allowance>,
}

/// A quota that nodes share, as one of them sees it.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What is granted of it to this node.
    pub allowance: Allowance,
    /// All of it: messages a minute.
    pub per_minute: u32,
    /// What ordinary lanes may use of it.
    pub ordinary: u32,
}

/// A bucket of tokens that fills at `full` × `level` a second.
#[derive(Debug)]
struct Pace {
    /// Of the quota, what ordinary lanes may use of it in a minute.
    share: u32,
    full: f64,
    ramp: Duration,
    level: f64,
    tokens: f64,
    at: Instant,
    /// Somebody waits for tokens: the demand is there, so the level may rise.
    short: bool,
}

impl Rate {
    /// Nothing went out yet.
    pub fn new(quota: u32, settings: &Settings, now: Instant) -> Self {
        let kept = u64::from(quota) * u64::from(settings.reserve_percent) / 100;
        let share = (quota - kept as u32).max(1);
        let ramp = Duration::from_secs(u64::from(settings.ramp_seconds));
        let pace = Pace {
            share,
            full: f64::from(share) / 60.0,
            ramp,
            level: if ramp.is_zero() { 1.0 } else { FLOOR },
            tokens: 1.0,
            at: now,
            short: false,
        };
        Self { quota, start: now, sent: [0; SECONDS], second: 0, total: 0, pace, allowance: None }
    }

    /// Counts a message, or says when to ask again.
    pub fn take(&mut self, class: Class, now: Instant) -> Result<(), Instant> {
        self.turn(now);
        let most = if class == Class::Hot { self.quota } else { self.pace.share };
        if self.total >= most {
            return Err(self.second_ends());
        }
        if class == Class::Ordinary {
            self.pace.take(now)?;
        }
        let allowance = self.allowance.as_ref();
        if allowance.is_some_and(|allowance| !allowance.take(class == Class::Hot)) {
            self.pace.give_back(class);
            return Err(now + NO_SHARE);
        }
        self.sent[self.second as usize % SECONDS] += 1;
        self.total += 1;
        Ok(())
    }

    /// From now on only what is granted of the quota goes out.
    pub fn share(&mut self) -> Shared {
        let allowance = self.allowance.get_or_insert_default().clone();
        Shared { allowance, per_minute: self.quota, ordinary: self.pace.share }
    }

    /// Forgets what is older than a minute.
    fn turn(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.start).as_secs();
        for passed in (self.second + 1..=second).take(SECONDS) {
            let slot = &mut self.sent[passed as usize % SECONDS];
            self.total -= std::mem::take(slot);
        }
        if second > self.second + SECONDS as u64 {
            self.sent = [0; SECONDS];
            self.total = 0;
        }
        self.second = self.second.max(second);
    }

    fn second_ends(&self) -> Instant {
        self.start + Duration::from_secs(self.second + 1)
    }
}

impl Pace {
    fn give_back(&mut self, class: Class) {
        if class == Class::Ordinary {
            self.tokens += 1.0;
        }
    }

    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.at);
        self.at = now;
        if !self.ramp.is_zero() {
            let busy = if self.short { passed.min(PATIENCE) } else { Duration::ZERO };
            let idle = passed - busy;
            let step = (busy.as_secs_f64() - idle.as_secs_f64()) / self.ramp.as_secs_f64();
            self.level = (self.level + step).clamp(FLOOR, 1.0);
        }
        let a_second = self.full * self.level;
        let most = (a_second * BURST.as_secs_f64()).max(1.0);
        self.tokens = (self.tokens + a_second * passed.as_secs_f64()).min(most);
        self.short = self.tokens < 1.0;
        if self.short {
            let wait = Duration::from_secs_f64((1.0 - self.tokens) / a_second);
            return Err(now + wait.max(TICK));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::allowance::Demand;

    fn rate(quota: u32, ramp_seconds: u32, now: Instant) -> Rate {
        let settings = Settings { reserve_percent: 20, ramp_seconds, ..Settings::default() };
        Rate::new(quota, &settings, now)
    }

    /// Sends as much as goes until an instant; how many went in each second.
    fn send_until(rate: &mut Rate, class: Class, (mut now, end): (Instant, Instant)) -> Vec<u32> {
        let start = now;
        let mut sent = vec![0; (end - start).as_secs() as usize];
        while now < end {
            match rate.take(class, now) {
                Ok(()) => sent[(now - start).as_secs() as usize] += 1,
                Err(later) => {
                    assert!(later > now);
                    now = later;
                }
            }
        }
        sent
    }

    #[test]
    fn no_minute_sees_more_than_the_quota_and_an_emergency_gets_all_of_it_at_once() {
        let now = Instant::now();
        let mut rate = rate(6000, 60, now);
        let end = now + Duration::from_secs(200);
        let sent = send_until(&mut rate, Class::Hot, (now, end));
        assert_eq!(sent[0], 6000);
        for minute in sent.windows(60) {
            assert!(minute.iter().sum::<u32>() <= 6000);
        }
        assert!(sent.iter().sum::<u32>() >= 18_000, "and little of it is wasted");
    }

    #[test]
    fn of_a_shared_quota_only_what_was_granted_goes_out() {
        let now = Instant::now();
        let mut rate = rate(6000, 0, now);
        let shared = rate.share();
        assert_eq!((shared.per_minute, shared.ordinary), (6000, 4800));
        assert_eq!(rate.take(Class::Hot, now), Err(now + NO_SHARE));
        shared.allowance.grant(Demand { hot: 1, ordinary: 1 });
        assert_eq!(rate.take(Class::Ordinary, now), Ok(()));
        assert!(rate.take(Class::Ordinary, now).is_err(), "the emergency lane's is left");
        assert_eq!(rate.take(Class::Hot, now), Ok(()));
        assert_eq!(shared.allowance.demand(), Demand { hot: 2, ordinary: 1 });
    }

    #[test]
    fn ordinary_lanes_rise_to_their_pace_over_the_ramp_and_fall_back_when_idle() {
        let now = Instant::now();
        let mut rate = rate(600_000, 60, now);
        let later = now + Duration::from_secs(90);
        let sent = send_until(&mut rate, Class::Ordinary, (now, later));
        assert!((60..400).contains(&sent[0]), "{}", sent[0]);
        assert!((3_500..4_500).contains(&sent[30]), "{}", sent[30]);
        assert!((7_600..=8_401).contains(&sent[80]), "{}", sent[80]);
        let rested = later + Duration::from_secs(120);
        let again = send_until(&mut rate, Class::Ordinary, (rested, rested + TICK * 2000));
        assert!(again[0] < 600, "{}", again[0]);
    }

    #[test]
    fn ordinary_lanes_leave_quota_for_an_emergency_that_comes_at_any_time() {
        let now = Instant::now();
        let mut rate = rate(6000, 0, now);
        let later = now + Duration::from_secs(100);
        send_until(&mut rate, Class::Ordinary, (now, later));
        let hot = send_until(&mut rate, Class::Hot, (later, later + Duration::from_secs(1)));
        assert!((1_150..=1_300).contains(&hot[0]), "{}", hot[0]);
    }

    #[test]
    fn after_long_idleness_nothing_is_remembered() {
        let now = Instant::now();
        let mut rate = rate(10, 0, now);
        let much_later = now + Duration::from_secs(1_000_000);
        for at in [now, much_later] {
            for _ in 0..10 {
                assert_eq!(rate.take(Class::Hot, at), Ok(()));
            }
            assert!(rate.take(Class::Hot, at).is_err());
        }
    }
}
