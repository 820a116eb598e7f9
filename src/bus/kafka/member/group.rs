//! What the brokers tell a member of its group: partitions that come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, TopicPartitionList};

use super::{Answer, Member, Owned, Reads, client, tell};
use crate::metrics;

/// The group's callbacks; they run in the member's thread, within `poll`.
pub(super) struct Group(pub(super) Arc<Member>);

impl Group {
    fn called(&self) {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
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
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.called();
        let Rebalance::Revoke(list) = rebalance else { return };
        let member = &self.0;
        let gone = partitions(list);
        gone.iter().for_each(|partition| member.intake.close((member.reads.topic, *partition)));
        member.end_work(&gone);
        for partition in gone {
            // Those who wait for a commit are told that it is not theirs to make any more.
            let gone = member.lock().remove(&partition);
            let waiting = gone.into_iter().flat_map(|owned| owned.waiting);
            waiting.for_each(|(_, reply)| tell(reply, Answer::Done));
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let member = &self.0;
        let Reads { group, topic, .. } = &member.reads;
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
