//! The replies store in one SQLite file, `replies.db`.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Begun, Lease, Reply, Result, Settings, Times};
use crate::clock::Clock;
use crate::store::Failure;
use crate::store::sqlite::{Database, to_ms};

/// Rows that [`Store::forget`] deletes in one go, so that nobody waits long for the file.
const FORGET_MAX: i64 = 10_000;

const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE replies (
        scope TEXT NOT NULL, key TEXT NOT NULL,
        digest BLOB NOT NULL,
        begun_ms INTEGER NOT NULL,
        token INTEGER NOT NULL, -- whose lease it is
        status INTEGER,         -- absent while it is being done
        headers TEXT, body BLOB,
        PRIMARY KEY (scope, key)
    );
    CREATE INDEX replies_begun ON replies (begun_ms);
"];

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    clock: Clock,
    lease: Duration,
    retention: Duration,
}

/// What a key was used for before.
struct Known {
    digest: [u8; 32],
    begun_ms: i64,
    reply: Option<Reply>,
}

impl Store {
    /// Opens the store of a directory.
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Store> {
        let Settings { dir, times: Times { lease, retention } } = settings.clone();
        // The writer's connection: see the module for what this gives up.
        let relaxed = |writer: &Connection| -> Result<(), Failure> {
            Ok(writer.pragma_update(None, "synchronous", "normal")?)
        };
        let (database, ()) = Database::of_dir(&dir, "replies.db", &MIGRATIONS, relaxed).await?;
        Ok(Store { database, clock, lease, retention })
    }

    /// Begins a request; its key has been looked at.
    pub async fn begin(&self, lease: Lease, digest: [u8; 32]) -> Result<Begun> {
        let now_ms = to_ms(self.clock.now());
        let lease_ms = millis(self.lease);
        let forgotten_ms = now_ms.saturating_sub(millis(self.retention));
        let work = move |connection: &Connection| -> Result<Begun, Failure> {
            let known = known(connection, &lease)?.filter(|known| known.begun_ms > forgotten_ms);
            match known {
                Some(known) if known.digest != digest => return Ok(Begun::Mismatch),
                Some(Known { reply: Some(reply), .. }) => return Ok(Begun::Replay(reply)),
                Some(known) if known.begun_ms.saturating_add(lease_ms) > now_ms => {
                    return Ok(Begun::InProgress);
                }
                _ => {}
            }
            let replace = "INSERT OR REPLACE INTO replies (scope, key, digest, begun_ms, token)
                VALUES (?, ?, ?, ?, ?)";
            let values = params![lease.scope, lease.key, digest, now_ms, lease.token];
            connection.prepare_cached(replace)?.execute(values)?;
            Ok(Begun::New(lease))
        };
        Ok(self.database.write(work, |_| ()).await?)
    }

    /// Keeps a reply; its size has been looked at.
    pub async fn finish(&self, lease: Lease, reply: Reply) -> Result<()> {
        let work = move |connection: &Connection| -> Result<(), Failure> {
            let headers = serde_json::to_string(&reply.headers).map_err(Failure::new)?;
            let update = "UPDATE replies SET status = ?, headers = ?, body = ?
                WHERE scope = ? AND key = ? AND token = ?";
            let Lease { scope, key, token } = lease;
            let values = params![reply.status, headers, &reply.body[..], scope, key, token];
            connection.prepare_cached(update)?.execute(values)?;
            Ok(())
        };
        Ok(self.database.write(work, |()| ()).await?)
    }

    /// Frees a key.
    pub async fn abandon(&self, lease: Lease) -> Result<()> {
        let work = move |connection: &Connection| -> Result<(), Failure> {
            let delete = "DELETE FROM replies
                WHERE scope = ? AND key = ? AND token = ? AND status IS NULL";
            let Lease { scope, key, token } = lease;
            connection.prepare_cached(delete)?.execute(params![scope, key, token])?;
            Ok(())
        };
        Ok(self.database.write(work, |()| ()).await?)
    }

    /// Deletes what is too old to be given at an instant.
    pub async fn forget(&self, now: Timestamp) -> Result<u64> {
        let forgotten_ms = to_ms(now).saturating_sub(millis(self.retention));
        let work = move |connection: &Connection| -> Result<u64, Failure> {
            let delete = "DELETE FROM replies WHERE rowid IN
                (SELECT rowid FROM replies WHERE begun_ms <= ? LIMIT ?)";
            Ok(connection.execute(delete, params![forgotten_ms, FORGET_MAX])? as u64)
        };
        let mut all = 0;
        loop {
            let some = self.database.write(work, |_| ()).await?;
            all += some;
            if some < FORGET_MAX as u64 {
                return Ok(all);
            }
        }
    }
}

fn known(connection: &Connection, lease: &Lease) -> Result<Option<Known>, Failure> {
    let select = "SELECT digest, begun_ms, status, headers, body FROM replies
        WHERE scope = ? AND key = ?";
    let mut select = connection.prepare_cached(select)?;
    let row = select.query_row(params![lease.scope, lease.key], |row| {
        let reply = match row.get::<_, Option<u16>>(2)? {
            Some(status) => Some((status, row.get::<_, String>(3)?, row.get::<_, Vec<u8>>(4)?)),
            None => None,
        };
        Ok((row.get(0)?, row.get(1)?, reply))
    });
    let Some((digest, begun_ms, reply)) = row.optional()? else { return Ok(None) };
    let reply = match reply {
        Some((status, headers, body)) => {
            let headers = serde_json::from_str(&headers).map_err(Failure::new)?;
            Some(Reply { status, headers, body: Bytes::from(body) })
        }
        None => None,
    };
    Ok(Some(Known { digest, begun_ms, reply }))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
