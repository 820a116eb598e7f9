//! The ledger in one SQLite file. Workers' saves are encoded where they are made and committed in
//! groups by one writer, so a hundred workers at once share one flush.

use std::fs;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::dispatch::{Dispatch, DispatchId};
use crate::domain::funnel::Funnel;
use crate::domain::ids::{DeviceNum, PublicationId, Seq};
use crate::domain::receipt::{Receipt, Stage};
use crate::store::Failure;
use crate::store::ledger::mark::Mark;
use crate::store::ledger::{
    AcceptedAt, BATCH_MAX, Delivered, Error, Progress, Saved, Settings, State, Targeted,
};
use crate::store::sqlite::{self, Database};

mod dispatches;
mod funnel;
mod receipts;
mod schema;

use dispatches::{Encoded, Fresh};

/// Dispatches begun in one go: some ten milliseconds in which no worker's save is written.
const OPEN_MAX: usize = 500;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub struct Embedded {
    database: Database,
    clock: Clock,
    version: Arc<watch::Sender<u64>>,
}

impl Embedded {
    /// Opens or creates `ledger.db` in the data directory.
    pub async fn start(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        let dir = settings.dir.clone();
        let opening = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&dir).map_err(Failure::new)?;
            let path = dir.join("ledger.db");
            Database::open(&path, schema::MIGRATIONS, |connection| {
                Ok::<_, Error>(sqlite::lengthen_journal(connection)?)
            })
        });
        let (database, ()) = opening.await.map_err(Failure::new)??;
        Ok(Self { database, clock, version: Arc::new(watch::Sender::new(0)) })
    }

    pub async fn open(&self, dispatch: Dispatch) -> Result<Progress, Error> {
        // Of what is over only a look is wanted, and reading does not wait for the writer.
        let known = self.get(dispatch.id).await?;
        if let Some(progress) = known.filter(|progress| progress.state != State::Open) {
            return Ok(progress);
        }
        let fresh = Fresh::new(dispatch)?;
        self.write(move |connection| dispatches::open(connection, fresh)).await
    }

    pub async fn open_if_free(&self, dispatch: Dispatch) -> Result<Option<Progress>, Error> {
        if self.get(dispatch.id).await?.is_some_and(|known| known.is_taken()) {
            return Ok(None);
        }
        let fresh = Fresh::new(dispatch)?;
        self.write(move |connection| dispatches::open_if_free(connection, fresh)).await
    }

    /// One process routes a publication here, once at a time: its ranges that stand tell.
    pub async fn bound(&self, id: PublicationId, upto: Seq) -> Result<Seq, Error> {
        let rows = self.of_publication(id).await?;
        Ok(rows.iter().filter_map(|row| row.dispatch.bound()).min().unwrap_or(upto))
    }

    pub async fn open_all(&self, all: &[Dispatch]) -> Result<(), Error> {
        for some in all.chunks(OPEN_MAX) {
            let fresh = some.iter().cloned().map(Fresh::new).collect::<Result<Vec<_>, _>>()?;
            self.write(move |connection| dispatches::open_all(connection, &fresh)).await?;
        }
        Ok(())
    }

    pub async fn save(&self, progress: &Progress) -> Result<Saved, Error> {
        let encoded = Encoded::new(progress)?;
        self.write(move |connection| dispatches::save(connection, &encoded)).await
    }

    pub async fn freeze(&self, id: DispatchId) -> Result<Option<Progress>, Error> {
        let now_ms = sqlite::to_ms(self.clock.now());
        self.write(move |connection| dispatches::freeze(connection, id, now_ms)).await
    }

    pub async fn get(&self, id: DispatchId) -> Result<Option<Progress>, Error> {
        self.database.read(move |connection| dispatches::get(connection, id)).await
    }

    pub async fn of_publication(&self, id: PublicationId) -> Result<Vec<Progress>, Error> {
        self.database.read(move |connection| dispatches::of_publication(connection, id)).await
    }

    pub async fn put_targeted(
        &self,
        id: PublicationId,
        key: String,
        targeted: Vec<Targeted>,
    ) -> Result<(), Error> {
        self.write(move |connection| funnel::put_targeted(connection, id, &key, &targeted)).await
    }

    pub async fn record_receipts(
        &self,
        receipts: Vec<Receipt>,
        accepted_at: &AcceptedAt,
    ) -> Result<u64, Error> {
        let marks = receipts.into_iter().map(|receipt| Mark::receipt(receipt, accepted_at));
        self.record(marks.collect()).await
    }

    pub async fn record_deliveries(
        &self,
        delivered: Vec<Delivered>,
        accepted_at: &AcceptedAt,
    ) -> Result<u64, Error> {
        let marks = delivered.into_iter().map(|one| Mark::delivery(one, accepted_at));
        self.record(marks.collect()).await
    }

    async fn record(&self, marks: Vec<Mark>) -> Result<u64, Error> {
        match marks.len() {
            0 => Ok(0),
            1..=BATCH_MAX => {
                self.write(move |connection| receipts::record(connection, &marks)).await
            }
            given => Err(Error::TooMany(given)),
        }
    }

    pub async fn funnel(&self, id: PublicationId) -> Result<Funnel, Error> {
        self.database
            .read(move |connection| consistent(connection, |conn| funnel::funnel(conn, id)))
            .await
    }

    pub async fn stage_of(
        &self,
        id: PublicationId,
        device: DeviceNum,
    ) -> Result<Option<Stage>, Error> {
        self.database.read(move |connection| receipts::stage_of(connection, id, device)).await
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub async fn forget(&self, before: Timestamp) -> Result<u64, Error> {
        let before_ms = sqlite::to_ms(before);
        let oldest_kept = PublicationId::first_of(before_ms);
        self.write(move |connection| dispatches::forget_fences(connection, before_ms)).await?;
        let mut forgotten = 0;
        // One publication at a time, so that a save never waits for more than one.
        while self.write(move |conn| dispatches::forget_oldest(conn, oldest_kept)).await? {
            forgotten += 1;
        }
        Ok(forgotten)
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let version = Arc::clone(&self.version);
        let after = move |_: &T| version.send_modify(|version| *version += 1);
        self.database.write(work, after).await
    }
}

/// Reads several tables as of one instant.
fn consistent<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    let transaction = connection.unchecked_transaction()?;
    let answer = read(&transaction)?;
    transaction.commit()?;
    Ok(answer)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}
