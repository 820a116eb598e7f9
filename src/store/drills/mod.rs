//! Drills: the canary devices, which stand for their units in link tests, and what the tests found.

mod embedded;
mod redis;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::domain::ids::{DeviceId, UnitCode};
use crate::store::Failure;
use crate::store::redis::Redis;

/// The most canaries: a few for each unit of a city.
pub const CANARIES_MAX: usize = 500;
/// Link tests that are remembered: a week at one in ten minutes.
pub const HISTORY_MAX: usize = 1_008;

/// A shorthand for results of this store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in this store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There are as many canaries as there may be.
    #[error("there are {CANARIES_MAX} canaries already")]
    TooMany,
    /// The storage failed.
    #[error("drills: {0}")]
    Storage(#[from] Failure),
}

/// Where the store lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; the store is `drills.db` in it.
    pub dir: PathBuf,
}

/// A device that stands for a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The unit.
    pub unit: UnitCode,
    /// The device.
    pub device: DeviceId,
    /// When it was last sent to.
    pub last_sent: Option<Timestamp>,
    /// When it last said that it received a link test.
    pub last_received: Option<Timestamp>,
}

/// What a link test found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkTest {
    /// When it was sent.
    pub at: Timestamp,
    /// To how many canaries.
    pub sent: u64,
    /// How many said that they received it.
    pub received: u64,
    /// Milliseconds until half of them did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms_p50: Option<u64>,
}

/// The store. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum Drills {
    /// One file of this process.
    Embedded(embedded::Store),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Store),
}

impl Drills {
    /// Opens the store, and makes it where there is none.
    pub async fn open(settings: &Settings) -> Result<Drills> {
        Ok(Drills::Embedded(embedded::Store::open(settings).await?))
    }

    /// The store of a cluster.
    pub async fn shared(redis: &Redis) -> Result<Drills> {
        Ok(Drills::Redis(redis::Store::open(redis).await?))
    }

    /// Adds a canary, or replaces what is known of it.
    pub async fn put(&self, canary: Canary) -> Result<()> {
        match self {
            Drills::Embedded(store) => store.put(canary).await,
            Drills::Redis(store) => store.put(canary).await,
        }
    }

    /// Takes a canary away; whether there was one.
    pub async fn remove(&self, device: DeviceId) -> Result<bool> {
        match self {
            Drills::Embedded(store) => store.remove(device).await,
            Drills::Redis(store) => store.remove(device).await,
        }
    }

    /// Every canary, by unit.
    pub async fn canaries(&self) -> Result<Vec<Canary>> {
        match self {
            Drills::Embedded(store) => store.canaries().await,
            Drills::Redis(store) => store.canaries().await,
        }
    }

    /// Remembers a link test; the oldest makes room.
    pub async fn add(&self, test: LinkTest) -> Result<()> {
        match self {
            Drills::Embedded(store) => store.add(test).await,
            Drills::Redis(store) => store.add(test).await,
        }
    }

    /// The newest link tests, the newest first.
    pub async fn history(&self, limit: usize) -> Result<Vec<LinkTest>> {
        match self {
            Drills::Embedded(store) => store.history(limit).await,
            Drills::Redis(store) => store.history(limit).await,
        }
    }

    /// A number that rises with every link test that was remembered.
    pub fn watch(&self) -> watch::Receiver<u64> {
        match self {
            Drills::Embedded(store) => store.watch(),
            Drills::Redis(store) => store.watch(),
        }
    }
}
