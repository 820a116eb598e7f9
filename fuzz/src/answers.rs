//! Answers of providers, written as a status line, lines `name: value`, an empty line and the body.
//! A provider in trouble or a stranger in its place never costs a device its address or stops us
//! for longer than an hour, and no published key set makes a token good that nobody signed.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use loa::auth::oidc::provider::{Endpoints, Provider};
use loa::channel::fcm::oauth::{self, Failure};
use loa::channel::{apns, fcm, retry_after, webpush};
use loa::clock::Clock;
use loa::domain::outcome::Outcome;

const ISSUER: &str = "https://id.example";
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// The public key of RFC 7517, appendix A.1.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y":"4Etl6SRW2YiLUrN5vFvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
/// `{"alg":"none"}` and `{"alg":"HS256","kid":"1"}` over claims that are ours in all but the
/// signature, the second's by a shared secret; they end in the year 2100.
const FORGED: [&str; 2] = [
    "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJsb2EiLCJzdWIiOiIwNzkiL\
     CJleHAiOjQxMDI0NDQ4MDB9.",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJsb2EiLC\
     JzdWIiOiIwNzkiLCJleHAiOjQxMDI0NDQ4MDB9.wyik7eBhU5hD-TUGWTdlYPBBVYFygozOlV-ienFDiXA",
];

static PROVIDER: LazyLock<Provider> =
    LazyLock::new(|| Provider::given(ISSUER, "loa", KEYS, clock()).expect("a key of an RFC"));

fn clock() -> Clock {
    Clock::manual(now())
}

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("an instant")
}

/// Holds for every answer.
pub fn hold(data: &[u8]) {
    let (status, headers, body) = answer(data);
    let wait = retry_after::parse(&headers, now());
    assert!(wait.is_none_or(|wait| wait <= HOUR), "{wait:?}");
    let apple = apns::outcome::Reply::read(status, body, wait);
    judged(status, &apns::outcome::outcome(&apple));
    let google = fcm::outcome::Reply::read(status, body, wait);
    judged(status, &fcm::outcome::outcome(&google));
    for proven in [false, true] {
        let browser = webpush::outcome::Reply::read(status, body, wait, proven);
        judged(status, &webpush::outcome::outcome(&browser));
    }
    token(status, &headers, body);
    published(body);
}

/// The status, the headers that HTTP would let through, and the body.
fn answer(data: &[u8]) -> (StatusCode, HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    let mut status = StatusCode::OK;
    let mut first = true;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        if std::mem::take(&mut first) {
            status = StatusCode::from_bytes(line).unwrap_or_default();
            continue;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (status, headers, rest)
}

/// What any provider's table must keep to.
fn judged(status: StatusCode, outcome: &Outcome) {
    assert!(!outcome.reason().is_empty(), "{outcome:?}");
    match outcome {
        Outcome::Accepted => assert!(status.is_success(), "{status}"),
        Outcome::Retry { after, .. } => {
            let after = after.expect("every table names a wait");
            assert!((SECOND..=HOUR).contains(&after), "{status}: {after:?}");
        }
        Outcome::DeadAddress { .. } => {
            let ours = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
            assert!(ours, "{status} costs a device its address");
        }
        Outcome::Rejected { .. } => assert!(!status.is_server_error(), "{status}: {outcome:?}"),
        Outcome::Misconfigured { .. } => assert!(status.is_client_error(), "{status}"),
        Outcome::Expired | Outcome::Withdrawn => panic!("{outcome:?} is no provider's answer"),
    }
}

/// A token endpoint's answer.
fn token(status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    let granted = oauth::judge(status, (headers, body), now());
    match granted.and_then(|granted| granted.token(1)) {
        Ok(token) => {
            assert_eq!(status, StatusCode::OK);
            assert!(token.bearer.is_sensitive());
        }
        Err(Failure::Refused(reason)) => assert!(reason.starts_with("oauth_"), "{reason}"),
        Err(Failure::Unavailable { reason, after }) => {
            assert!(reason.starts_with("oauth_"), "{reason}");
            assert!((oauth::FAILURE_WAIT..=HOUR).contains(&after), "{after:?}");
        }
    }
}

/// An identity provider's metadata and keys; and what a stranger shows as a token.
fn published(body: &[u8]) {
    if let Err(error) = serde_json::from_slice::<Endpoints>(body) {
        assert!(!error.to_string().is_empty());
    }
    let Ok(text) = std::str::from_utf8(body) else { return };
    refused(&PROVIDER, text);
    if let Ok(provider) = Provider::given(ISSUER, "loa", text, clock()) {
        FORGED.iter().for_each(|token| refused(&provider, token));
    }
}

fn refused(provider: &Provider, token: &str) {
    let verified = provider.verify(token).now_or_never().expect("given keys ask nobody");
    assert!(verified.is_err(), "a token that nobody signed");
}
