//! The embedded log: segment files of one process, in the directory `log`.
//!
//! One writer thread takes what waits ([`intake`]), writes it as one frame ([`frame`]) into a file
//! that was written with zeros beforehand ([`segment`]), synchronises it once, and only then
//! answers (group commit). Callers write their records down themselves, into the group that is
//! committed next; while a rush of them comes, what is there of it is written to the file already,
//! and becomes a frame with the rest. What a commit appends to a partition is a batch ([`batch`])
//! of its frame, or a few where that would grow large or came in a rush; where groups of readers go
//! on and where partitions begin are in frames too, so one file is the truth. Readers read the
//! files ([`fetch`]), are woken by the writer and never poll. A lock file keeps a second process
//! out.

mod batch;
mod consumer;
mod fetch;
mod frame;
mod group;
mod groups;
mod index;
mod intake;
mod keeper;
mod layout;
mod migrate;
mod open;
mod reader;
mod recover;
mod retention;
mod rewrite;
mod segment;
mod sidecar;
mod store;
mod tail;
mod writer;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Semaphore, TryAcquireError, oneshot};
use tokio_util::sync::CancellationToken;

pub use consumer::{Committer, Consumer};
pub use reader::Reader;

use crate::bus::{Error, Lag, Position, Record, Result, Settings, Stats, TopicId, limits};
use crate::clock::Clock;
use fetch::Pool;
use group::{Group, Outcome, Places, Written};
use intake::Intake;
use keeper::Keeper;
use layout::{Layout, Topic};
use retention::Retention;
use writer::Writer;

/// Bytes of a call's records from which on they are written down before the call has its turn:
/// nobody else can have one meanwhile.
const WRITTEN_BEFORE: usize = 32 * 1024;

/// The embedded log. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub struct Log(Arc<Shared>);

/// What every handle, consumer and reader shares.
#[derive(Debug)]
struct Shared {
    layout: Arc<Layout>,
    pool: Pool,
    intake: Arc<Intake>,
    /// One permit a kibibyte that may wait for the writer.
    room: Arc<Semaphore>,
    retention: Arc<Retention>,
    closed: CancellationToken,
    /// Comes when the writer has ended.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    /// Which topics each group reads at present.
    live: Mutex<BTreeSet<(String, TopicId)>>,
}

impl Log {
    /// Opens the log of a directory, and makes both where there are none.
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Log> {
        let settings = settings.clone();
        on_thread(move || {
            let now = clock.now();
            let opened = open::open(&settings, now.as_millisecond())?;
            let (layout, store, intake) = (opened.layout, opened.store, Arc::<Intake>::default());
            let pool = Pool::new(layout.clone(), store.clone());
            let retention = Retention::new(layout.clone(), store, intake.clone(), &settings);
            let retention = Arc::new(retention);
            let keeper = Keeper::start(retention.clone(), now)?;
            let room = Semaphore::new(settings.queue_mib.clamp(32, 1024) as usize * 1024);
            let (room, closed) = (Arc::new(room), CancellationToken::new());
            let (ends, ended) = oneshot::channel();
            let writer = Writer {
                layout: layout.clone(),
                intake: intake.clone(),
                room: room.clone(),
                clock,
                tail: opened.tail,
                keeper,
            };
            writer.start((opened.lock, retention.clone()), closed.clone(), ends)?;
            let (ended, live) = (Mutex::new(Some(ended)), Mutex::default());
            let shared = Shared { layout, pool, intake, room, retention, closed, ended, live };
            Ok(Log(Arc::new(shared)))
        })
        .await
    }

    /// Appends records.
    pub async fn publish(
        &self,
        topic: TopicId,
        records: Vec<Record>,
    ) -> Result<Vec<Option<Position>>> {
        let of = self.0.layout.topics.get(&topic);
        let of = of.ok_or(Error::UnknownPartition { topic, partition: 0 })?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = limits::check_records(topic, &records)?;
        let room = bytes.div_ceil(1024).max(1);
        self.0.take_room(u32::try_from(room).expect("bounded by the limits")).await?;
        let (outcome, places) = self.enter(of, records, (room, bytes))?;
        let firsts = outcome.wait().await.as_ref().map_err(Error::clone)?;
        Ok(places.on_the_log((topic, of), firsts))
    }

    /// Writes records down into what is committed next.
    fn enter(
        &self,
        of: &Topic,
        records: Vec<Record>,
        (room, bytes): (usize, usize),
    ) -> Result<(Arc<Outcome>, Places)> {
        let layout = &self.0.layout;
        let written = (bytes >= WRITTEN_BEFORE).then(|| Written::new(layout, of, &records));
        self.0.intake.enter(|group, memory| {
            group.room += room;
            group.bytes += bytes;
            match written {
                Some(written) => group.append(layout, of, written),
                None => group.publish(layout, of, &records, || memory.take()),
            }
        })
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
    pub fn lag(&self, group: &str) -> Result<Vec<Lag>> {
        limits::check_group(group)?;
        let layout = &self.0.layout;
        let groups = layout.groups();
        // A group may have read a topic of another version.
        let known = groups.of(group).filter_map(|(place, offset)| {
            let of = &layout.places[place];
            let (topic, _) = of.known?;
            let next = Position { topic, partition: of.partition, offset };
            Some(Lag { next, end: of.bounds().end })
        });
        let mut lags: Vec<Lag> = known.collect();
        lags.sort_unstable_by_key(|lag| lag.next);
        Ok(lags)
    }

    /// Deletes what retention allows at an instant.
    pub async fn trim(&self, now: Timestamp) -> Result<u64> {
        let retention = self.0.retention.clone();
        on_thread(move || retention.trim(now)).await
    }

    /// What was done since it was opened.
    pub fn stats(&self) -> Stats {
        self.0.layout.stats()
    }

    /// Commits what is queued and lets go of the file.
    pub async fn close(self) -> Result<()> {
        self.0.room.close();
        self.0.intake.close();
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Another handle may have closed it, and waits for the same.
        if let Some(ended) = ended {
            ended.await.map_err(|_| Error::Closed)?;
        }
        self.0.closed.cancelled().await;
        self.0.pool.close();
        Ok(())
    }
}

impl Shared {
    /// Waits until so many kibibytes more may wait for the writer, who gives them back.
    async fn take_room(&self, kibibytes: u32) -> Result<()> {
        let taken = match self.room.try_acquire_many(kibibytes) {
            // Boxed: its state is larger than all the rest of a publish, and rarely there.
            Err(TryAcquireError::NoPermits) => {
                Box::pin(self.room.acquire_many(kibibytes)).await.map_err(|_| Error::Closed)?
            }
            taken => taken.map_err(|_| Error::Closed)?,
        };
        taken.forget();
        Ok(())
    }

    /// Adds to what is committed next, and waits for it.
    async fn ask(&self, call: impl FnOnce(&mut Group)) -> Result<()> {
        let (outcome, ()) = self.intake.enter(|group, _| call(group))?;
        outcome.wait().await.as_ref().map(drop).map_err(Error::clone)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.intake.close();
    }
}

/// Runs file work off the async threads.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    // The task is never aborted, so it ends early only by a panic in the work or with the runtime.
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)?
}
