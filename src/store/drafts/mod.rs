//! Drafts: what people edit and decide on, and what waits for a second person.
//!
//! A change names the version it is made from and is refused if the draft has moved on: of two who
//! decide at once one is told. What [`Drafts::change`] answered is durable. Every change raises one
//! number for the whole store, which readers follow ([`Drafts::watch`], [`Drafts::changed`]).

mod embedded;
mod redis;

use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::draft::{Draft, State};
use crate::domain::ids::{AgencyId, DraftId, PublicationId};
use crate::store::Failure;
use crate::store::redis::Redis;

/// The most drafts of one agency that are not decided.
pub const OPEN_MAX: usize = 1_000;
/// The most drafts a listing answers.
pub const PAGE_MAX: usize = 500;

/// A shorthand for results of this store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in this store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such draft.
    #[error("draft {0} is unknown")]
    Unknown(DraftId),
    /// It changed since.
    #[error("draft {id} is at version {now}, not {given}")]
    Stale {
        /// Which.
        id: DraftId,
        /// The version that was named.
        given: u64,
        /// The version it has.
        now: u64,
    },
    /// The agency has as many open drafts as it may.
    #[error("agency {0} has {OPEN_MAX} open drafts")]
    TooMany(AgencyId),
    /// The storage failed.
    #[error("drafts: {0}")]
    Storage(#[from] Failure),
}

/// Where the store lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; the store is `drafts.db` in it.
    pub dir: PathBuf,
}

/// Which drafts to list; the newest change first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one agency; absent means all.
    pub agency: Option<AgencyId>,
    /// In one state; absent means all.
    pub state: Option<State>,
    /// At most so many, itself at most [`PAGE_MAX`].
    pub limit: usize,
}

/// Whether a draft in this state waits for its writers or a second person.
fn is_open(state: State) -> bool {
    matches!(state, State::Editing | State::Submitted | State::Returned)
}

/// The store. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum Drafts {
    /// One file of this process.
    Embedded(embedded::Store),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Store),
}

impl Drafts {
    /// Opens the store, and makes it where there is none.
    pub async fn open(settings: &Settings) -> Result<Drafts> {
        Ok(Drafts::Embedded(embedded::Store::open(settings).await?))
    }

    /// The store of a cluster.
    pub async fn shared(redis: &Redis) -> Result<Drafts> {
        Ok(Drafts::Redis(redis::Store::open(redis).await?))
    }

    /// Stores a new draft, with the XML it came as.
    pub async fn create(&self, draft: Draft, raw: Option<Bytes>) -> Result<()> {
        match self {
            Drafts::Embedded(store) => store.create(draft, raw).await,
            Drafts::Redis(store) => store.create(draft, raw).await,
        }
    }

    /// One draft.
    pub async fn get(&self, id: DraftId) -> Result<Option<Draft>> {
        match self {
            Drafts::Embedded(store) => store.get(id).await,
            Drafts::Redis(store) => store.get(id).await,
        }
    }

    /// The XML a draft came as.
    pub async fn raw(&self, id: DraftId) -> Result<Option<Bytes>> {
        match self {
            Drafts::Embedded(store) => store.raw(id).await,
            Drafts::Redis(store) => store.raw(id).await,
        }
    }

    /// The draft that became a publication.
    pub async fn of_publication(&self, id: PublicationId) -> Result<Option<Draft>> {
        match self {
            Drafts::Embedded(store) => store.of_publication(id).await,
            Drafts::Redis(store) => store.of_publication(id).await,
        }
    }

    /// Drafts, the newest change first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Draft>> {
        match self {
            Drafts::Embedded(store) => store.list(filter).await,
            Drafts::Redis(store) => store.list(filter).await,
        }
    }

    /// Replaces a draft that is still at the version `from`.
    pub async fn change(&self, from: u64, next: Draft) -> Result<()> {
        match self {
            Drafts::Embedded(store) => store.change(from, next).await,
            Drafts::Redis(store) => store.change(from, next).await,
        }
    }

    /// Throws away a draft that is still at the version `from`.
    pub async fn remove(&self, id: DraftId, from: u64) -> Result<()> {
        match self {
            Drafts::Embedded(store) => store.remove(id, from).await,
            Drafts::Redis(store) => store.remove(id, from).await,
        }
    }

    /// What was decided and not published: at start, what a crash left.
    pub async fn due(&self) -> Result<Vec<Draft>> {
        match self {
            Drafts::Embedded(store) => store.due().await,
            Drafts::Redis(store) => store.due().await,
        }
    }

    /// Drafts changed after a number, in the order of their changes, each with its number; at most
    /// [`PAGE_MAX`]. A removed draft is not among them.
    pub async fn changed(&self, after: u64) -> Result<Vec<(u64, Draft)>> {
        match self {
            Drafts::Embedded(store) => store.changed(after).await,
            Drafts::Redis(store) => store.changed(after).await,
        }
    }

    /// A number that rises with every durable change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        match self {
            Drafts::Embedded(store) => store.watch(),
            Drafts::Redis(store) => store.watch(),
        }
    }

    /// Deletes drafts that are closed and were not changed since an instant; answers how many.
    pub async fn forget(&self, changed_before: Timestamp) -> Result<u64> {
        match self {
            Drafts::Embedded(store) => store.forget(changed_before).await,
            Drafts::Redis(store) => store.forget(changed_before).await,
        }
    }
}
