//! The rates of all nodes, in Redis. Its clock is the one that counts, so that nodes need not
//! agree on theirs.

use std::sync::Arc;

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
    allow: Script,
}

impl Shared {
    /// On a node's connections.
    pub fn new(redis: Redis) -> Self {
        let portion = Script::new(include_str!("portion.lua"));
        let allow = Script::new(include_str!("allow.lua"));
        Self { redis, scripts: Arc::new(Scripts { portion, allow }) }
    }

    pub async fn portion(&self, quota: &str, ask: Ask) -> Result<u32, Failure> {
        let Ask { most, a_second, wanted } = ask;
        let key = self.redis.keys("rates").pair("q", quota);
        let call = self.scripts.portion.call().key(key).arg(most).arg(a_second).arg(wanted);
        self.redis.run(&call.arg(WINDOW_SECONDS)).await
    }

    pub async fn allow(&self, name: &str, a_second: u32, burst: u32) -> Result<bool, Failure> {
        // Names are spread over a cluster, each for itself.
        let key = self.redis.keys(&format!("rate-{name}")).key("b");
        let (each, room) = cost(a_second, burst);
        self.redis.run(&self.scripts.allow.call().key(key).arg(each).arg(room)).await
    }
}
