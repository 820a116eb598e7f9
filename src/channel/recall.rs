//! Calling back: pushes that still wait for a free stream when an update or cancel comes are not
//! sent any more. All who get the same prepared payload share the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a payload was called back. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Recall(Arc<AtomicBool>);

impl Recall {
    /// From now on nothing of it goes out.
    pub fn call(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// What to send, unless it was called back.
    pub fn unless<T>(&self, make: impl FnOnce() -> T) -> Option<T> {
        (!self.0.load(Ordering::Acquire)).then(make)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clone_is_called_back() {
        let recall = Recall::default();
        let other = recall.clone();
        assert_eq!(other.unless(|| 1), Some(1));
        recall.call();
        assert_eq!(other.unless(|| 1), None);
    }
}
