//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or an HTTP date.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The longest wait taken at a provider's word; longer ones are asked again after this.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// What the provider asked for, at most an hour; `None` where it asked nothing intelligible.
pub fn parse(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(value: &str) -> Option<Duration> {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        parse(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]), now)
    }

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        assert_eq!(ask("30"), Some(Duration::from_secs(30)));
        assert_eq!(ask("Sun, 22 Nov 2026 10:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(ask("Sun, 22 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(ask("999999999"), Some(WAIT_MAX));
        assert_eq!(ask("soon"), None);
        assert_eq!(ask("-5"), None);
    }
}
