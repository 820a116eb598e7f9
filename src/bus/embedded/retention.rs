//! Retention: what is old enough and read by every group is deleted, a little at a time.
//!
//! It is exact to the record: `start` rises to the first one that is kept, and nobody reads below
//! it. Rows go whole: one of which a record is kept stays until that one may go as well. So what
//! was deleted of it lies in the file for as long as a group that counts waits before the rest,
//! all of which is of the same age.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::layout::Partition;
use super::offset::Offset;
use super::writer::Writer;
use crate::bus::{Result, TopicId};

/// Records looked at and deleted of one partition in one step: a few milliseconds, so that no
/// publish waits longer for it.
const STEP_RECORDS: u64 = 2_000;

/// What one step did.
#[derive(Clone, Copy, Default)]
pub(super) struct Trimmed {
    pub records: u64,
    /// Whether another step may find more.
    pub more: bool,
}

impl Writer {
    /// Deletes everything that may go at an instant.
    pub(super) fn trim_all(&mut self, now: Timestamp) -> Result<u64> {
        let mut records = 0;
        loop {
            let trimmed = self.trim_some(now)?;
            records += trimmed.records;
            if !trimmed.more {
                return Ok(records);
            }
        }
    }

    /// One step in every partition, in one transaction.
    pub(super) fn trim_some(&mut self, now: Timestamp) -> Result<Trimmed> {
        let now_ms = now.as_millisecond();
        let layout = self.layout.clone();
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let silent_ms = now_ms.saturating_sub(millis(self.pinned_max));
        let mut cuts = Vec::new();
        let mut trimmed = Trimmed::default();
        for (&id, topic) in &layout.topics {
            let horizon_ms = now_ms.saturating_sub(millis(topic.retention));
            for (index, partition) in (0..).zip(&topic.partitions) {
                let bounds = partition.bounds();
                let step = bounds.end.min(bounds.start + STEP_RECORDS);
                let old = first_kept(&tx, partition, step, horizon_ms)?;
                let cut = old.min(first_needed(&tx, id, index, silent_ms)?.unwrap_or(old));
                if cut > bounds.start {
                    delete_below(&tx, id, index, partition, cut)?;
                    trimmed.records += cut - bounds.start;
                    trimmed.more |= cut == step && step < bounds.end;
                    cuts.push((topic, partition, cut));
                }
            }
        }
        self.spare.look(&tx)?;
        tx.commit()?;
        for (topic, partition, cut) in cuts {
            partition.set_start(cut);
            // A reader that waits below the new start is told so at once.
            topic.changed.send_modify(|count| *count += 1);
        }
        layout.deleted.fetch_add(trimmed.records, Ordering::Relaxed);
        Ok(trimmed)
    }
}

/// The first offset below `step` that is not old, or `step`. Only the first row may begin below
/// the partition's start, and has a record at it.
fn first_kept(
    connection: &Connection,
    partition: &Partition,
    step: u64,
    horizon_ms: i64,
) -> Result<u64> {
    let select = format!(
        "SELECT \"offset\" FROM {} WHERE \"offset\" < ? AND at_ms > ? ORDER BY \"offset\" LIMIT 1",
        partition.table
    );
    let values = params![Offset(step), horizon_ms];
    let kept = connection.prepare_cached(&select)?.query_row(values, |row| row.get(0));
    let start = partition.bounds().start;
    Ok(kept.optional()?.map_or(step, |Offset(kept)| kept.max(start)))
}

/// The offset at which the hindmost group that still counts goes on.
fn first_needed(
    connection: &Connection,
    topic: TopicId,
    partition: u32,
    silent_ms: i64,
) -> Result<Option<u64>> {
    let select = "SELECT min(next) FROM groups WHERE topic = ? AND partition = ? AND at_ms > ?";
    let values = params![topic.name(), partition, silent_ms];
    let needed: Option<Offset> =
        connection.prepare_cached(select)?.query_row(values, |row| row.get(0))?;
    Ok(needed.map(|Offset(needed)| needed))
}

fn delete_below(
    connection: &Connection,
    topic: TopicId,
    index: u32,
    partition: &Partition,
    cut: u64,
) -> Result<()> {
    let delete = format!(
        "DELETE FROM {} WHERE \"offset\" < ?1 AND \"offset\" + count <= ?1",
        partition.table
    );
    connection.prepare_cached(&delete)?.execute([Offset(cut)])?;
    let update = "UPDATE partitions SET start = ? WHERE topic = ? AND partition = ?";
    connection.prepare_cached(update)?.execute(params![Offset(cut), topic.name(), index])?;
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
