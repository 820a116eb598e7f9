//! What is known of the log in memory: its topics, their partitions and how far each goes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::bus::{Error, Result, Stats, TopicId};

/// The log's topics. The writer moves the bounds after each commit; everyone else looks.
#[derive(Debug)]
pub(super) struct Layout {
    /// The log's random name.
    pub epoch: String,
    pub topics: BTreeMap<TopicId, Topic>,
    pub commits: AtomicU64,
    pub records: AtomicU64,
    pub deleted: AtomicU64,
}

/// One topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub retention: Duration,
    pub partitions: Vec<Partition>,
    /// Changes whenever the bounds of a partition did.
    pub changed: watch::Sender<u64>,
}

/// One partition: a table of batches, whose rowid is the offset of a batch's first record.
#[derive(Debug)]
pub(super) struct Partition {
    /// The table's name, quoted.
    pub table: String,
    /// The statement that appends; kept here since it is looked up for every batch.
    pub insert: String,
    start: AtomicU64,
    end: AtomicU64,
}

impl Layout {
    pub fn partition(&self, topic: TopicId, partition: u32) -> Result<&Partition> {
        let partitions = self.topics.get(&topic).map(|topic| &topic.partitions);
        partitions
            .and_then(|partitions| partitions.get(partition as usize))
            .ok_or(Error::UnknownPartition { topic, partition })
    }

    /// How many partitions a topic has; 0 for one that the log lacks.
    pub fn count(&self, topic: TopicId) -> u32 {
        let partitions = self.topics.get(&topic).map_or(0, |topic| topic.partitions.len());
        u32::try_from(partitions).expect("a topic has at most 64 partitions")
    }

    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            deleted: self.deleted.load(Ordering::Relaxed),
        }
    }
}

impl Topic {
    pub fn new(retention: Duration, partitions: Vec<Partition>) -> Self {
        Self { retention, partitions, changed: watch::Sender::new(0) }
    }
}

impl Partition {
    pub fn new(topic: TopicId, partition: u32, bounds: Range<u64>) -> Self {
        let table = table(topic, partition);
        let insert =
            format!("INSERT INTO {table} (\"offset\", count, at_ms, records) VALUES (?, ?, ?, ?)");
        let (start, end) = (AtomicU64::new(bounds.start), AtomicU64::new(bounds.end));
        Self { table, insert, start, end }
    }

    /// From the oldest record kept to the offset that the next one will get.
    pub fn bounds(&self) -> Range<u64> {
        self.start.load(Ordering::Acquire)..self.end.load(Ordering::Acquire)
    }

    /// Makes appended records visible, once they are committed.
    pub fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Gives up what retention is about to delete.
    pub fn set_start(&self, start: u64) {
        self.start.store(start, Ordering::Release);
    }
}

/// A partition's table, quoted: topic names are ours and hold no quotes.
pub(super) fn table(topic: TopicId, partition: u32) -> String {
    quoted(&topic.name(), partition)
}

/// As [`table`], of a topic that this version may not have.
pub(super) fn quoted(topic: &str, partition: u32) -> String {
    format!("\"{topic}/{partition}\"")
}
