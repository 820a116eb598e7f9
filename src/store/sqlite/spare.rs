//! Pages of a SQLite file that nothing uses go back to the disk.
//!
//! SQLite keeps what was deleted for rows to come and makes no file smaller by itself: after one
//! large day it would stay that large for good. So a file is made with `auto_vacuum = INCREMENTAL`
//! and, once more than half of it is free, its writer gives that back in small steps while nobody
//! waits for it, until a quarter is left for the rows to come. A step moves pages from the end of
//! the file to where it is free, in a transaction of its own; the file itself becomes shorter at
//! the journal's next checkpoint. Source: SQLite's `pragma_auto_vacuum` and
//! `pragma_incremental_vacuum`.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Error};

/// Free bytes for which a file is worth the work.
const FREE_MIN: u64 = 16 * 1024 * 1024;
/// Bytes given back in one step: a few milliseconds, for which a write may have to wait.
const STEP_BYTES: u64 = 1024 * 1024;
/// How long a file is left alone after a step that failed.
const REST: Duration = Duration::from_secs(60);
/// Bytes in use up to which a file of before is made anew at once: less than a second.
const REMADE_MAX: u64 = 64 * 1024 * 1024;
/// `PRAGMA auto_vacuum` of a file that can give nothing back.
const NONE: u64 = 0;

/// What a writer knows of the free pages of its file.
#[derive(Debug, Default)]
pub struct Spare {
    giving: bool,
    /// The file is of a version that gave nothing back.
    unable: bool,
    rests_until: Option<Instant>,
}

/// A file's pages.
#[derive(Clone, Copy)]
struct Pages {
    all: u64,
    free: u64,
    bytes: u64,
}

impl Pages {
    fn of(connection: &Connection) -> Result<Self, Error> {
        Ok(Self {
            all: number(connection, "PRAGMA page_count")?,
            free: number(connection, "PRAGMA freelist_count")?,
            bytes: number(connection, "PRAGMA page_size")?,
        })
    }

    fn used(self) -> u64 {
        (self.all - self.free) * self.bytes
    }
}

impl Spare {
    /// Looks how much is free, in the writer's transaction, where it costs no look at the file.
    pub fn look(&mut self, connection: &Connection) -> Result<(), Error> {
        let Pages { all, free, bytes } = Pages::of(connection)?;
        self.giving = match self.giving {
            false => free > all / 2 && free * bytes >= FREE_MIN,
            true => free > all / 4,
        };
        Ok(())
    }

    /// Whether something is to be given back now.
    pub fn is_due(&self) -> bool {
        self.giving && !self.unable && self.rests_until.is_none_or(|until| until <= Instant::now())
    }

    /// Gives a step back. A file that cannot is left alone for a minute.
    pub fn give_back(&mut self, connection: &Connection) {
        if let Err(error) = self.step(connection) {
            let file = connection.path().unwrap_or_default();
            tracing::warn!(file, %error, "free pages are not given back; tried again in a minute");
            self.rests_until = Some(Instant::now() + REST);
        }
    }

    fn step(&mut self, connection: &Connection) -> Result<(), Error> {
        let pages = STEP_BYTES / Pages::of(connection)?.bytes;
        let sql = format!("PRAGMA incremental_vacuum({pages})");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut given = statement.query([])?;
        // One page a row; none, and the next step would do as little.
        self.unable = given.next()?.is_none();
        while given.next()?.is_some() {}
        drop(given);
        self.look(connection)
    }
}

/// Lets a file that is being made give back what is free later: before its first table, and before
/// it has a journal. Changes nothing in a file that is there.
pub fn prepare(connection: &Connection) -> Result<(), Error> {
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")
}

/// Makes a file of a version that gave nothing back anew, if that takes a moment: what is in use
/// of it is little, or less than what is not. It takes as much again of the disk meanwhile, and a
/// kill leaves the file as it was. A file that is larger keeps its size.
pub fn remake(connection: &Connection) {
    let remade = remake_if_due(connection);
    let file = connection.path().unwrap_or_default();
    match remade {
        Ok(Some((before, after))) => {
            tracing::info!(file, before, after, "made anew, so that it can become smaller (bytes)");
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(file, %error, "not made anew, and becomes no smaller"),
    }
}

fn remake_if_due(connection: &Connection) -> Result<Option<(u64, u64)>, Error> {
    let pages = Pages::of(connection)?;
    let gives = number(connection, "PRAGMA auto_vacuum")? != NONE;
    if gives || (pages.used() > REMADE_MAX && pages.free <= pages.all / 2) {
        return Ok(None);
    }
    prepare(connection)?;
    // The copy it makes is a file, not memory.
    let kept = number(connection, "PRAGMA temp_store")?;
    connection.pragma_update(None, "temp_store", "FILE")?;
    let remade = connection.execute_batch("VACUUM");
    connection.pragma_update(None, "temp_store", kept as i64)?;
    remade?;
    Ok(Some((pages.all * pages.bytes, Pages::of(connection)?.used())))
}

fn number(connection: &Connection, pragma: &str) -> Result<u64, Error> {
    connection.prepare_cached(pragma)?.query_row([], |row| row.get::<_, i64>(0)).map(|n| n as u64)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn open(path: &Path, gives: bool) -> Connection {
        let connection = Connection::open(path).expect("a file");
        if gives {
            prepare(&connection).expect("a new file");
        }
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA temp_store = MEMORY;
                 CREATE TABLE IF NOT EXISTS notes(number INTEGER PRIMARY KEY, text BLOB);
                 CREATE INDEX IF NOT EXISTS by_text ON notes(text);",
            )
            .expect("tables");
        connection
    }

    /// Notes from a number on, of two kibibytes each, in the file and its index.
    fn write(connection: &Connection, from: u64, count: u64) {
        connection.execute_batch("BEGIN").expect("begun");
        for number in from..from + count {
            let sql = "INSERT INTO notes VALUES (?1, printf('%08d', ?1) || zeroblob(2000))";
            connection.prepare_cached(sql).expect("sql").execute([number as i64]).expect("a row");
        }
        connection.execute_batch("COMMIT").expect("written");
    }

    fn delete(connection: &Connection, condition: &str) {
        connection.execute_batch(&format!("DELETE FROM notes WHERE {condition}")).expect("deleted");
    }

    fn settle(connection: &Connection, path: &Path) -> u64 {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        connection.query_row(sql, [], |_| Ok(())).expect("a checkpoint");
        path.metadata().expect("a file").len()
    }

    fn whole(connection: &Connection, notes: i64) {
        let check = "PRAGMA integrity_check";
        let found: String = connection.query_row(check, [], |row| row.get(0)).expect("checked");
        assert_eq!(found, "ok");
        let count = "SELECT count(*) FROM notes WHERE text LIKE '0%'";
        let found: i64 = connection.query_row(count, [], |row| row.get(0)).expect("counted");
        assert_eq!(found, notes);
    }

    #[test]
    fn more_than_half_of_a_file_is_given_back_but_a_quarter_and_nothing_is_lost() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notes.db");
        let connection = open(&path, true);
        let mut spare = Spare::default();
        write(&connection, 0, 8_000);
        let full = settle(&connection, &path);
        // Not half of it: rows to come use it again.
        delete(&connection, "number % 3 = 0");
        spare.look(&connection).expect("a look");
        assert!(!spare.is_due());
        // What is left lies all over the file.
        delete(&connection, "number % 8 > 0");
        spare.look(&connection).expect("a look");
        let mut steps = 0;
        while spare.is_due() {
            spare.give_back(&connection);
            steps += 1;
        }
        let pages = Pages::of(&connection).expect("pages");
        assert!(pages.free <= pages.all / 4 && pages.free >= pages.all / 8, "{}", pages.free);
        let small = settle(&connection, &path);
        assert!(small < full / 4, "{small} of {full}");
        assert!(steps >= (full - small) / STEP_BYTES, "{steps} steps");
        whole(&connection, 8_000 / 8 - 8_000 / 24 - 1);
        write(&connection, 10_000, 100);
        drop(connection);
        whole(&open(&path, true), 8_000 / 8 - 8_000 / 24 - 1 + 100);
    }

    /// A file of which so many notes were deleted, and what its writer then knows.
    fn emptied(path: &Path, gives: bool, notes: u64) -> (Connection, Spare) {
        let connection = open(path, gives);
        write(&connection, 0, notes);
        delete(&connection, "true");
        let mut spare = Spare::default();
        spare.look(&connection).expect("a look");
        (connection, spare)
    }

    #[test]
    fn a_small_file_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let (_, spare) = emptied(&dir.path().join("notes.db"), true, 2_000);
        assert!(!spare.is_due());
    }

    #[test]
    fn a_file_of_before_that_gives_nothing_is_tried_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let (connection, mut spare) = emptied(&dir.path().join("notes.db"), false, 8_000);
        assert!(spare.is_due());
        spare.give_back(&connection);
        assert!(!spare.is_due(), "or its writer would try without end");
        write(&connection, 0, 10);
        spare.look(&connection).expect("a look");
        assert!(!spare.is_due());
    }

    #[test]
    fn a_file_of_before_is_made_anew_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notes.db");
        let connection = open(&path, false);
        write(&connection, 0, 4_000);
        delete(&connection, "number >= 1000");
        let full = settle(&connection, &path);
        let remade = remake_if_due(&connection).expect("made anew");
        assert_eq!(remade.map(|(before, _)| before), Some(full));
        assert_eq!(number(&connection, "PRAGMA auto_vacuum").expect("a number"), 2);
        assert_eq!(number(&connection, "PRAGMA temp_store").expect("a number"), 2);
        let small = settle(&connection, &path);
        assert!(small < full / 3, "{small} of {full}");
        whole(&connection, 1_000);
        assert_eq!(remake_if_due(&connection).expect("nothing to do"), None);
    }

    #[test]
    fn a_file_that_cannot_is_left_alone_for_a_while() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notes.db");
        let (connection, mut spare) = emptied(&path, true, 8_000);
        let other = Connection::open(&path).expect("the file");
        other.execute_batch("BEGIN IMMEDIATE").expect("held");
        assert!(spare.is_due());
        connection.busy_timeout(Duration::ZERO).expect("set");
        spare.give_back(&connection);
        assert!(!spare.is_due());
    }
}
