//! A citizen's session in a browser: a cookie that holds the pseudonym and its end, signed with a
//! key that all gateways share. Nothing is stored, so any gateway takes it; it ends by itself.

use axum::http::{HeaderMap, HeaderName, Method};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::login::cookie;
use crate::domain::ids::SubjectId;
use crate::http::{Code, Problem};

/// The cookie of a citizen's session.
pub const COOKIE_NAME: &str = "loa_citizen";
/// Seconds a session lives: a browser may be shared, and logging in again costs one click.
pub const SESSION_SECONDS: i64 = 3600;
/// Where the token against forged requests stands.
const CSRF: HeaderName = HeaderName::from_static("x-loa-csrf");
/// Longest cookie that is read.
const BYTES_MAX: usize = 512;

#[derive(Serialize, Deserialize)]
struct Claims {
    subject: SubjectId,
    ends_s: i64,
    /// So that two sessions are never the same.
    salt: u64,
}

/// A session as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub subject: SubjectId,
    /// When it ends.
    pub ends_at: Timestamp,
    /// What proves a request to come from our own page.
    pub csrf: String,
}

/// Writes and reads sessions.
#[derive(Clone)]
pub struct Sessions {
    key: Vec<u8>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions(redacted)")
    }
}

impl Sessions {
    /// Sessions signed with a key that all gateways share.
    pub fn new(key: &[u8]) -> Self {
        Self { key: key.to_vec() }
    }

    /// The `Set-Cookie` line of a new session.
    pub fn open(&self, subject: SubjectId, now: Timestamp, over_tls: bool) -> String {
        let ends_s = now.as_second() + SESSION_SECONDS;
        let claims = Claims { subject, ends_s, salt: rand::random() };
        let claims = serde_json::to_vec(&claims).expect("claims are plain data");
        let claims = URL_SAFE_NO_PAD.encode(claims);
        let value = format!("{claims}.{}", self.mac("session", &claims));
        set_cookie(&value, SESSION_SECONDS, over_tls)
    }

    /// The `Set-Cookie` line that ends a session in this browser.
    pub fn close(&self, over_tls: bool) -> String {
        set_cookie("", 0, over_tls)
    }

    /// The session of a request's cookie; none that is forged, broken or over.
    pub fn of(&self, headers: &HeaderMap, now: Timestamp) -> Option<Session> {
        let value = cookie(headers, COOKIE_NAME).filter(|value| value.len() <= BYTES_MAX)?;
        let (claims, proof) = value.split_once('.')?;
        if !bool::from(proof.as_bytes().ct_eq(self.mac("session", claims).as_bytes())) {
            return None;
        }
        let csrf = self.mac("csrf", claims);
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let Claims { subject, ends_s, .. } = serde_json::from_slice(&claims).ok()?;
        let ends_at = Timestamp::from_second(ends_s).ok()?;
        (now < ends_at).then_some(Session { subject, ends_at, csrf })
    }

    fn mac(&self, purpose: &str, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes any key");
        mac.update(format!("loa citizen {purpose}\0{text}").as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

impl Session {
    /// Refuses a request that changes something and does not prove that it comes from our page.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let harmless = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
        let given = headers.get(&CSRF).map(|value| value.as_bytes()).unwrap_or_default();
        if harmless || bool::from(given.ct_eq(self.csrf.as_bytes())) {
            return Ok(());
        }
        let detail = "send the session's `csrf` as X-Loa-Csrf with whatever changes something";
        Err(Problem::new(Code::Csrf, detail))
    }
}

fn set_cookie(value: &str, seconds: i64, over_tls: bool) -> String {
    let secure = if over_tls { "; Secure" } else { "" };
    let attributes = "Path=/v1; HttpOnly; SameSite=Strict";
    format!("{COOKIE_NAME}={value}; {attributes}; Max-Age={seconds}{secure}")
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;

    use super::*;

    #[test]
    fn a_session_is_good_for_its_time_its_key_and_one_cookie() {
        let sessions = Sessions::new(b"shared");
        let at = |s| Timestamp::from_second(1_800_000_000 + s).expect("an instant");
        let subject: SubjectId = "a".repeat(43).parse().expect("a subject");
        let line = sessions.open(subject.clone(), at(0), true);
        for part in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/v1", "Max-Age=3600"] {
            assert!(line.contains(part), "{line}");
        }
        let pair = line.split(';').next().expect("a pair").to_owned();
        let of = |cookie: &str, second| {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, cookie.parse().expect("a header"));
            sessions.of(&headers, at(second))
        };
        let session = of(&pair, SESSION_SECONDS - 1).expect("a session");
        assert_eq!(session.subject, subject);
        assert_eq!(of(&pair, SESSION_SECONDS), None, "over");
        assert_eq!(of(&format!("{pair}; {pair}"), 0), None, "two of the name");
        assert_eq!(of(&pair.replace('.', "A."), 0), None, "changed");
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, pair.parse().expect("a header"));
        assert_eq!(Sessions::new(b"other").of(&headers, at(0)), None);
        assert!(session.check(&Method::GET, &headers).is_ok());
        assert!(session.check(&Method::POST, &headers).is_err());
        headers.insert(CSRF, session.csrf.parse().expect("a header"));
        assert!(session.check(&Method::POST, &headers).is_ok());
    }
}
