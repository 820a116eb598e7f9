//! Consumers: a group's reading of topics, at least once.

use crate::bus::{Delivery, Position, Result, embedded};

/// Reads topics for a group, from its committed offsets on.
///
/// Partitions are visited in turn, so a busy one starves no other; no order holds across
/// partitions. Lanes that must not wait for each other take a consumer each.
#[derive(Debug)]
pub enum Consumer {
    /// Of the embedded log.
    Embedded(embedded::Consumer),
}

impl Consumer {
    /// The next records of any partition, at least one and at most `max` (and at most a few
    /// mebibytes). Waits for the first, woken by the publish. Cancel-safe: a dropped call loses
    /// nothing. A group that stayed away longer than the log keeps records goes on with the oldest
    /// kept, and the log says how many it missed.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        match self {
            Consumer::Embedded(consumer) => consumer.next_batch(max).await,
        }
    }

    /// Remembers durably where the group goes on: `next` is the next record to read. Never goes
    /// back, so commits of several tasks may overtake each other. May be called while
    /// [`Consumer::next_batch`] waits, through [`Consumer::committer`].
    pub async fn commit(&self, next: Position) -> Result<()> {
        self.committer().commit(next).await
    }

    /// A cheap handle that commits for this consumer, for tasks that do the work.
    pub fn committer(&self) -> Committer {
        match self {
            Consumer::Embedded(consumer) => Committer::Embedded(consumer.committer()),
        }
    }
}

/// Commits for a consumer, from wherever the work is done.
#[derive(Clone, Debug)]
pub enum Committer {
    /// Of the embedded log.
    Embedded(embedded::Committer),
}

impl Committer {
    /// As [`Consumer::commit`].
    pub async fn commit(&self, next: Position) -> Result<()> {
        match self {
            Committer::Embedded(committer) => committer.commit(next).await,
        }
    }
}
