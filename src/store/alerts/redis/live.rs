//! What is live, in this node's memory and in step with the others'.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::domain::ids::PublicationId;
use crate::store::Failure;
use crate::store::alerts::live::{LIVE_MAX, Live};
use crate::store::alerts::personal::Body;
use crate::store::alerts::redis::row::Row;
use crate::store::redis::{Keys, Redis};

/// Pause after a look that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// The counter of changes to what is live.
pub fn counter(keys: &Keys) -> String {
    keys.key("live-changes")
}

/// The memory, and the task that keeps it in step.
#[derive(Debug)]
pub struct Shared {
    mirror: Arc<Mirror>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Mirror {
    redis: Redis,
    keys: Keys,
    live: Live,
    /// Held while looking, so that an older look never overwrites a newer one.
    looking: Mutex<()>,
}

impl Shared {
    /// Reads what is live and goes on following it.
    pub async fn start(redis: &Redis, keys: &Keys) -> Result<Self, Failure> {
        let changed = redis.follow(&counter(keys)).await?;
        let mirror = Mirror {
            redis: redis.clone(),
            keys: keys.clone(),
            live: Live::default(),
            looking: Mutex::default(),
        };
        mirror.look().await?;
        let mirror = Arc::new(mirror);
        let task = tokio::spawn(follow(Arc::downgrade(&mirror), changed));
        Ok(Self { mirror, task })
    }

    /// What is in memory.
    pub fn memory(&self) -> &Live {
        &self.mirror.live
    }

    /// Looks now: what was answered before is in memory when it returns.
    pub async fn catch_up(&self) -> Result<(), Failure> {
        self.mirror.look().await
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mirror {
    /// Publications never change, so only those that are not in memory are read.
    async fn look(&self) -> Result<(), Failure> {
        let _turn = self.looking.lock().await;
        let mut range = redis::cmd("ZRANGE");
        range.arg(self.keys.key("live")).arg(0).arg(LIVE_MAX - 1);
        let ids: Vec<String> = self.redis.ask(&range).await?;
        let ids = ids.iter().map(|id| id.parse().map_err(Failure::new));
        let ids: BTreeSet<PublicationId> = ids.collect::<Result<_, _>>()?;
        let mut new = Vec::new();
        for id in self.live.missing(&ids) {
            // Areas alone can be live, and nothing of theirs is sealed.
            let row = Row::read(&self.redis, &self.keys, &super::text(id)).await?;
            if let Some((Body::Open(publication), row)) = row {
                new.push(row.saying(*publication)?);
            }
        }
        self.live.settle(&ids, new);
        Ok(())
    }
}

async fn follow(mirror: Weak<Mirror>, mut changed: watch::Receiver<u64>) {
    while changed.changed().await.is_ok() {
        loop {
            let Some(mirror) = mirror.upgrade() else { return };
            match mirror.look().await {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "what is live is not known anew yet"),
            }
            drop(mirror);
            tokio::time::sleep(PAUSE).await;
        }
    }
}
