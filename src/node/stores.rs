//! The stores of a node: files in its data directory, or Redis for all nodes of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Clock;
use crate::config::Config;
use crate::node::key;
use crate::store;
use crate::store::agencies::{self, Agencies};
use crate::store::alerts::{self, Alerts};
use crate::store::answers::{self, Answers};
use crate::store::audit::{self, Audit};
use crate::store::drafts::{self, Drafts};
use crate::store::drills::{self, Drills};
use crate::store::ledger::{self, Ledger};
use crate::store::people::{self, People};
use crate::store::redis::{Redis, Settings};
use crate::store::registry::{self, Registry};
use crate::store::replies::{self, Replies, Times};
use crate::store::vault::Vault;

/// How long a node of a cluster has to append what it reserved, before another one does: longer
/// than a request may take.
pub const RESERVED: Duration = Duration::from_secs(60);

/// Every store.
pub struct Stores {
    /// Publications.
    pub alerts: Alerts,
    /// Who may publish.
    pub agencies: Agencies,
    /// Devices.
    pub registry: Registry,
    /// Cursors and counts.
    pub ledger: Ledger,
    /// Answers to repeated requests.
    pub replies: Replies,
    /// Persons of agencies and their sessions.
    pub people: People,
    /// Drafts and what was decided of them.
    pub drafts: Drafts,
    /// Canary devices and their link tests.
    pub drills: Drills,
    /// What citizens answered.
    pub answers: Answers,
    /// Who did what.
    pub audit: Audit,
    /// What the others stand on, in a cluster.
    pub redis: Option<Redis>,
    /// What is kept of people is sealed with.
    pub vault: Vault,
}

/// Opens every store.
pub async fn open(config: &Config, clock: &Clock) -> Result<Stores> {
    let shards = config.registry.shards;
    let dir = config.node.data_dir.clone();
    let settings = match &config.store {
        store::Settings::Redis(settings) => settings,
        store::Settings::Embedded => {
            let vault = key::vault(config, None, clock).await?;
            let registry = registry::Settings { dir: dir.clone(), shards };
            let registry = Registry::open(&registry, clock.clone()).await?.sealed(vault.clone());
            let alerts = Alerts::open(&alerts::Settings { dir: dir.clone() }).await?;
            let ledger = ledger::Settings { dir: dir.clone() };
            return Ok(Stores {
                alerts: alerts.sealed(vault.clone()),
                agencies: Agencies::open(&agencies::Settings { dir: dir.clone() }).await?,
                registry,
                ledger: Ledger::start(&ledger, clock.clone()).await?,
                people: People::open(&people::Settings { dir: dir.clone() }).await?,
                drafts: Drafts::open(&drafts::Settings { dir: dir.clone() }).await?,
                drills: Drills::open(&drills::Settings { dir: dir.clone() }).await?,
                answers: Answers::open(&answers::Settings { dir: dir.clone() }).await?,
                audit: Audit::open(&audit::Settings { dir: dir.clone() }).await?,
                replies: Replies::open(&replies::Settings::new(dir), clock.clone()).await?,
                redis: None,
                vault,
            });
        }
    };
    let redis = connect(settings).await?;
    let vault = key::vault(config, Some(&redis), clock).await?;
    let registry = Registry::shared(redis.clone(), shards, clock.clone()).await?;
    Ok(Stores {
        alerts: Alerts::shared(&redis, RESERVED).await?.sealed(vault.clone()),
        agencies: Agencies::shared(&redis),
        ledger: Ledger::shared(&redis, clock.clone()).await?,
        replies: Replies::shared(&redis, Times::default(), clock.clone()),
        registry: registry.sealed(vault.clone()),
        people: People::shared(&redis),
        drafts: Drafts::shared(&redis).await?,
        drills: Drills::shared(&redis).await?,
        answers: Answers::shared(&redis),
        audit: Audit::shared(&redis),
        redis: Some(redis),
        vault,
    })
}

/// Opens the store of agencies alone, for the command line.
pub async fn agencies(config: &Config) -> Result<Agencies> {
    match &config.store {
        store::Settings::Embedded => {
            Ok(Agencies::open(&agencies::Settings { dir: made(config)? }).await?)
        }
        store::Settings::Redis(settings) => Ok(Agencies::shared(&connect(settings).await?)),
    }
}

/// Opens the store of people alone, for the command line.
pub async fn people(config: &Config) -> Result<People> {
    match &config.store {
        store::Settings::Embedded => {
            Ok(People::open(&people::Settings { dir: made(config)? }).await?)
        }
        store::Settings::Redis(settings) => Ok(People::shared(&connect(settings).await?)),
    }
}

/// Opens the audit alone, for the command line.
pub async fn audit(config: &Config) -> Result<Audit> {
    match &config.store {
        store::Settings::Embedded => {
            Ok(Audit::open(&audit::Settings { dir: made(config)? }).await?)
        }
        store::Settings::Redis(settings) => Ok(Audit::shared(&connect(settings).await?)),
    }
}

fn made(config: &Config) -> Result<PathBuf> {
    let dir = config.node.data_dir.clone();
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("node.data_dir: cannot make {}", dir.display()))?;
    Ok(dir)
}

/// Opens the registry alone, for the command line.
pub async fn registry(config: &Config, clock: &Clock) -> Result<Registry> {
    let shards = config.registry.shards;
    match &config.store {
        store::Settings::Embedded => {
            let settings = registry::Settings { dir: config.node.data_dir.clone(), shards };
            let vault = key::vault(config, None, clock).await?;
            Ok(Registry::open(&settings, clock.clone()).await?.sealed(vault))
        }
        store::Settings::Redis(settings) => {
            let redis = connect(settings).await?;
            let vault = key::vault(config, Some(&redis), clock).await?;
            Ok(Registry::shared(redis, shards, clock.clone()).await?.sealed(vault))
        }
    }
}

/// Connects to the cluster's Redis.
pub async fn connect(settings: &Settings) -> Result<Redis> {
    Redis::open(settings).await.context("store.redis")
}
