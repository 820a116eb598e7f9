//! What a test's node runs on. Promises that both shapes keep are tested in each.

use loa::config::Config;
use loa::{bus, store};

use super::kafka::Kafka;

/// What stands behind a node; one that is started again over the same shape finds its own.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// The log.
    pub bus: bus::Shape,
    /// The stores.
    pub store: store::Settings,
}

impl Shape {
    /// All in the node's directory.
    pub fn embedded() -> Self {
        Self::default()
    }

    /// Kafka and Redis: topics and a prefix of its own on the tests' servers.
    pub async fn cluster() -> Self {
        let topics = Kafka::shared().await.topics().await;
        Self {
            bus: bus::Shape::Kafka(Box::new(topics)),
            store: store::Settings::Redis(Box::new(super::redis::fresh())),
        }
    }

    /// Sets a node up so.
    pub fn apply(&self, config: &mut Config) {
        config.bus.shape = self.bus.clone();
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

        mod cluster {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise($crate::support::shape::Shape::cluster().await).await;
            })+
        }
    };
}

pub(crate) use in_every_shape;
