//! The rows of dispatches: opened, saved, frozen. Each function is one whole change, or one look,
//! inside a transaction.

use rusqlite::{Connection, Row, ToSql, params};

use crate::domain::dispatch::{Dispatch, DispatchId};
use crate::domain::ids::{PublicationId, Seq};
use crate::store::Failure;
use crate::store::ledger::codec::{
    decode_bitmap, decode_retries, encode_bitmap, encode_retries, state_code, unit_text,
};
use crate::store::ledger::embedded::schema::{json, state};
use crate::store::ledger::{Error, Progress, Saved, State};

const PROGRESS: &str = "SELECT dispatch, state, intent, cursor, frozen, counts, accepted_ms,
    unreached, retries, term FROM dispatches";

/// A progress as it is stored, made on the caller's thread so that the writer only writes.
pub struct Encoded {
    id: DispatchId,
    state: u8,
    intent: Seq,
    cursor: Seq,
    term: u64,
    counts: String,
    accepted_ms: String,
    unreached: Vec<u8>,
    retries: Vec<u8>,
}

impl Encoded {
    /// Encodes what a worker saves.
    pub fn new(progress: &Progress) -> Result<Self, Error> {
        Ok(Self {
            id: progress.dispatch.id,
            state: state_code(progress.state),
            intent: progress.intent,
            cursor: progress.cursor,
            term: progress.term,
            counts: serde_json::to_string(&progress.counts).map_err(Failure::new)?,
            accepted_ms: serde_json::to_string(&progress.accepted_ms).map_err(Failure::new)?,
            unreached: encode_bitmap(&progress.unreached),
            retries: encode_retries(&progress.retries),
        })
    }
}

/// A dispatch that may be new, as it is stored.
pub struct Fresh {
    dispatch: Dispatch,
    text: String,
    encoded: Encoded,
}

impl Fresh {
    /// Encodes a dispatch nobody has begun.
    pub fn new(dispatch: Dispatch) -> Result<Self, Error> {
        let text = serde_json::to_string(&dispatch).map_err(Failure::new)?;
        let progress = Progress::new(dispatch);
        let encoded = Encoded::new(&progress)?;
        Ok(Self { dispatch: progress.dispatch, text, encoded })
    }
}

/// Takes a dispatch over, begun now if it is new; frozen from the start if a fence awaits it.
pub fn open(connection: &Connection, fresh: Fresh) -> Result<Progress, Error> {
    let id = fresh.dispatch.id;
    let mut progress = match get(connection, id)? {
        Some(progress) => progress,
        None => {
            let frozen = insert(connection, &fresh)?;
            Progress { frozen, ..Progress::new(fresh.dispatch) }
        }
    };
    if progress.state == State::Open {
        progress.term += 1;
        let sql = "UPDATE dispatches SET term = term + 1 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([id.0.as_bytes()])?;
    }
    Ok(progress)
}

/// As [`open`], unless a worker has it.
pub fn open_if_free(connection: &Connection, fresh: Fresh) -> Result<Option<Progress>, Error> {
    if get(connection, fresh.dispatch.id)?.is_some_and(|known| known.is_taken()) {
        return Ok(None);
    }
    open(connection, fresh).map(Some)
}

/// Begins those dispatches that are new.
pub fn open_all(connection: &Connection, all: &[Fresh]) -> Result<(), Error> {
    let mut known = connection.prepare_cached("SELECT 1 FROM dispatches WHERE id = ?1")?;
    for fresh in all {
        if !known.exists([fresh.encoded.id.0.as_bytes()])? {
            insert(connection, fresh)?;
        }
    }
    Ok(())
}

/// Adds the row of a new dispatch, and answers whether a fence awaited it.
fn insert(connection: &Connection, fresh: &Fresh) -> Result<bool, Error> {
    let Fresh { dispatch, text, encoded } = fresh;
    let fence = "DELETE FROM fences WHERE dispatch = ?1";
    let id = dispatch.id.0.as_bytes();
    let frozen = connection.prepare_cached(fence)?.execute([id])? > 0;
    let sql = "INSERT INTO dispatches(id, publication, unit, channel, frozen, dispatch,
            state, intent, cursor, counts, accepted_ms, unreached, retries)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    connection.prepare_cached(sql)?.execute(params![
        id,
        dispatch.publication.0.as_bytes(),
        unit_text(dispatch.scope.unit()),
        dispatch.channel.as_str(),
        frozen,
        text,
        encoded.state,
        seq_column(encoded.intent),
        seq_column(encoded.cursor),
        encoded.counts,
        encoded.accepted_ms,
        encoded.unreached,
        encoded.retries,
    ])?;
    Ok(frozen)
}

/// Saves what a worker says, unless the dispatch is fenced against it.
pub fn save(connection: &Connection, new: &Encoded) -> Result<Saved, Error> {
    if update(connection, new, false)? {
        return Ok(Saved::Saved);
    }
    let old = get(connection, new.id)?.ok_or(Error::NotOpened(new.id))?;
    if new.term < old.term || new.cursor < old.cursor {
        return Ok(Saved::Replaced);
    }
    let nothing_sent =
        new.intent <= old.intent && old.unreached.is_subset(&decode_bitmap(&new.unreached)?);
    if old.frozen && nothing_sent && update(connection, new, true)? {
        return Ok(Saved::Saved);
    }
    Ok(Saved::Frozen)
}

fn update(connection: &Connection, new: &Encoded, frozen: bool) -> Result<bool, Error> {
    let sql = "UPDATE dispatches SET state = ?2, intent = max(intent, ?3), cursor = ?4,
            counts = ?5, accepted_ms = ?6, unreached = ?7, retries = ?8, term = ?10
        WHERE id = ?1 AND frozen = ?9 AND cursor <= ?4 AND term <= ?10";
    let changed = connection.prepare_cached(sql)?.execute(params![
        new.id.0.as_bytes(),
        new.state,
        seq_column(new.intent),
        seq_column(new.cursor),
        new.counts,
        new.accepted_ms,
        new.unreached,
        new.retries,
        frozen,
        number_column(new.term),
    ])?;
    Ok(changed == 1)
}

/// Freezes a dispatch, or puts a fence where it would be opened.
pub fn freeze(
    connection: &Connection,
    id: DispatchId,
    now_ms: i64,
) -> Result<Option<Progress>, Error> {
    let sql = "UPDATE dispatches SET frozen = 1 WHERE id = ?1";
    if connection.prepare_cached(sql)?.execute([id.0.as_bytes()])? == 1 {
        return get(connection, id);
    }
    let sql = "INSERT OR IGNORE INTO fences(dispatch, at) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![id.0.as_bytes(), now_ms])?;
    Ok(None)
}

/// A dispatch that was opened.
pub fn get(connection: &Connection, id: DispatchId) -> Result<Option<Progress>, Error> {
    let found = select(connection, &format!("{PROGRESS} WHERE id = ?1"), id.0.as_bytes())?;
    Ok(found.into_iter().next())
}

/// Every dispatch of a publication that was opened.
pub fn of_publication(conn: &Connection, id: PublicationId) -> Result<Vec<Progress>, Error> {
    select(conn, &format!("{PROGRESS} WHERE publication = ?1 ORDER BY rowid"), id.0.as_bytes())
}

/// Drops the oldest publication if it is older than an id; whether there was one.
pub fn forget_oldest(connection: &Connection, before: PublicationId) -> Result<bool, Error> {
    let sql = "SELECT min(oldest) FROM (
        SELECT min(publication) AS oldest FROM dispatches
        UNION ALL SELECT min(publication) FROM targets
        UNION ALL SELECT min(publication) FROM marks)";
    let oldest: Option<[u8; 16]> = connection.query_row(sql, [], |row| row.get(0))?;
    let Some(oldest) = oldest.filter(|oldest| oldest < before.0.as_bytes()) else {
        return Ok(false);
    };
    for table in ["dispatches", "targets", "marks", "tallies", "latencies"] {
        connection.execute(&format!("DELETE FROM {table} WHERE publication = ?1"), [oldest])?;
    }
    Ok(true)
}

/// Drops the fences put up before an instant.
pub fn forget_fences(connection: &Connection, before_ms: i64) -> Result<(), Error> {
    connection.execute("DELETE FROM fences WHERE at < ?1", [before_ms])?;
    Ok(())
}

fn select(conn: &Connection, sql: &str, key: impl ToSql) -> Result<Vec<Progress>, Error> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([key])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(progress(row)?);
    }
    Ok(found)
}

fn seq_column(seq: Seq) -> i64 {
    number_column(seq.0)
}

/// Seqs and terms rise by one from zero: none ever is beyond SQLite's largest number.
fn number_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn progress(row: &Row) -> Result<Progress, Error> {
    let seq = |column: usize| row.get::<_, i64>(column).map(|seq| Seq(seq as u64));
    let blob = |column: usize| row.get_ref(column)?.as_blob().map_err(Failure::new);
    Ok(Progress {
        dispatch: json(row, 0)?,
        state: state(row, 1)?,
        intent: seq(2)?,
        cursor: seq(3)?,
        frozen: row.get(4)?,
        counts: json(row, 5)?,
        accepted_ms: json(row, 6)?,
        unreached: decode_bitmap(blob(7)?)?,
        retries: decode_retries(blob(8)?)?,
        term: row.get::<_, i64>(9)? as u64,
    })
}
