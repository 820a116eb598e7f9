//! Replies to requests with an `Idempotency-Key`, so that a repeated request is answered like the
//! first and done once.
//!
//! A request begins with a lease. Until the lease ends, repeats are told that it is in progress;
//! when its handler finishes, repeats get its reply; if the process dies, the lease runs out and
//! the next repeat is done. What a handler does must bear that rare second time.
//!
//! Promises: survives kill -9. After a power cut the replies of the last moments may be missing
//! (this file alone is not synchronised at each commit, as it would cost every POST two
//! synchronisations more): then a repeat meets the identity that the alerts store keeps durably.

mod embedded;
mod redis;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::store::Failure;
use crate::store::redis::Redis;

/// The most bytes of a reply's body that is kept; every answer of ours is far below.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// The most headers of a reply that are kept.
pub const HEADERS_MAX: usize = 32;
/// The most bytes of an idempotency key.
pub const KEY_BYTES_MAX: usize = 255;

/// A shorthand for results of this store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in this store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The key is empty or too long.
    #[error("an idempotency key has 1 to {KEY_BYTES_MAX} bytes")]
    BadKey,
    /// The reply is over [`BODY_BYTES_MAX`] or [`HEADERS_MAX`]; it is not kept.
    #[error("a reply of {bytes} bytes and {headers} headers is too large to be kept")]
    ReplyTooLarge {
        /// Its body.
        bytes: usize,
        /// Its headers.
        headers: usize,
    },
    /// The storage failed.
    #[error("replies: {0}")]
    Storage(#[from] Failure),
}

/// Where the store lives, and how long it remembers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; the store is `replies.db` in it.
    pub dir: PathBuf,
    /// How long what holds.
    pub times: Times,
}

/// How long what holds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long a request may take before a repeat may be done in its place.
    pub lease: Duration,
    /// How long a reply is kept.
    pub retention: Duration,
}

impl Default for Times {
    /// A lease of a minute (longer than any request may take) and a day's retention.
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), retention: Duration::from_secs(24 * 3600) }
    }
}

impl Settings {
    /// The default times in a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), times: Times::default() }
    }
}

/// A reply as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers worth repeating.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// The right to do a request, from [`Replies::begin`] to [`Replies::finish`].
#[derive(Debug)]
#[must_use = "finish or abandon it, or repeats wait until it runs out"]
pub struct Lease {
    scope: String,
    key: String,
    token: i64,
}

/// What a request with an idempotency key is.
#[derive(Debug)]
pub enum Begun {
    /// New: do it, then [`Replies::finish`] it.
    New(Lease),
    /// A repeat: send this.
    Replay(Reply),
    /// A repeat of one that is still being done: answer 409 and let them come again.
    InProgress,
    /// Another request has used the key: answer 422.
    Mismatch,
}

/// The store. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum Replies {
    /// One file of this process.
    Embedded(embedded::Store),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Store),
}

impl Replies {
    /// Opens the store, and makes it where there is none.
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Replies> {
        Ok(Replies::Embedded(embedded::Store::open(settings, clock).await?))
    }

    /// The store of a cluster.
    pub fn shared(redis: &Redis, times: Times, clock: Clock) -> Replies {
        Replies::Redis(redis::Store::open(redis, times, clock))
    }

    /// Begins a request. `scope` is who asks (and keeps one agency's keys apart from another's);
    /// `digest` covers method, path and body.
    pub async fn begin(&self, scope: &str, key: &str, digest: [u8; 32]) -> Result<Begun> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Error::BadKey);
        }
        let token = rand::random();
        let lease = Lease { scope: scope.to_owned(), key: key.to_owned(), token };
        match self {
            Replies::Embedded(store) => store.begin(lease, digest).await,
            Replies::Redis(store) => store.begin(lease, digest).await,
        }
    }

    /// Keeps the reply for repeats. Does nothing if the lease had run out and another request took
    /// its place.
    pub async fn finish(&self, lease: Lease, reply: Reply) -> Result<()> {
        let (bytes, headers) = (reply.body.len(), reply.headers.len());
        if bytes > BODY_BYTES_MAX || headers > HEADERS_MAX {
            return Err(Error::ReplyTooLarge { bytes, headers });
        }
        match self {
            Replies::Embedded(store) => store.finish(lease, reply).await,
            Replies::Redis(store) => store.finish(lease, reply).await,
        }
    }

    /// Frees the key, since the request was not done (it failed in a way worth repeating).
    pub async fn abandon(&self, lease: Lease) -> Result<()> {
        match self {
            Replies::Embedded(store) => store.abandon(lease).await,
            Replies::Redis(store) => store.abandon(lease).await,
        }
    }

    /// Deletes what is older than the retention at an instant, and answers how many (of none, where
    /// the server does so by itself). Such replies are never given, whether deleted or not.
    pub async fn forget(&self, now: Timestamp) -> Result<u64> {
        match self {
            Replies::Embedded(store) => store.forget(now).await,
            // The server drops them by itself.
            Replies::Redis(_) => Ok(0),
        }
    }
}
