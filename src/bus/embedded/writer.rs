//! The writer: one thread that appends, in groups, and answers after the commit.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::group::{Group, Reply, Rows};
use super::layout::Layout;
use super::schema::CHECKPOINT_BYTES;
use crate::bus::{Error, Position, Result, Settings, TopicId};
use crate::clock::Clock;
use crate::store::sqlite::spare::{STEP_JOURNAL_BYTES, Spare};

/// Calls that share one commit at most: enough to fill the disk's time, little enough that none
/// waits long for the others.
const GROUP_CALLS_MAX: usize = 1024;
/// Bytes after which a group takes no more calls.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Calls at once that are a rush: more are on their way, and a commit without them makes them wait
/// for a second one. Fewer do not wait: most calls are alone, and nobody follows them.
const RUSH_CALLS: usize = 8;
/// How long a rush waits for its next calls: many times what a publisher takes, a small part of
/// what a commit does.
const RUSH_GAP: Duration = Duration::from_micros(20);
/// How long a rush gathers in all: about a commit's time, which it may save.
const RUSH_TIME_MAX: Duration = Duration::from_millis(1);
/// How often retention looks, while the log is written to.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// What a page of the journal has beside its bytes.
const FRAME_HEAD_BYTES: usize = 24;
/// Pages that a row, and that a group, takes beside its bytes: ends of tables and of their trees.
const PAGES_MORE: usize = 2;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Append rows to a topic's partitions.
    Publish { rows: Rows, room: OwnedSemaphorePermit, reply: Reply<Rows> },
    /// Remember where a group goes on.
    Commit { group: Arc<str>, next: Position, reply: Reply<()> },
    /// Enter a group for topics, and answer where it goes on.
    Join { group: Arc<str>, topics: Vec<TopicId>, reply: Reply<Vec<Position>> },
    /// Delete everything that retention allows at an instant.
    Trim { now: Timestamp, reply: Reply<u64> },
    /// End.
    Close { reply: Reply<()> },
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) layout: Arc<Layout>,
    pub(super) clock: Clock,
    /// A group silent for longer holds nothing back.
    pub(super) pinned_max: Duration,
    next_trim: Timestamp,
    page_bytes: usize,
    bytes_since_checkpoint: usize,
    pub(super) spare: Spare,
}

/// What is done after a group, and ends the gathering of it.
enum After {
    Trim(Timestamp, Reply<u64>),
    Close(Reply<()>),
}

impl Writer {
    pub fn new(
        connection: Connection,
        layout: Arc<Layout>,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self> {
        let pinned_max = Duration::from_secs(u64::from(settings.pinned_hours_max) * 3600);
        let next_trim = clock.now();
        let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(Self {
            connection,
            layout,
            clock,
            pinned_max,
            next_trim,
            page_bytes: page_bytes as usize,
            bytes_since_checkpoint: 0,
            spare: Spare::default(),
        })
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
        while let Some(first) = self.next(&mut commands) {
            let (group, after) = self.gather(first, &mut commands);
            self.commit_group(group);
            match after {
                Some(After::Trim(now, reply)) => {
                    let _ = reply.send(self.trim_all(now));
                }
                Some(After::Close(reply)) => return Some(reply),
                None => {}
            }
            self.keep_house();
        }
        None
    }

    /// Waits for a command; while there is none, what is free of the file is given back.
    fn next(&mut self, commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
        while self.spare.is_due() {
            match commands.try_recv() {
                Ok(command) => return Some(command),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {
                    self.spare.give_back(&self.connection);
                    self.bytes_since_checkpoint += STEP_JOURNAL_BYTES as usize;
                    self.keep_house();
                }
            }
        }
        commands.blocking_recv()
    }

    /// What waits in the queue and, in a rush, what is about to.
    fn gather(
        &self,
        first: Command,
        commands: &mut mpsc::Receiver<Command>,
    ) -> (Group, Option<After>) {
        let start = Instant::now();
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Publish { rows, room, reply } => {
                    group.keep(room);
                    group.publish(&self.layout, rows, reply);
                }
                Command::Commit { group: name, next, reply } => group.commit(name, next, reply),
                Command::Join { group: name, topics, reply } => group.join(name, topics, reply),
                Command::Trim { now, reply } => return (group, Some(After::Trim(now, reply))),
                Command::Close { reply } => return (group, Some(After::Close(reply))),
            }
            let full = group.len() >= GROUP_CALLS_MAX || group.bytes() >= GROUP_BYTES;
            next = if full { None } else { commands.try_recv().ok() };
            if next.is_none() && !full && group.len() >= RUSH_CALLS {
                next = next_in_rush(commands, start);
            }
        }
        (group, None)
    }

    /// One transaction for the whole group, then one answer to each.
    fn commit_group(&mut self, mut group: Group) {
        if group.len() == 0 {
            return;
        }
        self.bytes_since_checkpoint += self.journal_bytes(&group);
        let committed = self.append(&mut group);
        if committed.is_ok() {
            self.show(&group);
        }
        group.answer(&committed);
    }

    /// What a group takes of the journal, or a little more: whole pages.
    fn journal_bytes(&self, group: &Group) -> usize {
        let of_row = |bytes: usize| bytes / self.page_bytes + PAGES_MORE;
        let pages = group.rows().map(of_row).sum::<usize>() + PAGES_MORE;
        pages * (self.page_bytes + FRAME_HEAD_BYTES)
    }

    fn append(&mut self, group: &mut Group) -> Result<()> {
        let now_ms = self.clock.now().as_millisecond();
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        group.write(&tx, &self.layout, now_ms)?;
        self.spare.look(&tx)?;
        tx.commit()?;
        self.layout.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Makes a committed group visible and wakes who waits for it.
    fn show(&self, group: &Group) {
        for (topic, partition, end) in group.ends() {
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

/// Waits a moment and takes a rush's next call, if there is one by then. It neither parks nor
/// yields: on a busy machine either would give the core away for a thousand times as long. It looks
/// at the queue once only: who always looks slows those who fill it.
fn next_in_rush(commands: &mut mpsc::Receiver<Command>, start: Instant) -> Option<Command> {
    let mut now = Instant::now();
    let then = now + RUSH_GAP;
    if then > start + RUSH_TIME_MAX {
        return None;
    }
    while now < then {
        std::hint::spin_loop();
        now = Instant::now();
    }
    commands.try_recv().ok()
}
