//! Who asks: devices by their secret, citizens by the identity provider's token, agencies by their
//! API key. Secrets are never stored, logged or put into a URL; only their SHA-256 is kept.
//!
//! - a device: `Authorization: Loa-Device <device id>:<secret>` ([`device`])
//! - a citizen: `Authorization: Bearer <JWT>` ([`bearer`])
//! - a citizen's browser: a session's cookie, after a login at the identity provider ([`oidc`])
//! - a browser's EventSource, which cannot set headers: a short-lived ticket ([`ticket`])
//! - an agency: `Authorization: Bearer loa_…` ([`api_key`]); on the log, a signature
//!   ([`submission`]); in a CAP message, an XML signature ([`certificate`])
//! - a person of an agency: a password once ([`password`]), then a session's cookie ([`desk`])
//! - ingest, on the log: a signature ([`gate`]); Loa, to citizens: a signature on every alert
//!   ([`jws`]); the keys of both are in one [`ring`]

pub mod api_key;
pub mod bearer;
pub mod certificate;
pub mod citizen;
pub mod desk;
pub mod device;
pub mod gate;
pub mod jws;
pub mod names;
pub mod oidc;
pub mod password;
pub mod pseudonym;
pub mod ring;
pub mod submission;
pub mod ticket;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::http::{Code, Problem};

/// Longest `Authorization` header that is read; a JWT of an identity provider stays under 4 KiB.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// The scheme and the rest of an `Authorization` header.
fn credentials(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ').filter(|_| text.len() <= HEADER_BYTES_MAX)?;
    Some((scheme, rest.trim()))
}

/// The one answer to wrong credentials: it does not say which part was wrong.
pub fn unauthorized(expected: &str) -> Problem {
    Problem::new(Code::Unauthorized, format!("credentials are missing or wrong; send {expected}"))
}
