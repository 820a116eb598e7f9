//! The replies store on Redis: a hash for each key, under a tag of its own, which the server
//! itself drops when the reply's time is over.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Begun, Error, Lease, Reply, Result, Times};
use crate::clock::Clock;
use crate::store::Failure;
use crate::store::redis::{Keys, Redis, Script};

/// How much longer than a reply its row stays: the nodes' clocks decide what is given, not the
/// server's.
const LONGER: Duration = Duration::from_secs(300);

/// The store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    clock: Clock,
    times: Times,
    begin: Script,
    finish: Script,
    abandon: Script,
}

impl Store {
    /// Opens the store.
    pub fn open(redis: &Redis, times: Times, clock: Clock) -> Store {
        Store(Arc::new(Inner {
            redis: redis.clone(),
            clock,
            times,
            begin: Script::new(include_str!("redis/begin.lua")),
            finish: Script::new(include_str!("redis/finish.lua")),
            abandon: Script::new(include_str!("redis/abandon.lua")),
        }))
    }

    /// Begins a request; its key has been looked at.
    pub async fn begin(&self, lease: Lease, digest: [u8; 32]) -> Result<Begun> {
        let Inner { redis, times, .. } = &*self.0;
        let now_ms = self.0.clock.now().as_millisecond();
        let before = |time| now_ms.saturating_sub(millis(time));
        let call = self.0.begin.call().key(self.row(&lease)).arg(&digest[..]).arg(now_ms);
        let call = call.arg(before(times.retention)).arg(before(times.lease)).arg(lease.token);
        let call = call.arg(millis(times.retention.saturating_add(LONGER)));
        let answer: Vec<Vec<u8>> = redis.run(&call).await?;
        match (answer.first().map(Vec::as_slice), &answer[..]) {
            (Some(b"new"), _) => Ok(Begun::New(lease)),
            (Some(b"busy"), _) => Ok(Begun::InProgress),
            (Some(b"mismatch"), _) => Ok(Begun::Mismatch),
            (_, [_, status, headers, body]) => {
                let status = std::str::from_utf8(status).map_err(Failure::new)?;
                Ok(Begun::Replay(Reply {
                    status: status.parse().map_err(Failure::new)?,
                    headers: serde_json::from_slice(headers).map_err(Failure::new)?,
                    body: Bytes::copy_from_slice(body),
                }))
            }
            _ => Err(Error::Storage(Failure::new("a reply is damaged"))),
        }
    }

    /// Keeps a reply; its size has been looked at.
    pub async fn finish(&self, lease: Lease, reply: Reply) -> Result<()> {
        let headers = serde_json::to_string(&reply.headers).map_err(Failure::new)?;
        let call = self.0.finish.call().key(self.row(&lease)).arg(lease.token);
        let call = call.arg(reply.status).arg(headers).arg(&reply.body[..]);
        Ok(self.0.redis.run(&call).await?)
    }

    /// Frees a key.
    pub async fn abandon(&self, lease: Lease) -> Result<()> {
        let call = self.0.abandon.call().key(self.row(&lease)).arg(lease.token);
        Ok(self.0.redis.run(&call).await?)
    }

    /// Keys may hold any characters and say something of their sender: they are kept as a digest.
    fn row(&self, lease: &Lease) -> String {
        let mut digest = Sha256::new();
        digest.update((lease.scope.len() as u64).to_be_bytes());
        digest.update(&lease.scope);
        digest.update(&lease.key);
        let keys: Keys = self.0.redis.keys(&URL_SAFE_NO_PAD.encode(digest.finalize()));
        keys.key("reply")
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
