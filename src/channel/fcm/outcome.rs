//! What an FCM answer means (FACTS F6): a pure table, decided by status first and within it by
//! error code; a code nobody knows is judged by its status alone.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::domain::outcome::{Arrival, Outcome, RetryScope};

/// Quota exceeded, where Google names no time.
const QUOTA_WAIT: Duration = Duration::from_secs(60);
/// Server errors, where Google names no time: it asks for 10 seconds at least.
const SERVER_WAIT: Duration = Duration::from_secs(10);
/// Never sooner than this, whatever the server asks for.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// An answer, read but not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The `FcmError` detail's `errorCode`; without that detail the error's `status`.
    pub code: Option<String>,
    /// The `FcmError` detail stands alone and the message names the address.
    pub names_address: bool,
    /// The quota is that of one device or topic, not the project's.
    pub target_quota: bool,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Body {
    error: Problem,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Problem {
    message: String,
    status: Option<String>,
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "@type")]
    kind: String,
    #[serde(rename = "errorCode")]
    error_code: Option<String>,
    #[serde(default)]
    violations: Vec<Violation>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Violation {
    subject: String,
    description: String,
}

impl Reply {
    /// Reads an answer; a body that is not Google's error JSON only lacks a code.
    pub fn read(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        let status = status.as_u16();
        let Ok(Body { error }) = serde_json::from_slice::<Body>(body) else {
            return Self { status, retry_after, ..Self::default() };
        };
        let of_kind = |name: &'static str| {
            error.details.iter().filter(move |detail| detail.kind.ends_with(name))
        };
        let fcm_code = of_kind("firebase.fcm.v1.FcmError").find_map(|d| d.error_code.clone());
        let our_payload = of_kind("google.rpc.BadRequest").next().is_some();
        let message = error.message.to_ascii_lowercase();
        let named = ["registration token", "fid", "installation id"]
            .iter()
            .any(|name| message.contains(name));
        let target_quota =
            of_kind("google.rpc.QuotaFailure").flat_map(|d| &d.violations).any(|v| {
                let text = format!("{} {}", v.subject, v.description).to_ascii_lowercase();
                text.contains("device") || text.contains("topic")
            });
        let names_address = fcm_code.is_some() && !our_payload && named;
        let code = fcm_code.or(error.status);
        Self { status, code, names_address, target_quota, retry_after }
    }

    /// The access token was refused: another one may help.
    pub fn wants_new_token(&self) -> bool {
        self.status == 401 && self.code.as_deref() != Some("THIRD_PARTY_AUTH_ERROR")
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    /// The address, if the answer names it; otherwise our payload.
    DeadIfNamed,
    Dead,
    Reject,
    Misconfigured,
    Quota,
    ServerFault,
    Overload,
}

use Verdict::{Dead, DeadIfNamed, Misconfigured, Overload, Quota, Reject, ServerFault};

/// Codes Google documents, with the status they come with.
const TABLE: &[(u16, &str, Verdict)] = &[
    (400, "INVALID_ARGUMENT", DeadIfNamed),
    // Firebase's own credential for a phone of Apple's or a browser: nothing is wrong with ours,
    // and everybody else is served.
    (401, "THIRD_PARTY_AUTH_ERROR", Reject),
    // The client fetches another token and asks again once; this row was refused twice.
    (401, "UNAUTHENTICATED", Misconfigured),
    (403, "PERMISSION_DENIED", Misconfigured),
    (403, "SENDER_ID_MISMATCH", Dead),
    // Without UNREGISTERED it is the project or the path that was not found, not the device.
    (404, "NOT_FOUND", Misconfigured),
    (404, "UNREGISTERED", Dead),
    (429, "QUOTA_EXCEEDED", Quota),
    (429, "RESOURCE_EXHAUSTED", Quota),
    (500, "INTERNAL", ServerFault),
    (503, "UNAVAILABLE", Overload),
];

/// What the status alone says.
fn by_status(status: u16) -> (&'static str, Verdict) {
    match status {
        400 => ("http_400", Reject),
        401 => ("http_401", Misconfigured),
        403 => ("http_403", Misconfigured),
        404 => ("http_404", Misconfigured),
        408 => ("http_408", ServerFault),
        429 => ("http_429", Quota),
        500 => ("http_500", ServerFault),
        503 => ("http_503", Overload),
        501 | 502 | 504..=599 => ("http_5xx", ServerFault),
        other if other / 100 == 4 => ("http_4xx", Reject),
        _ => ("http_unexpected", Reject),
    }
}

/// What an answer means. The whole channel waits for the project's quota, and when an overloaded
/// server names a time.
pub fn outcome(reply: &Reply) -> Outcome {
    if reply.status == 200 {
        return Outcome::Accepted;
    }
    let named = reply.code.as_deref().and_then(|given| {
        TABLE.iter().find(|(status, code, _)| *status == reply.status && *code == given)
    });
    let (reason, verdict) = match named {
        Some((_, code, verdict)) => (*code, *verdict),
        None => by_status(reply.status),
    };
    let asked = reply.retry_after;
    let wait = |after: Duration, scope| {
        let after = Some(after.max(WAIT_MIN));
        Outcome::Retry { after, scope, arrival: Arrival::Excluded, reason }
    };
    let device_unless = |channel| if channel { RetryScope::Channel } else { RetryScope::Device };
    match verdict {
        DeadIfNamed if !reply.names_address => Outcome::Rejected { reason },
        Dead | DeadIfNamed => Outcome::DeadAddress { reason, since: None },
        Reject => Outcome::Rejected { reason },
        Misconfigured => Outcome::Misconfigured { reason },
        Quota => wait(asked.unwrap_or(QUOTA_WAIT), device_unless(!reply.target_quota)),
        ServerFault => wait(asked.unwrap_or_default().max(SERVER_WAIT), RetryScope::Device),
        Overload => match asked {
            Some(wish) => wait(wish, RetryScope::Channel),
            None => wait(SERVER_WAIT, RetryScope::Slower),
        },
    }
}

#[cfg(test)]
mod tests;
