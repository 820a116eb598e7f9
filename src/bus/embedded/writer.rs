//! The writer: one thread that appends, in groups, and answers after the commit.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::layout::Layout;
use super::offset::Offset;
use super::schema::{self, CHECKPOINT_BYTES};
use crate::bus::{Error, OVERTAKEN, Position, Result, Settings, TopicId};
use crate::clock::Clock;

/// Calls that share one commit at most: enough to fill the disk's time, little enough that none
/// waits long for the others.
const GROUP_CALLS_MAX: usize = 1024;
/// Bytes after which a group takes no more calls.
const GROUP_BYTES: u64 = 8 * 1024 * 1024;
/// What a group writes to the journal beside its records: the rest of their last pages.
const GROUP_BYTES_MIN: u64 = 2 * 4096;
/// How often retention looks, while the log is written to.
const TRIM_EVERY: Duration = Duration::from_secs(60);

type Reply<T> = oneshot::Sender<Result<T>>;
/// Answers one call when its group's fate is known.
type Answer = Box<dyn FnOnce(Result<()>)>;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Append rows to a topic.
    Publish {
        topic: TopicId,
        rows: Vec<Row>,
        room: OwnedSemaphorePermit,
        reply: Reply<Vec<Position>>,
    },
    /// Remember where a group goes on.
    Commit { group: Arc<str>, next: Position, reply: Reply<()> },
    /// Enter a group for topics, and answer where it goes on.
    Join { group: Arc<str>, topics: Vec<TopicId>, reply: Reply<Vec<Position>> },
    /// Delete everything that retention allows at an instant.
    Trim { now: Timestamp, reply: Reply<u64> },
    /// End.
    Close { reply: Reply<()> },
}

/// A record, ready to be stored.
pub(super) struct Row {
    pub partition: u32,
    pub key: String,
    /// A JSON array of pairs.
    pub headers: String,
    pub payload: Bytes,
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) layout: Arc<Layout>,
    pub(super) clock: Clock,
    /// A group silent for longer holds nothing back.
    pub(super) pinned_max: Duration,
    next_trim: Timestamp,
    bytes_since_checkpoint: u64,
}

/// A group's new ends, known to nobody before its commit.
type Ends = BTreeMap<(TopicId, u32), u64>;

impl Writer {
    pub fn new(
        connection: Connection,
        layout: Arc<Layout>,
        settings: &Settings,
        clock: Clock,
    ) -> Self {
        let pinned_max = Duration::from_secs(u64::from(settings.pinned_hours_max) * 3600);
        let next_trim = clock.now();
        Self { connection, layout, clock, pinned_max, next_trim, bytes_since_checkpoint: 0 }
    }

    /// Runs until it is closed or every handle is gone. The lock on the directory goes with it.
    pub fn start(
        self,
        commands: mpsc::Receiver<Command>,
        lock: File,
        closed: CancellationToken,
    ) -> Result<()> {
        let run = move || {
            // Whatever ends the thread, even a panic, readers must not wait for ever.
            let _closed = closed.drop_guard();
            let closing = self.run(commands);
            drop(lock);
            if let Some(reply) = closing {
                let _ = reply.send(Ok(()));
            }
        };
        let thread = std::thread::Builder::new().name("loa-log-writer".to_owned());
        thread.spawn(run).map(drop).map_err(|error| Error::Storage(error.to_string()))
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Option<Reply<()>> {
        while let Some(first) = commands.blocking_recv() {
            let mut group = Vec::new();
            let (mut bytes, mut trim, mut close) = (0, None, None);
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    Command::Trim { now, reply } => trim = Some((now, reply)),
                    Command::Close { reply } => close = Some(reply),
                    command => {
                        bytes += command.bytes();
                        group.push(command);
                    }
                }
                let full = group.len() == GROUP_CALLS_MAX || bytes >= GROUP_BYTES;
                let last = full || trim.is_some() || close.is_some();
                next = if last { None } else { commands.try_recv().ok() };
            }
            self.commit_group(group);
            self.bytes_since_checkpoint += bytes + GROUP_BYTES_MIN;
            if let Some((now, reply)) = trim {
                let _ = reply.send(self.trim_all(now));
            }
            if close.is_some() {
                return close;
            }
            self.keep_house();
        }
        None
    }

    /// One transaction for the whole group, then one answer to each.
    fn commit_group(&mut self, group: Vec<Command>) {
        if group.is_empty() {
            return;
        }
        let mut answers: Vec<Answer> = Vec::with_capacity(group.len());
        let mut ends = Ends::new();
        let committed = self.append(group, &mut ends, &mut answers);
        if committed.is_ok() {
            self.show(&ends);
        }
        for answer in answers {
            answer(committed.clone());
        }
    }

    fn append(
        &mut self,
        group: Vec<Command>,
        ends: &mut Ends,
        answers: &mut Vec<Answer>,
    ) -> Result<()> {
        let now_ms = self.clock.now().as_millisecond();
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let mut work = Work { layout: &self.layout, now_ms, ends };
        let (tx, mut outcome) = match begun {
            Ok(tx) => (Some(tx), Ok(())),
            Err(error) => (None, Err(Error::from(error))),
        };
        // Every command must yield its answer, also those after one that failed.
        for command in group {
            let tx = tx.as_ref().filter(|_| outcome.is_ok());
            if let Err(error) = work.apply(command, tx, answers) {
                outcome = Err(error);
            }
        }
        outcome?;
        tx.expect("begun, since nothing failed").commit()?;
        self.layout.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Makes a committed group visible and wakes who waits for it.
    fn show(&self, ends: &Ends) {
        for (&(topic, partition), &end) in ends {
            let topic = &self.layout.topics[&topic];
            let partition = &topic.partitions[partition as usize];
            self.layout.records.fetch_add(end - partition.bounds().end, Ordering::Relaxed);
            partition.set_end(end);
            topic.changed.send_modify(|count| *count += 1);
        }
    }

    /// What is done between groups: retention, a little at a time, and checkpoints.
    fn keep_house(&mut self) {
        let now = self.clock.now();
        if now >= self.next_trim {
            match self.trim_some(now) {
                // More is left than one step may delete: go on after the next group.
                Ok(deleted) if deleted.more => {}
                Ok(_) => self.next_trim = now.saturating_add(TRIM_EVERY).expect("a minute fits"),
                Err(error) => {
                    tracing::error!(%error, "retention failed; it is tried again in a minute");
                    self.next_trim = now.saturating_add(TRIM_EVERY).expect("a minute fits");
                }
            }
        }
        if self.bytes_since_checkpoint >= CHECKPOINT_BYTES {
            self.bytes_since_checkpoint = 0;
            let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
            if let Err(error) = self.connection.query_row(checkpoint, [], |_| Ok(())) {
                tracing::error!(%error, "a checkpoint of the log failed; its journal grows");
            }
        }
    }
}

/// One group's transaction at work.
struct Work<'a> {
    layout: &'a Layout,
    now_ms: i64,
    ends: &'a mut Ends,
}

impl Work<'_> {
    /// Does a command within the transaction (unless that has failed) and adds its answer.
    fn apply(
        &mut self,
        command: Command,
        tx: Option<&Transaction<'_>>,
        answers: &mut Vec<Answer>,
    ) -> Result<()> {
        match command {
            Command::Publish { topic, rows, room, reply } => {
                let done = tx.map_or(Ok(Vec::new()), |tx| self.publish(tx, topic, rows));
                answer(done, answers, reply, room)
            }
            Command::Commit { group, next, reply } => {
                let done = tx.map_or(Ok(()), |tx| self.commit(tx, &group, next));
                answer(done, answers, reply, ())
            }
            Command::Join { group, topics, reply } => {
                let done = tx.map_or(Ok(Vec::new()), |tx| self.join(tx, &group, &topics));
                answer(done, answers, reply, ())
            }
            Command::Trim { .. } | Command::Close { .. } => Ok(()),
        }
    }

    fn publish(
        &mut self,
        tx: &Transaction<'_>,
        topic: TopicId,
        rows: Vec<Row>,
    ) -> Result<Vec<Position>> {
        let mut positions = Vec::with_capacity(rows.len());
        for Row { partition, key, headers, payload } in rows {
            let place = self.layout.partition(topic, partition)?;
            let end = self.ends.entry((topic, partition)).or_insert_with(|| place.bounds().end);
            let values = params![Offset(*end), self.now_ms, key, headers, &payload[..]];
            tx.prepare_cached(&place.insert)?.execute(values)?;
            positions.push(Position { topic, partition, offset: *end });
            *end += 1;
        }
        Ok(positions)
    }

    fn commit(&self, tx: &Transaction<'_>, group: &str, next: Position) -> Result<()> {
        let upsert = "INSERT INTO groups (name, topic, partition, next, at_ms)
            VALUES (?, ?, ?, ?, ?) ON CONFLICT (name, topic, partition)
            DO UPDATE SET next = max(next, excluded.next), at_ms = excluded.at_ms";
        let Position { topic, partition, offset } = next;
        let values = params![group, topic.name(), partition, Offset(offset), self.now_ms];
        tx.prepare_cached(upsert)?.execute(values)?;
        Ok(())
    }

    /// Enters the group at the start of every partition it does not know, so that retention
    /// waits for it from now on. A group that was overtaken goes on with the oldest record kept.
    fn join(&self, tx: &Transaction<'_>, group: &str, topics: &[TopicId]) -> Result<Vec<Position>> {
        let known = schema::offsets(tx, group)?;
        for &topic in topics {
            for partition in 0..self.layout.count(topic) {
                let offset = self.layout.partition(topic, partition)?.bounds().start;
                let same = |next: &&Position| (next.topic, next.partition) == (topic, partition);
                let missed =
                    known.iter().find(same).map_or(0, |next| offset.saturating_sub(next.offset));
                if missed > 0 {
                    tracing::warn!(group, %topic, partition, missed, "{OVERTAKEN}");
                }
                self.commit(tx, group, Position { topic, partition, offset })?;
            }
        }
        let mut offsets = schema::offsets(tx, group)?;
        offsets.retain(|next| topics.contains(&next.topic));
        Ok(offsets)
    }
}

/// Adds the answer to a call: what was done, if the group gets committed.
fn answer<T: 'static>(
    done: Result<T>,
    answers: &mut Vec<Answer>,
    reply: Reply<T>,
    room: impl Sized + 'static,
) -> Result<()> {
    let (done, outcome) = match done {
        Ok(done) => (Some(done), Ok(())),
        Err(error) => (None, Err(error)),
    };
    answers.push(Box::new(move |committed| {
        drop(room);
        let done = committed.map(|()| done.expect("a group with a failure is not committed"));
        // Whoever no longer waits does not want to know.
        let _ = reply.send(done);
    }));
    outcome
}

impl Command {
    fn bytes(&self) -> u64 {
        match self {
            Command::Publish { rows, .. } => rows
                .iter()
                .map(|row| (row.key.len() + row.headers.len() + row.payload.len()) as u64)
                .sum(),
            _ => 0,
        }
    }
}
