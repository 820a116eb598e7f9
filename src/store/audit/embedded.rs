//! The audit in one SQLite file, `audit.db`, that other processes append to as well.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::{Checkpoint, Filter, PAGE_MAX, Result, Settings, Stored, read};
use crate::domain::audit::{BEGINNING, Entry, HASH_BYTES, Link, canonical, hash};
use crate::store::Failure;
use crate::store::sqlite::{Database, from_ms, to_ms, unsigned};

const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE entries (
        seq INTEGER PRIMARY KEY, object TEXT NOT NULL, actor TEXT NOT NULL,
        entry TEXT NOT NULL,  -- canonical JSON: what the hash is over
        hash BLOB NOT NULL
    );
    CREATE INDEX entries_object ON entries (object, seq);
    CREATE INDEX entries_actor ON entries (actor, seq);
    CREATE TABLE checkpoints (
        seq INTEGER NOT NULL, hash BLOB NOT NULL, at_ms INTEGER NOT NULL, signature BLOB NOT NULL
    );
"];

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the store of a directory.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let database = Database::plain(&settings.dir, "audit.db", &MIGRATIONS).await?;
        Ok(Store { database })
    }

    /// Appends an entry: the writer's transaction holds the file, so nobody else comes between.
    pub async fn append(&self, entry: Entry) -> Result<Link> {
        let work = move |connection: &Connection| -> Result<Link> {
            let (last, before) = head(connection)?;
            let (seq, text) = (last + 1, canonical(&entry));
            let hash = hash(&before, seq, &text);
            let insert = "INSERT INTO entries (seq, object, actor, entry, hash)
                VALUES (?, ?, ?, ?, ?)";
            let values =
                params![seq as i64, entry.object, super::actor_id(&entry.actor), text, hash];
            connection.execute(insert, values).map_err(Failure::from)?;
            Ok(Link { seq, entry, hash })
        };
        self.database.write(work, |_| ()).await
    }

    /// The end of the chain.
    pub async fn head(&self) -> Result<(u64, [u8; HASH_BYTES])> {
        Ok(self.database.read(head).await?)
    }

    /// Links after a number.
    pub async fn links(&self, after: u64) -> Result<Vec<Stored>> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.select("seq > ? ORDER BY seq", vec![after.into()], PAGE_MAX).await
    }

    /// Entries, the newest first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Link>> {
        let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
        let before = filter.before.and_then(|before| i64::try_from(before).ok());
        let values = vec![
            text(filter.object),
            text(filter.actor),
            Value::Integer(before.unwrap_or(i64::MAX)),
        ];
        let clause = "(?1 IS NULL OR object = ?1) AND (?2 IS NULL OR actor = ?2) AND seq < ?3
            ORDER BY seq DESC";
        let found = self.select(clause, values, filter.limit).await?;
        found.into_iter().map(read).collect()
    }

    /// Keeps a checkpoint.
    pub async fn add_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        let work = move |connection: &Connection| -> Result<()> {
            let Checkpoint { seq, hash, at, signature } = checkpoint;
            let insert =
                "INSERT INTO checkpoints (seq, hash, at_ms, signature) VALUES (?, ?, ?, ?)";
            let values = params![seq as i64, hash, to_ms(at), signature];
            connection.execute(insert, values).map_err(Failure::from)?;
            Ok(())
        };
        self.database.write(work, |()| ()).await
    }

    /// Every checkpoint.
    pub async fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        let work = |connection: &Connection| -> Result<Vec<Checkpoint>, Failure> {
            let select = "SELECT seq, hash, at_ms, signature FROM checkpoints ORDER BY seq, rowid";
            let mut select = connection.prepare_cached(select)?;
            let mut rows = select.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(Checkpoint {
                    seq: unsigned(row, 0)?,
                    hash: row.get(1)?,
                    at: from_ms(row.get(2)?)?,
                    signature: row.get(3)?,
                });
            }
            Ok(found)
        };
        Ok(self.database.read(work).await?)
    }

    /// The last number that is signed.
    pub async fn signed(&self) -> Result<u64> {
        let work = |connection: &Connection| -> Result<u64, Failure> {
            let select = "SELECT coalesce(max(seq), 0) FROM checkpoints";
            Ok(connection.query_row(select, [], |row| unsigned(row, 0))?)
        };
        Ok(self.database.read(work).await?)
    }

    async fn select(
        &self,
        clause: &'static str,
        mut values: Vec<Value>,
        limit: usize,
    ) -> Result<Vec<Stored>> {
        let work = move |connection: &Connection| -> Result<Vec<Stored>, Failure> {
            let select = format!("SELECT seq, entry, hash FROM entries WHERE {clause} LIMIT ?");
            values.push(Value::Integer(limit.min(PAGE_MAX) as i64));
            let mut select = connection.prepare_cached(&select)?;
            let rows = select.query_map(params_from_iter(values), stored)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        Ok(self.database.read(work).await?)
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored { seq: unsigned(row, 0)?, text: row.get(1)?, hash: row.get(2)? })
}

fn head(connection: &Connection) -> Result<(u64, [u8; HASH_BYTES]), Failure> {
    let select = "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1";
    let mut select = connection.prepare_cached(select)?;
    let found = select.query_row([], |row| Ok((unsigned(row, 0)?, row.get(1)?))).optional()?;
    Ok(found.unwrap_or((0, BEGINNING)))
}
