//! Feeds: how a node learns that another one changed something. A store keeps a counter under a
//! key and raises it in the script that makes the change; the same script publishes the new value
//! on the channel of the key's name. Every node hears it, and asks for the counter besides, so
//! that a lost message costs at most [`POLL`], and while nothing can be heard, [`POLL_DEAF`].
//!
//! A counter never goes back for a node that knew it: one that a restart or a failover of Redis
//! has put back is raised again by the first node that notices, so that no value comes twice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use redis::RedisResult;
use redis::aio::PubSub;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::store::redis::Inner;
use crate::store::redis::link::Group;

/// Between two looks at the counters.
const POLL: Duration = Duration::from_secs(1);
/// The same while no channel is heard.
const POLL_DEAF: Duration = Duration::from_millis(100);
/// Values in a row that had to be asked for, after which the channel is thought dead.
const MISSED_MAX: u32 = 3;

/// Answers a counter, and raises one that was put back.
pub(super) const LIFT: &str = "local there = tonumber(redis.call('GET', KEYS[1]) or '0')
if there < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1] end
return there";

/// The counters a node follows, by key.
#[derive(Debug, Default)]
pub struct Feeds {
    followed: Mutex<HashMap<String, watch::Sender<u64>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Feeds {
    /// Follows a counter from a value on.
    pub fn follow(&self, key: &str, known: u64) -> watch::Receiver<u64> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let feed = followed.entry(key.to_owned()).or_insert_with(|| watch::Sender::new(known));
        raise(feed, known);
        feed.subscribe()
    }

    /// Takes note of a value that this node has seen, without waiting to hear of it.
    pub fn note(&self, key: &str, value: u64) -> bool {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.get(key).is_some_and(|feed| raise(feed, value))
    }

    fn known(&self, key: &str) -> u64 {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.get(key).map_or(0, |feed| *feed.borrow())
    }

    fn keys(&self) -> Vec<String> {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.keys().cloned().collect()
    }

    /// Keeps the task that listens; it ends with the last handle.
    pub fn keep(&self, task: JoinHandle<()>) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

fn raise(feed: &watch::Sender<u64>, value: u64) -> bool {
    feed.send_if_modified(|known| {
        let newer = value > *known;
        *known = value.max(*known);
        newer
    })
}

/// Listens and asks until the last handle is gone.
pub(super) async fn listen(inner: Weak<Inner>) {
    let mut ears: Option<PubSub> = None;
    loop {
        let Some(all) = inner.upgrade() else { return };
        if ears.is_none() {
            ears = subscribe(&all).await;
        }
        let missed = ask(&all).await;
        drop(all);
        let Some(open) = &mut ears else {
            tokio::time::sleep(POLL_DEAF).await;
            continue;
        };
        let deaf = hear(&inner, open, missed).await;
        if deaf {
            ears = None;
        }
    }
}

/// Hears until the channel is closed or thought dead.
async fn hear(inner: &Weak<Inner>, ears: &mut PubSub, mut missed: bool) -> bool {
    let mut missed_in_row = 0;
    let mut messages = ears.on_message();
    loop {
        missed_in_row = if missed { missed_in_row + 1 } else { 0 };
        if missed_in_row >= MISSED_MAX {
            return true;
        }
        let poll = tokio::time::sleep(POLL);
        tokio::pin!(poll);
        loop {
            tokio::select! {
                message = messages.next() => {
                    let (Some(message), Some(inner)) = (message, inner.upgrade()) else {
                        return true;
                    };
                    if let Ok(value) = message.get_payload::<u64>() {
                        inner.feeds.note(message.get_channel_name(), value);
                    }
                }
                () = &mut poll => break,
            }
        }
        let Some(inner) = inner.upgrade() else { return true };
        missed = ask(&inner).await;
    }
}

async fn subscribe(inner: &Inner) -> Option<PubSub> {
    let mut ears = inner.links.listen().await.ok()?;
    let pattern = format!("{}:*", inner.settings.prefix);
    ears.psubscribe(pattern).await.ok()?;
    Some(ears)
}

/// Asks for every counter; whether one was news. A server that is away answers another time, and
/// whoever needs one of the stores learns it from the store.
async fn ask(inner: &Inner) -> bool {
    let Ok(group) = inner.links.group().await else { return false };
    match lift(inner, &group).await {
        Ok(news) => news,
        Err(_) => {
            inner.links.give_up(&group).await;
            false
        }
    }
}

/// Looks at every counter over a group's connections; whether one was news.
pub(super) async fn lift(inner: &Inner, group: &Group) -> RedisResult<bool> {
    let mut news = false;
    for key in inner.feeds.keys() {
        // What is known now was there before it is asked for: less is a loss.
        let known = inner.feeds.known(&key);
        let call = inner.lift.call().key(&key).arg(known);
        news |= inner.feeds.note(&key, call.send(&mut group.next()).await?);
    }
    Ok(news)
}
