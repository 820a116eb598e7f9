//! Where a store lives while its contract is held: the same promises over files, over one Redis,
//! over a Redis Cluster, and through Sentinels.

use loa::store::redis::{Redis, Settings};
use tempfile::TempDir;

/// One store's place; opened again it holds what it held.
pub enum Home {
    /// A directory.
    Embedded(TempDir),
    /// A prefix of the shared server.
    Redis(Box<Settings>),
}

impl Home {
    /// A fresh directory.
    pub fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().expect("a directory"))
    }

    /// A fresh prefix.
    pub fn redis() -> Self {
        Self::Redis(Box::new(super::redis::fresh()))
    }

    /// A fresh prefix of a Redis Cluster.
    pub fn redis_cluster() -> Self {
        Self::Redis(Box::new(super::redis::many::fresh_cluster()))
    }

    /// A fresh prefix of a primary that Sentinels name.
    pub fn redis_sentinel() -> Self {
        Self::Redis(Box::new(super::redis::many::fresh_sentinel()))
    }
}

/// A handle of its own, as each node has one.
pub async fn connect(settings: &Settings) -> Redis {
    Redis::open(settings).await.expect("redis-server answers")
}

/// Holds every implementation to the promises named: each an `async fn` that is given a [`Home`].
macro_rules! contract {
    ($($promise:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise($crate::support::home::Home::embedded()).await;
            })+
        }

        mod redis {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise($crate::support::home::Home::redis()).await;
            })+
        }

        mod redis_cluster {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise($crate::support::home::Home::redis_cluster()).await;
            })+
        }

        mod redis_sentinel {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise($crate::support::home::Home::redis_sentinel()).await;
            })+
        }
    };
}

pub(crate) use contract;
