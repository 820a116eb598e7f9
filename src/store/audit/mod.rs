//! The audit: append-only, each entry linked to the one before by its hash, with signed
//! checkpoints between them.
//!
//! Promises: what [`Audit::append`] answered is durable and has its place for good; several
//! processes may append at once (a node and `loa agencies …`, the nodes of a cluster), and every
//! link follows the one before. [`Audit::links`] gives the chain back to be verified; the store
//! itself trusts nothing that it reads.

mod embedded;
mod redis;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::audit::{Actor, Entry, HASH_BYTES, Link};
use crate::store::Failure;
use crate::store::redis::Redis;

/// The most links one page holds.
pub const PAGE_MAX: usize = 1_000;

/// A shorthand for results of this store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in this store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An entry cannot be read: it was tampered with, or the file is damaged.
    #[error("audit entry {seq} cannot be read: {why}")]
    Unreadable {
        /// Which.
        seq: u64,
        /// Why.
        why: String,
    },
    /// The storage failed.
    #[error("audit: {0}")]
    Storage(#[from] Failure),
}

/// Where the store lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; the store is `audit.db` in it.
    pub dir: PathBuf,
}

/// The end of the chain at a moment, signed: what lies before it cannot be changed unnoticed by
/// whoever has not the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last entry's number.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; HASH_BYTES],
    /// When it was signed.
    pub at: Timestamp,
    /// Ed25519 over what `auth::seal` says.
    pub signature: Vec<u8>,
}

/// Which entries to list; the newest first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one object.
    pub object: Option<String>,
    /// Whose actor holds this text as an id.
    pub actor: Option<String>,
    /// Before this number.
    pub before: Option<u64>,
    /// At most so many, itself at most [`PAGE_MAX`].
    pub limit: usize,
}

/// A link as stored: the entry's text is what the hash is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its number.
    pub seq: u64,
    /// The entry as canonical JSON.
    pub text: String,
    /// Its hash.
    pub hash: [u8; HASH_BYTES],
}

/// The store. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum Audit {
    /// One file, which other processes of this machine may append to.
    Embedded(embedded::Store),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Store),
}

impl Audit {
    /// Opens the store, and makes it where there is none.
    pub async fn open(settings: &Settings) -> Result<Audit> {
        Ok(Audit::Embedded(embedded::Store::open(settings).await?))
    }

    /// The store of a cluster.
    pub fn shared(redis: &Redis) -> Audit {
        Audit::Redis(redis::Store::open(redis))
    }

    /// Appends an entry.
    pub async fn append(&self, entry: Entry) -> Result<Link> {
        match self {
            Audit::Embedded(store) => store.append(entry).await,
            Audit::Redis(store) => store.append(entry).await,
        }
    }

    /// The last number and hash; zero and [`crate::domain::audit::BEGINNING`] when it is empty.
    pub async fn head(&self) -> Result<(u64, [u8; HASH_BYTES])> {
        match self {
            Audit::Embedded(store) => store.head().await,
            Audit::Redis(store) => store.head().await,
        }
    }

    /// Links after a number, in order, at most [`PAGE_MAX`]; as stored, unchecked.
    pub async fn links(&self, after: u64) -> Result<Vec<Stored>> {
        match self {
            Audit::Embedded(store) => store.links(after).await,
            Audit::Redis(store) => store.links(after).await,
        }
    }

    /// Entries, the newest first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Link>> {
        match self {
            Audit::Embedded(store) => store.list(filter).await,
            Audit::Redis(store) => store.list(filter).await,
        }
    }

    /// Keeps a checkpoint.
    pub async fn add_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        match self {
            Audit::Embedded(store) => store.add_checkpoint(checkpoint).await,
            Audit::Redis(store) => store.add_checkpoint(checkpoint).await,
        }
    }

    /// The last number that is signed; zero if none is.
    pub async fn signed(&self) -> Result<u64> {
        match self {
            Audit::Embedded(store) => store.signed().await,
            Audit::Redis(store) => store.signed().await,
        }
    }

    /// Every checkpoint, in order.
    pub async fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        match self {
            Audit::Embedded(store) => store.checkpoints().await,
            Audit::Redis(store) => store.checkpoints().await,
        }
    }
}

fn read(stored: Stored) -> Result<Link> {
    let Stored { seq, text, hash } = stored;
    let entry = serde_json::from_str(&text)
        .map_err(|error| Error::Unreadable { seq, why: error.to_string() })?;
    Ok(Link { seq, entry, hash })
}

/// What an actor is found by: the id of the person, `AGENCY/KEY`, or the name they gave.
pub fn actor_id(actor: &Actor) -> String {
    match actor {
        Actor::Agency { id, key } => format!("{id}/{key}"),
        Actor::Person { id, .. } => id.clone(),
        Actor::Unknown { name } | Actor::Operator { name } => name.clone(),
        Actor::System => "system".to_owned(),
    }
}
