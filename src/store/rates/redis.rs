//! The rates of all nodes, in Redis. Its clock is the one that counts, so that nodes need not
//! agree on theirs.

use std::sync::Arc;
use std::time::Duration;

use crate::store::Failure;
use crate::store::rates::embedded::cost;
use crate::store::rates::{Ask, WINDOW_SECONDS};
use crate::store::redis::{Redis, Script};

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub struct Shared {
    redis: Redis,
    scripts: Arc<Scripts>,
}

#[derive(Debug)]
struct Scripts {
    portion: Script,
    take: Script,
}

impl Shared {
    /// On a node's connections.
    pub fn new(redis: Redis) -> Self {
        let portion = Script::new(include_str!("portion.lua"));
        let take = Script::new(include_str!("take.lua"));
        Self { redis, scripts: Arc::new(Scripts { portion, take }) }
    }

    pub async fn portion(&self, quota: &str, ask: Ask) -> Result<u32, Failure> {
        let Ask { most, a_second, wanted } = ask;
        let key = self.redis.keys("rates").pair("q", quota);
        let call = self.scripts.portion.call().key(key).arg(most).arg(a_second).arg(wanted);
        self.redis.run(&call.arg(WINDOW_SECONDS)).await
    }

    pub async fn take(
        &self,
        name: &str,
        a_second: u32,
        burst: u32,
    ) -> Result<Option<Duration>, Failure> {
        // Names are spread over a cluster, each for itself.
        let key = self.redis.keys(&format!("rate-{name}")).key("b");
        let (each, room) = cost(a_second, burst);
        let call = self.scripts.take.call().key(key).arg(each).arg(room);
        let wait: u64 = self.redis.run(&call).await?;
        Ok(Some(wait).filter(|wait| *wait > 0).map(Duration::from_micros))
    }
}
