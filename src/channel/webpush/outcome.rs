//! What a push service's answer means (RFC 8030 sections 5, 7.3 and 8; RFC 8292 section 4.2): a
//! pure table over the status, with the one reason Apple gives for its own status.
//!
//! 401 and 403 say that our token was not taken. The services do not say whether the token is at
//! fault or this one subscription, made with another key: Google and Apple answer 403 to both. A
//! token that the same service has accepted before is not at fault, so then the subscription is
//! useless to us. Otherwise only this device waits: one stranger's subscription must not stop the
//! channel for everybody.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::domain::outcome::{Arrival, Outcome, RetryScope};

/// Too many requests, where the service names no time.
const QUOTA_WAIT: Duration = Duration::from_secs(60);
/// A token that was not taken: by then others have been, or it is renewed.
const REFUSED_WAIT: Duration = Duration::from_secs(30);
/// Server errors, where the service names no time.
const SERVER_WAIT: Duration = Duration::from_secs(10);
/// Never sooner than this, whatever the service asks for.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// An answer, read but not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Apple's `reason`.
    pub reason: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The service accepted a push with the same token before.
    pub proven: bool,
}

#[derive(Deserialize)]
struct Body {
    reason: String,
}

impl Reply {
    /// Reads an answer; a body of another form only lacks a reason.
    pub fn read(
        status: StatusCode,
        body: &[u8],
        retry_after: Option<Duration>,
        proven: bool,
    ) -> Self {
        let reason = serde_json::from_slice(body).ok().map(|Body { reason }| reason);
        Self { status: status.as_u16(), reason, retry_after, proven }
    }

    /// The service did not take our token.
    pub fn refuses_token(&self) -> bool {
        matches!(self.status, 401 | 403)
    }
}

/// What an answer means. Every wait is one device's: a limit is mostly that of one subscription,
/// and other services have no part in it.
pub fn outcome(reply: &Reply) -> Outcome {
    let asked = reply.retry_after;
    let retry = |after: Duration, reason| Outcome::Retry {
        after: Some(after.max(WAIT_MIN)),
        scope: RetryScope::Device,
        arrival: Arrival::Excluded,
        reason,
    };
    let dead = |reason| Outcome::DeadAddress { reason, since: None };
    match reply.status {
        200..=299 => Outcome::Accepted,
        // Followed, a redirect would lead to where nobody looked.
        300..=399 => Outcome::Rejected { reason: "http_3xx" },
        // The subscription was made with another key than ours.
        400 if reply.reason.as_deref() == Some("VapidPkHashMismatch") => {
            dead("VapidPkHashMismatch")
        }
        400 => Outcome::Rejected { reason: "http_400" },
        401 | 403 if reply.proven => dead("vapid_mismatch"),
        401 => retry(REFUSED_WAIT, "http_401"),
        403 => retry(REFUSED_WAIT, "http_403"),
        404 => dead("http_404"),
        410 => dead("http_410"),
        // Microsoft's "throttled".
        406 => retry(asked.unwrap_or(QUOTA_WAIT), "http_406"),
        408 => retry(SERVER_WAIT, "http_408"),
        413 => Outcome::Rejected { reason: "payload_too_large" },
        429 => retry(asked.unwrap_or(QUOTA_WAIT), "http_429"),
        503 => retry(asked.unwrap_or(SERVER_WAIT), "http_503"),
        other if other / 100 == 5 => retry(asked.unwrap_or_default().max(SERVER_WAIT), "http_5xx"),
        other if other / 100 == 4 => Outcome::Rejected { reason: "http_4xx" },
        _ => Outcome::Rejected { reason: "http_unexpected" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16) -> Outcome {
        outcome(&Reply { status, ..Reply::default() })
    }

    fn wait(seconds: u64, reason: &'static str) -> Outcome {
        let after = Some(Duration::from_secs(seconds));
        let (scope, arrival) = (RetryScope::Device, Arrival::Excluded);
        Outcome::Retry { after, scope, arrival, reason }
    }

    #[test]
    fn every_status_has_its_row() {
        for status in [200, 201, 202, 204] {
            assert_eq!(judge(status), Outcome::Accepted, "{status}");
        }
        let dead = |reason| Outcome::DeadAddress { reason, since: None };
        let rejected = |reason| Outcome::Rejected { reason };
        let rows = [
            (301, rejected("http_3xx")),
            (307, rejected("http_3xx")),
            (400, rejected("http_400")),
            (401, wait(30, "http_401")),
            (403, wait(30, "http_403")),
            (404, dead("http_404")),
            (405, rejected("http_4xx")),
            (406, wait(60, "http_406")),
            (408, wait(10, "http_408")),
            (410, dead("http_410")),
            (413, rejected("payload_too_large")),
            (429, wait(60, "http_429")),
            (500, wait(10, "http_5xx")),
            (502, wait(10, "http_5xx")),
            (503, wait(10, "http_503")),
            (507, wait(10, "http_5xx")),
            (101, rejected("http_unexpected")),
        ];
        for (status, expected) in rows {
            assert_eq!(judge(status), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_honoured_where_a_wait_makes_sense() {
        let asked = |status, seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            outcome(&Reply { status, retry_after, ..Reply::default() })
        };
        assert_eq!(asked(429, 7), wait(7, "http_429"));
        assert_eq!(asked(429, 0), wait(1, "http_429"));
        assert_eq!(asked(406, 9), wait(9, "http_406"));
        assert_eq!(asked(503, 3), wait(3, "http_503"));
        assert_eq!(asked(500, 3), wait(10, "http_5xx"));
        assert_eq!(asked(500, 30), wait(30, "http_5xx"));
        assert_eq!(asked(410, 30), judge(410));
    }

    #[test]
    fn a_token_accepted_before_is_not_at_fault() {
        for status in [401, 403] {
            let reply = Reply { status, proven: true, ..Reply::default() };
            let dead = Outcome::DeadAddress { reason: "vapid_mismatch", since: None };
            assert_eq!(outcome(&reply), dead);
        }
    }

    #[test]
    fn apples_reason_is_read_and_other_bodies_are_none() {
        let read = |body: &[u8]| Reply::read(StatusCode::BAD_REQUEST, body, None, false);
        let mismatch = read(br#"{"reason":"VapidPkHashMismatch"}"#);
        let dead = Outcome::DeadAddress { reason: "VapidPkHashMismatch", since: None };
        assert_eq!(outcome(&mismatch), dead);
        for body in [&b"UnauthorizedRegistration"[..], br#"{"errno":113}"#, b"", b"\xff"] {
            assert_eq!(outcome(&read(body)), judge(400));
        }
    }
}
