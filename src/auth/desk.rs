//! Who works at the desk: a person by the cookie of their session, or a program by an agency's API
//! key. A session's request that changes something must prove that it comes from our own page.
//!
//! The cookie holds 32 random bytes of which only the SHA-256 is stored. It is `HttpOnly` and
//! `SameSite=Strict`. The token against forged requests (`X-Loa-Csrf`) follows from the cookie's
//! value, which no other page can read; so it needs no place in the store.

use std::collections::BTreeSet;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::api_key::{AsAgency, Keys};
use crate::auth::unauthorized;
use crate::clock::Clock;
use crate::domain::agency::Agency;
use crate::domain::audit::Actor;
use crate::domain::ids::AgencyId;
use crate::domain::person::{Person, Right};
use crate::http::{Code, Problem, refusals};
use crate::store::agencies::Agencies;
use crate::store::people::{self, NewSession, People};

/// The cookie of a session.
pub const COOKIE_NAME: &str = "loa_session";
/// Where the token against forged requests stands.
pub const CSRF: HeaderName = HeaderName::from_static("x-loa-csrf");
/// Bytes of a session's token.
const TOKEN_BYTES: usize = 32;

/// How long people stay logged in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Minutes without a request after which a session ends.
    pub session_idle_minutes: u32,
    /// Hours after which a session ends whatever is done in it.
    pub session_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { session_idle_minutes: 60, session_hours: 12 }
    }
}

impl Settings {
    /// Every rule these settings break.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !(1..=1440).contains(&self.session_idle_minutes) {
            found.push("session_idle_minutes: must be 1..=1440".to_owned());
        }
        if !(1..=168).contains(&self.session_hours) {
            found.push("session_hours: must be 1..=168".to_owned());
        }
        found
    }
}

/// Opens and checks sessions. A cheap handle.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Agencies and their keys.
    pub agencies: Agencies,
    /// People and their sessions.
    pub people: People,
    /// When a session is over.
    pub clock: Clock,
    /// How long sessions last.
    pub settings: Settings,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Their agency.
    pub agency: Agency,
    /// A person or a program.
    pub who: Who,
}

/// A person or a program.
#[derive(Clone, Debug)]
pub enum Who {
    /// A person in a session.
    Person(Seat),
    /// A program with an API key.
    Key {
        /// The key's name.
        name: String,
        /// What it may.
        rights: BTreeSet<Right>,
    },
}

/// A person in a session.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The person as they are now.
    pub person: Person,
    /// What proves a request to come from our own page.
    pub csrf: String,
    /// When the session ends whatever is done in it.
    pub ends_at: Timestamp,
}

/// A session's token, shown to the browser once.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(redacted)")
    }
}

impl Token {
    fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>()))
    }

    /// The token of a request's cookie; none that has not a token's form.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == COOKIE_NAME).then_some(value)
        });
        // Two of the name: one was put there by somebody else.
        let value = pairs.next().filter(|_| pairs.next().is_none())?;
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        (bytes.len() == TOKEN_BYTES).then(|| Self(value.to_owned()))
    }

    /// What is stored of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    fn csrf(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"loa csrf\0");
        hasher.update(self.0.as_bytes());
        URL_SAFE_NO_PAD.encode(hasher.finalize())
    }

    /// The `Set-Cookie` line for it; none of the name lives on after `max_age_s` seconds.
    pub fn cookie(&self, max_age_s: i64, over_tls: bool) -> String {
        let secure = if over_tls { "; Secure" } else { "" };
        let attributes = "Path=/v1; HttpOnly; SameSite=Strict";
        format!("{COOKIE_NAME}={}; {attributes}; Max-Age={max_age_s}{secure}", self.0)
    }
}

impl Desk {
    /// Opens a session for a person who proved who they are.
    pub async fn open(&self, person: Person) -> Result<(Token, Seat), Problem> {
        let (token, now) = (Token::random(), self.clock.now());
        let longest = SignedDuration::from_hours(i64::from(self.settings.session_hours));
        let ends_at = now.checked_add(longest).unwrap_or(now);
        let id = person.id.clone();
        let session = NewSession { token_hash: token.hash(), person: id, opened_at: now, ends_at };
        self.people.open_session(session).await.map_err(store_problem)?;
        let csrf = token.csrf();
        Ok((token, Seat { person, csrf, ends_at }))
    }

    /// The caller of a request, if its credentials are good.
    async fn caller(&self, parts: &mut Parts) -> Result<Caller, Problem> {
        if parts.headers.contains_key(AUTHORIZATION) {
            let keys = Keys { agencies: self.agencies.clone(), clock: self.clock.clone() };
            let AsAgency { agency, key_name: name } =
                AsAgency::from_request_parts(parts, &keys).await?;
            let rights = self.agencies.key_rights(&agency.id, &name).await;
            let mut rights = rights.map_err(|error| Problem::internal(&error))?;
            if agency.operator {
                rights.insert(Right::Operate);
            }
            return Ok(Caller { agency, who: Who::Key { name, rights } });
        }
        let refused = || unauthorized("a session's cookie, or an agency's API key");
        let token = Token::of(&parts.headers).ok_or_else(refused)?;
        let now = self.clock.now();
        let idle = SignedDuration::from_mins(i64::from(self.settings.session_idle_minutes));
        let idle_since = now.checked_sub(idle).unwrap_or(now);
        let session = self.people.session(token.hash(), now, idle_since).await;
        let session = session.map_err(store_problem)?.ok_or_else(refused)?;
        refusals::recognised(&parts.extensions, || Actor::Person {
            agency: session.person.agency.to_string(),
            id: session.person.id.to_string(),
        });
        let csrf = token.csrf();
        let unsafe_method = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method);
        let given = parts.headers.get(&CSRF).map(|value| value.as_bytes()).unwrap_or_default();
        if unsafe_method && !bool::from(given.ct_eq(csrf.as_bytes())) {
            let detail = "send the session's `csrf` as X-Loa-Csrf with whatever changes something";
            return Err(Problem::new(Code::Csrf, detail));
        }
        let agency = self.agencies.get(&session.person.agency).await;
        let agency = agency.map_err(|error| Problem::internal(&error))?.ok_or_else(refused)?;
        let seat = Seat { person: session.person, csrf, ends_at: session.ends_at };
        Ok(Caller { agency, who: Who::Person(seat) })
    }
}

impl Caller {
    /// Who it is, as drafts remember it.
    pub fn id(&self) -> String {
        match &self.who {
            Who::Person(seat) => format!("person:{}", seat.person.id),
            Who::Key { name, .. } => format!("key:{name}"),
        }
    }

    /// Who it is, for the audit.
    pub fn actor(&self) -> Actor {
        let agency = self.agency.id.to_string();
        match &self.who {
            Who::Person(seat) => Actor::Person { agency, id: seat.person.id.to_string() },
            Who::Key { name, .. } => Actor::Agency { id: agency, key: name.clone() },
        }
    }

    /// Whether it is a person in a session.
    pub fn is_person(&self) -> bool {
        matches!(self.who, Who::Person(_))
    }

    /// Whether they have a right.
    pub fn may(&self, right: Right) -> bool {
        match &self.who {
            Who::Person(seat) => seat.person.may(right),
            Who::Key { rights, .. } => rights.contains(&right),
        }
    }

    /// Refuses who lacks a right.
    pub fn need(&self, right: Right) -> Result<(), Problem> {
        if self.may(right) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, format!("this needs the right `{right}`")))
    }

    /// Whether they are of the city's operators and may see everything.
    pub fn operates(&self) -> bool {
        self.agency.operator && self.may(Right::Operate)
    }

    /// Refuses who is not of the city's operators.
    pub fn need_operator(&self) -> Result<(), Problem> {
        if self.operates() {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, "this is for the city's operators"))
    }

    /// Whether they may see what is an agency's.
    pub fn sees(&self, agency: &AgencyId) -> bool {
        self.agency.id == *agency || self.operates()
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Desk: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Desk::from_ref(state).caller(parts).await
    }
}

/// A failing people store, as an answer.
pub fn store_problem(error: people::Error) -> Problem {
    match error {
        people::Error::Storage(_) => {
            tracing::error!(error = %error, "the people store cannot be used");
            Problem::new(Code::Unavailable, "nothing can be stored just now").retry_after(5)
        }
        other => Problem::new(Code::Conflict, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn a_token_is_read_from_its_cookie_and_from_nothing_else() {
        let token = Token::random();
        let Token(text) = &token;
        let line = format!("a=b; {COOKIE_NAME}={text}");
        assert_eq!(Token::of(&headers(&[&line])).expect("a token").hash(), token.hash());
        let doubled = format!("{line}; {COOKIE_NAME}={text}");
        for bad in ["", "loa_session=", "loa_session=abc", "xloa_session=abc", &doubled] {
            assert!(Token::of(&headers(&[bad])).is_none(), "{bad}");
        }
        assert!(Token::of(&headers(&[&line, &line])).is_none(), "two cookies of the name");
        assert_ne!(token.csrf(), Token::random().csrf());
        assert_eq!(format!("{token:?}"), "Token(redacted)");
    }

    #[test]
    fn cookies_are_for_our_own_pages_only() {
        let cookie = Token::random().cookie(60, true);
        for part in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/v1", "Max-Age=60"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!Token::random().cookie(60, false).contains("Secure"));
    }
}
