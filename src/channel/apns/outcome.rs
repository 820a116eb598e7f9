//! What an APNs answer means (FACTS A7): a pure table, decided by status first and within it by
//! reason; a reason nobody knows is judged by its status alone.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::outcome::{Arrival, Outcome, RetryScope};

/// A device that asks for patience is left alone this long, unless Apple says otherwise.
const DEVICE_WAIT: Duration = Duration::from_secs(30);
/// A channel that renewed its token too often waits this long; the token is kept.
const TOKEN_WAIT: Duration = Duration::from_secs(10);
/// After a server error; and never sooner, whatever the server asks for.
const SERVER_WAIT: Duration = Duration::from_secs(1);

/// An answer, read but not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body's `reason`.
    pub reason: Option<String>,
    /// The body's `timestamp`: since when the token is dead.
    pub since: Option<Timestamp>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Body {
    reason: Option<String>,
    /// Milliseconds since the epoch.
    timestamp: Option<i64>,
}

impl Reply {
    /// Reads an answer; a body that is no JSON object only lacks a reason.
    pub fn read(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        let status = status.as_u16();
        let Ok(body) = serde_json::from_slice::<Body>(body) else {
            return Self { status, retry_after, ..Self::default() };
        };
        let since = body.timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self { status, reason: body.reason, since, retry_after }
    }

    /// The provider token was too old: a new one helps.
    pub fn wants_new_token(&self) -> bool {
        self.status == 403 && self.reason.as_deref() == Some("ExpiredProviderToken")
    }

    /// The answer holds for this connection only: the next request should take another.
    pub fn wants_new_connection(&self) -> bool {
        matches!(
            (self.status, self.reason.as_deref()),
            (403, Some("UnrelatedKeyIdInToken" | "BadEnvironmentKeyIdInToken"))
                | (503, Some("Shutdown"))
        )
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Dead,
    Reject,
    Misconfigured,
    Wait(RetryScope, Duration),
}

use RetryScope::{Channel, Device, Slower};
use Verdict::{Dead, Misconfigured, Reject, Wait};

/// Reasons Apple documents, with the status they come with.
const TABLE: &[(u16, &str, Verdict)] = &[
    (400, "BadCollapseId", Reject),
    (400, "BadDeviceToken", Dead),
    (400, "BadExpirationDate", Reject),
    (400, "BadMessageId", Reject),
    (400, "BadPriority", Reject),
    (400, "BadTopic", Reject),
    (400, "DeviceTokenNotForTopic", Dead),
    (400, "DuplicateHeaders", Reject),
    (400, "IdleTimeout", Reject),
    (400, "InvalidPushType", Reject),
    (400, "MissingDeviceToken", Reject),
    (400, "MissingTopic", Reject),
    (400, "PayloadEmpty", Reject),
    (400, "TopicDisallowed", Reject),
    (403, "BadCertificate", Misconfigured),
    (403, "BadCertificateEnvironment", Misconfigured),
    (403, "BadEnvironmentKeyIdInToken", Misconfigured),
    // The client renews the token and asks again once; whoever sees this row was refused twice.
    (403, "ExpiredProviderToken", Misconfigured),
    (403, "Forbidden", Misconfigured),
    (403, "InvalidProviderToken", Misconfigured),
    (403, "MissingProviderToken", Misconfigured),
    (403, "UnrelatedKeyIdInToken", Misconfigured),
    (404, "BadPath", Reject),
    (405, "MethodNotAllowed", Reject),
    (410, "ExpiredToken", Dead),
    (410, "Unregistered", Dead),
    (413, "PayloadTooLarge", Reject),
    (429, "TooManyProviderTokenUpdates", Wait(Channel, TOKEN_WAIT)),
    (429, "TooManyRequests", Wait(Device, DEVICE_WAIT)),
    (500, "InternalServerError", Wait(Device, SERVER_WAIT)),
    (503, "ServiceUnavailable", Wait(Slower, SERVER_WAIT)),
    (503, "Shutdown", Wait(Slower, SERVER_WAIT)),
];

/// What the status alone says.
fn by_status(status: u16) -> (&'static str, Verdict) {
    match status {
        400 => ("http_400", Reject),
        403 => ("http_403", Misconfigured),
        404 => ("http_404", Reject),
        405 => ("http_405", Reject),
        408 => ("http_408", Wait(Device, SERVER_WAIT)),
        410 => ("http_410", Dead),
        413 => ("http_413", Reject),
        429 => ("http_429", Wait(Device, DEVICE_WAIT)),
        500 => ("http_500", Wait(Device, SERVER_WAIT)),
        503 => ("http_503", Wait(Slower, SERVER_WAIT)),
        501 | 502 | 504..=599 => ("http_5xx", Wait(Device, SERVER_WAIT)),
        other if other / 100 == 4 => ("http_4xx", Reject),
        _ => ("http_unexpected", Reject),
    }
}

/// What an answer means. A server that names a time with 503 asks the whole channel to wait.
pub fn outcome(reply: &Reply) -> Outcome {
    if reply.status == 200 {
        return Outcome::Accepted;
    }
    let named = reply.reason.as_deref().and_then(|given| {
        TABLE.iter().find(|(status, reason, _)| *status == reply.status && *reason == given)
    });
    let (reason, verdict) = match named {
        Some((_, reason, verdict)) => (*reason, *verdict),
        None => by_status(reply.status),
    };
    match verdict {
        Dead => Outcome::DeadAddress { reason, since: reply.since },
        Reject => Outcome::Rejected { reason },
        Misconfigured => Outcome::Misconfigured { reason },
        Wait(scope, least) => {
            let asked = reply.status == 503 && reply.retry_after.is_some();
            let scope = if asked { Channel } else { scope };
            let after = reply.retry_after.unwrap_or(least).max(SERVER_WAIT);
            Outcome::Retry { after: Some(after), scope, arrival: Arrival::Excluded, reason }
        }
    }
}

#[cfg(test)]
mod tests;
