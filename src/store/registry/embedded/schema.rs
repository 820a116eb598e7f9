//! The registry's file: its tables, and the few numbers it keeps of itself.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::ids::{DeviceNum, Seq};
use crate::store::Failure;
use crate::store::registry::codec::channel_code;
use crate::store::registry::counters::{Counters, Spot};
use crate::store::registry::embedded::packs::NUMBER_MAX;
use crate::store::registry::embedded::read;
use crate::store::registry::{Error, SHARDS_MAX, Settings};
use crate::store::sqlite;

/// Numbers of devices and memberships are never used again, hence AUTOINCREMENT. `channel` is an
/// index into `Channel::ALL`, `cell` a cell's bits, instants are milliseconds.
pub const MIGRATIONS: &[&str] = &[
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE devices(
         num INTEGER PRIMARY KEY AUTOINCREMENT,
         id BLOB NOT NULL,
         secret_hash BLOB NOT NULL,
         subject TEXT,
         address_since INTEGER NOT NULL,
         profile BLOB NOT NULL);
     CREATE TABLE memberships(
         seq INTEGER PRIMARY KEY AUTOINCREMENT,
         device INTEGER NOT NULL,
         unit TEXT NOT NULL,
         cell INTEGER,
         channel INTEGER NOT NULL,
         shard INTEGER NOT NULL,
         joined_at INTEGER NOT NULL,
         left_at INTEGER);",
    FIRST_INDEXES,
    // When a device was last seen; absent for one that was not since this column is here.
    "ALTER TABLE devices ADD COLUMN seen INTEGER;",
    // Live memberships by where, so that nobody is counted when the file is opened: ten million
    // took twenty seconds. A place that is a whole unit has the cell −1.
    "CREATE TABLE counts(
         unit TEXT NOT NULL, channel INTEGER NOT NULL, shard INTEGER NOT NULL,
         cell INTEGER NOT NULL, live INTEGER NOT NULL,
         PRIMARY KEY(unit, channel, shard, cell)) WITHOUT ROWID;
     INSERT INTO counts SELECT unit, channel, shard, coalesce(cell, -1), count(*)
         FROM memberships WHERE left_at IS NULL GROUP BY 1, 2, 3, 4;",
    // The index of a range became one that holds all that a scan asks of a membership.
    "DROP INDEX memberships_by_range;
     CREATE INDEX memberships_by_range
         ON memberships(unit, channel, shard, seq, device, cell, joined_at, left_at);",
    // Profiles lie in packs with the memberships that are live, so that the index of a range holds
    // only those that are not. `first` is a range's number and a Seq, and so is a home.
    "CREATE TABLE ranges(
         num INTEGER PRIMARY KEY,
         unit TEXT NOT NULL, channel INTEGER NOT NULL, shard INTEGER NOT NULL,
         UNIQUE(unit, channel, shard));
     CREATE TABLE packs(first INTEGER PRIMARY KEY, entries BLOB NOT NULL);
     ALTER TABLE devices ADD COLUMN home INTEGER;
     DROP INDEX memberships_by_range;
     CREATE INDEX memberships_departed_by_range
         ON memberships(unit, channel, shard, seq, device, cell, joined_at, left_at)
         WHERE left_at IS NOT NULL;",
];

/// The cell of a place that is a whole unit, in `counts`.
const WHOLE_UNIT: i64 = -1;

/// As they were at first.
const FIRST_INDEXES: &str = "
    CREATE UNIQUE INDEX devices_by_id ON devices(id);
    CREATE INDEX devices_by_subject ON devices(subject) WHERE subject IS NOT NULL;
    CREATE INDEX memberships_by_range ON memberships(unit, channel, shard, seq);
    CREATE INDEX memberships_by_device ON memberships(device);
    CREATE INDEX memberships_departed ON memberships(left_at) WHERE left_at IS NOT NULL;";

/// A range is scanned in the order of Seq. Of those who left its index holds all there is, so that
/// they lie together: the table has the memberships of a city in the order in which they came.
pub const CREATE_INDEXES: &str = "
    CREATE UNIQUE INDEX devices_by_id ON devices(id);
    CREATE INDEX devices_by_subject ON devices(subject) WHERE subject IS NOT NULL;
    CREATE INDEX memberships_departed_by_range
        ON memberships(unit, channel, shard, seq, device, cell, joined_at, left_at)
        WHERE left_at IS NOT NULL;
    CREATE INDEX memberships_by_device ON memberships(device);
    CREATE INDEX memberships_departed ON memberships(left_at) WHERE left_at IS NOT NULL;";

/// Before a load into an empty registry: sorting once is faster than inserting in between.
pub const DROP_INDEXES: &str = "
    DROP INDEX devices_by_id;
    DROP INDEX devices_by_subject;
    DROP INDEX memberships_departed_by_range;
    DROP INDEX memberships_by_device;
    DROP INDEX memberships_departed;";

const SHARDS: &str = "shards";
const LATE_CURSOR: &str = "late_cursor";
const SEALED_WITH: &str = "sealed_with";
const NOTING_SINCE: &str = "noting_since";
const PACKED: &str = "packed";

/// Checks the settings against the file, and reads how many are where.
pub fn prepare(connection: &Connection, settings: &Settings) -> Result<(Counters, Seq), Error> {
    let wanted = settings.shards;
    if !(1..=SHARDS_MAX).contains(&wanted) {
        return Err(Error::Settings(format!("shards must be 1 to {SHARDS_MAX}, not {wanted}")));
    }
    match get(connection, SHARDS)? {
        None => put(connection, SHARDS, i64::from(wanted))?,
        Some(shards) if shards == i64::from(wanted) => {}
        Some(shards) => {
            let path = settings.dir.display();
            let text =
                format!("{path} was created with {shards} shards, the settings say {wanted}");
            return Err(Error::Settings(text));
        }
    }
    let counters = Counters::new(wanted);
    let counted = counted(connection)?;
    counters.apply(counted.iter().map(|(spot, count)| (spot, *count)));
    Ok((counters, last_seq(connection)?))
}

/// How many live memberships there are where, zeros left out.
fn counted(connection: &Connection) -> Result<Vec<(Spot, i64)>, Error> {
    let sql = "SELECT unit, nullif(cell, ?1), channel, shard, live FROM counts WHERE live > 0";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([WHOLE_UNIT])?;
    let mut counted = Vec::new();
    while let Some(row) = rows.next()? {
        let place = read::place(row, 0, 1)?;
        let (channel, shard) = (read::channel(row, 2)?, row.get(3)?);
        counted.push((Spot { place, channel, shard }, row.get(4)?));
    }
    Ok(counted)
}

/// Adds who came and takes off who went, in the transaction in which they did.
pub fn count(connection: &Connection, changes: &[(Spot, i64)]) -> Result<(), Error> {
    let sql = "INSERT INTO counts(unit, channel, shard, cell, live) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT DO UPDATE SET live = live + excluded.live";
    let mut statement = connection.prepare_cached(sql)?;
    for (Spot { place, channel, shard }, change) in changes {
        let cell = place.cell.map_or(WHOLE_UNIT, |cell| i64::from(cell.bits()));
        let (unit, channel) = (place.unit.as_str(), channel_code(*channel));
        statement.execute(params![unit, channel, shard, cell, change])?;
    }
    Ok(())
}

/// The newest membership ever made, be it forgotten by now.
pub fn last_seq(connection: &Connection) -> Result<Seq, Error> {
    last_number(connection, "memberships").map(Seq)
}

/// The number that the next device gets.
pub fn next_num(connection: &Connection) -> Result<DeviceNum, Error> {
    last_number(connection, "devices").map(|last| DeviceNum(last + 1))
}

/// The last number that was given out; an error when they are used up.
fn last_number(connection: &Connection, table: &str) -> Result<u64, Error> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let last: Option<i64> = statement.query_row([table], |row| row.get(0)).optional()?;
    let last = last.unwrap_or(0) as u64;
    if last + 1 >= NUMBER_MAX {
        return Err(Failure::new(format!("{table}: {last} was the last number there is")).into());
    }
    Ok(last)
}

/// How far the late joiners were followed.
pub fn late_cursor(connection: &Connection) -> Result<Seq, Error> {
    Ok(Seq(get(connection, LATE_CURSOR)?.unwrap_or(0) as u64))
}

/// Moves the late joiners' cursor on; never back.
pub fn advance_late_cursor(connection: &Connection, seq: Seq) -> Result<(), Error> {
    if seq > late_cursor(connection)? {
        put(connection, LATE_CURSOR, seq.0 as i64)?;
    }
    Ok(())
}

/// The key that every address was once sealed with.
pub fn sealed_with(connection: &Connection) -> Result<Option<u8>, Error> {
    Ok(get(connection, SEALED_WITH)?.and_then(|number| u8::try_from(number).ok()))
}

/// Remembers that.
pub fn set_sealed_with(connection: &Connection, number: u8) -> Result<(), Error> {
    put(connection, SEALED_WITH, i64::from(number))
}

/// Since when it is noted who was seen.
pub fn noting_since(connection: &Connection) -> Result<Option<Timestamp>, Error> {
    Ok(get(connection, NOTING_SINCE)?.map(sqlite::from_ms).transpose()?)
}

/// Remembers that, once.
pub fn set_noting_since(connection: &Connection, since: Timestamp) -> Result<(), Error> {
    match get(connection, NOTING_SINCE)? {
        Some(_) => Ok(()),
        None => put(connection, NOTING_SINCE, sqlite::to_ms(since)),
    }
}

/// Whether every device with a place is packed.
pub fn is_packed(connection: &Connection) -> Result<bool, Error> {
    Ok(get(connection, PACKED)?.is_some())
}

/// Remembers that.
pub fn set_packed(connection: &Connection) -> Result<(), Error> {
    put(connection, PACKED, 1)
}

fn get(connection: &Connection, key: &str) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

fn put(connection: &Connection, key: &str, value: i64) -> Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO meta(key, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![key, value])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_before_the_counts_is_counted_once() {
        let connection = Connection::open_in_memory().expect("a file");
        for migration in &MIGRATIONS[..3] {
            connection.execute_batch(migration).expect("a migration");
        }
        let insert =
            "INSERT INTO memberships(device, unit, cell, channel, shard, joined_at, left_at)
                      VALUES (1, ?1, ?2, 0, 3, 0, ?3)";
        let rows = [("26734", None, None), ("26734", Some(7), None), ("26734", Some(7), None)];
        let gone = ("26734", None, Some(1));
        for (unit, cell, left_at) in rows.into_iter().chain([gone]) {
            connection.execute(insert, params![unit, cell, left_at]).expect("a row");
        }
        connection.execute_batch(MIGRATIONS[3]).expect("the migration");
        let spots = counted(&connection).expect("read");
        let found: Vec<_> = spots
            .iter()
            .map(|(spot, live)| (spot.place.cell.map(|cell| cell.bits()), spot.shard, *live))
            .collect();
        assert_eq!(found, [(None, 3, 1), (Some(7), 3, 2)]);
        // Who comes and goes is counted where they are; a place that empties is left out.
        count(&connection, &[(spots[0].0.clone(), -1), (spots[1].0.clone(), 1)]).expect("counted");
        let left: Vec<_> = counted(&connection).expect("read").iter().map(|(_, n)| *n).collect();
        assert_eq!(left, [3]);
    }
}
