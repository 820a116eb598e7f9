//! The drills store in one SQLite file, `drills.db`.

use rusqlite::{Connection, Row, params};
use tokio::sync::watch;
use uuid::Uuid;

use super::{CANARIES_MAX, Canary, Error, HISTORY_MAX, LinkTest, Result, Settings};
use crate::domain::ids::DeviceId;
use crate::store::Failure;
use crate::store::sqlite::{Database, from_ms, to_ms, unsigned};

const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE canaries (
        device BLOB PRIMARY KEY, unit TEXT NOT NULL, sent_ms INTEGER, received_ms INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE tests (
        at_ms INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL, p50 INTEGER
    );
"];

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    tests: watch::Sender<u64>,
}

impl Store {
    /// Opens the store of a directory.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let database = Database::plain(&settings.dir, "drills.db", &MIGRATIONS).await?;
        Ok(Store { database, tests: watch::Sender::new(0) })
    }

    /// Adds or replaces a canary.
    pub async fn put(&self, canary: Canary) -> Result<()> {
        let work = move |connection: &Connection| -> Result<()> {
            let others = "SELECT count(*) FROM canaries WHERE device <> ?";
            let device = canary.device.0;
            let others = connection.query_row(others, [device.as_bytes()], |row| unsigned(row, 0));
            if others.map_err(Failure::from)? >= CANARIES_MAX as u64 {
                return Err(Error::TooMany);
            }
            let upsert = "INSERT OR REPLACE INTO canaries (device, unit, sent_ms, received_ms)
                VALUES (?, ?, ?, ?)";
            let (sent, received) = (canary.last_sent.map(to_ms), canary.last_received.map(to_ms));
            let values = params![device.as_bytes(), canary.unit.as_str(), sent, received];
            connection.execute(upsert, values).map_err(Failure::from)?;
            Ok(())
        };
        self.database.write(work, |()| ()).await
    }

    /// Takes a canary away.
    pub async fn remove(&self, device: DeviceId) -> Result<bool> {
        let work = move |connection: &Connection| -> Result<bool> {
            let delete = "DELETE FROM canaries WHERE device = ?";
            let deleted = connection.execute(delete, [device.0.as_bytes()]);
            Ok(deleted.map_err(Failure::from)? > 0)
        };
        self.database.write(work, |_| ()).await
    }

    /// Every canary.
    pub async fn canaries(&self) -> Result<Vec<Canary>> {
        let work = |connection: &Connection| -> Result<Vec<Canary>, Failure> {
            let select = "SELECT device, unit, sent_ms, received_ms FROM canaries
                ORDER BY unit, device";
            let mut select = connection.prepare_cached(select)?;
            let mut rows = select.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(canary(row)?);
            }
            Ok(found)
        };
        Ok(self.database.read(work).await?)
    }

    /// Remembers a link test.
    pub async fn add(&self, test: LinkTest) -> Result<()> {
        let work = move |connection: &Connection| -> Result<()> {
            let insert = "INSERT INTO tests (at_ms, sent, received, p50) VALUES (?, ?, ?, ?)";
            let count = |count: u64| i64::try_from(count).map_err(Failure::new);
            let p50 = test.ms_p50.map(count).transpose()?;
            let values = params![to_ms(test.at), count(test.sent)?, count(test.received)?, p50];
            connection.execute(insert, values).map_err(Failure::from)?;
            let trim = "DELETE FROM tests WHERE rowid <= (SELECT max(rowid) - ? FROM tests)";
            connection.execute(trim, [HISTORY_MAX as i64]).map_err(Failure::from)?;
            Ok(())
        };
        let tests = self.tests.clone();
        self.database.write(work, move |()| tests.send_modify(|count| *count += 1)).await
    }

    /// The newest link tests.
    pub async fn history(&self, limit: usize) -> Result<Vec<LinkTest>> {
        let work = move |connection: &Connection| -> Result<Vec<LinkTest>, Failure> {
            let select = "SELECT at_ms, sent, received, p50 FROM tests ORDER BY rowid DESC LIMIT ?";
            let mut select = connection.prepare_cached(select)?;
            let mut rows = select.query([limit.min(HISTORY_MAX) as i64])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let p50: Option<i64> = row.get(3)?;
                found.push(LinkTest {
                    at: from_ms(row.get(0)?)?,
                    sent: unsigned(row, 1)?,
                    received: unsigned(row, 2)?,
                    ms_p50: p50.map(i64::unsigned_abs),
                });
            }
            Ok(found)
        };
        Ok(self.database.read(work).await?)
    }

    /// A number that rises with every link test.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.tests.subscribe()
    }
}

fn canary(row: &Row<'_>) -> Result<Canary, Failure> {
    let device: [u8; 16] = row.get(0)?;
    let unit: String = row.get(1)?;
    let instant = |column| -> Result<_, Failure> {
        row.get::<_, Option<i64>>(column)?.map(from_ms).transpose()
    };
    Ok(Canary {
        unit: unit.parse().map_err(Failure::new)?,
        device: DeviceId(Uuid::from_bytes(device)),
        last_sent: instant(2)?,
        last_received: instant(3)?,
    })
}
