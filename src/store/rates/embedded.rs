//! The rates of a node that is alone, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::store::rates::{Ask, WINDOW_SECONDS};

/// Names that are remembered; the fullest buckets, which say nothing, are forgotten first.
const NAMES_MAX: usize = 100_000;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub struct Local {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Granted by second.
    quotas: HashMap<String, BTreeMap<i64, u32>>,
    /// When, in microseconds, a bucket is full again.
    buckets: HashMap<String, i64>,
}

impl Local {
    /// Nothing was granted yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    pub fn portion(&self, quota: &str, ask: Ask) -> u32 {
        let now = self.clock.now().as_second();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = state.quotas.entry(quota.to_owned()).or_default();
        granted.retain(|second, _| *second > now - WINDOW_SECONDS);
        let total: u32 = granted.values().sum();
        let this = granted.entry(now).or_default();
        let left = ask.most.saturating_sub(total).min(ask.a_second.saturating_sub(*this));
        let portion = ask.wanted.min(left);
        *this += portion;
        portion
    }

    pub fn take(&self, name: &str, a_second: u32, burst: u32) -> Option<Duration> {
        let now = self.clock.now().as_microsecond();
        let (each, room) = cost(a_second, burst);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.buckets.len() >= NAMES_MAX {
            state.buckets.retain(|_, full| *full > now);
        }
        let full = state.buckets.get(name).copied().unwrap_or(now).max(now) + each;
        let over = full - now - room;
        if over > 0 {
            return Some(Duration::from_micros(over.unsigned_abs()));
        }
        state.buckets.insert(name.to_owned(), full);
        None
    }
}

/// Microseconds one of a bucket takes to come back, and those of a whole burst.
pub fn cost(a_second: u32, burst: u32) -> (i64, i64) {
    let each = 1_000_000 / i64::from(a_second.clamp(1, 1_000_000));
    (each, each * i64::from(burst.max(1)))
}
