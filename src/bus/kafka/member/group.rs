//! What the brokers tell a member of its group: partitions that come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, TopicPartitionList};

use super::{Member, Owned, Reads};
use crate::bus::kafka::client;
use crate::metrics;

/// The group's callbacks; they run in the member's thread, within `poll`.
pub(super) struct Group(pub(super) Arc<Member>);

impl Group {
    fn called(&self) {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Its successor has these partitions now, or somebody else.
    fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.called();
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.called();
        client::say(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.called();
        self.0.pulse.note(statistics);
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.called();
        if self.is_over() {
            return;
        }
        if let Rebalance::Revoke(list) = rebalance {
            self.0.let_go(&partitions(list));
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if self.is_over() {
            return;
        }
        let member = &self.0;
        let Reads { group, topic, .. } = &*member.reads;
        match rebalance {
            Rebalance::Assign(list) => {
                for partition in partitions(list) {
                    member.lock().insert(partition, Owned::default());
                    member.intake.open((*topic, partition));
                }
                // It may have been paused when it was ours before.
                member.note("resume", consumer.resume(list));
                member.assigned.send_replace(true);
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(group, %error, "a rebalance failed"),
        }
        let owned = member.lock().len();
        metrics::rebalanced(topic.name(), owned);
        tracing::info!(group, partitions = owned, "partitions were shared out");
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<u32> {
    let elements = list.elements();
    elements.iter().filter_map(|one| u32::try_from(one.partition()).ok()).collect()
}
