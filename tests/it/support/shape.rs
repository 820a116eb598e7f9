//! What a test's node runs on. Promises that both shapes keep are tested in each.

use loa::config::Config;
use loa::store;

/// Where a node's stores are; a node that is started again over the same shape finds its own.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// The stores.
    pub store: store::Settings,
}

impl Shape {
    /// All in the node's directory.
    pub fn embedded() -> Self {
        Self::default()
    }

    /// The stores on Redis, under a prefix of their own.
    pub fn redis() -> Self {
        Self { store: store::Settings::Redis(super::redis::fresh()) }
    }

    /// Sets a node up so.
    pub fn apply(&self, config: &mut Config) {
        config.store = self.store.clone();
    }
}

/// Runs tests of whole nodes in every shape: each an `async fn` that is given a [`Shape`].
macro_rules! in_every_shape {
    ($($promise:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise($crate::support::shape::Shape::embedded()).await;
            })+
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise($crate::support::shape::Shape::redis()).await;
            })+
        }
    };
}

pub(crate) use in_every_shape;
