//! The event log: what stages read from and write to, and the only way they meet.
//!
//! Whatever stands behind it (files of this process, or Apache Kafka), the bus promises:
//!
//! - **Durable**: when [`Bus::publish`] returns, the records are on disk (on Kafka: with as many
//!   brokers as the topic's `min_in_sync` says) and visible to readers. If it fails or is dropped
//!   the embedded log has all records of the call or none; Kafka may have some.
//! - **Ordered by key**: records with equal keys of one topic lie in one partition, in the order
//!   in which their publishes were called and returned. A partition's offsets rise by one from 0.
//! - **At least once**: a [`Consumer`] goes on from its group's committed offsets; what was
//!   delivered and not committed is delivered again. Handlers must bear repeats, also of a record
//!   that another consumer of the group still works on.
//! - **Nothing waits for others**: a slow consumer holds up no other group and no other topic, and
//!   a partition that is held back ([`Committer::hold`]) no other partition; a full writer, or one
//!   whose brokers are away, makes publishers wait, and never drops.
//! - **Bytes are bytes**: key, headers and payload come out as they went in; the bus reads none of
//!   them but the key's hash. (Foreign writers' text that is no UTF-8 is read with replacement
//!   characters.)
//! - **Kept long enough**: a record is deleted when it is older than its topic's retention and, in
//!   the embedded log, every group has committed past it; there a group that stays behind longer
//!   than [`Settings::pinned_hours_max`] no longer holds anything back. Kafka waits for no group.
//!
//! Keys are spread over partitions as Kafka's own producer does it, so records go to the same
//! partition in both shapes when the counts agree.

mod acks;
mod commits;
mod consumer;
mod embedded;
mod error;
pub mod kafka;
mod letters;
mod limits;
mod partition;
mod reader;
mod settings;
mod tenure;
mod topic;

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;

pub use acks::Acks;
pub use commits::Commits;
pub use consumer::{Committer, Consumer};
pub use error::{Error, Result};
pub use reader::Reader;
pub use settings::{Settings, Shape};
pub use tenure::{Tenure, Work};
pub use topic::{AgencyTopic, Cleanup, Definition, PARTITIONS_MAX, TopicId, UnknownTopic};

use crate::clock::Clock;

/// The most bytes of one record: key, headers and payload together. Kafka's own default.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// The most records of one [`Bus::publish`]: more is a longer commit than others should wait for.
pub const CALL_RECORDS_MAX: usize = 10_000;
/// The most bytes of one [`Bus::publish`].
pub const CALL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a group is told that retention went past.
const OVERTAKEN: &str =
    "a group stayed away longer than the log keeps records for it; it missed some";

/// What is published. CloudEvents in binary mode: attributes in headers, the data as the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The id whose order matters.
    pub key: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The data.
    pub payload: Bytes,
}

/// A place on the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The topic.
    pub topic: TopicId,
    /// The partition, from 0.
    pub partition: u32,
    /// The offset, from 0.
    pub offset: u64,
}

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where it lies.
    pub position: Position,
    /// Its key.
    pub key: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// When it was appended.
    pub at: Timestamp,
    /// Its data.
    pub payload: Bytes,
}

/// How far a group is behind in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Where the group goes on: the next record to read.
    pub next: Position,
    /// The offset the next record of the partition will get.
    pub end: u64,
}

/// What the log has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Durable commits.
    pub commits: u64,
    /// Records published.
    pub records: u64,
    /// Records deleted by retention.
    pub deleted: u64,
}

/// The log. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum Bus {
    /// Files of this process.
    Embedded(embedded::Log),
    /// Apache Kafka.
    Kafka(kafka::Log),
}

impl Bus {
    /// Opens the log. The embedded one is made where there is none; a cluster must have its topics
    /// ([`Error::Topics`]), and is waited for while no broker answers.
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Bus> {
        match &settings.shape {
            Shape::Embedded => Ok(Bus::Embedded(embedded::Log::open(settings, clock).await?)),
            Shape::Kafka(kafka) => {
                Ok(Bus::Kafka(kafka::Log::open(kafka, settings.queue_mib, clock).await?))
            }
        }
    }

    /// Publishes records to a topic and answers where each lies; none where a broker had it already
    /// from a try whose answer was lost, and cannot say. They are durable and visible when it
    /// returns. Waits while the writer's queue is full or brokers are away. If the call is dropped
    /// before it returns, the records may be published or not.
    pub async fn publish(
        &self,
        topic: TopicId,
        records: Vec<Record>,
    ) -> Result<Vec<Option<Position>>> {
        match self {
            Bus::Embedded(log) => log.publish(topic, records).await,
            // Boxed: its state is many times the embedded log's, whose calls would carry it along.
            Bus::Kafka(log) => Box::pin(log.publish(topic, records)).await,
        }
    }

    /// Writes to a topic that is none of ours, once and for a few seconds: the answer to somebody
    /// who asked for one. The embedded log has no such topics.
    pub async fn reply(&self, topic: &str, record: Record) -> Result<()> {
        match self {
            Bus::Embedded(_) => {
                Err(Error::Unreachable("the embedded log has no reply topics".to_owned()))
            }
            Bus::Kafka(log) => log.reply(topic, &record).await,
        }
    }

    /// Joins a group (1 to 64 characters of a-z, 0-9, `-` and `.`) as a reader of topics. A new
    /// group begins with the oldest record kept. In the embedded shape a group has one live
    /// consumer a topic; a second is refused with [`Error::GroupBusy`]. On Kafka there may be many,
    /// in any process, and they share the partitions.
    pub async fn consumer(&self, group: &str, topics: &[TopicId]) -> Result<Consumer> {
        match self {
            Bus::Embedded(log) => Ok(Consumer::Embedded(log.consumer(group, topics).await?)),
            Bus::Kafka(log) => Ok(Consumer::Kafka(log.consumer(group, topics).await?)),
        }
    }

    /// Reads one partition from an offset on, without a group. [`Error::OutOfRange`] if the offset
    /// is not within [`Bus::bounds`] (its end included).
    pub async fn reader(&self, topic: TopicId, partition: u32, from: u64) -> Result<Reader> {
        match self {
            Bus::Embedded(log) => Ok(Reader::Embedded(log.reader(topic, partition, from)?)),
            Bus::Kafka(log) => Ok(Reader::Kafka(log.reader(topic, partition, from).await?)),
        }
    }

    /// The offsets a partition holds: from the oldest kept to that of the next record.
    pub async fn bounds(&self, topic: TopicId, partition: u32) -> Result<Range<u64>> {
        match self {
            Bus::Embedded(log) => log.bounds(topic, partition),
            Bus::Kafka(log) => log.bounds(topic, partition).await,
        }
    }

    /// How many partitions a topic has; 0 for a topic that this log lacks. On Kafka they are
    /// counted when the log is opened.
    pub fn partitions(&self, topic: TopicId) -> u32 {
        match self {
            Bus::Embedded(log) => log.partitions(topic),
            Bus::Kafka(log) => log.partitions(topic),
        }
    }

    /// The topics that are one agency's own: the brokers let nobody else write them. The embedded
    /// log has no writers but ours.
    pub fn agency_topics(&self) -> Vec<TopicId> {
        match self {
            Bus::Embedded(_) => Vec::new(),
            Bus::Kafka(log) => log.agency_topics().collect(),
        }
    }

    /// The log's name: made with the embedded log, the same on every node of a cluster. An offset
    /// remembered with another epoch means nothing.
    pub fn epoch(&self) -> &str {
        match self {
            Bus::Embedded(log) => log.epoch(),
            Bus::Kafka(log) => log.epoch(),
        }
    }

    /// How far a group is behind, in order of topic and partition: in every partition it ever read
    /// of the embedded log; on Kafka, of the topics that this process reads for it.
    pub async fn lag(&self, group: &str) -> Result<Vec<Lag>> {
        match self {
            Bus::Embedded(log) => log.lag(group),
            Bus::Kafka(log) => log.lag(group).await,
        }
    }

    /// Whether the log could take an alert now; the embedded one always can, or says why not.
    pub async fn is_ready(&self) -> bool {
        match self {
            Bus::Embedded(_) => true,
            Bus::Kafka(log) => log.is_ready().await,
        }
    }

    /// Deletes what retention allows at an instant, and answers how many records that was. The
    /// embedded log does so by itself while it is written to, and brokers by theirs.
    pub async fn trim(&self, now: Timestamp) -> Result<u64> {
        match self {
            Bus::Embedded(log) => log.trim(now).await,
            // The brokers do.
            Bus::Kafka(_) => Ok(0),
        }
    }

    /// What the log has done since it was opened.
    pub fn stats(&self) -> Stats {
        match self {
            Bus::Embedded(log) => log.stats(),
            Bus::Kafka(log) => log.stats(),
        }
    }

    /// Commits what is queued and closes the log for every clone; readers end with
    /// [`Error::Closed`].
    pub async fn close(self) -> Result<()> {
        match self {
            Bus::Embedded(log) => log.close().await,
            Bus::Kafka(log) => log.close().await,
        }
    }
}

impl Record {
    /// Key, headers and payload together, in bytes.
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + headers + self.payload.len()
    }
}

impl Position {
    /// The position after this one: what to commit when this record is done.
    pub fn next(self) -> Position {
        Position { offset: self.offset + 1, ..self }
    }
}
