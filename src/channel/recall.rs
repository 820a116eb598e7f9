//! Calling back: pushes that still wait when an update or cancel comes are not sent any more. All
//! who get the same prepared payload share the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether a payload was called back. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Recall(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    called: AtomicBool,
    woken: Notify,
}

impl Recall {
    /// From now on nothing of it goes out.
    pub fn call(&self) {
        self.0.called.store(true, Ordering::Release);
        self.0.woken.notify_waiters();
    }

    /// What to send, unless it was called back.
    pub fn unless<T>(&self, make: impl FnOnce() -> T) -> Option<T> {
        (!self.is_called()).then(make)
    }

    /// Waits until it is called back.
    pub async fn called(&self) {
        let woken = self.0.woken.notified();
        tokio::pin!(woken);
        // Registered before the look, so that no call is missed in between.
        woken.as_mut().enable();
        if !self.is_called() {
            woken.await;
        }
    }

    fn is_called(&self) -> bool {
        self.0.called.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_is_called_back() {
        let recall = Recall::default();
        let other = recall.clone();
        assert_eq!(other.unless(|| 1), Some(1));
        let waits = tokio::spawn({
            let recall = recall.clone();
            async move { recall.called().await }
        });
        tokio::task::yield_now().await;
        recall.call();
        assert_eq!(other.unless(|| 1), None);
        waits.await.expect("no panic");
        other.called().await;
    }
}
