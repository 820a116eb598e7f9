//! Where the contract's registries are.

use jiff::{SignedDuration, Timestamp};
use loa::clock::Clock;
use loa::store::redis::Redis;
use loa::store::registry::{Error, Registry, Settings};

use crate::support;
use crate::support::vault;

/// Where a registry under test lives; opened again, it is the same registry.
pub struct Home {
    store: Store,
    pub clock: Clock,
}

enum Store {
    Embedded(tempfile::TempDir),
    Redis(Box<loa::store::redis::Settings>),
}

impl Home {
    pub fn embedded() -> Self {
        Self::of(Store::Embedded(tempfile::tempdir().expect("a directory")))
    }

    /// On the shared server, under a prefix of its own.
    pub fn redis() -> Self {
        Self::of(Store::Redis(Box::new(support::redis::fresh())))
    }

    fn of(store: Store) -> Self {
        let clock = Clock::manual("2026-08-01T00:00:00Z".parse().expect("an instant"));
        Self { store, clock }
    }

    pub async fn open(&self) -> Registry {
        self.open_with(4).await.expect("it opens")
    }

    pub async fn open_with(&self, shards: u16) -> Result<Registry, Error> {
        Ok(self.open_plain(shards).await?.sealed(vault(&[1])))
    }

    /// As releases before the vault opened it.
    pub async fn open_plain(&self, shards: u16) -> Result<Registry, Error> {
        match &self.store {
            Store::Embedded(dir) => {
                let settings = Settings { shards, ..Settings::at(dir.path()) };
                Registry::open(&settings, self.clock.clone()).await
            }
            Store::Redis(settings) => {
                let redis = Redis::open(settings).await?;
                Registry::shared(redis, shards, self.clock.clone()).await
            }
        }
    }

    pub fn tick(&self) -> Timestamp {
        self.clock.set(self.clock.now() + SignedDuration::from_secs(1));
        self.clock.now()
    }
}
