//! Rates: what all nodes together may do in a time.
//!
//! - A **quota** ([`Rates::portion`]) of so many a minute, such as a provider's. Nodes take
//!   portions of it in advance and use them up within a second, so a message costs no question. In
//!   any minute no more is granted than the quota, whoever asks.
//! - A **bucket** ([`Rates::take`]) for each name, such as an API key or an address: so many a
//!   second on average, so many at once.
//!
//! Nothing here is durable or needs to be: lost counts allow a little more once. A question that
//! is asked twice because its answer was lost takes twice: it errs on the strict side.

use std::time::Duration;

use crate::clock::Clock;
use crate::store::Failure;
use crate::store::redis::Redis;

mod embedded;
mod redis;

/// The seconds that are looked at: a minute, the second that is begun, and the second in which a
/// portion is used up.
const WINDOW_SECONDS: i64 = 62;

/// What is asked of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The most that may be granted in any minute, with what others were granted.
    pub most: u32,
    /// The most that may be granted in one second; evens the flow out.
    pub a_second: u32,
    /// How many are wanted.
    pub wanted: u32,
}

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub enum Rates {
    /// Of one node, in its memory.
    Embedded(embedded::Local),
    /// Of all nodes, in Redis.
    Redis(redis::Shared),
}

impl Rates {
    /// The rates of a node that is alone.
    pub fn local(clock: Clock) -> Self {
        Self::Embedded(embedded::Local::new(clock))
    }

    /// The rates of all nodes of a cluster.
    pub fn shared(redis: Redis) -> Self {
        Self::Redis(redis::Shared::new(redis))
    }

    /// Takes a portion of a quota: as many as are wanted, or what is left.
    pub async fn portion(&self, quota: &str, ask: Ask) -> Result<u32, Failure> {
        match self {
            Self::Embedded(local) => Ok(local.portion(quota, ask)),
            Self::Redis(shared) => shared.portion(quota, ask).await,
        }
    }

    /// Takes one of a name: on average `a_second`, `burst` at once. `None` if it is allowed, or how
    /// long until one more is.
    pub async fn take(
        &self,
        name: &str,
        a_second: u32,
        burst: u32,
    ) -> Result<Option<Duration>, Failure> {
        match self {
            Self::Embedded(local) => Ok(local.take(name, a_second, burst)),
            Self::Redis(shared) => shared.take(name, a_second, burst).await,
        }
    }
}
