//! Many new devices at once: one transaction, and for an empty registry the indexes last.

use std::collections::HashMap;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::domain::device::validate;
use crate::store::registry::counters::Spot;
use crate::store::registry::embedded::schema::{CREATE_INDEXES, DROP_INDEXES};
use crate::store::registry::embedded::write::{Change, Writing};
use crate::store::registry::{Error, NewDevice, SUBJECT_DEVICES_MAX};

/// Inserts every device, and answers how many.
pub fn load(writing: &mut Writing, devices: impl Iterator<Item = NewDevice>) -> Result<u64, Error> {
    let connection = writing.source.connection;
    let sql = "SELECT EXISTS(SELECT 1 FROM memberships) OR EXISTS(SELECT 1 FROM devices)";
    let fresh = !connection.query_row(sql, [], |row| row.get::<_, bool>(0))?;
    if fresh {
        connection.execute_batch(DROP_INDEXES)?;
    }
    writing.packs.keep_open();
    let mut counted: HashMap<Spot, i64> = HashMap::new();
    let mut newest = None;
    let mut loaded = 0;
    for new in devices {
        let violations = validate(&new.profile);
        if !violations.is_empty() {
            return Err(Error::Invalid { id: new.id, violations });
        }
        writing.insert(&new).map_err(repeated)?;
        newest = writing.change.newest.take().or(newest);
        for (spot, count) in writing.change.counts.drain(..) {
            *counted.entry(spot).or_default() += count;
        }
        loaded += 1;
    }
    writing.packs.close()?;
    if fresh {
        connection.execute_batch(CREATE_INDEXES).map_err(|error| repeated(error.into()))?;
    }
    check_subjects(connection)?;
    writing.change = Change { counts: counted.into_iter().collect(), newest };
    Ok(loaded)
}

fn check_subjects(connection: &Connection) -> Result<(), Error> {
    let sql = "SELECT subject FROM devices WHERE subject IS NOT NULL
               GROUP BY subject HAVING count(*) > ?1 LIMIT 1";
    let mut statement = connection.prepare(sql)?;
    let limit = SUBJECT_DEVICES_MAX as i64;
    let full: Option<String> = statement.query_row([limit], |row| row.get(0)).optional()?;
    match full.map(|subject| subject.parse()) {
        Some(Ok(subject)) => Err(Error::SubjectFull(subject)),
        _ => Ok(()),
    }
}

/// The only constraint a load can break is the uniqueness of ids.
fn repeated(error: Error) -> Error {
    let Error::Storage(failure) = &error else { return error };
    match failure.cause::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::ConstraintViolation) => Error::Repeated,
        _ => error,
    }
}
