//! The embedded log: one SQLite file, `log.db`, of one process.
//!
//! One writer thread takes whatever waits in its bounded queue, appends it in one transaction,
//! synchronises the file once, and only then answers (group commit). A partition is a table named
//! after it (`"loa.receipts/3"`), and what a commit appends to it is one row ([`batch`]), or a few
//! where that would grow large; its rowid is the offset of its first record, so every append goes
//! to the end of a tree, and any SQLite tool shows where and when how many were appended. Readers
//! have connections of their own, are woken by the writer and never poll. A lock file keeps a
//! second process out.

mod batch;
mod consumer;
mod fetch;
mod group;
mod layout;
mod migrate;
mod offset;
mod reader;
mod retention;
mod schema;
mod writer;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use consumer::{Committer, Consumer};
pub use reader::Reader;

use crate::bus::{Error, Lag, Position, Record, Result, Settings, Stats, TopicId, limits};
use crate::clock::Clock;
use fetch::Pool;
use group::Rows;
use layout::Layout;
use writer::{Command, Writer};

/// Calls that may wait for the writer; their bytes are bounded by [`Settings::queue_mib`].
const QUEUE_CALLS_MAX: usize = 4096;

/// The embedded log. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub struct Log(Arc<Shared>);

/// What every handle, consumer and reader shares.
#[derive(Debug)]
struct Shared {
    layout: Arc<Layout>,
    pool: Pool,
    queue: mpsc::Sender<Command>,
    /// One permit a kibibyte that may wait for the writer.
    room: Arc<Semaphore>,
    closed: CancellationToken,
    /// Which topics each group reads at present.
    live: Mutex<BTreeSet<(String, TopicId)>>,
}

impl Log {
    /// Opens the log of a directory, and makes both where there are none.
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Log> {
        let settings = settings.clone();
        on_thread(move || {
            let opened = schema::open(&settings)?;
            let layout = Arc::new(opened.layout);
            let pool = Pool::new(opened.path);
            let closed = CancellationToken::new();
            let (queue, commands) = mpsc::channel(QUEUE_CALLS_MAX);
            let writer = Writer::new(opened.connection, layout.clone(), &settings, clock)?;
            writer.start(commands, opened.lock, closed.clone())?;
            let room = Arc::new(Semaphore::new(settings.queue_mib.clamp(32, 1024) as usize * 1024));
            let live = Mutex::default();
            Ok(Log(Arc::new(Shared { layout, pool, queue, room, closed, live })))
        })
        .await
    }

    /// Appends records.
    pub async fn publish(&self, topic: TopicId, records: Vec<Record>) -> Result<Vec<Position>> {
        let count = self.partitions(topic);
        if count == 0 {
            return Err(Error::UnknownPartition { topic, partition: 0 });
        }
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = limits::check_records(topic, &records)?;
        let rows = Rows::new(topic, &records, count);
        drop(records);
        let permits = u32::try_from(bytes.div_ceil(1024).max(1)).expect("bounded by the limits");
        let room = self.0.room.clone().acquire_many_owned(permits);
        let room = room.await.map_err(|_| Error::Closed)?;
        let placed = self.0.ask(|reply| Command::Publish { rows, room, reply }).await?;
        Ok(placed.positions)
    }

    /// Joins a group.
    pub async fn consumer(&self, group: &str, topics: &[TopicId]) -> Result<Consumer> {
        limits::check_group(group)?;
        let topics: BTreeSet<TopicId> = topics.iter().copied().collect();
        if let Some(&topic) = topics.iter().find(|topic| self.partitions(**topic) == 0) {
            return Err(Error::UnknownPartition { topic, partition: 0 });
        }
        Consumer::join(self.0.clone(), group, topics).await
    }

    /// Reads a partition from an offset on.
    pub fn reader(&self, topic: TopicId, partition: u32, from: u64) -> Result<Reader> {
        let bounds = self.bounds(topic, partition)?;
        if from < bounds.start || from > bounds.end {
            let Range { start, end } = bounds;
            return Err(Error::OutOfRange { topic, partition, offset: from, start, end });
        }
        Ok(Reader::new(self.0.clone(), Position { topic, partition, offset: from }))
    }

    /// What a partition holds.
    pub fn bounds(&self, topic: TopicId, partition: u32) -> Result<Range<u64>> {
        Ok(self.0.layout.partition(topic, partition)?.bounds())
    }

    /// How many partitions a topic has.
    pub fn partitions(&self, topic: TopicId) -> u32 {
        self.0.layout.count(topic)
    }

    /// The log's random name.
    pub fn epoch(&self) -> &str {
        &self.0.layout.epoch
    }

    /// How far a group is behind.
    pub async fn lag(&self, group: &str) -> Result<Vec<Lag>> {
        limits::check_group(group)?;
        let group = group.to_owned();
        let offsets = self.0.pool.read(move |connection| schema::offsets(connection, &group));
        let mut lags = Vec::new();
        for next in offsets.await? {
            // A group may have read a topic of another version.
            if let Ok(partition) = self.0.layout.partition(next.topic, next.partition) {
                lags.push(Lag { next, end: partition.bounds().end });
            }
        }
        lags.sort_unstable_by_key(|lag| lag.next);
        Ok(lags)
    }

    /// Deletes what retention allows at an instant.
    pub async fn trim(&self, now: Timestamp) -> Result<u64> {
        self.0.ask(|reply| Command::Trim { now, reply }).await
    }

    /// What was done since it was opened.
    pub fn stats(&self) -> Stats {
        self.0.layout.stats()
    }

    /// Commits what is queued and lets go of the file.
    pub async fn close(self) -> Result<()> {
        self.0.room.close();
        let closed = self.0.ask(|reply| Command::Close { reply }).await;
        self.0.pool.close();
        closed
    }
}

impl Shared {
    /// Queues a command and waits for its answer.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(command(reply)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// Runs file work off the async threads.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    // The task is never aborted, so it ends early only by a panic in the work or with the runtime.
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)?
}
