//! What was accepted: every publication, found by id, identity, chain, citizen and time.
//!
//! Ingest reserves a publication here *before* it appends it to the log, and marks it logged
//! afterwards; after a crash in between it finishes [`Alerts::unlogged`]. So of two equal
//! submissions only one is ever published, whichever process dies when.
//!
//! Promises: what [`Alerts::accept`], [`Alerts::mark_logged`] and [`Alerts::supersede`] answered
//! is durable; one identity has one publication; a publication never changes.

mod embedded;
mod identity;
mod live;
mod names;
mod personal;
mod redis;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

pub use identity::Identity;
pub use personal::Carried;

use crate::domain::ids::{ChainId, PublicationId, SubjectId};
use crate::domain::publication::{Content, Publication};
use crate::domain::sealed::Sealed;
use crate::store::Failure;
use crate::store::redis::Redis;
use crate::store::vault::Vault;

/// The most publications a listing answers at once, and [`Alerts::accept_all`] takes.
pub const PAGE_MAX: usize = 1000;

/// What is long over: what expired before these instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Alerts and notices.
    pub areas: Timestamp,
    /// What was said to one citizen alone.
    pub personal: Timestamp,
}

/// How much was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Alerts and notices.
    pub areas: u64,
    /// What was said to one citizen alone.
    pub personal: u64,
    /// Keys of citizens.
    pub keys: u64,
}

/// A shorthand for results of this store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in this store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such publication.
    #[error("publication {0} is unknown")]
    Unknown(PublicationId),
    /// The publication's id is taken by one of another identity.
    #[error("publication id {0} is already taken")]
    IdTaken(PublicationId),
    /// More publications in one call than [`PAGE_MAX`].
    #[error("{0} publications in one call are over the limit of {PAGE_MAX}")]
    TooMany(usize),
    /// One of a batch has an identity that was used with other content: nothing was stored.
    #[error("number {index} of the batch has the identity of publication {known}")]
    Clash {
        /// Its place in the batch, from 0.
        index: usize,
        /// The publication that has the identity.
        known: PublicationId,
    },
    /// The storage failed.
    #[error("alerts: {0}")]
    Storage(#[from] Failure),
}

/// Where the store lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; the store is `alerts.db` in it.
    pub dir: PathBuf,
}

/// A publication to be accepted.
#[derive(Clone, Debug)]
pub struct Accepting {
    /// The publication.
    pub publication: Publication,
    /// What makes it the same as another submission; see [`Identity::of`].
    pub identity: Identity,
    /// A digest of what was submitted, to tell a repeat from a clash.
    pub digest: [u8; 32],
    /// The XML as it was received, to be given out again unchanged.
    pub raw: Option<Bytes>,
}

impl Accepting {
    /// The publication as it is right after it was accepted.
    fn stored(&self) -> Stored {
        let publication = Arc::new(self.publication.clone());
        Stored { publication, superseded_by: None, logged: None, raw: self.raw.clone() }
    }
}

/// What the same identity must say again to be the same submission.
pub fn digest(content: &Content) -> [u8; 32] {
    let bytes = serde_json::to_vec(content).expect("the content's types serialise to JSON");
    Sha256::digest(bytes).into()
}

/// What came of accepting.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// It is reserved, and to be logged now.
    New,
    /// The same submission came before. To be logged now if [`Stored::logged`] is none.
    Same(Arc<Stored>),
    /// Another submission has this identity: this is its publication.
    Conflict(PublicationId),
}

/// A publication as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The publication.
    pub publication: Arc<Publication>,
    /// The later publication that replaced or withdrew it.
    pub superseded_by: Option<PublicationId>,
    /// Its position on the log, once it is there.
    pub logged: Option<String>,
    /// The XML as it was received.
    pub raw: Option<Bytes>,
}

/// The store. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum Alerts {
    /// One file of this process.
    Embedded(embedded::Store),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Store),
}

impl Alerts {
    /// Opens the store, and makes it where there is none.
    pub async fn open(settings: &Settings) -> Result<Alerts> {
        Ok(Alerts::Embedded(embedded::Store::open(settings).await?))
    }

    /// Opens the store of a cluster. What a node reserved and did not log within the lease is any
    /// node's to finish.
    pub async fn shared(redis: &Redis, lease: Duration) -> Result<Alerts> {
        Ok(Alerts::Redis(redis::Store::open(redis, lease).await?))
    }

    /// The same store, which from now on keeps what is said to one citizen alone sealed under a
    /// key of theirs; without this it is kept as it is.
    pub fn sealed(self, vault: Vault) -> Alerts {
        match self {
            Alerts::Embedded(store) => Alerts::Embedded(store.sealed(vault)),
            Alerts::Redis(store) => Alerts::Redis(store.sealed(vault)),
        }
    }

    /// Whether nothing is sealed yet, for nodes of a release that reads nothing sealed.
    pub fn is_unsealed(&self) -> bool {
        match self {
            Alerts::Embedded(store) => store.is_unsealed(),
            Alerts::Redis(store) => store.is_unsealed(),
        }
    }

    /// How stored publications go onto the log, in order.
    pub async fn carried(&self, ids: Vec<PublicationId>) -> Result<Vec<Carried>> {
        match self {
            Alerts::Embedded(store) => store.carried(ids).await,
            Alerts::Redis(store) => store.carried(ids).await,
        }
    }

    /// What a sealed publication says; none if its citizen has left, or nobody sealed it.
    pub async fn open_sealed(&self, sealed: Sealed) -> Result<Option<Publication>> {
        match self {
            Alerts::Embedded(store) => store.open_sealed(sealed).await,
            Alerts::Redis(store) => store.open_sealed(sealed).await,
        }
    }

    /// Destroys a citizen's key and removes what was said to them alone. What of it is on the log
    /// cannot be read by anybody from then on.
    pub async fn erase(&self, subject: &SubjectId) -> Result<()> {
        match self {
            Alerts::Embedded(store) => store.erase(subject).await,
            Alerts::Redis(store) => store.erase(subject).await,
        }
    }

    /// Reserves a publication's identity and stores it, durably. Safe to repeat.
    pub async fn accept(&self, accepting: Accepting) -> Result<Accepted> {
        match self.accept_all(vec![accepting]).await {
            Ok(mut accepted) => Ok(accepted.pop().expect("one answer for one publication")),
            Err(Error::Clash { known, .. }) => Ok(Accepted::Conflict(known)),
            Err(other) => Err(other),
        }
    }

    /// As [`Alerts::accept`] for up to [`PAGE_MAX`] publications in one durable commit, answered
    /// in order. Either all are stored, now or earlier, or nothing is: a conflict is an error here.
    pub async fn accept_all(&self, accepting: Vec<Accepting>) -> Result<Vec<Accepted>> {
        match self {
            Alerts::Embedded(store) => store.accept_all(accepting).await,
            Alerts::Redis(store) => store.accept_all(accepting).await,
        }
    }

    /// Remembers that a publication is on the log, and where. The first position stays.
    pub async fn mark_logged(&self, id: PublicationId, position: String) -> Result<()> {
        self.mark_all_logged(vec![(id, position)]).await
    }

    /// Stores a publication again that is on the log and that the storage lost with its last
    /// moments; answers whether it had. Its XML is gone: what is given out is written anew.
    pub async fn restore(&self, publication: &Publication, position: String) -> Result<bool> {
        if self.get(publication.id).await?.is_some() {
            return Ok(false);
        }
        let (identity, digest) = (Identity::of(publication), digest(&publication.content));
        let publication = publication.clone();
        let id = publication.id;
        let lost = Accepting { publication, identity, digest, raw: None };
        self.accept_all(vec![lost]).await?;
        self.mark_logged(id, position).await?;
        Ok(true)
    }

    /// As [`Alerts::mark_logged`] for several in one commit; unknown ones are an error.
    pub async fn mark_all_logged(&self, logged: Vec<(PublicationId, String)>) -> Result<()> {
        match self {
            Alerts::Embedded(store) => store.mark_all_logged(logged).await,
            Alerts::Redis(store) => store.mark_all_logged(logged).await,
        }
    }

    /// What was accepted and is not known to be on the log, oldest first: at start, what a crash
    /// left. At most [`PAGE_MAX`]; ask again after logging those. In a cluster: what no node has
    /// logged within the lease; whoever is told has the lease now.
    pub async fn unlogged(&self) -> Result<Vec<Publication>> {
        match self {
            Alerts::Embedded(store) => store.unlogged().await,
            Alerts::Redis(store) => store.unlogged().await,
        }
    }

    /// A publication by its id.
    pub async fn get(&self, id: PublicationId) -> Result<Option<Arc<Stored>>> {
        match self {
            Alerts::Embedded(store) => store.get(id).await,
            Alerts::Redis(store) => store.get(id).await,
        }
    }

    /// The CAP alert with this sender, identifier and instant: what a CAP reference names.
    pub async fn by_identity(
        &self,
        sender: &str,
        identifier: &str,
        sent: Timestamp,
    ) -> Result<Option<Arc<Stored>>> {
        match self {
            Alerts::Embedded(store) => store.by_identity(sender, identifier, sent).await,
            Alerts::Redis(store) => store.by_identity(sender, identifier, sent).await,
        }
    }

    /// The CAP alerts with this sender and identifier, oldest first; at most [`PAGE_MAX`].
    pub async fn by_identifier(&self, sender: &str, identifier: &str) -> Result<Vec<Arc<Stored>>> {
        match self {
            Alerts::Embedded(store) => store.by_identifier(sender, identifier).await,
            Alerts::Redis(store) => store.by_identifier(sender, identifier).await,
        }
    }

    /// A chain's publications, oldest first; at most [`PAGE_MAX`].
    pub async fn chain(&self, chain: ChainId) -> Result<Vec<Arc<Stored>>> {
        match self {
            Alerts::Embedded(store) => store.chain(chain).await,
            Alerts::Redis(store) => store.chain(chain).await,
        }
    }

    /// Remembers that publications were replaced or withdrawn by another. What was superseded
    /// before stays so by the first; unknown ids are ignored.
    pub async fn supersede(&self, ids: &[PublicationId], by: PublicationId) -> Result<()> {
        match self {
            Alerts::Embedded(store) => store.supersede(ids, by).await,
            Alerts::Redis(store) => store.supersede(ids, by).await,
        }
    }

    /// Area publications that say something now: not expired, not superseded, and no cancels
    /// (which are for those who were warned, and warn nobody). Oldest first, from memory. What
    /// another node changed is in it within a second: whoever must not miss it follows
    /// [`Alerts::watch`] and looks again.
    pub fn live(&self, now: Timestamp) -> Vec<Arc<Publication>> {
        match self {
            Alerts::Embedded(store) => store.live(now),
            Alerts::Redis(store) => store.live(now),
        }
    }

    /// Rises when what is live may have changed.
    pub fn watch(&self) -> watch::Receiver<u64> {
        match self {
            Alerts::Embedded(store) => store.watch(),
            Alerts::Redis(store) => store.watch(),
        }
    }

    /// Area publications of every kind and state, newest first, before the one named.
    pub async fn recent(
        &self,
        before: Option<PublicationId>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        match self {
            Alerts::Embedded(store) => store.recent(before, limit).await,
            Alerts::Redis(store) => store.recent(before, limit).await,
        }
    }

    /// A citizen's own publications, newest first, before the one named.
    pub async fn for_subject(
        &self,
        subject: &SubjectId,
        before: Option<PublicationId>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        match self {
            Alerts::Embedded(store) => store.for_subject(subject, before, limit).await,
            Alerts::Redis(store) => store.for_subject(subject, before, limit).await,
        }
    }

    /// Deletes logged publications that are long over, of citizens at most [`PAGE_MAX`] a call, and
    /// the key of a citizen of whom nothing is left then (on Redis an hour later). Identities are
    /// free again, so keep publications as long as an agency might repeat itself.
    pub async fn forget(&self, over: Over) -> Result<Dropped> {
        match self {
            Alerts::Embedded(store) => store.forget(over).await,
            Alerts::Redis(store) => store.forget(over).await,
        }
    }
}
