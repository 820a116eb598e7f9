//! The time during which a partition is a consumer's own. On Kafka it may end at any moment; who
//! works on its records for longer than a moment learns so and stops, and the partition waits for
//! that.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

/// One consumer's time with one partition. Clones are the same tenure.
#[derive(Clone, Debug, Default)]
pub struct Tenure(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    over: CancellationToken,
    /// Pieces of work under way.
    working: Mutex<usize>,
    idle: Condvar,
}

/// A piece of work under a tenure; its end is awaited before the partition goes on.
#[derive(Debug)]
pub struct Work(Tenure);

impl Tenure {
    /// Begins a piece of work; none when the partition is somebody else's by now.
    pub fn work(&self) -> Option<Work> {
        let mut working = self.lock();
        if self.0.over.is_cancelled() {
            return None;
        }
        *working += 1;
        Some(Work(self.clone()))
    }

    /// Whether that is this same tenure, and not another of the same partition.
    pub fn is(&self, other: &Tenure) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Lets no more work begin, and tells whoever works to stop.
    pub(super) fn end(&self) {
        let working = self.lock();
        self.0.over.cancel();
        drop(working);
    }

    /// Waits until nobody works any more; whether that was before a deadline.
    pub(super) fn is_idle_by(&self, deadline: Instant) -> bool {
        let patience = deadline.saturating_duration_since(Instant::now());
        let busy = |working: &mut usize| *working > 0;
        let waited = self.0.idle.wait_timeout_while(self.lock(), patience, busy);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // A number is whole whoever panicked.
        self.0.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// Whether it was begun under a tenure.
    pub fn is_of(&self, tenure: &Tenure) -> bool {
        self.0.is(tenure)
    }

    /// Waits until the partition is to go to somebody else: stop.
    pub async fn over(&self) {
        self.0.0.over.cancelled().await;
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut working = self.0.lock();
        *working -= 1;
        if *working == 0 {
            self.0.0.idle.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_tenure_that_ends_waits_for_work_and_lets_none_begin() {
        let tenure = Tenure::default();
        let work = tenure.work().expect("it is ours");
        assert!(work.over().now_or_never().is_none());
        tenure.end();
        assert!(work.over().now_or_never().is_some() && tenure.work().is_none());
        assert!(!tenure.is_idle_by(Instant::now()));
        let ends = std::thread::spawn(move || drop(work));
        assert!(tenure.is_idle_by(Instant::now() + Duration::from_secs(60)));
        ends.join().expect("no panic");
        assert!(tenure.is(&tenure.clone()) && !tenure.is(&Tenure::default()));
    }
}
