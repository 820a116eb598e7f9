//! What heals a ledger whose servers lost their last writes (a power cut with `everysec`, a
//! failover): whoever counts from the log says here how far it came, and asks here whether the
//! servers are still those under which it counted. If not, it counts again from where it was a
//! while before, which is more than servers lose. Counting twice counts once.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::store::ledger::{Counted, Error, Restart};
use crate::store::redis::{Keys, Redis, Script};

/// Far more than servers lose: two seconds with `everysec`, and a replica that lags more than ten
/// is not promoted as docs/OPERATIONS.md sets Redis up.
const WHILE: Duration = Duration::from_secs(60);

/// The checkpoints of every reader.
#[derive(Debug)]
pub struct Checkpoints {
    counted: Script,
    keys: Keys,
}

impl Checkpoints {
    /// Under a tag.
    pub fn new(keys: &Keys) -> Self {
        Self { counted: Script::new(include_str!("counted.lua")), keys: keys.clone() }
    }

    /// Remembers how far a reader came.
    pub async fn counted(
        &self,
        redis: &Redis,
        reader: &str,
        (counted, now): (&Counted, Timestamp),
    ) -> Result<(), Error> {
        if counted.is_empty() {
            return Ok(());
        }
        let call = self.counted.call().key(self.keys.pair("checkpoints", reader));
        let mut call = call.arg(now.as_millisecond()).arg(WHILE.as_millis() as u64);
        for (part, offset) in counted {
            call = call.arg(part).arg(offset);
        }
        Ok(redis.run::<()>(&call).await?)
    }

    /// Whether other servers answer than when the reader last settled.
    pub async fn restarted(&self, redis: &Redis, reader: &str) -> Result<Option<Restart>, Error> {
        let servers = redis.incarnation().await?;
        let mut known = redis::cmd("HGET");
        known.arg(self.keys.key("settled")).arg(reader);
        let known: Option<String> = redis.ask(&known).await?;
        if known.as_ref() == Some(&servers) {
            return Ok(None);
        }
        let mut all = redis::cmd("HGETALL");
        all.arg(self.keys.pair("checkpoints", reader));
        let all: HashMap<String, u64> = redis.ask(&all).await?;
        let parts = all.keys().filter(|name| !name.contains('@'));
        // Without an older one it is younger than a while: from the beginning.
        let old = |part: &String| all.get(&format!("{part}@old")).copied().unwrap_or(0);
        let from: BTreeMap<String, u64> = parts.map(|part| (part.clone(), old(part))).collect();
        Ok(Some(Restart { servers, from }))
    }

    /// The reader has made good what these servers may have lost.
    pub async fn settled(
        &self,
        redis: &Redis,
        reader: &str,
        restart: &Restart,
    ) -> Result<(), Error> {
        let mut set = redis::cmd("HSET");
        set.arg(self.keys.key("settled")).arg(reader).arg(&restart.servers);
        Ok(redis.ask::<()>(&set).await?)
    }
}
