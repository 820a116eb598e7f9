//! When to try again: exponential backoff with full jitter, the provider's wish honoured, never
//! past the expiry.

use std::time::Duration;

use jiff::Timestamp;

/// First delay of our own, before jitter.
const BASE: Duration = Duration::from_secs(1);
/// Longest delay of our own: a warning must not sleep longer than people can wait for it.
const CAP: Duration = Duration::from_secs(60);
/// Longest wish of a provider that is honoured as it is.
const PROVIDER_CAP: Duration = Duration::from_secs(3600);

/// When the next attempt is due, or `None` when that would be at or after the expiry: the send
/// has then expired and is not scheduled.
///
/// `attempt` is the number of attempts made so far (1 after the first), `wish` the provider's
/// `Retry-After` or the channel's minimum, `jitter` a random number in 0..1.
pub fn next_attempt(
    now: Timestamp,
    expires: Timestamp,
    attempt: u32,
    wish: Option<Duration>,
    jitter: f64,
) -> Option<Timestamp> {
    let doubled = BASE.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let own = doubled.min(CAP);
    // Half fixed, half random: spread out, yet never at once.
    let spread = own.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    let delay = match wish {
        // A tenth on top of the wish, so that a fleet that was told the same does not come at once.
        Some(wish) => {
            wish.min(PROVIDER_CAP).mul_f64(1.0 + 0.1 * jitter.clamp(0.0, 1.0)).max(spread)
        }
        None => spread,
    };
    let due = now.checked_add(delay).ok()?;
    (due < expires).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn grows_and_is_capped_and_jittered() {
        let delay = |attempt, jitter| {
            let due = next_attempt(at(0), at(1_000_000), attempt, None, jitter).expect("in time");
            due.as_millisecond()
        };
        assert_eq!(delay(1, 1.0), 1_000);
        assert_eq!(delay(1, 0.0), 500);
        assert_eq!(delay(4, 1.0), 8_000);
        assert_eq!(delay(40, 1.0), 60_000);
    }

    #[test]
    fn honours_the_providers_wish() {
        let due = next_attempt(at(0), at(1_000), 1, Some(Duration::from_secs(30)), 0.0);
        assert_eq!(due, Some(at(30)));
    }

    #[test]
    fn nothing_is_scheduled_at_or_after_the_expiry() {
        assert_eq!(next_attempt(at(0), at(1), 1, None, 1.0), None);
        assert_eq!(next_attempt(at(0), at(30), 1, Some(Duration::from_secs(60)), 0.5), None);
    }
}
