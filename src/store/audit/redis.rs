//! The audit on Redis: one chain that all nodes append to.
//!
//! All of it lies under one tag. A node computes the link from the head that it knows, and a script
//! takes it if the chain still ends there; else the node is told the head as it is and computes
//! anew. So numbers have no gap and every hash follows from the one before, whoever writes. A
//! node's own writers queue up, so that only nodes ever meet.
//!
//! Redis cannot make entries durable beyond what it is set to: a failover may lose the last of
//! them. A node that knew more than the server says so in its log, and the copies on the topic
//! `loa.audit` have what is missing.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;

use super::{Checkpoint, Filter, PAGE_MAX, Result, Stored, read};
use crate::domain::audit::{BEGINNING, Entry, HASH_BYTES, Link, canonical, hash};
use crate::store::Failure;
use crate::store::redis::{Keys, Redis, Script};

/// Entries in one list: Redis packs neighbours.
const BUCKET: u64 = 64;
/// Buckets asked for at once.
const AT_ONCE: usize = 16;

/// The store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    keys: Keys,
    append: Script,
    /// The end of the chain as this node last saw it.
    head: Mutex<(u64, [u8; HASH_BYTES])>,
}

impl Store {
    /// Opens the store.
    pub fn open(redis: &Redis) -> Store {
        Store(Arc::new(Inner {
            redis: redis.clone(),
            keys: redis.keys("audit"),
            append: Script::new(include_str!("redis/append.lua")),
            head: Mutex::new((0, BEGINNING)),
        }))
    }

    /// Appends an entry.
    pub async fn append(&self, entry: Entry) -> Result<Link> {
        let Inner { redis, keys, append, .. } = &*self.0;
        let text = canonical(&entry);
        let mut head = self.0.head.lock().await;
        loop {
            let (last, before) = *head;
            let seq = last + 1;
            let hash = hash(&before, seq, &text);
            let (bucket, index) = place_of(seq);
            let call = append.call().key(keys.key("head")).key(self.bucket(bucket));
            let call = call.key(keys.pair("object", &entry.object));
            let call = call.key(keys.pair("actor", super::actor_id(&entry.actor)));
            let call = call.arg(last.to_string()).arg(&before[..]).arg(&BEGINNING[..]);
            let call = call.arg(seq.to_string()).arg(&hash[..]).arg(&text).arg(index);
            let other: Vec<Vec<u8>> = redis.run_lasting(keys, &call).await?;
            let [now, its_hash] = &other[..] else {
                *head = (seq, hash);
                return Ok(Link { seq, entry, hash });
            };
            let now = (number(now)?, digest(its_hash)?);
            if now.0 < last || (now.0 == last && now.1 != before) {
                tracing::error!(
                    known = last,
                    now = now.0,
                    "THE AUDIT LOST ENTRIES: redis ends before what it had confirmed"
                );
            }
            *head = now;
        }
    }

    /// The end of the chain.
    pub async fn head(&self) -> Result<(u64, [u8; HASH_BYTES])> {
        let mut get = redis::cmd("HMGET");
        get.arg(self.0.keys.key("head")).arg("seq").arg("hash");
        let (seq, hash): (Option<u64>, Option<Vec<u8>>) = self.0.redis.ask(&get).await?;
        match (seq, hash) {
            (Some(seq), Some(hash)) => Ok((seq, digest(&hash)?)),
            _ => Ok((0, BEGINNING)),
        }
    }

    /// Links after a number.
    pub async fn links(&self, after: u64) -> Result<Vec<Stored>> {
        let (last, _) = self.head().await?;
        let mut found = Vec::new();
        let (mut next, last) = (after / BUCKET, last.div_ceil(BUCKET));
        // A hole does not end the chain: whoever verifies it is to see what comes behind.
        while found.len() < PAGE_MAX && next < last {
            let end = last.min(next + (PAGE_MAX as u64).div_ceil(BUCKET)) - 1;
            let buckets = (next..=end).map(|bucket| self.read_bucket(bucket));
            let buckets = stream::iter(buckets).buffered(AT_ONCE);
            let buckets: Vec<Vec<Stored>> = buckets.try_collect().await?;
            found.extend(buckets.into_iter().flatten().filter(|link| link.seq > after));
            next = end + 1;
        }
        found.truncate(PAGE_MAX);
        Ok(found)
    }

    /// Entries, the newest first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Link>> {
        let limit = filter.limit.min(PAGE_MAX);
        let mut before = filter.before.unwrap_or(u64::MAX);
        let mut found = Vec::new();
        while found.len() < limit && before > 1 {
            let (seqs, next) = self.named(&filter, before, limit - found.len()).await?;
            found.extend(self.entries(&seqs).await?);
            before = next;
        }
        found.into_iter().map(read).collect()
    }

    /// Numbers below one that a filter lets through, the newest first, and where to go on.
    async fn named(&self, filter: &Filter, before: u64, limit: usize) -> Result<(Vec<u64>, u64)> {
        let Inner { redis, keys, .. } = &*self.0;
        let (object, actor) = (filter.object.as_ref(), filter.actor.as_ref());
        let by_actor = actor.map(|actor| keys.pair("actor", actor));
        let list = object.map(|object| keys.pair("object", object)).or(by_actor.clone());
        let Some(list) = list else {
            let newest = before.min(self.head().await?.0 + 1);
            let oldest = newest.saturating_sub(limit as u64).max(1);
            return Ok(((oldest..newest).rev().collect(), oldest));
        };
        let mut range = redis::cmd("ZREVRANGEBYSCORE");
        range.arg(list).arg(format!("({before}")).arg("-inf").arg("LIMIT").arg(0).arg(PAGE_MAX);
        let mut seqs: Vec<u64> = redis.ask(&range).await?;
        let mut next = seqs.last().filter(|_| seqs.len() == PAGE_MAX).copied().unwrap_or(0);
        if let (Some(by_actor), true) = (by_actor, object.is_some() && !seqs.is_empty()) {
            let mut scores = redis::cmd("ZMSCORE");
            let scores: Vec<Option<u64>> = redis.ask(scores.arg(by_actor).arg(&seqs)).await?;
            let mut also = scores.iter().map(Option::is_some);
            seqs.retain(|_| also.next().unwrap_or(false));
        }
        if seqs.len() > limit {
            seqs.truncate(limit);
            next = seqs.last().copied().unwrap_or(0);
        }
        Ok((seqs, next))
    }

    /// Keeps a checkpoint.
    pub async fn add_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        let Inner { redis, keys, .. } = &*self.0;
        let mut add = redis::cmd("ZADD");
        let text = serde_json::to_string(&checkpoint).map_err(Failure::new)?;
        redis.ask::<()>(add.arg(keys.key("checkpoints")).arg(checkpoint.seq).arg(text)).await?;
        Ok(redis.settle(keys).await?)
    }

    /// Every checkpoint.
    pub async fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        let mut all = redis::cmd("ZRANGE");
        all.arg(self.0.keys.key("checkpoints")).arg(0).arg(-1);
        let texts: Vec<String> = self.0.redis.ask(&all).await?;
        let checkpoints = texts.iter().map(|text| serde_json::from_str(text).map_err(Failure::new));
        Ok(checkpoints.collect::<Result<_, _>>()?)
    }

    /// The last number that is signed.
    pub async fn signed(&self) -> Result<u64> {
        let mut last = redis::cmd("ZREVRANGE");
        last.arg(self.0.keys.key("checkpoints")).arg(0).arg(0).arg("WITHSCORES");
        let last: Vec<(String, u64)> = self.0.redis.ask(&last).await?;
        Ok(last.first().map_or(0, |(_, seq)| *seq))
    }

    async fn entries(&self, seqs: &[u64]) -> Result<Vec<Stored>> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = redis::pipe();
        for seq in seqs {
            let (bucket, index) = place_of(*seq);
            all.cmd("LINDEX").arg(self.bucket(bucket)).arg(index);
        }
        let values: Vec<Option<Vec<u8>>> = self.0.redis.ask_all(&all).await?;
        let both = seqs.iter().zip(values);
        let both = both.filter_map(|(seq, value)| Some(stored(*seq, &value?)));
        Ok(both.collect::<Result<_, _>>()?)
    }

    async fn read_bucket(&self, bucket: u64) -> Result<Vec<Stored>> {
        let mut all = redis::cmd("LRANGE");
        all.arg(self.bucket(bucket)).arg(0).arg(-1);
        let all: Vec<Vec<u8>> = self.0.redis.ask(&all).await?;
        let links = (bucket * BUCKET + 1..).zip(all).map(|(seq, value)| stored(seq, &value));
        Ok(links.collect::<Result<_, _>>()?)
    }

    fn bucket(&self, bucket: u64) -> String {
        self.0.keys.pair("e", bucket)
    }
}

/// The list of an entry, and its place in it.
fn place_of(seq: u64) -> (u64, u64) {
    let at = seq.saturating_sub(1);
    (at / BUCKET, at % BUCKET)
}

/// An entry: its hash, then its text.
fn stored(seq: u64, value: &[u8]) -> Result<Stored, Failure> {
    let short = || Failure::new(format!("audit entry {seq} is cut short"));
    let (hash, text) = value.split_at_checked(HASH_BYTES).ok_or_else(short)?;
    let text = String::from_utf8_lossy(text).into_owned();
    Ok(Stored { seq, text, hash: digest(hash)? })
}

fn digest(bytes: &[u8]) -> Result<[u8; HASH_BYTES], Failure> {
    bytes.try_into().map_err(|_| Failure::new("a hash of the audit has another length"))
}

fn number(digits: &[u8]) -> Result<u64, Failure> {
    std::str::from_utf8(digits).map_err(Failure::new)?.parse().map_err(Failure::new)
}
