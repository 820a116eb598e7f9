//! The file: how `log.db` is made, opened and read at start.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::layout::{Layout, Partition, Topic, table};
use super::migrate;
use super::offset::Offset;
use crate::bus::{Error, Position, Result, Settings, TopicId};
use crate::store::sqlite::{self, spare};

/// The version of the tables below.
const SCHEMA: i64 = 2;
/// A new file's pages: a commit writes each of its pages with two calls, so many records cost less
/// in fewer and larger ones, and one record hardly more. A file keeps the pages it was made with.
const PAGE_BYTES: u32 = 8 * 1024;
/// Statements kept prepared: an append a partition of every topic, and a few more.
const STATEMENTS_KEPT: usize = 256;
/// How long a connection waits for another that works in the file: checkpoints only.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The journal's size: it is written from its start again after so many bytes of pages.
pub(super) const CHECKPOINT_BYTES: usize = 8 * 1024 * 1024;
/// Pages held in memory while the journal gets its size; little, so that the rest is written.
const CACHE_WHILE_RESERVING: i64 = 16;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS log (epoch TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS partitions (
        topic TEXT NOT NULL, partition INTEGER NOT NULL,
        start INTEGER NOT NULL, -- the oldest offset kept
        PRIMARY KEY (topic, partition)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS groups (
        name TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
        next INTEGER NOT NULL,  -- the offset to read next
        at_ms INTEGER NOT NULL, -- when it last joined or committed
        PRIMARY KEY (name, topic, partition)
    ) WITHOUT ROWID;";

/// A log as opened.
pub(super) struct Opened {
    pub connection: Connection,
    pub layout: Layout,
    pub path: PathBuf,
    /// Held as long as the log is open.
    pub lock: File,
}

/// Opens the log of a directory, and makes both where there are none.
pub(super) fn open(settings: &Settings) -> Result<Opened> {
    let dir = &settings.dir;
    let storage = |error: std::io::Error| Error::Storage(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(storage)?;
    let lock = File::create(dir.join("log.lock")).map_err(storage)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::InUse { dir: dir.display().to_string() },
        TryLockError::Error(error) => storage(error),
    })?;
    let path = dir.join("log.db");
    let mut connection = connect(&path)?;
    let layout = prepare(&mut connection)?;
    spare::remake(&connection);
    // Now, so that a migration leaves no journal of its own size behind.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    reserve(&connection, &path)?;
    Ok(Opened { connection, layout, path, lock })
}

/// A connection that synchronises the file at each commit.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    sqlite::keep_statements(&connection, STATEMENTS_KEPT)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    spare::prepare(&connection)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    // The writer checkpoints by itself, after it has answered, never within a commit.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// Gives the journal its size, so that a commit writes over what is there: a file that grows costs
/// a commit of the file system's journal as well. SQLite does the writing: a transaction that
/// outgrows its cache goes to the journal, and is taken back.
fn reserve(connection: &Connection, path: &Path) -> Result<()> {
    let kept: i64 = connection.pragma_query_value(None, "cache_size", |row| row.get(0))?;
    connection.pragma_update(None, "cache_size", CACHE_WHILE_RESERVING)?;
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; CREATE TABLE reserved (bytes BLOB);
         INSERT INTO reserved VALUES (zeroblob({CHECKPOINT_BYTES})); ROLLBACK;"
    ))?;
    connection.pragma_update(None, "cache_size", kept)?;
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    let synced = File::open(&journal).and_then(|journal| journal.sync_all());
    synced.map_err(|error| Error::Storage(format!("{}: {error}", Path::new(&journal).display())))
}

fn prepare(connection: &mut Connection) -> Result<Layout> {
    let tx = connection.transaction()?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 | SCHEMA => tx.execute_batch(TABLES)?,
        1 => migrate::from_rows(&tx)?,
        _ => {
            return Err(Error::Damaged(format!("schema version {version} instead of {SCHEMA}")));
        }
    }
    tx.pragma_update(None, "user_version", SCHEMA)?;
    let known = tx.query_row("SELECT epoch FROM log", [], |row| row.get(0)).optional()?;
    let epoch = match known {
        Some(epoch) => epoch,
        None => {
            let epoch = uuid::Uuid::new_v4().simple().to_string();
            tx.execute("INSERT INTO log (epoch) VALUES (?)", [&epoch])?;
            epoch
        }
    };
    let mut topics = BTreeMap::new();
    for topic in TopicId::all() {
        topics.insert(topic, prepare_topic(&tx, topic)?);
    }
    tx.commit()?;
    let zero = || AtomicU64::new(0);
    Ok(Layout { epoch, topics, commits: zero(), records: zero(), deleted: zero() })
}

/// A topic keeps the number of partitions it was made with; see [`crate::bus::Definition`].
fn prepare_topic(connection: &Connection, topic: TopicId) -> Result<Topic> {
    let definition = topic.definition();
    let name = topic.name();
    let count = "SELECT count(*) FROM partitions WHERE topic = ?";
    let made: u32 = connection.query_row(count, [&name], |row| row.get(0))?;
    if made == 0 {
        for partition in 0..definition.partitions {
            let insert = "INSERT INTO partitions (topic, partition, start) VALUES (?, ?, 0)";
            connection.execute(insert, params![name, partition])?;
            make_table(connection, &table(topic, partition))?;
        }
    }
    let partitions = (0..if made == 0 { definition.partitions } else { made })
        .map(|partition| {
            let bounds = bounds(connection, topic, partition)?;
            Ok(Partition::new(topic, partition, bounds))
        })
        .collect::<Result<_>>()?;
    Ok(Topic::new(definition.retention(), partitions))
}

/// Makes a partition's table.
pub(super) fn make_table(connection: &Connection, table: &str) -> Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE {table} (
            \"offset\" INTEGER PRIMARY KEY, -- of the first record
            count INTEGER NOT NULL,         -- how many there are
            at_ms INTEGER NOT NULL,         -- when they were committed
            records BLOB NOT NULL           -- see batch.rs
        )"
    ))?;
    Ok(())
}

fn bounds(connection: &Connection, topic: TopicId, partition: u32) -> Result<Range<u64>> {
    let start = "SELECT start FROM partitions WHERE topic = ? AND partition = ?";
    let values = params![topic.name(), partition];
    let Offset(start) = connection.query_row(start, values, |row| row.get(0))?;
    let end = format!(
        "SELECT \"offset\" + count FROM {} ORDER BY \"offset\" DESC LIMIT 1",
        table(topic, partition)
    );
    let end = connection.query_row(&end, [], |row| row.get(0)).optional()?;
    Ok(start..end.map_or(start, |Offset(end)| end))
}

/// Where a group goes on in each partition it ever read.
pub(super) fn offsets(connection: &Connection, group: &str) -> Result<Vec<Position>> {
    let select = "SELECT topic, partition, next FROM groups WHERE name = ?";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map([group], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get(2)?))
    })?;
    let mut offsets = Vec::new();
    for row in rows {
        let (topic, partition, Offset(offset)) = row?;
        // A topic of another version has no readers here.
        if let Ok(topic) = topic.parse() {
            offsets.push(Position { topic, partition, offset });
        }
    }
    Ok(offsets)
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
