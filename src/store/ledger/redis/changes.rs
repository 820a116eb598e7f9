//! Changes, told between nodes. Saves are many: whatever a node changes within [`GATHER`] is told
//! once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::store::Failure;
use crate::store::redis::{Redis, Script};

/// How long changes gather before the other nodes are told. Whoever waits for a change has a
/// second's patience and more.
const GATHER: Duration = Duration::from_millis(20);

/// Tells of this node's changes, and hears of all.
#[derive(Debug)]
pub struct Changes {
    changed: Arc<Notify>,
    heard: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Changes {
    /// Follows the counter under a key.
    pub async fn start(redis: &Redis, key: String) -> Result<Self, Failure> {
        let heard = redis.follow(&key).await?;
        let changed = Arc::new(Notify::new());
        let task = tokio::spawn(pass_on(redis.clone(), key, Arc::clone(&changed)));
        Ok(Self { changed, heard, task })
    }

    /// Something changed.
    pub fn tell(&self) {
        self.changed.notify_one();
    }

    /// A number that rises with every change, of whichever node.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.heard.clone()
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(redis: Redis, key: String, changed: Arc<Notify>) {
    let tick = Script::new(include_str!("tick.lua"));
    loop {
        changed.notified().await;
        match redis.run::<u64>(&tick.call().key(&key)).await {
            Ok(value) => redis.note(&key, value),
            Err(error) => tracing::debug!(%error, "a change of the ledger could not be told"),
        }
        tokio::time::sleep(GATHER).await;
    }
}
