//! People: who works in the agencies, their passwords' hashes, their sessions, failed logins, and
//! what admins ask a second admin to confirm.
//!
//! Passwords come here hashed, session tokens too: nothing in the file logs anybody in. Like the
//! agencies' store it may be changed by another process while a node runs (`loa people …`, another
//! node of a cluster), so every question is answered from the store: whoever is switched off is out
//! at once, and a session is good on every node.

mod embedded;
mod redis;

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::agency::Agency;
use crate::domain::certificate::Certificate;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{AgencyId, PersonId};
use crate::domain::person::{Person, Right};
use crate::store::Failure;
use crate::store::redis::Redis;

/// The most people there may be: every agency of a city together.
pub const PEOPLE_MAX: usize = 10_000;
/// The most sessions of one person; the oldest makes room.
pub const SESSIONS_MAX: usize = 20;
/// How old a session's last use may be before it is written again.
const SEEN_EVERY: SignedDuration = SignedDuration::from_mins(1);
/// The most admin requests that may wait.
pub const REQUESTS_MAX: usize = 1_000;

/// A shorthand for results of this store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in this store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There are as many people as there may be.
    #[error("there are {PEOPLE_MAX} people already")]
    TooManyPeople,
    /// As many requests wait as may.
    #[error("{REQUESTS_MAX} requests wait already")]
    TooManyRequests,
    /// The storage failed.
    #[error("people: {0}")]
    Storage(#[from] Failure),
}

/// Where the store lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; the store is `people.db` in it.
    pub dir: PathBuf,
}

/// An account at an identity provider, as its digest: the provider's id of a person is not kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Account(String);

impl Account {
    /// The account with this id at an issuer.
    pub fn subject(issuer: &str, sub: &str) -> Self {
        Self::of("sub", issuer, sub)
    }

    /// The account with this verified address at an issuer; capitals are no difference.
    pub fn email(issuer: &str, address: &str) -> Self {
        Self::of("email", issuer, &address.trim().to_lowercase())
    }

    fn of(kind: &str, issuer: &str, name: &str) -> Self {
        let text = [kind, issuer, name].join("\0");
        Self(URL_SAFE_NO_PAD.encode(Sha256::digest(text)))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account")
    }
}

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// Whose.
    pub person: PersonId,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ends whatever is done in it.
    pub ends_at: Timestamp,
}

/// A session as stored, with its person as they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Whose.
    pub person: Person,
    /// When it was used last, to about a minute.
    pub seen_at: Timestamp,
    /// When it ends whatever is done in it.
    pub ends_at: Timestamp,
}

impl Session {
    /// Whether it is still good: neither over nor unused for too long, and its person is active.
    fn holds(&self, now: Timestamp, idle_since: Timestamp) -> bool {
        self.ends_at > now && self.seen_at >= idle_since && self.person.active
    }
}

/// What an admin asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A new agency, or one that may more than before.
    Agency {
        /// As it is to be.
        agency: Agency,
    },
    /// A person who may more than before.
    Person {
        /// As they are to be.
        person: Person,
        /// The hash of their password, where it is a new one; never answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password_hash: Option<String>,
    },
    /// A new API key. It is made, and shown, when the asker fetches what was confirmed.
    Key {
        /// Of which agency.
        agency: AgencyId,
        /// Its name.
        name: String,
        /// What it may.
        rights: Vec<Right>,
        /// When it stops working.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
        /// The client certificate that it is bound to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<Fingerprint>,
    },
    /// A certificate that an agency signs its CAP messages with.
    Certificate {
        /// Of which agency.
        agency: AgencyId,
        /// Its name.
        name: String,
        /// What it says.
        certificate: Certificate,
    },
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// Waiting for a second admin.
    Waiting,
    /// Confirmed and done.
    Confirmed,
    /// Refused.
    Refused,
}

/// An admin's act that waits for a second admin, or waited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: Uuid,
    /// What is asked for.
    pub change: Change,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// Where it stands.
    pub state: RequestState,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
}

/// The store. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum People {
    /// One file, which other processes of this machine may open too.
    Embedded(embedded::Store),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Store),
}

impl People {
    /// Opens the store, and makes it where there is none.
    pub async fn open(settings: &Settings) -> Result<People> {
        Ok(People::Embedded(embedded::Store::open(settings).await?))
    }

    /// The store of a cluster.
    pub fn shared(redis: &Redis) -> People {
        People::Redis(redis::Store::open(redis))
    }

    /// Adds a person, or replaces what is known of them. Without a hash the password stays.
    /// Whoever is no longer active, or gets a new password, loses every session.
    pub async fn put(&self, person: Person, password_hash: Option<String>) -> Result<()> {
        match self {
            People::Embedded(store) => store.put(person, password_hash).await,
            People::Redis(store) => store.put(person, password_hash).await,
        }
    }

    /// Everybody, by id.
    pub async fn list(&self) -> Result<Vec<Person>> {
        match self {
            People::Embedded(store) => store.list().await,
            People::Redis(store) => store.list().await,
        }
    }

    /// One person.
    pub async fn get(&self, id: &PersonId) -> Result<Option<Person>> {
        Ok(self.credentials(id).await?.map(|(person, _)| person))
    }

    /// One person and the hash of their password, if they have one.
    pub async fn credentials(&self, id: &PersonId) -> Result<Option<(Person, Option<String>)>> {
        match self {
            People::Embedded(store) => store.credentials(id).await,
            People::Redis(store) => store.credentials(id).await,
        }
    }

    /// Says whose an account is: this person's from now on, and nobody else's.
    pub async fn link(&self, account: Account, person: &PersonId) -> Result<()> {
        match self {
            People::Embedded(store) => store.link(account, person).await,
            People::Redis(store) => store.link(account, person).await,
        }
    }

    /// Takes every account from a person; their sessions end. How many there were.
    pub async fn unlink(&self, person: &PersonId) -> Result<u64> {
        match self {
            People::Embedded(store) => store.unlink(person).await,
            People::Redis(store) => store.unlink(person).await,
        }
    }

    /// Whose an account is.
    pub async fn linked(&self, account: &Account) -> Result<Option<Person>> {
        let id = match self {
            People::Embedded(store) => store.linked(account).await,
            People::Redis(store) => store.linked(account).await,
        };
        match id? {
            Some(id) => self.get(&id).await,
            None => Ok(None),
        }
    }

    /// Opens a session; of more than [`SESSIONS_MAX`] of one person the oldest ends.
    pub async fn open_session(&self, session: NewSession) -> Result<()> {
        match self {
            People::Embedded(store) => store.open_session(session).await,
            People::Redis(store) => store.open_session(session).await,
        }
    }

    /// The session of a token's hash, if it has not ended and was used since `idle_since`; it
    /// counts as used now. None of a person who is switched off.
    pub async fn session(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Option<Session>> {
        match self {
            People::Embedded(store) => store.session(token_hash, now, idle_since).await,
            People::Redis(store) => store.session(token_hash, now, idle_since).await,
        }
    }

    /// Ends a session; whether there was one.
    pub async fn close_session(&self, token_hash: [u8; 32]) -> Result<bool> {
        match self {
            People::Embedded(store) => store.close_session(token_hash).await,
            People::Redis(store) => store.close_session(token_hash).await,
        }
    }

    /// Remembers a failed login under a key, and drops failures from before `since`.
    pub async fn login_failed(&self, key: &str, now: Timestamp, since: Timestamp) -> Result<()> {
        match self {
            People::Embedded(store) => store.login_failed(key, now, since).await,
            People::Redis(store) => store.login_failed(key, now, since).await,
        }
    }

    /// Failed logins under a key since an instant, and the oldest of them.
    pub async fn failures(&self, key: &str, since: Timestamp) -> Result<(u32, Option<Timestamp>)> {
        match self {
            People::Embedded(store) => store.failures(key, since).await,
            People::Redis(store) => store.failures(key, since).await,
        }
    }

    /// Forgets failed logins of a key: all of them, or the one of an instant.
    pub async fn login_succeeded(&self, key: &str, at: Option<Timestamp>) -> Result<()> {
        match self {
            People::Embedded(store) => store.login_succeeded(key, at).await,
            People::Redis(store) => store.login_succeeded(key, at).await,
        }
    }

    /// Adds a request, or replaces it.
    pub async fn put_request(&self, request: Request) -> Result<()> {
        match self {
            People::Embedded(store) => store.put_request(request).await,
            People::Redis(store) => store.put_request(request).await,
        }
    }

    /// Decides a request that waits; answers it as it is then, or `None` if it waits no longer.
    pub async fn decide_request(
        &self,
        id: Uuid,
        (state, by, at): (RequestState, String, Timestamp),
    ) -> Result<Option<Request>> {
        match self {
            People::Embedded(store) => store.decide_request(id, (state, by, at)).await,
            People::Redis(store) => store.decide_request(id, (state, by, at)).await,
        }
    }

    /// The newest requests, those that wait first; at most [`REQUESTS_MAX`].
    pub async fn requests(&self) -> Result<Vec<Request>> {
        match self {
            People::Embedded(store) => store.requests().await,
            People::Redis(store) => store.requests().await,
        }
    }

    /// Drops sessions that ended before an instant, and answers how many.
    pub async fn forget(&self, ended_before: Timestamp) -> Result<u64> {
        match self {
            People::Embedded(store) => store.forget(ended_before).await,
            People::Redis(store) => store.forget(ended_before).await,
        }
    }
}
