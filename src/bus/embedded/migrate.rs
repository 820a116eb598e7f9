//! A log of before, which had its records in tables of `log.db`, made into one of segments.
//!
//! Version 1 had a row a record, version 2 a row a batch ([`super::batch`]). Segments are written
//! first, and then one transaction empties `log.db` and gives it its version: until that one is
//! durable, what lies beside it in `log` is the remains of a migration that was killed, and is
//! begun again. It holds a batch or two in memory, and takes as much more of the disk as the
//! records do.
//!
//! Version 3 had segments already, with frames that are read as they are ([`super::frame`]).

use std::fs::File;
use std::path::Path;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, Row};

use super::batch::{self, Batch};
use super::frame::{Entry, Frame};
use super::layout::{Found, Layout};
use super::open::SCHEMA;
use super::segment::{self, HEAD_BYTES, Making, Segment};
use super::tail::{self, Ahead, Failed, SIZE_MAX, SIZE_MIN};
use crate::bus::{Error, Record, Result};

/// The first version that had segments.
const SEGMENTS: i64 = 3;
/// Bytes after which a frame takes no more batches.
const FRAME_BYTES: usize = 1024 * 1024;

/// An offset: SQLite's integers have a sign.
struct Offset(u64);

impl FromSql for Offset {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let signed = value.as_i64()?;
        u64::try_from(signed).map(Self).map_err(|_| FromSqlError::OutOfRange(signed))
    }
}

/// Takes over what `log.db` has, if it is of an earlier version.
pub(super) fn finish(names: &Connection, dir: &Path) -> Result<()> {
    let version: i64 = names.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == SCHEMA {
        return Ok(());
    }
    if version == SEGMENTS {
        // Its frames are read as they are; whoever knows no others must not open it again.
        return Ok(names.pragma_update(None, "user_version", SCHEMA)?);
    }
    let storage = |error: std::io::Error| segment::failed(dir, &error);
    if dir.exists() {
        std::fs::remove_dir_all(dir).map_err(storage)?;
    }
    std::fs::create_dir_all(dir).map_err(storage)?;
    if let Err(error) = take_over(names, dir, version) {
        // Half of it helps nobody, least of all a full disk.
        let _ = std::fs::remove_dir_all(dir);
        return Err(error);
    }
    let parent = dir.parent().unwrap_or(dir);
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(storage)?;
    forget(names)
}

/// Writes all of it to segments.
fn take_over(names: &Connection, dir: &Path, version: i64) -> Result<()> {
    let layout = Layout::new(String::new(), &found(names)?);
    let mut moved = Moved { dir, version, making: None, number: 1, frame: 0 };
    for place in 0..layout.places.len() {
        let of = &layout.places[place];
        let (topic, partition) = (of.topic.clone(), of.partition);
        let table = format!("\"{topic}/{partition}\"");
        let start = of.bounds().start;
        if !names.table_exists(None, &*format!("{topic}/{partition}"))? {
            continue;
        }
        let (end, records) = moved.take(names, &table, (&topic, partition, start))?;
        layout.places[place].set_end(end);
        if records > 0 {
            tracing::info!(topic, partition, records, "records of an earlier version taken over");
        }
    }
    moved.seal()?;
    moved.end(&layout)
}

/// Empties `log.db`, and gives it its version.
fn forget(names: &Connection) -> Result<()> {
    let tx = names.unchecked_transaction()?;
    let mut select = tx.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables: Vec<String> =
        select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    drop(select);
    for table in tables.iter().filter(|table| *table != "log") {
        tx.execute_batch(&format!("DROP TABLE \"{}\"", table.replace('"', "\"\"")))?;
    }
    tx.pragma_update(None, "user_version", SCHEMA)?;
    tx.commit()?;
    // Its room goes back now if it can, and otherwise stays its own.
    if let Err(error) = names.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "what log.db took of the disk is not given back");
    }
    Ok(())
}

/// The partitions and groups of an earlier version.
fn found(names: &Connection) -> Result<Found> {
    let mut found = Found::default();
    let mut partitions = names.prepare("SELECT topic, partition, start FROM partitions")?;
    let mut rows = partitions.query([])?;
    while let Some(row) = rows.next()? {
        let Offset(start) = row.get(2)?;
        found.places.insert((row.get(0)?, row.get(1)?), start..start);
    }
    let mut groups = names.prepare("SELECT name, topic, partition, next, at_ms FROM groups")?;
    let mut rows = groups.query([])?;
    while let Some(row) = rows.next()? {
        let Offset(next) = row.get(3)?;
        let at = (row.get(0)?, row.get(1)?, row.get(2)?);
        found.groups.insert(at, (next, row.get(4)?));
    }
    Ok(found)
}

/// What was written of the new log so far.
struct Moved<'a> {
    dir: &'a Path,
    version: i64,
    making: Option<Making>,
    /// The next segment's number, and the next frame's.
    number: u64,
    frame: u64,
}

/// A row, or what becomes one of rows of version 1.
struct Taken {
    first: u64,
    count: u32,
    at_ms: i64,
    bytes: Vec<u8>,
}

impl Moved<'_> {
    /// Takes over a partition's rows, and answers where they end and how many records they were.
    fn take(
        &mut self,
        names: &Connection,
        table: &str,
        (topic, partition, start): (&str, u32, u64),
    ) -> Result<(u64, u64)> {
        let columns = match self.version {
            1 => "\"offset\", at_ms, key, headers, payload",
            _ => "\"offset\", at_ms, count, records",
        };
        let select = format!("SELECT {columns} FROM {table} ORDER BY \"offset\"");
        let mut select = names.prepare(&select)?;
        let mut rows = select.query([])?;
        let (mut end, mut records) = (start, 0);
        let mut waiting: Vec<Taken> = Vec::new();
        let mut gathered: Option<(i64, Batch)> = None;
        while let Some(row) = rows.next()? {
            let (Offset(first), at_ms) = (row.get(0)?, row.get(1)?);
            let taken = if self.version == 1 {
                let record = record(row, || format!("{topic}/{partition} at {first}"))?;
                gather(&mut gathered, (first, at_ms), &record)
            } else {
                Some(Taken { first, count: row.get(2)?, at_ms, bytes: row.get(3)? })
            };
            if let Some(taken) = taken {
                (end, records) = self.add(&mut waiting, taken, (topic, partition, records))?;
            }
        }
        if let Some((at_ms, batch)) = gathered {
            let taken = seal(at_ms, batch);
            (end, records) = self.add(&mut waiting, taken, (topic, partition, records))?;
        }
        self.write(&mut waiting, topic, partition)?;
        Ok((end.max(start), records))
    }

    /// Adds a batch to those of the next frame, and writes that if it is full.
    fn add(
        &mut self,
        waiting: &mut Vec<Taken>,
        taken: Taken,
        (topic, partition, records): (&str, u32, u64),
    ) -> Result<(u64, u64)> {
        let bytes: usize = waiting.iter().map(|of| of.bytes.len()).sum();
        let fits = waiting.last().is_none_or(|of| of.at_ms == taken.at_ms) && bytes < FRAME_BYTES;
        if !fits {
            self.write(waiting, topic, partition)?;
        }
        let end = taken.first + u64::from(taken.count);
        let records = records + u64::from(taken.count);
        waiting.push(taken);
        Ok((end, records))
    }

    /// Writes a frame of batches of one instant.
    fn write(&mut self, waiting: &mut Vec<Taken>, topic: &str, partition: u32) -> Result<()> {
        let Some(at_ms) = waiting.first().map(|of| of.at_ms) else { return Ok(()) };
        let mut frame = Frame::new();
        for of in waiting.iter() {
            // Who reads a batch that is damaged is told so; the others are not kept from him.
            let sum = batch::sum(&of.bytes).unwrap_or_default();
            let (first, count, bytes) = (of.first, of.count, of.bytes.len());
            frame.put(Entry::Batch { topic, partition, first, count, bytes, sum });
        }
        let making = match &mut self.making {
            Some(making) => making,
            none => {
                let making = Making::begin(self.dir, self.number, None)?;
                self.number += 1;
                none.insert(making)
            }
        };
        let padding = frame.padding();
        let (head, table) = frame.seal(making.salt(), self.frame, at_ms);
        let mut bytes = head.to_vec();
        waiting.drain(..).for_each(|of| bytes.extend_from_slice(&of.bytes));
        bytes.extend_from_slice(table);
        bytes.extend_from_slice(padding);
        making.write(&bytes)?;
        self.frame += 1;
        if making.size() >= SIZE_MAX {
            self.seal()?;
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        match self.making.take() {
            Some(making) => making.finish(self.dir).map(drop),
            None => Ok(()),
        }
    }

    /// Writes the segment at the log's end, which says all that is known.
    fn end(&self, layout: &Layout) -> Result<()> {
        let mut frame = Frame::new();
        tail::state(layout, &mut frame);
        let size = SIZE_MIN.max(HEAD_BYTES + frame.len());
        let last = Segment::make(self.dir, self.number, size)?;
        let at = (HEAD_BYTES, self.frame);
        let written = tail::write_to(&last, at, &mut frame, (&[], Ahead::default()), 0);
        match written {
            Err(Failed::Write(error) | Failed::Sync(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }
}

/// Gathers rows that follow each other and are of one instant into a batch, as one commit wrote
/// them; answers the one before if the row does not go into it.
fn gather(
    gathered: &mut Option<(i64, Batch)>,
    (offset, at_ms): (u64, i64),
    record: &Record,
) -> Option<Taken> {
    let follows = |(at, batch): &mut (i64, Batch)| *at == at_ms && batch.end() == offset;
    if gathered.as_mut().is_some_and(|of| follows(of) && of.1.put(record)) {
        return None;
    }
    let mut batch = Batch::empty(offset, Vec::new());
    batch.put(record);
    let full = gathered.replace((at_ms, batch));
    full.map(|(at_ms, batch)| seal(at_ms, batch))
}

fn seal(at_ms: i64, mut batch: Batch) -> Taken {
    batch.seal();
    Taken { first: batch.first, count: batch.count, at_ms, bytes: batch.into_bytes() }
}

/// A row of version 1.
fn record(row: &Row<'_>, place: impl Fn() -> String) -> Result<Record> {
    let headers = serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)
        .map_err(|_| Error::Damaged(format!("{}: headers are no pairs", place())))?;
    let payload: Vec<u8> = row.get(4)?;
    Ok(Record { key: row.get(2)?, headers, payload: payload.into() })
}
