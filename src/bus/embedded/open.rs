//! How the log of a directory is opened: `log.db` names it, and `log/` has its segments.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::frame::Frame;
use super::layout::Layout;
use super::migrate;
use super::recover;
use super::segment::{self, Segment};
use super::store::Store;
use super::tail::{self, Tail};
use crate::bus::{Error, Result, Settings};

/// The version of the log, which `log.db` has: programs of the versions before refuse it by name.
/// Versions 1 and 2 had the records in `log.db`, version 3 another form of frames.
pub(super) const SCHEMA: i64 = 4;
/// How long to wait for an operator's tool that holds `log.db`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A log as opened.
pub(super) struct Opened {
    pub layout: Arc<Layout>,
    pub store: Arc<Store>,
    pub tail: Tail,
    /// Held as long as the log is open.
    pub lock: File,
}

/// Opens the log of a directory, and makes both where there are none.
pub(super) fn open(settings: &Settings, now_ms: i64) -> Result<Opened> {
    let dir = &settings.dir;
    let storage = |error: std::io::Error| segment::failed(dir, &error);
    std::fs::create_dir_all(dir).map_err(storage)?;
    let lock = File::create(dir.join("log.lock")).map_err(storage)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::InUse { dir: dir.display().to_string() },
        TryLockError::Error(error) => storage(error),
    })?;
    let (names, known) = names(&dir.join("log.db"))?;
    let segments = dir.join("log");
    migrate::finish(&names, &segments)?;
    std::fs::create_dir_all(&segments).map_err(storage)?;
    let mut recovered = recover::recover(&segments)?;
    let is_new = recovered.segments.is_empty();
    let epoch = match known {
        Some(epoch) if !is_new => epoch,
        None if !is_new => {
            let what = format!("{} has segments, and log.db no name for them", segments.display());
            return Err(Error::Damaged(what));
        }
        // Offsets of a log that is lost mean nothing in this one.
        _ => name(&names)?,
    };
    drop(names);
    let found = std::mem::take(&mut recovered.found);
    let layout = Arc::new(Layout::new(epoch, &found));
    let (next_frame, end) = (recovered.next_frame, recovered.end.max(segment::HEAD_BYTES));
    let mut indexed = recover::index(recovered, &layout)?;
    if is_new {
        let first = Segment::make(&segments, 1, tail::SIZE_MIN)?;
        indexed.push(Arc::new(first));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(storage)?;
    }
    let last = indexed.last().cloned().expect("there is one now");
    let store = Arc::new(Store::new(segments, indexed));
    let mut tail = Tail::new(store.clone(), last, (next_frame, end));
    if layout.places.iter().any(|place| !found.has(place)) {
        // A topic keeps its number of partitions from now on.
        let fill = |frame: &mut Frame| tail::state(&layout, frame);
        let mut frame = Frame::new();
        let placed = tail.write(&layout, &[], (now_ms, None), (&mut frame, &fill))?;
        if let Some(placed) = placed {
            placed.segment.index_mut().take(placed.number, placed.end);
        }
    }
    Ok(Opened { layout, store, tail, lock })
}

/// Opens `log.db`, and answers the log's name as well, if it has one.
fn names(path: &Path) -> Result<(Connection, Option<String>)> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "full")?;
    let tx = connection.transaction()?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => {
            tx.execute_batch("CREATE TABLE IF NOT EXISTS log (epoch TEXT NOT NULL)")?;
            tx.pragma_update(None, "user_version", SCHEMA)?;
        }
        1..=SCHEMA => {}
        _ => {
            return Err(Error::Damaged(format!("schema version {version} instead of {SCHEMA}")));
        }
    }
    let known = tx.query_row("SELECT epoch FROM log", [], |row| row.get(0)).optional()?;
    tx.commit()?;
    Ok((connection, known))
}

/// Gives the log a name.
fn name(names: &Connection) -> Result<String> {
    let epoch = uuid::Uuid::new_v4().simple().to_string();
    let tx = names.unchecked_transaction()?;
    tx.execute("DELETE FROM log", [])?;
    tx.execute("INSERT INTO log (epoch) VALUES (?)", [&epoch])?;
    tx.commit()?;
    Ok(epoch)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::StorageFull(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Error::Damaged(error.to_string())
            }
            _ => Error::Storage(error.to_string()),
        }
    }
}
