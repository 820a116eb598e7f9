//! A log of version 1, which had a row a record, made into one of batches.
//!
//! All of it in one transaction: killed in its middle, the file is as it was, and the next start
//! begins again. It holds one batch in memory; the journal takes as much of the disk as the records
//! do, until the start is over.

use rusqlite::{Connection, Row, params};

use super::batch::{self, Batch};
use super::layout::quoted;
use super::offset::Offset;
use super::schema;
use crate::bus::{Error, Record, Result};

/// Where a partition's rows wait to be taken over.
const ROWS: &str = "\"rows of version 1\"";

/// Takes over every partition, also of topics that this version does not have. Offsets and instants
/// stay what they were.
pub(super) fn from_rows(tx: &Connection) -> Result<()> {
    let mut partitions = tx.prepare("SELECT topic, partition FROM partitions")?;
    let partitions: Vec<(String, u32)> = partitions
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (topic, partition) in partitions {
        let table = quoted(&topic, partition);
        tx.execute_batch(&format!("ALTER TABLE {table} RENAME TO {ROWS}"))?;
        schema::make_table(tx, &table)?;
        let place = |offset| format!("{topic}/{partition} at {offset}");
        let records = copy(tx, &table, place)?;
        tx.execute_batch(&format!("DROP TABLE {ROWS}"))?;
        tracing::info!(topic, partition, records, "records of an earlier version taken over");
    }
    Ok(())
}

/// Gathers rows that follow each other and are of one instant into batches, as one commit wrote
/// them, and answers how many there were.
fn copy(tx: &Connection, table: &str, place: impl Fn(u64) -> String) -> Result<u64> {
    let select =
        format!("SELECT \"offset\", at_ms, key, headers, payload FROM {ROWS} ORDER BY \"offset\"");
    let insert = format!("INSERT INTO {table} VALUES (?, ?, ?, ?)");
    let mut insert = tx.prepare(&insert)?;
    let mut write = |(at_ms, mut batch): (i64, Batch)| {
        let (first, count) = (Offset(batch.first), batch.count);
        insert.execute(params![first, count, at_ms, batch.seal()])
    };
    let mut select = tx.prepare(&select)?;
    let mut rows = select.query([])?;
    let (mut gathered, mut bytes, mut records): (Option<(i64, Batch)>, _, _) =
        (None, Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (Offset(offset), at_ms) = (row.get(0)?, row.get(1)?);
        bytes.clear();
        batch::encode(&record(row, || place(offset))?, &mut bytes);
        records += 1;
        let follows = |(at, batch): &mut (i64, Batch)| *at == at_ms && batch.end() == offset;
        if gathered.as_mut().is_some_and(|of| follows(of) && of.1.take(&bytes)) {
            continue;
        }
        if let Some(full) = gathered.replace((at_ms, Batch::new(offset, &bytes))) {
            write(full)?;
        }
    }
    gathered.map(write).transpose()?;
    Ok(records)
}

fn record(row: &Row<'_>, place: impl Fn() -> String) -> Result<Record> {
    let headers = serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)
        .map_err(|_| Error::Damaged(format!("{}: headers are no pairs", place())))?;
    let payload: Vec<u8> = row.get(4)?;
    Ok(Record { key: row.get(2)?, headers, payload: payload.into() })
}
