//! Reading: a few reads at a time, and batches of records out of segments.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::batch::{Records, Stored, sum};
use super::frame::Entry;
use super::layout::{Layout, Place};
use super::on_thread;
use super::segment::Segment;
use super::store::{Store, Window};
use crate::bus::{Delivery, Error, Position, Result};

/// Reads at the same time; each takes milliseconds, so nobody waits long for a turn.
const READS_MAX: usize = 8;
/// Bytes after which a batch takes no more records.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Records of one batch at most, whatever was asked for.
const BATCH_RECORDS_MAX: usize = 10_000;

/// Who reads.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    layout: Arc<Layout>,
    store: Arc<Store>,
    turns: Arc<Semaphore>,
}

/// A piece of a partition to be read.
pub(super) struct Piece {
    pub from: Position,
    /// What is visible.
    pub end: u64,
}

impl Pool {
    pub fn new(layout: Arc<Layout>, store: Arc<Store>) -> Self {
        Self { layout, store, turns: Arc::new(Semaphore::new(READS_MAX)) }
    }

    /// Reads pieces in turn until the batch is full, off the async threads: at least one record if
    /// there is any.
    pub async fn read(&self, pieces: Vec<Piece>, max: usize) -> Result<Vec<Delivery>> {
        let _turn = self.turns.acquire().await.map_err(|_| Error::Closed)?;
        let (layout, store) = (self.layout.clone(), self.store.clone());
        on_thread(move || {
            let max = max.clamp(1, BATCH_RECORDS_MAX);
            let mut taken = Taken { deliveries: Vec::new(), bytes: 0, max };
            for piece in pieces {
                read(&layout, &store, &piece, &mut taken)?;
                if taken.is_full() {
                    break;
                }
            }
            Ok(taken.deliveries)
        })
        .await
    }

    /// Ends all reading.
    pub fn close(&self) {
        self.turns.close();
    }
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
fn read(layout: &Layout, store: &Store, piece: &Piece, taken: &mut Taken) -> Result<()> {
    let Position { topic, partition, .. } = piece.from;
    let index = layout.index(topic, partition)?;
    let place = &layout.places[index];
    let mut next = piece.from;
    while !taken.is_full() && next.offset < piece.end {
        let Some((segment, at, until)) = store.find(index, next.offset) else {
            return Err(missing(place, next, piece.end));
        };
        let stretch = Stretch { segment: &segment, at, until: until.min(piece.end) };
        next = stretch.read(place, next, taken)?;
    }
    Ok(())
}

/// What it means that no segment has an offset.
fn missing(place: &Place, next: Position, end: u64) -> Error {
    let Position { topic, partition, offset } = next;
    let start = place.bounds().start;
    if start > offset {
        // Retention went past between the look at the bounds and this read.
        return Error::OutOfRange { topic, partition, offset, start, end };
    }
    Error::Damaged(format!("{topic}/{partition}, the record at {offset}: no segment has it"))
}

/// A part of a segment in which a partition's records lie.
struct Stretch<'a> {
    segment: &'a Segment,
    at: u64,
    until: u64,
}

impl Stretch<'_> {
    /// Takes its records from an offset on, and answers where to go on.
    fn read(&self, place: &Place, mut next: Position, taken: &mut Taken) -> Result<Position> {
        let mut window = Window::new(self.segment, self.segment.index().end);
        let mut at = self.at;
        while !taken.is_full() && next.offset < self.until {
            let head =
                window.head(at)?.ok_or_else(|| self.damaged(next, at, "no frame is there"))?;
            let instant = Timestamp::from_millisecond(head.at_ms);
            let instant = instant.map_err(|_| self.damaged(next, at, "no instant"))?;
            let mut body = at + head.bodies_at() as u64;
            let mut mine = Vec::new();
            let entries = window.table(at, &head)?.map_err(|what| self.damaged(next, at, what))?;
            for entry in entries {
                let entry = entry.map_err(|what| self.damaged(next, at, what))?;
                let Entry::Batch { topic, partition, first, count, bytes, sum } = entry else {
                    continue;
                };
                if place.is(topic, partition) && first + u64::from(count) > next.offset {
                    mine.push(Lies { at: body, bytes, sum, first, count, instant });
                }
                body += bytes as u64;
            }
            for lies in mine {
                let first = Position { offset: lies.first, ..next };
                if lies.first > next.offset {
                    return Err(self.damaged(next, at, "records are missing before it"));
                }
                let bytes = window.get(lies.at, lies.bytes)?;
                next.offset = lies
                    .take(bytes, first, next.offset, taken)
                    .map_err(|what| self.damaged(first, lies.at, what))?;
                if taken.is_full() {
                    break;
                }
            }
            at += head.len();
        }
        Ok(next)
    }

    /// Says whose records are damaged, and where they lie.
    fn damaged(&self, first: Position, at: u64, what: &'static str) -> Error {
        let Position { topic, partition, offset } = first;
        match self.segment.damaged(at, what) {
            Error::Damaged(file) => {
                Error::Damaged(format!("{topic}/{partition}, the batch at {offset}: {file}"))
            }
            other => other,
        }
    }
}

/// Where a batch lies, and what its frame says of it.
struct Lies {
    at: u64,
    bytes: usize,
    sum: u32,
    first: u64,
    count: u32,
    instant: Timestamp,
}

impl Lies {
    /// Takes its records from an offset on, and answers where to go on.
    fn take(
        &self,
        bytes: &[u8],
        first: Position,
        from: u64,
        taken: &mut Taken,
    ) -> Result<u64, &'static str> {
        if bytes.len() < self.bytes || sum(bytes) != Some(self.sum) {
            return Err("its checksum is another");
        }
        let mut records = Records::open(bytes)?;
        for offset in (self.first..).take(self.count as usize) {
            if taken.is_full() {
                return Ok(offset.max(from));
            }
            let record = records.next().unwrap_or(Err("fewer records than it counts"))?;
            if offset < from {
                continue;
            }
            let Stored { key, headers, payload } = Stored::decode(record)?;
            taken.bytes += key.len() + payload.len();
            // A copy: one that is kept must not keep its whole batch.
            let payload = Bytes::copy_from_slice(payload);
            let (position, at) = (Position { offset, ..first }, self.instant);
            taken.deliveries.push(Delivery { position, key, headers, at, payload });
        }
        if records.next().is_some() {
            return Err("more records than it counts");
        }
        Ok(from.max(self.first + u64::from(self.count)))
    }
}
