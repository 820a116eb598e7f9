//! Where the ring of keys is kept: `signing.keys` in the data directory, for its owner
//! only, or in the cluster's Redis, where the first node to start puts its own. Nodes look every
//! few seconds whether it changed; `loa keys` changes it, also while they run.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};

use crate::auth::ring::{Error, Keyring, Purpose, Ring, SEED_BYTES};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::node::{key, stores};
use crate::store;
use crate::store::redis::{Redis, Script};

/// The ring's file, and its name in Redis.
const NAME: &str = "signing.keys";
/// How often a node looks whether the ring changed: several times before a new key signs.
const LOOK: Duration = Duration::from_secs(5);

/// Writes the new ring only over the one it was made from.
const SWAP: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
                    redis.call('SET', KEYS[1], ARGV[2]) return 1";

/// Where a ring is kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// In this data directory.
    Dir(PathBuf),
    /// In Redis; the data directory may hold the ring of a time when the node served alone.
    Redis(Redis, PathBuf),
}

impl Place {
    /// Where the settings say.
    pub fn of(config: &Config, redis: Option<&Redis>) -> Self {
        let dir = config.node.data_dir.clone();
        match redis {
            Some(redis) => Place::Redis(redis.clone(), dir),
            None => Place::Dir(dir),
        }
    }

    /// The same, for the command line.
    pub async fn open(config: &Config) -> Result<Self> {
        Ok(match &config.store {
            store::Settings::Embedded => {
                std::fs::create_dir_all(&config.node.data_dir)?;
                Self::of(config, None)
            }
            store::Settings::Redis(settings) => {
                Self::of(config, Some(&stores::connect(settings).await?))
            }
        })
    }

    /// The ring; made when there is none.
    pub async fn load(&self) -> Result<Ring> {
        Ring::parse(&self.read().await?).context(NAME)
    }

    /// What citizens' pseudonyms follow from before a first rotation.
    pub async fn first_pseudonyms(&self) -> Result<[u8; SEED_BYTES]> {
        let node = match self {
            Place::Dir(dir) => key::node(dir, None).await?,
            Place::Redis(redis, dir) => key::node(dir, Some(redis)).await?,
        };
        Ok(key::derived(&node, "subject"))
    }

    /// Puts a new key of a purpose into the ring; those before are good for `kept` more.
    pub async fn rotate(
        &self,
        purpose: Purpose,
        now: Timestamp,
        kept: SignedDuration,
    ) -> Result<Ring> {
        let first = self.first_pseudonyms().await?;
        let rotated = |ring: Ring| match purpose {
            Purpose::Pseudonyms => ring.with_pseudonyms(&first).rotated(purpose, now, kept),
            Purpose::Alerts | Purpose::Records => ring.rotated(purpose, now, kept),
        };
        self.change(rotated).await
    }

    /// Changes the ring.
    pub async fn change(&self, how: impl FnOnce(Ring) -> Result<Ring, Error>) -> Result<Ring> {
        let before = self.read().await?;
        let after = how(Ring::parse(&before).context(NAME)?)?;
        match self {
            Place::Dir(dir) => key::write(dir, NAME, &after.write())?,
            Place::Redis(redis, _) => {
                let script = Script::new(SWAP);
                let name = redis.keys("node").key(NAME);
                let call = script.call().key(name).arg(&before[..]).arg(after.write());
                let swapped: u8 = redis.run(&call).await?;
                if swapped == 0 {
                    bail!("somebody else changed the signing keys meanwhile; try again");
                }
            }
        }
        Ok(after)
    }

    async fn read(&self) -> Result<Vec<u8>> {
        let make = || Ok(Ring::fresh().write());
        match self {
            Place::Dir(dir) => key::kept(dir, NAME, make).context(NAME),
            Place::Redis(redis, dir) => key::agreed(redis, dir, NAME, make).await,
        }
    }
}

/// Looks at the ring for as long as the node runs.
pub fn follow(place: Place, keys: Keyring, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("signing keys", async move {
        let mut last = Vec::new();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
            let read = tokio::select! {
                read = place.read() => read,
                () = stop.cancelled() => return Ok(()),
            };
            let parsed = read.and_then(|bytes| match bytes == last {
                true => Ok(None),
                false => Ok(Some((Ring::parse(&bytes).context(NAME)?, bytes))),
            });
            match parsed {
                Ok(None) => {}
                Ok(Some((ring, bytes))) => {
                    if !last.is_empty() {
                        tracing::info!(keys = ring.keys().len(), "the signing keys changed");
                    }
                    keys.replace(ring);
                    last = bytes;
                }
                // What is known goes on.
                Err(error) => tracing::error!(error = %format!("{error:#}"), "the signing keys"),
            }
        }
    });
}
