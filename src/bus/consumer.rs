//! Consumers: a group's reading of topics, at least once.

use crate::bus::{Delivery, Position, Result, Tenure, TopicId, embedded, kafka};

/// Reads topics for a group, from its committed offsets on.
///
/// Partitions are visited in turn, so a busy one starves no other; no order holds across
/// partitions. Lanes that must not wait for each other take a consumer each. On Kafka the group's
/// consumers share the partitions, and one may lose a partition to another at any moment: what it
/// has of it in work may be finished there and here.
#[derive(Debug)]
pub enum Consumer {
    /// Of the embedded log.
    Embedded(embedded::Consumer),
    /// A member of a group of Kafka's.
    Kafka(kafka::Consumer),
}

impl Consumer {
    /// The next records of any partition, at least one and at most `max` (and at most a few
    /// mebibytes). Waits for the first, woken by the publish. Cancel-safe: a dropped call loses
    /// nothing. A group that stayed away longer than the log keeps records goes on with the oldest
    /// kept, and the log says how many it missed.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        match self {
            Consumer::Embedded(consumer) => consumer.next_batch(max).await,
            Consumer::Kafka(consumer) => consumer.next_batch(max).await,
        }
    }

    /// Remembers durably where the group goes on: `next` is the next record to read. Never goes
    /// back, so commits of several tasks may overtake each other. May be called while
    /// [`Consumer::next_batch`] waits, through [`Consumer::committer`]. For a partition that went
    /// to another consumer of the group it does nothing: that one commits what it does itself.
    pub async fn commit(&self, next: Position) -> Result<()> {
        self.committer().commit(next).await
    }

    /// A cheap handle that commits for this consumer, for tasks that do the work.
    pub fn committer(&self) -> Committer {
        match self {
            Consumer::Embedded(consumer) => Committer::Embedded(consumer.committer()),
            Consumer::Kafka(consumer) => Committer::Kafka(consumer.committer()),
        }
    }
}

/// Commits for a consumer, from wherever the work is done.
#[derive(Clone, Debug)]
pub enum Committer {
    /// Of the embedded log.
    Embedded(embedded::Committer),
    /// Of a member of a group of Kafka's.
    Kafka(kafka::Committer),
}

impl Committer {
    /// As [`Consumer::commit`].
    pub async fn commit(&self, next: Position) -> Result<()> {
        match self {
            Committer::Embedded(committer) => committer.commit(next).await,
            Committer::Kafka(committer) => committer.commit(next).await,
        }
    }

    /// The consumer's time with a partition; none when it is another's now, and then what was read
    /// of it is that one's to work on. A partition that is to go waits a few seconds for the work
    /// under its tenure to end.
    pub fn tenure(&self, topic: TopicId, partition: u32) -> Option<Tenure> {
        match self {
            Committer::Embedded(committer) => Some(committer.tenure()),
            Committer::Kafka(committer) => committer.tenure(topic, partition),
        }
    }

    /// Holds one partition back, or lets it go: while held it gives no records, and the others go
    /// on. For who has all the work of that partition that he can bear.
    pub fn hold(&self, topic: TopicId, partition: u32, held: bool) {
        match self {
            Committer::Embedded(committer) => committer.hold(topic, partition, held),
            Committer::Kafka(committer) => committer.hold(topic, partition, held),
        }
    }
}
