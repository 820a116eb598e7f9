//! A channel's pause: when a provider asks all of us to slow down, every worker of the channel
//! waits, not only the one that was told.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

/// The moment until which a channel pauses. Clones share it.
#[derive(Clone, Debug)]
pub struct Pace {
    until: Arc<watch::Sender<Option<Timestamp>>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { until: Arc::new(watch::Sender::new(None)) }
    }
}

impl Pace {
    /// Pauses the channel until an instant; an earlier one than already asked for changes nothing.
    pub fn pause_until(&self, instant: Timestamp) {
        self.until.send_if_modified(|until| {
            let later = until.is_none_or(|present| instant > present);
            if later {
                *until = Some(instant);
            }
            later
        });
    }

    /// The end of the pause, if the channel pauses now.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.borrow().filter(|until| *until > now)
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
