//! The ledger's file: its tables, and how columns become words.

use rusqlite::Row;
use serde::de::DeserializeOwned;

use crate::domain::channel::Channel;
use crate::domain::ids::UnitCode;
use crate::store::Failure;
use crate::store::ledger::{Error, State, codec};

/// Publications and dispatches are 16 bytes of UUID. What the funnel reads of a dispatch stands
/// before what may be long, so that reading it never touches the long part. `unit` is empty where
/// there is none, since SQL holds no two NULLs for the same. `fences` are dispatches frozen before
/// they were opened; `marks` hold who reached a stage, 65,536 devices a row.
///
/// Version 2 changes no table: whoever waits for another try now says whether an attempt may have
/// arrived (`codec`), which a program of version 1 would read as a damaged row. Version 3 counts
/// who took a dispatch over.
pub const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE dispatches(
        id BLOB NOT NULL UNIQUE,
        publication BLOB NOT NULL,
        unit TEXT NOT NULL,
        channel TEXT NOT NULL,
        state INTEGER NOT NULL,
        intent INTEGER NOT NULL,
        cursor INTEGER NOT NULL,
        frozen INTEGER NOT NULL,
        counts TEXT NOT NULL,
        accepted_ms TEXT NOT NULL,
        dispatch TEXT NOT NULL,
        unreached BLOB NOT NULL,
        retries BLOB NOT NULL);
    CREATE INDEX dispatches_by_publication ON dispatches(publication);
    CREATE TABLE fences(dispatch BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE targets(
        publication BLOB NOT NULL,
        key TEXT NOT NULL,
        unit TEXT NOT NULL,
        channel TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY(publication, key, unit, channel)) WITHOUT ROWID;
    CREATE TABLE marks(
        publication BLOB NOT NULL,
        chunk INTEGER NOT NULL,
        stage INTEGER NOT NULL,
        devices BLOB NOT NULL,
        PRIMARY KEY(publication, chunk, stage));
    CREATE TABLE tallies(
        publication BLOB NOT NULL,
        unit TEXT NOT NULL,
        channel TEXT NOT NULL,
        stage INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY(publication, unit, channel, stage)) WITHOUT ROWID;
    CREATE TABLE latencies(
        publication BLOB NOT NULL,
        stage INTEGER NOT NULL,
        latency TEXT NOT NULL,
        PRIMARY KEY(publication, stage)) WITHOUT ROWID;
",
    "",
    "ALTER TABLE dispatches ADD COLUMN term INTEGER NOT NULL DEFAULT 0;",
];

/// A unit from its column.
pub fn unit(row: &Row, column: usize) -> Result<Option<UnitCode>, Error> {
    codec::unit(row.get_ref(column)?.as_str().map_err(Failure::new)?)
}

/// A channel from its column.
pub fn channel(row: &Row, column: usize) -> Result<Channel, Error> {
    codec::channel(row.get_ref(column)?.as_str().map_err(Failure::new)?)
}

/// A state from its column.
pub fn state(row: &Row, column: usize) -> Result<State, Error> {
    codec::state(row.get(column)?)
}

/// A JSON column.
pub fn json<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, Error> {
    let text = row.get_ref(column)?.as_str().map_err(Failure::new)?;
    Ok(serde_json::from_str(text).map_err(Failure::new)?)
}
