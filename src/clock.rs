//! The only place that reads the time. Stages hold a [`Clock`] and pass instants into `domain`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Where the time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that a test sets; milliseconds since the epoch.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at an instant until it is set.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.as_millisecond())))
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual(ms) => Timestamp::from_millisecond(ms.load(Ordering::SeqCst))
                .expect("a manual clock is only set to instants"),
        }
    }

    /// Sets a manual clock; a system clock cannot be set and ignores it.
    pub fn set(&self, instant: Timestamp) {
        if let Self::Manual(ms) = self {
            ms.store(instant.as_millisecond(), Ordering::SeqCst);
        }
    }
}
