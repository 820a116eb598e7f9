//! Redis below the stores of a cluster: connections, scripts, feeds, and what may be relied on.
//!
//! **What a handle does.** [`Redis`] is shared by all stores of a node. Every request goes out on
//! one of a few pipelined connections. What passes (LOADING, READONLY after a failover, TRYAGAIN,
//! CLUSTERDOWN, MASTERDOWN, a full memory, a lost connection) is asked again with growing pauses,
//! and anew by way of the Sentinels where the primary may have moved, for as long as
//! `patience_ms`: callers wait, which is the back-pressure. Then the request fails with
//! [`Failure`], and whoever asked answers 503 or keeps its offset.
//!
//! **Twice is once.** A reply that is lost makes a request that was applied go out again. So every
//! request that changes something must be safe to repeat: it sets rather than adds, or it is a
//! script that compares what is there with what its caller read, or that remembers the id of the
//! request it has answered. No store may send a bare INCR or RPUSH.
//!
//! **Atomic** is one script, and scripts touch keys of one tag only ([`Keys`]), which lie in one
//! slot. Scripts may compute keys of their tag (a bucket that follows from a number). A Redis
//! Cluster allows that as long as the slot is at rest: it must not be moved to another primary
//! while nodes write, see docs/OPERATIONS.md.
//!
//! **Durable** is what the servers are set to, not more:
//! - `appendfsync always`: what was answered survives the death of the process and of the machine;
//! - `appendfsync everysec` (usual): a kill of the process loses nothing that reached the kernel,
//!   a power cut up to the last second or two;
//! - a failover loses what the promoted replica had not received. [`Redis::settle`] asks for
//!   `wait_replicas` confirmations (WAIT) before a write that must last is answered. That narrows
//!   the loss to failovers to a replica that did not confirm; it does not make Redis consistent.
//!
//! What is lost so heals: apps register again whenever they start, and the ledger is counted again
//! from the receipts on the bus. The log itself is not here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::Failure;

mod check;
mod confirm;
mod feed;
mod incarnation;
mod keys;
mod link;
mod script;
pub mod settings;
mod verdict;

pub use keys::{Keys, MARK_MS};
pub use script::{Call, Script};
pub use settings::Settings;

use feed::Feeds;
use link::{Connection, Links};
use verdict::Verdict;

/// The first pause before asking again, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// A node's handle to Redis; clones share it.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    settings: Settings,
    links: Links,
    feeds: Feeds,
    lift: Script,
}

/// Redis did not take a request within `patience_ms`.
#[derive(Debug, thiserror::Error)]
#[error("redis did not take it within {waited_ms} ms: {last}")]
pub(super) struct Tired {
    waited_ms: u128,
    #[source]
    last: RedisError,
}

impl Redis {
    /// Connects, refuses servers that cannot serve, and warns of those that may lose data.
    pub async fn open(settings: &Settings) -> Result<Self, Failure> {
        let links = Links::new(settings)?;
        let (settings, lift) = (settings.clone(), Script::new(feed::LIFT));
        let inner = Inner { settings, links, feeds: Feeds::default(), lift };
        let redis = Self(Arc::new(inner));
        let ping = redis::cmd("PING");
        let mut servers = redis.0.links.servers().await;
        if servers.is_err() {
            // One that is starting is waited for.
            redis.ask::<()>(&ping).await?;
            servers = redis.0.links.servers().await;
        }
        // First of all: a server of another kind may take no other command.
        for mut server in servers? {
            check::server(&mut server, &redis.0.settings.layout).await?;
        }
        redis.ask::<()>(&ping).await?;
        redis.0.feeds.keep(tokio::spawn(feed::listen(Arc::downgrade(&redis.0))));
        Ok(redis)
    }

    /// The keys of a tag.
    pub fn keys(&self, tag: &str) -> Keys {
        Keys::new(&self.0.settings.prefix, tag)
    }

    /// Sends a command that is safe to repeat.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.persist(Request::Command(command), None).await.and_then(read)
    }

    /// Sends several commands of one tag at once, each safe to repeat; others may come in between.
    pub async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Failure> {
        self.persist(Request::Commands(commands), None).await.and_then(read)
    }

    /// Runs a script that is safe to repeat.
    pub async fn run<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, Failure> {
        self.persist(Request::Script(call), None).await.and_then(read)
    }

    /// Runs a script whose effect must last: answers once `wait_replicas` have it. If they do not
    /// confirm in time the effect is there all the same, and the caller asks again.
    pub async fn run_lasting<T: FromRedisValue>(
        &self,
        keys: &Keys,
        call: &Call<'_>,
    ) -> Result<T, Failure> {
        self.persist(Request::Script(call), Some(keys)).await.and_then(read)
    }

    /// Waits until everything that was answered so far under a tag is on `wait_replicas`.
    pub async fn settle(&self, keys: &Keys) -> Result<(), Failure> {
        self.persist(Request::Nothing, Some(keys)).await.map(drop)
    }

    fn enough(&self, confirmed: usize) -> Result<(), Failure> {
        let (wanted, wait) = (self.0.settings.wait_replicas, self.0.settings.wait);
        if confirmed >= wanted {
            return Ok(());
        }
        let ms = wait.as_millis();
        let text = format!("{confirmed} of {wanted} replicas confirmed a write within {ms} ms");
        Err(Failure::new(text))
    }

    /// Follows a counter that scripts raise and publish under its key's name; it only rises.
    pub async fn follow(&self, key: &str) -> Result<watch::Receiver<u64>, Failure> {
        let known: Option<u64> = self.ask(redis::cmd("GET").arg(key)).await?;
        Ok(self.0.feeds.follow(key, known.unwrap_or(0)))
    }

    /// Takes note of a counter's value that this node was answered, before it hears of it.
    pub fn note(&self, key: &str, value: u64) {
        self.0.feeds.note(key, value);
    }

    /// Tries until it is done, is beyond help, or patience ends.
    async fn persist(&self, request: Request<'_>, last: Option<&Keys>) -> Result<Value, Failure> {
        let (began, mut pause) = (Instant::now(), PAUSE_MIN);
        loop {
            let error = match self.attempt(request, last).await {
                Ok((answer, confirmed)) => return self.enough(confirmed).map(|()| answer),
                Err(error) => error,
            };
            if verdict::of(&error) == Verdict::Final {
                return Err(Failure::new(error));
            }
            if began.elapsed() + pause > self.0.settings.patience {
                let waited_ms = began.elapsed().as_millis();
                return Err(Failure::new(Tired { waited_ms, last: error }));
            }
            // Spread, so that everybody who waits does not come back at once.
            tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The answer, and how many replicas confirmed it.
    async fn attempt(
        &self,
        request: Request<'_>,
        last: Option<&Keys>,
    ) -> RedisResult<(Value, usize)> {
        let group = self.0.links.group().await?;
        let last = last.filter(|_| self.0.settings.wait_replicas > 0);
        let work = async {
            let lift = || async { feed::lift(&self.0, &group).await.map(drop) };
            group.lifted.get_or_try_init(lift).await?;
            let answer = request.send(&mut group.next()).await?;
            let confirmed = match last {
                Some(keys) => confirm::round(&group, keys, &self.0.settings).await?,
                None => self.0.settings.wait_replicas,
            };
            Ok((answer, confirmed))
        };
        let done = work.await;
        if done.as_ref().is_err_and(|error| verdict::of(error) == Verdict::Elsewhere) {
            self.0.links.give_up(&group).await;
        }
        done
    }
}

/// What is sent.
#[derive(Clone, Copy)]
enum Request<'a> {
    Command(&'a Cmd),
    Commands(&'a Pipeline),
    Script(&'a Call<'a>),
    Nothing,
}

impl Request<'_> {
    async fn send(&self, to: &mut Connection) -> RedisResult<Value> {
        match self {
            Self::Command(command) => command.query_async(to).await,
            Self::Commands(commands) => commands.query_async(to).await,
            Self::Script(call) => call.send(to).await,
            Self::Nothing => Ok(Value::Nil),
        }
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, Failure> {
    redis::from_redis_value(value).map_err(Failure::new)
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.0.settings.layout).finish()
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::new(error)
    }
}
