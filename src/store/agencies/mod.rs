//! Who may publish: agencies, what they may, and their API keys.
//!
//! A key is shown once, when it is made; only its SHA-256 is stored. Agencies and keys may be
//! changed by another process while a node runs (`loa agency ...`): every question is answered
//! from the store, so a revoked key stops at once.

mod embedded;
mod key;
mod redis;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

pub use key::ApiKey;

use crate::domain::agency::Agency;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::AgencyId;
use crate::domain::person::Right;
use crate::store::Failure;
use crate::store::redis::Redis;

/// The most keys of one agency, revoked ones included.
pub const KEYS_MAX: usize = 64;
/// The most characters of a key's name.
pub const KEY_NAME_CHARS_MAX: usize = 64;

/// How old a key's `last_used` may be before it is written again: a write a request would cost
/// more than the request.
const LAST_USED_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// A shorthand for results of this store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in this store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such agency.
    #[error("agency {0} is unknown")]
    UnknownAgency(AgencyId),
    /// The agency has a key of this name; names are never used again, so that logs stay true.
    #[error("agency {agency} already has a key named `{name}`")]
    NameTaken {
        /// The agency.
        agency: AgencyId,
        /// The key's name.
        name: String,
    },
    /// A key's name is 1 to 64 characters, none of them a control character.
    #[error("a key's name is 1 to {KEY_NAME_CHARS_MAX} characters without control characters")]
    BadName,
    /// The agency has as many keys as it may.
    #[error("agency {0} already has {KEYS_MAX} keys")]
    TooManyKeys(AgencyId),
    /// The storage failed.
    #[error("agencies: {0}")]
    Storage(#[from] Failure),
}

/// Where the store lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; the store is `agencies.db` in it.
    pub dir: PathBuf,
}

/// What is known of a key; never the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name within its agency.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// The client certificate without which it opens nothing.
    pub certificate: Option<Fingerprint>,
}

/// Who holds a key that works.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// Whose it is.
    pub agency: Agency,
    /// What it is called.
    pub key_name: String,
    /// The client certificate without which it opens nothing; for the caller to check.
    pub certificate: Option<Fingerprint>,
}

/// The store. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum Agencies {
    /// One file, which other processes of this machine may open too.
    Embedded(embedded::Store),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Store),
}

impl Agencies {
    /// Opens the store, and makes it where there is none.
    pub async fn open(settings: &Settings) -> Result<Agencies> {
        Ok(Agencies::Embedded(embedded::Store::open(settings).await?))
    }

    /// The store of a cluster.
    pub fn shared(redis: &Redis) -> Agencies {
        Agencies::Redis(redis::Store::open(redis))
    }

    /// Adds an agency, or replaces what is known of it. Its keys stay.
    pub async fn put(&self, agency: Agency) -> Result<()> {
        match self {
            Agencies::Embedded(store) => store.put(agency).await,
            Agencies::Redis(store) => store.put(agency).await,
        }
    }

    /// Every agency, by id.
    pub async fn list(&self) -> Result<Vec<Agency>> {
        match self {
            Agencies::Embedded(store) => store.list().await,
            Agencies::Redis(store) => store.list().await,
        }
    }

    /// One agency.
    pub async fn get(&self, id: &AgencyId) -> Result<Option<Agency>> {
        match self {
            Agencies::Embedded(store) => store.get(id).await,
            Agencies::Redis(store) => store.get(id).await,
        }
    }

    /// Makes a key for an agency. This is the only time that it is seen.
    pub async fn add_key(
        &self,
        agency: &AgencyId,
        name: &str,
        now: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<ApiKey> {
        self.add_bound_key(agency, name, (now, expires), None).await
    }

    /// Makes a key that opens nothing without a client certificate, if one is given.
    pub async fn add_bound_key(
        &self,
        agency: &AgencyId,
        name: &str,
        life: (Timestamp, Option<Timestamp>),
        certificate: Option<Fingerprint>,
    ) -> Result<ApiKey> {
        let count = name.chars().count();
        if count == 0 || count > KEY_NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(Error::BadName);
        }
        match self {
            Agencies::Embedded(store) => store.add_key(agency, name, life, certificate).await,
            Agencies::Redis(store) => store.add_key(agency, name, life, certificate).await,
        }
    }

    /// An agency's keys, by name.
    pub async fn keys(&self, agency: &AgencyId) -> Result<Vec<KeyInfo>> {
        match self {
            Agencies::Embedded(store) => store.keys(agency).await,
            Agencies::Redis(store) => store.keys(agency).await,
        }
    }

    /// What a key may; `write` alone unless it was given more. Empty for a key that is unknown.
    pub async fn key_rights(&self, agency: &AgencyId, name: &str) -> Result<BTreeSet<Right>> {
        match self {
            Agencies::Embedded(store) => store.key_rights(agency, name).await,
            Agencies::Redis(store) => store.key_rights(agency, name).await,
        }
    }

    /// Gives a key its rights, in place of those it has; whether there is such a key.
    pub async fn set_key_rights(
        &self,
        agency: &AgencyId,
        name: &str,
        rights: BTreeSet<Right>,
    ) -> Result<bool> {
        match self {
            Agencies::Embedded(store) => store.set_key_rights(agency, name, rights).await,
            Agencies::Redis(store) => store.set_key_rights(agency, name, rights).await,
        }
    }

    /// Whose key this is and what the key is called; none if it is unknown, expired or revoked
    /// (which of them is not told).
    pub async fn authenticate(&self, key: &str, now: Timestamp) -> Result<Option<Holder>> {
        match self {
            Agencies::Embedded(store) => store.authenticate(key, now).await,
            Agencies::Redis(store) => store.authenticate(key, now).await,
        }
    }

    /// Revokes a key for ever; answers whether there was such a key that was not revoked.
    pub async fn revoke(&self, agency: &AgencyId, name: &str, now: Timestamp) -> Result<bool> {
        match self {
            Agencies::Embedded(store) => store.revoke(agency, name, now).await,
            Agencies::Redis(store) => store.revoke(agency, name, now).await,
        }
    }
}
