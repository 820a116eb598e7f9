//! Confirmation by replicas. One round of WAIT serves everybody whose write was answered before it
//! began: the round makes a write of its own first, and replicas confirm in order.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Plain, PoisonError};

use redis::{RedisError, RedisResult};
use tokio::sync::Mutex;

use crate::store::redis::keys::Keys;
use crate::store::redis::link::Group;
use crate::store::redis::settings::Settings;

/// The rounds of a group of connections, by tag: another tag may lie on another primary.
#[derive(Debug, Default)]
pub struct Rounds(Plain<HashMap<String, Arc<Round>>>);

#[derive(Debug, Default)]
struct Round {
    /// Numbers those who wait.
    asked: AtomicU64,
    /// The last who was served, and by how many replicas.
    served: Mutex<(u64, usize)>,
}

impl Rounds {
    fn of(&self, keys: &Keys) -> Arc<Round> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(keys.stem().to_owned()).or_default())
    }
}

/// How many replicas have what was answered under a tag before.
pub async fn round(group: &Group, keys: &Keys, settings: &Settings) -> RedisResult<usize> {
    let round = group.rounds.of(keys);
    let mine = round.asked.fetch_add(1, Ordering::SeqCst) + 1;
    let mut served = round.served.lock().await;
    let (upto, confirmed) = *served;
    if upto >= mine {
        return Ok(confirmed);
    }
    let upto = round.asked.load(Ordering::SeqCst);
    let mut tick = redis::cmd("SET");
    tick.arg(keys.key("tick")).arg(upto);
    let mut confirm = redis::cmd("WAIT");
    confirm.arg(settings.wait_replicas).arg(settings.wait.as_millis() as u64);
    let mut to = group.waiting.clone();
    let work = async {
        tick.query_async::<()>(&mut to).await?;
        // A cluster's primaries are all asked, and the least of their answers counts.
        confirm.query_async(&mut to).await
    };
    let limit = settings.wait + settings.command_timeout;
    let late = || RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
    let confirmed = tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(late()))?;
    *served = (upto, confirmed);
    Ok(confirmed)
}
