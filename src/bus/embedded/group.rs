//! A group: calls that share one commit, and what they come to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use rusqlite::{Transaction, params};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::batch::{self, Batch};
use super::layout::Layout;
use super::offset::Offset;
use super::schema;
use crate::bus::{OVERTAKEN, Position, Record, Result, TopicId, partition};

/// Where a call's answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// One call's records as they are stored; written down in the caller's task, so that the writer
/// has only to copy them. It goes back with the answer: memory that another thread gives back than
/// took it costs both.
#[derive(Debug)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    /// Where each record's bytes end.
    ends: Vec<usize>,
    /// Where each record lies, once it is placed.
    pub positions: Vec<Position>,
}

impl Rows {
    /// Writes records down for a topic of so many partitions.
    pub fn new(topic: TopicId, records: &[Record], partitions: u32) -> Self {
        let mut bytes = Vec::new();
        let end = |record: &Record| {
            batch::encode(record, &mut bytes);
            bytes.len()
        };
        let ends = records.iter().map(end).collect();
        let partitions = records.iter().map(|record| partition::of_key(&record.key, partitions));
        let positions =
            partitions.map(|partition| Position { topic, partition, offset: 0 }).collect();
        Self { bytes, ends, positions }
    }
}

/// Calls that share one commit.
#[derive(Debug, Default)]
pub(super) struct Group {
    calls: Vec<Call>,
    appended: BTreeMap<(TopicId, u32), Vec<Batch>>,
    /// What its records take of the queue's room.
    room: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

/// A call that waits for the commit.
#[derive(Debug)]
enum Call {
    Publish {
        rows: Rows,
        reply: Reply<Rows>,
    },
    Commit {
        group: Arc<str>,
        next: Position,
        reply: Reply<()>,
    },
    Join {
        group: Arc<str>,
        topics: Vec<TopicId>,
        /// Where it goes on, once it has joined.
        next: Vec<Position>,
        reply: Reply<Vec<Position>>,
    },
}

impl Group {
    /// Gives a call's records their places, after what is on the log and in the group.
    pub fn publish(&mut self, layout: &Layout, mut rows: Rows, reply: Reply<Rows>) {
        let mut start = 0;
        for (position, &end) in rows.positions.iter_mut().zip(&rows.ends) {
            let Position { topic, partition, .. } = *position;
            let record = &rows.bytes[start..end];
            let place = || layout.topics[&topic].partitions[partition as usize].bounds().end;
            position.offset = append(self.appended.entry((topic, partition)), record, place);
            start = end;
        }
        self.bytes += rows.bytes.len();
        self.calls.push(Call::Publish { rows, reply });
    }

    /// Keeps a call's part of the queue's room until the group's fate is known.
    pub fn keep(&mut self, room: OwnedSemaphorePermit) {
        match &mut self.room {
            // Given back at once instead of one by one: each time takes a lock.
            Some(kept) => kept.merge(room),
            None => self.room = Some(room),
        }
    }

    /// Remembers where a group of readers goes on.
    pub fn commit(&mut self, group: Arc<str>, next: Position, reply: Reply<()>) {
        self.calls.push(Call::Commit { group, next, reply });
    }

    /// Enters a group of readers for topics.
    pub fn join(&mut self, group: Arc<str>, topics: Vec<TopicId>, reply: Reply<Vec<Position>>) {
        self.calls.push(Call::Join { group, topics, next: Vec::new(), reply });
    }

    /// How many calls share it.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// The bytes of its records.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of each row it writes.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        self.appended.values().flatten().map(Batch::len)
    }

    /// Where each partition that it appends to will end.
    pub fn ends(&self) -> impl Iterator<Item = (TopicId, u32, u64)> {
        self.appended.iter().filter_map(|(&(topic, partition), batches)| {
            batches.last().map(|last| (topic, partition, last.end()))
        })
    }

    /// Does all of it within a transaction.
    pub fn write(&mut self, tx: &Transaction<'_>, layout: &Layout, now_ms: i64) -> Result<()> {
        for (&(topic, partition), batches) in &mut self.appended {
            let place = layout.partition(topic, partition)?;
            let mut insert = tx.prepare_cached(&place.insert)?;
            for batch in batches {
                let (first, count) = (Offset(batch.first), batch.count);
                insert.execute(params![first, count, now_ms, batch.seal()])?;
            }
        }
        for call in &mut self.calls {
            match call {
                Call::Publish { .. } => {}
                Call::Commit { group, next, .. } => commit(tx, group, *next, now_ms)?,
                Call::Join { group, topics, next, .. } => {
                    *next = join(tx, layout, group, topics, now_ms)?;
                }
            }
        }
        Ok(())
    }

    /// Answers each call, all alike: what was done or why nothing was.
    pub fn answer(self, outcome: &Result<()>) {
        drop(self.room);
        // Whoever no longer waits does not want to know.
        for call in self.calls {
            let outcome = outcome.clone();
            match call {
                Call::Publish { rows, reply } => drop(reply.send(outcome.map(|()| rows))),
                Call::Commit { reply, .. } => drop(reply.send(outcome)),
                Call::Join { next, reply, .. } => drop(reply.send(outcome.map(|()| next))),
            }
        }
    }
}

/// Appends a record to a partition's batches, and answers its offset.
fn append(
    batches: Entry<'_, (TopicId, u32), Vec<Batch>>,
    record: &[u8],
    end: impl FnOnce() -> u64,
) -> u64 {
    let batches = batches.or_default();
    let offset = batches.last().map_or_else(end, Batch::end);
    if !batches.last_mut().is_some_and(|last| last.take(record)) {
        batches.push(Batch::new(offset, record));
    }
    offset
}

fn commit(tx: &Transaction<'_>, group: &str, next: Position, now_ms: i64) -> Result<()> {
    let upsert = "INSERT INTO groups (name, topic, partition, next, at_ms)
        VALUES (?, ?, ?, ?, ?) ON CONFLICT (name, topic, partition)
        DO UPDATE SET next = max(next, excluded.next), at_ms = excluded.at_ms";
    let Position { topic, partition, offset } = next;
    let values = params![group, topic.name(), partition, Offset(offset), now_ms];
    tx.prepare_cached(upsert)?.execute(values)?;
    Ok(())
}

/// Enters the group at the start of every partition it does not know, so that retention waits for
/// it from now on. A group that was overtaken goes on with the oldest record kept.
fn join(
    tx: &Transaction<'_>,
    layout: &Layout,
    group: &str,
    topics: &[TopicId],
    now_ms: i64,
) -> Result<Vec<Position>> {
    let known = schema::offsets(tx, group)?;
    for &topic in topics {
        for partition in 0..layout.count(topic) {
            let offset = layout.partition(topic, partition)?.bounds().start;
            let same = |next: &&Position| (next.topic, next.partition) == (topic, partition);
            let missed =
                known.iter().find(same).map_or(0, |next| offset.saturating_sub(next.offset));
            if missed > 0 {
                tracing::warn!(group, %topic, partition, missed, "{OVERTAKEN}");
            }
            commit(tx, group, Position { topic, partition, offset }, now_ms)?;
        }
    }
    let mut offsets = schema::offsets(tx, group)?;
    offsets.retain(|next| topics.contains(&next.topic));
    Ok(offsets)
}
