//! The embedded log: one SQLite file with one writer. (In progress.)

use std::ops::Range;

use crate::bus::*;
use crate::clock::Clock;

/// The embedded log.
#[derive(Clone, Debug)]
pub struct Log;
// x
/// Its consumer.
#[derive(Debug)]
pub struct Consumer;
/// Its committer.
#[derive(Clone, Debug)]
pub struct Committer;
/// Its reader.
#[derive(Debug)]
pub struct Reader;

#[allow(unused_variables, missing_docs)]
impl Log {
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Log> {
        Err(Error::Closed)
    }
    pub async fn publish(&self, topic: TopicId, records: Vec<Record>) -> Result<Vec<Position>> {
        Err(Error::Closed)
    }
    pub async fn consumer(&self, group: &str, topics: &[TopicId]) -> Result<Consumer> {
        Err(Error::Closed)
    }
    pub fn reader(&self, topic: TopicId, partition: u32, from: u64) -> Result<Reader> {
        Err(Error::Closed)
    }
    pub fn bounds(&self, topic: TopicId, partition: u32) -> Result<Range<u64>> {
        Err(Error::Closed)
    }
    pub fn partitions(&self, topic: TopicId) -> u32 {
        0
    }
    pub fn epoch(&self) -> &str {
        ""
    }
    pub async fn lag(&self, group: &str) -> Result<Vec<Lag>> {
        Err(Error::Closed)
    }
    pub async fn trim(&self) -> Result<u64> {
        Err(Error::Closed)
    }
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
    pub async fn close(self) -> Result<()> {
        Err(Error::Closed)
    }
}
#[allow(unused_variables, missing_docs)]
impl Consumer {
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        Err(Error::Closed)
    }
    pub fn committer(&self) -> Committer {
        Committer
    }
}
#[allow(unused_variables, missing_docs)]
impl Committer {
    pub async fn commit(&self, next: Position) -> Result<()> {
        Err(Error::Closed)
    }
}
#[allow(unused_variables, missing_docs)]
impl Reader {
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        Err(Error::Closed)
    }
    pub fn offset(&self) -> u64 {
        0
    }
}
