//! Reading: a pool of connections, and batches of records out of tables.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, Row};
use tokio::sync::Semaphore;

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
    let max = max.clamp(1, BATCH_RECORDS_MAX);
    let (mut deliveries, mut bytes) = (Vec::new(), 0);
    for piece in pieces {
        let select = format!(
            "SELECT \"offset\", at_ms, key, headers, payload FROM {}
             WHERE \"offset\" >= ? AND \"offset\" < ? ORDER BY \"offset\" LIMIT ?",
            piece.table
        );
        let mut statement = connection.prepare_cached(&select)?;
        let limit = Offset((max - deliveries.len()) as u64);
        let (start, end) = (piece.from.offset, piece.end);
        let mut rows = statement.query((Offset(start), Offset(end), limit))?;
        let mut expected = start;
        while let Some(row) = rows.next()? {
            let delivery = delivery(row, piece.from)?;
            let Position { topic, partition, offset } = delivery.position;
            if offset != expected {
                // Retention went past between the look at the bounds and this read.
                return Err(Error::OutOfRange {
                    topic,
                    partition,
                    offset: expected,
                    start: offset,
                    end,
                });
            }
            expected += 1;
            bytes += delivery.key.len() + delivery.payload.len();
            deliveries.push(delivery);
            if bytes >= BATCH_BYTES {
                return Ok(deliveries);
            }
        }
        if deliveries.len() >= max {
            break;
        }
    }
    Ok(deliveries)
}

fn delivery(row: &Row<'_>, from: Position) -> Result<Delivery> {
    let position = Position { offset: row.get::<_, Offset>(0)?.0, ..from };
    let damaged = |what: &str| {
        let Position { topic, partition, offset } = position;
        Error::Damaged(format!("{topic}/{partition} at {offset}: {what}"))
    };
    let at = Timestamp::from_millisecond(row.get(1)?).map_err(|_| damaged("no instant"))?;
    let headers = serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?);
    let headers = headers.map_err(|_| damaged("headers are no pairs"))?;
    let payload = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(Delivery {
        position,
        key: row.get(2)?,
        headers,
        at,
        payload: Bytes::copy_from_slice(payload),
    })
}
