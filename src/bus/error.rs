//! What can go wrong on the log, by what the caller can do about it.

use crate::bus::TopicId;

/// A shorthand for results of the bus.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong on the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The record can never be published: the caller must refuse what it came from.
    #[error("a record of {bytes} bytes for {topic} is over the limit of {limit}")]
    RecordTooLarge {
        /// For which topic.
        topic: TopicId,
        /// Key, headers and payload together.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Too much in one call: publish it in several.
    #[error("one call with {given} {what} for {topic} is over the limit of {limit}")]
    CallTooLarge {
        /// For which topic.
        topic: TopicId,
        /// `records` or `bytes`.
        what: &'static str,
        /// How many.
        given: usize,
        /// The limit.
        limit: usize,
    },
    /// There is no such topic or partition on this log.
    #[error("{topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: TopicId,
        /// The partition that it lacks.
        partition: u32,
    },
    /// The offset is no longer, or not yet, on the log: a reader must reload and start anew within
    /// the range.
    #[error("{topic}/{partition} holds {start}..{end}, not {offset}")]
    OutOfRange {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: u32,
        /// What was asked for.
        offset: u64,
        /// The first offset kept.
        start: u64,
        /// The offset the next record will get.
        end: u64,
    },
    /// Another live consumer of the group reads the topic.
    #[error("group `{group}` already has a live consumer of {topic}")]
    GroupBusy {
        /// The group.
        group: String,
        /// The topic.
        topic: TopicId,
    },
    /// A group's name is 1 to 64 characters of a-z, 0-9, `-` and `.`.
    #[error("`{0}` is not a group name: 1 to 64 characters of a-z, 0-9, `-` and `.`")]
    GroupName(String),
    /// The settings of the cluster cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The cluster lacks topics, or partitions of them.
    #[error("the cluster is not set up: {0}; run `loa topics apply`")]
    Topics(String),
    /// The cluster does not answer, after some tries.
    #[error("no broker answers: {0}")]
    Unreachable(String),
    /// The cluster will never take this record: the caller must refuse what it came from.
    #[error("{topic} does not take the record: {reason}")]
    Refused {
        /// For which topic.
        topic: TopicId,
        /// What the broker said.
        reason: String,
    },
    /// Kafka's headers have no NUL in their names.
    #[error("header `{name}` of a record for {topic} has a NUL in its name")]
    HeaderName {
        /// For which topic.
        topic: TopicId,
        /// The name, the NUL shown as `\\0`.
        name: String,
    },
    /// The log was closed, or its writer died.
    #[error("the log is closed")]
    Closed,
    /// Another process has the log open.
    #[error("the log in {dir} is in use by another process")]
    InUse {
        /// The data directory.
        dir: String,
    },
    /// The disk is full: nothing was published; it may be tried again when there is room.
    #[error("no space is left for the log: {0}")]
    StorageFull(String),
    /// The disk or the file failed; nothing is known to be published.
    #[error("the log's storage failed: {0}")]
    Storage(String),
    /// The log's file holds what this version did not write.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}
