//! Readers: one partition's tail, without a group.

use crate::bus::{Delivery, Result, embedded, kafka};

/// Reads one partition from an offset on.
#[derive(Debug)]
pub enum Reader {
    /// Of the embedded log.
    Embedded(embedded::Reader),
    /// Of the log on Kafka.
    Kafka(kafka::Reader),
}

impl Reader {
    /// The next records in order, at least one and at most `max` (and at most a few mebibytes).
    /// Waits for the first, woken by the publish. Cancel-safe.
    /// [`Error::OutOfRange`](crate::bus::Error::OutOfRange) when retention overtook the reader.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        match self {
            Reader::Embedded(reader) => reader.next_batch(max).await,
            Reader::Kafka(reader) => reader.next_batch(max).await,
        }
    }

    /// The offset of the next record this reader will give.
    pub fn offset(&self) -> u64 {
        match self {
            Reader::Embedded(reader) => reader.offset(),
            Reader::Kafka(reader) => reader.offset(),
        }
    }
}
