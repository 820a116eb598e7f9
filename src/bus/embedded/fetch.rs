//! Reading: a pool of connections, and batches of records out of tables.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, Row};
use tokio::sync::Semaphore;

use super::batch::{Records, Stored};
use super::offset::Offset;
use super::{on_thread, schema};
use crate::bus::{Delivery, Error, Position, Result};

/// Reads at the same time; each takes milliseconds, so nobody waits long for a turn.
const READS_MAX: usize = 8;
/// Bytes after which a batch takes no more records.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Records of one batch at most, whatever was asked for.
const BATCH_RECORDS_MAX: usize = 10_000;

/// Connections for reading.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
}

impl Pool {
    pub fn new(path: PathBuf) -> Self {
        let turns = Semaphore::new(READS_MAX);
        Self(Arc::new(Inner { path, idle: Mutex::default(), turns }))
    }

    /// Runs a read on a connection of its own, off the async threads.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _turn = self.0.turns.acquire().await.map_err(|_| Error::Closed)?;
        let pool = self.0.clone();
        on_thread(move || {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = idle.map_or_else(|| schema::connect(&pool.path), Ok)?;
            let done = work(&connection);
            if !pool.turns.is_closed() {
                let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < READS_MAX {
                    idle.push(connection);
                }
            }
            done
        })
        .await
    }

    /// Ends all reading and lets go of the file.
    pub fn close(&self) {
        self.0.turns.close();
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A piece of a partition to be read.
pub(super) struct Piece {
    pub table: String,
    pub from: Position,
    /// What is visible.
    pub end: u64,
}

/// Reads pieces in turn until the batch is full: at least one record if there is any.
pub(super) fn batch(
    connection: &Connection,
    pieces: &[Piece],
    max: usize,
) -> Result<Vec<Delivery>> {
    let mut taken =
        Taken { deliveries: Vec::new(), bytes: 0, max: max.clamp(1, BATCH_RECORDS_MAX) };
    for piece in pieces {
        read(connection, piece, &mut taken)?;
        if taken.is_full() {
            break;
        }
    }
    Ok(taken.deliveries)
}

/// What a batch has so far.
struct Taken {
    deliveries: Vec<Delivery>,
    bytes: usize,
    max: usize,
}

impl Taken {
    fn is_full(&self) -> bool {
        self.deliveries.len() >= self.max || self.bytes >= BATCH_BYTES
    }
}

/// Reads a piece, or as much of it as the batch still takes.
fn read(connection: &Connection, piece: &Piece, taken: &mut Taken) -> Result<()> {
    // The first row is the one that holds the first record, perhaps in its middle.
    let select = format!(
        "SELECT \"offset\", count, at_ms, records FROM {table}
         WHERE \"offset\" < ?2 AND \"offset\" >=
           coalesce((SELECT max(\"offset\") FROM {table} WHERE \"offset\" <= ?1), ?1)
         ORDER BY \"offset\"",
        table = piece.table
    );
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query((Offset(piece.from.offset), Offset(piece.end)))?;
    let mut next = piece.from;
    while !taken.is_full() && next.offset < piece.end {
        let Some(row) = rows.next()? else { break };
        let Offset(first) = row.get(0)?;
        if first > next.offset {
            // Retention went past between the look at the bounds and this read.
            let Position { topic, partition, offset } = next;
            return Err(Error::OutOfRange {
                topic,
                partition,
                offset,
                start: first,
                end: piece.end,
            });
        }
        next.offset = take(row, Position { offset: first, ..next }, next.offset, taken)?;
    }
    Ok(())
}

/// Takes a row's records from an offset on, and answers where to go on.
fn take(row: &Row<'_>, first: Position, from: u64, taken: &mut Taken) -> Result<u64> {
    let damaged = |what: &str| {
        let Position { topic, partition, offset } = first;
        Error::Damaged(format!("{topic}/{partition}, the batch at {offset}: {what}"))
    };
    let count: u32 = row.get(1)?;
    let at = Timestamp::from_millisecond(row.get(2)?).map_err(|_| damaged("no instant"))?;
    let bytes = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
    let mut records = Records::open(bytes).map_err(damaged)?;
    for offset in (first.offset..).take(count as usize) {
        if taken.is_full() {
            return Ok(offset.max(from));
        }
        let record = records.next().unwrap_or(Err("fewer records than it counts"));
        let record = record.map_err(damaged)?;
        if offset < from {
            continue;
        }
        let Stored { key, headers, payload } = Stored::decode(record).map_err(damaged)?;
        taken.bytes += key.len() + payload.len();
        // A copy: one that is kept must not keep its whole batch.
        let payload = Bytes::copy_from_slice(payload);
        let position = Position { offset, ..first };
        taken.deliveries.push(Delivery { position, key, headers, at, payload });
    }
    if records.next().is_some() {
        return Err(damaged("more records than it counts"));
    }
    Ok(from.max(first.offset + u64::from(count)))
}
