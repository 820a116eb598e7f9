//! The drills store on Redis, shared by all nodes: a few hundred rows under one tag.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{CANARIES_MAX, Canary, Error, HISTORY_MAX, LinkTest, Result};
use crate::domain::ids::{DeviceId, UnitCode};
use crate::store::Failure;
use crate::store::redis::{Keys, MARK_MS, Redis, Script};

/// The store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    keys: Keys,
    put: Script,
    remove: Script,
    add: Script,
    tests: watch::Receiver<u64>,
}

/// A canary as it is stored: unit, last sent, last received.
type Row = (UnitCode, Option<Timestamp>, Option<Timestamp>);
/// A link test as it is stored; the last number keeps two of one moment apart.
type TestRow = (Timestamp, u64, u64, Option<u64>, u64);

impl Store {
    /// Opens the store.
    pub async fn open(redis: &Redis) -> Result<Store> {
        let keys = redis.keys("drills");
        let tests = redis.follow(&keys.key("number")).await?;
        Ok(Store(Arc::new(Inner {
            redis: redis.clone(),
            keys,
            put: Script::new(include_str!("redis/put.lua")),
            remove: Script::new(include_str!("redis/remove.lua")),
            add: Script::new(include_str!("redis/add.lua")),
            tests,
        })))
    }

    /// Adds or replaces a canary.
    pub async fn put(&self, canary: Canary) -> Result<()> {
        let row: Row = (canary.unit, canary.last_sent, canary.last_received);
        let row = serde_json::to_string(&row).map_err(Failure::new)?;
        let call = self.0.put.call().key(self.canaries_key()).arg(canary.device.to_string());
        let call = call.arg(row).arg(CANARIES_MAX);
        match self.0.redis.run_lasting::<u8>(&self.0.keys, &call).await? {
            0 => Err(Error::TooMany),
            _ => Ok(()),
        }
    }

    /// Takes a canary away.
    pub async fn remove(&self, device: DeviceId) -> Result<bool> {
        let mark = self.0.keys.mark();
        let call = self.0.remove.call().key(self.canaries_key()).key(mark);
        let call = call.arg(device.to_string()).arg(MARK_MS);
        Ok(self.0.redis.run_lasting(&self.0.keys, &call).await?)
    }

    /// Every canary.
    pub async fn canaries(&self) -> Result<Vec<Canary>> {
        let mut all = redis::cmd("HGETALL");
        all.arg(self.canaries_key());
        let rows: Vec<(String, String)> = self.0.redis.ask(&all).await?;
        let mut canaries = Vec::with_capacity(rows.len());
        for (device, row) in rows {
            let (unit, last_sent, last_received): Row =
                serde_json::from_str(&row).map_err(Failure::new)?;
            let device = device.parse().map_err(Failure::new)?;
            canaries.push(Canary { unit, device, last_sent, last_received });
        }
        canaries.sort_by(|one, other| {
            (one.unit.as_str(), one.device.0).cmp(&(other.unit.as_str(), other.device.0))
        });
        Ok(canaries)
    }

    /// Remembers a link test.
    pub async fn add(&self, test: LinkTest) -> Result<()> {
        let row: TestRow = (test.at, test.sent, test.received, test.ms_p50, rand::random());
        let row = serde_json::to_string(&row).map_err(Failure::new)?;
        let call = self.0.add.call().key(self.0.keys.key("tests")).key(self.0.keys.key("number"));
        let call = call.arg(row).arg(HISTORY_MAX);
        Ok(self.0.redis.run_lasting(&self.0.keys, &call).await?)
    }

    /// The newest link tests.
    pub async fn history(&self, limit: usize) -> Result<Vec<LinkTest>> {
        let Some(last) = limit.min(HISTORY_MAX).checked_sub(1) else { return Ok(Vec::new()) };
        let mut range = redis::cmd("ZREVRANGE");
        range.arg(self.0.keys.key("tests")).arg(0).arg(last);
        let rows: Vec<String> = self.0.redis.ask(&range).await?;
        let tests = rows.iter().map(|row| {
            let (at, sent, received, ms_p50, _): TestRow =
                serde_json::from_str(row).map_err(Failure::new)?;
            Ok::<_, Failure>(LinkTest { at, sent, received, ms_p50 })
        });
        Ok(tests.collect::<Result<_, _>>()?)
    }

    /// A number that rises with every link test.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.tests.clone()
    }

    fn canaries_key(&self) -> String {
        self.0.keys.key("canaries")
    }
}
