//! How a channel fares: what readiness, metrics and the operators' page ask.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::outcome::Outcome;

/// How a channel fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When the provider last accepted a push.
    pub last_success: Option<Timestamp>,
    /// Failures of the channel (not of addresses or content) since then.
    pub consecutive_failures: u64,
    /// Set while the provider refuses our credentials or configuration; cleared by an accepted
    /// push.
    pub misconfigured: Option<&'static str>,
    /// So many addresses are called dead that none is removed.
    pub removal_paused: bool,
}

/// Collects outcomes; shared by the clones of a sender.
#[derive(Clone, Debug, Default)]
pub struct Monitor(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last_success_ms: AtomicI64,
    consecutive_failures: AtomicU64,
    misconfigured: Mutex<Option<&'static str>>,
    removal_paused: AtomicBool,
}

impl Monitor {
    /// Counts one outcome.
    pub fn observe(&self, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::Accepted => {
                self.0.last_success_ms.store(now.as_millisecond(), Ordering::Relaxed);
                if self.0.consecutive_failures.swap(0, Ordering::Relaxed) > 0 {
                    *self.misconfigured() = None;
                }
            }
            Outcome::Retry { .. } => self.fail(),
            Outcome::Misconfigured { reason } => {
                self.fail();
                *self.misconfigured() = Some(reason);
            }
            Outcome::DeadAddress { .. }
            | Outcome::Rejected { .. }
            | Outcome::Expired
            | Outcome::Withdrawn => {}
        }
    }

    /// Notes whether the addresses called dead are too many to be believed.
    pub fn doubt_the_dead(&self, doubted: bool) {
        self.0.removal_paused.store(doubted, Ordering::Relaxed);
    }

    /// The present state.
    pub fn health(&self) -> Health {
        let last_success_ms = self.0.last_success_ms.load(Ordering::Relaxed);
        let last_success = (last_success_ms != 0)
            .then(|| Timestamp::from_millisecond(last_success_ms).ok())
            .flatten();
        Health {
            last_success,
            consecutive_failures: self.0.consecutive_failures.load(Ordering::Relaxed),
            misconfigured: *self.misconfigured(),
            removal_paused: self.0.removal_paused.load(Ordering::Relaxed),
        }
    }

    fn fail(&self) {
        self.0.consecutive_failures.fetch_add(1, Ordering::Relaxed);
    }

    fn misconfigured(&self) -> std::sync::MutexGuard<'_, Option<&'static str>> {
        self.0.misconfigured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_push_ends_every_trouble_and_bad_addresses_are_none() {
        let monitor = Monitor::default();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        monitor.observe(&Outcome::Misconfigured { reason: "Forbidden" }, now);
        monitor.observe(&Outcome::DeadAddress { reason: "Unregistered", since: None }, now);
        assert_eq!(monitor.health().consecutive_failures, 1);
        assert_eq!(monitor.health().misconfigured, Some("Forbidden"));
        monitor.observe(&Outcome::Accepted, now);
        let healthy = Health { last_success: Some(now), ..Health::default() };
        assert_eq!(monitor.health(), healthy);
    }
}
