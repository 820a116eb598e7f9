//! What the servers must be, looked at once when the node starts.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};

use crate::store::Failure;
use crate::store::redis::settings::Layout;

/// The oldest version whose scripts and lists behave as the stores expect.
const VERSION_MIN: (u32, u32) = (6, 2);

/// Refuses a server that cannot serve, and warns of one that may lose data.
pub async fn server(server: &mut MultiplexedConnection, layout: &Layout) -> Result<(), Failure> {
    let info = info(server).await.map_err(unanswered)?;
    let version = field(&info, "redis_version").unwrap_or_default();
    if !new_enough(version) {
        let text = format!("redis {version} is too old: 6.2 is the oldest that Loa works with");
        return Err(Failure::new(text));
    }
    let cluster = field(&info, "cluster_enabled") == Some("1");
    match layout {
        Layout::Cluster(_) if !cluster => {
            return Err(Failure::new("store.redis.mode is cluster, but a server runs alone"));
        }
        Layout::Single(_) | Layout::Sentinel { .. } if cluster => {
            return Err(Failure::new("a server is part of a cluster: set store.redis.mode"));
        }
        _ => {}
    }
    let policy = field(&info, "maxmemory_policy").unwrap_or_default();
    if policy != "noeviction" {
        tracing::warn!(
            redis.maxmemory_policy = policy,
            "Redis may EVICT devices and counts when its memory is full: set maxmemory-policy \
             noeviction"
        );
    }
    if field(&info, "aof_enabled") != Some("1") {
        tracing::warn!(
            "Redis keeps no append-only file: a restart LOSES what came since its last snapshot; \
             set appendonly yes"
        );
    }
    Ok(())
}

async fn info(server: &mut MultiplexedConnection) -> RedisResult<String> {
    let mut all = String::new();
    // One section a call: older servers take only one.
    for section in ["server", "memory", "persistence", "cluster"] {
        let part: String = redis::cmd("INFO").arg(section).query_async(server).await?;
        all.push_str(&part);
    }
    Ok(all)
}

fn unanswered(error: RedisError) -> Failure {
    Failure::new(error)
}

/// A field of INFO's answer.
pub fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= VERSION_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_and_versions_compared() {
        let info = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n";
        assert_eq!(field(info, "redis_version"), Some("7.0.15"));
        assert_eq!(field(info, "redis"), None);
        assert!(new_enough("6.2.0") && new_enough("7.2.4") && new_enough("10.0"));
        assert!(!new_enough("6.0.16") && !new_enough("5.0") && !new_enough(""));
    }
}
