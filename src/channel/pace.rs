//! A channel's pause: when a provider asks all of us to slow down, every worker of the channel
//! waits, not only the one that was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// The moment until which a channel pauses. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// Milliseconds since the epoch; every push looks at it.
    until: Arc<AtomicI64>,
}

impl Pace {
    /// Pauses the channel until an instant; an earlier one than already asked for changes nothing.
    pub fn pause_until(&self, instant: Timestamp) {
        self.until.fetch_max(instant.as_millisecond(), Ordering::Relaxed);
    }

    /// The end of the pause, if the channel pauses now.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.until.load(Ordering::Relaxed);
        let pauses = until > now.as_millisecond();
        pauses.then(|| Timestamp::from_millisecond(until).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_asked_for_holds_for_every_clone() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let pace = Pace::default();
        let other = pace.clone();
        pace.pause_until(at(60));
        pace.pause_until(at(30));
        assert_eq!(other.paused_until(at(10)), Some(at(60)));
        assert_eq!(other.paused_until(at(60)), None);
    }
}
