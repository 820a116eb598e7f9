//! The registry in one SQLite file. One writer gives out numbers and Seqs, so that memberships
//! become visible in Seq order without any lock of ours.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::audience::AreaAudience;
use crate::domain::channel::{Channel, PushAddress};
use crate::domain::device::{Device, Profile};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, UnitCode};
use crate::store::Failure;
use crate::store::registry::counters::Counters;
use crate::store::registry::numbers::Numbers;
use crate::store::registry::placed::Placed;
use crate::store::registry::{
    Error, Estimate, Member, Membership, NewDevice, Range, Resealed, Settings, Stored, check,
};
use crate::store::sqlite::{self, Database};
use crate::store::vault::Vault;

mod fill;
mod load;
mod owners;
mod packs;
mod read;
mod schema;
mod seen;
mod write;

pub use packs::Entry;
use packs::Packs;
use read::Source;
use write::{Change, Writing};

/// Tombstones dropped in one transaction, so that forgetting never holds up a registration.
const FORGET_BATCH: i64 = 10_000;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub struct Embedded {
    database: Database,
    shards: u16,
    clock: Clock,
    counters: Arc<Counters>,
    newest: Arc<watch::Sender<Seq>>,
    /// Rises with each change, once it is durable and before anybody is told of it.
    changes: Arc<AtomicU64>,
    vault: Option<Vault>,
}

impl Embedded {
    /// Opens or creates `registry.db` in the data directory.
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        let settings = settings.clone();
        let shards = settings.shards;
        let opening = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&settings.dir).map_err(Failure::new)?;
            let path = settings.dir.join("registry.db");
            Database::open(&path, schema::MIGRATIONS, |connection| {
                sqlite::lengthen_journal(connection)?;
                let prepared = schema::prepare(connection, &settings)?;
                fill::fill(connection, &path)?;
                Ok::<_, Error>(prepared)
            })
        });
        let (database, (counters, newest)) = opening.await.map_err(Failure::new)??;
        let newest = Arc::new(watch::Sender::new(newest));
        let counters = Arc::new(counters);
        let changes = Arc::default();
        Ok(Self { database, shards, clock, counters, newest, changes, vault: None })
    }

    /// The same registry, which seals push addresses from now on.
    pub fn sealed(self, vault: Vault) -> Self {
        Self { vault: Some(vault), ..self }
    }

    /// Writes the next devices anew whose addresses are not sealed with the newest key.
    pub async fn reseal(&self, after: DeviceNum, limit: usize) -> Result<Resealed, Error> {
        self.write(move |writing| writing.reseal(after, limit)).await
    }

    /// The key that everything was sealed with, once.
    pub async fn sealed_with(&self) -> Result<Option<u8>, Error> {
        self.database.read(schema::sealed_with).await
    }

    /// Remembers that.
    pub async fn set_sealed_with(&self, number: u8) -> Result<(), Error> {
        let work = move |connection: &_| schema::set_sealed_with(connection, number);
        self.database.write(work, |()| ()).await?;
        self.scrub().await
    }

    /// Drops what the journal still has of how things were.
    pub async fn scrub(&self) -> Result<(), Error> {
        Ok(self.database.scrub().await?)
    }

    pub fn shards(&self) -> u16 {
        self.shards
    }

    pub async fn register(&self, new: NewDevice) -> Result<Arc<Device>, Error> {
        check(new.id, &new.profile)?;
        self.write(move |writing| writing.register(&new)).await
    }

    pub async fn update(&self, id: DeviceId, profile: Profile) -> Result<Arc<Device>, Error> {
        check(id, &profile)?;
        self.write(move |writing| writing.update(id, profile)).await
    }

    pub async fn remove(&self, id: DeviceId) -> Result<bool, Error> {
        self.write(move |writing| writing.remove(id)).await
    }

    pub async fn get(&self, id: DeviceId) -> Result<Option<Stored>, Error> {
        self.glance(move |source| read::by_id(source, id)).await
    }

    pub async fn placed(&self, id: DeviceId) -> Result<Option<Placed>, Error> {
        self.glance(move |source| read::placed(source, id)).await
    }

    /// How many changes there were since the file was opened.
    pub fn changes_made(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    pub async fn deactivate_address(
        &self,
        num: DeviceNum,
        address: PushAddress,
        not_after: Option<Timestamp>,
    ) -> Result<bool, Error> {
        self.write(move |writing| writing.deactivate_address(num, &address, not_after)).await
    }

    pub async fn scan(&self, range: Range, limit: usize) -> Result<Vec<Member>, Error> {
        self.look(move |source| read::scan(source, &range, limit)).await
    }

    /// Walks the live members of ranges, one after the other and each in the order of Seq, as they
    /// lie in the file: addresses sealed or not, and nothing taken apart. A range ends early where
    /// `visit` answers false.
    pub async fn walk<T: Send + 'static>(
        &self,
        ranges: Vec<Range>,
        mut gathered: T,
        mut visit: impl FnMut(&mut T, &Entry<'_>) -> Result<bool, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.look(move |source| {
            for range in &ranges {
                read::walk(source, range, |entry| visit(&mut gathered, entry))?;
            }
            Ok(gathered)
        })
        .await
    }

    /// As [`Embedded::scan`], but their numbers alone.
    pub async fn numbers(&self, range: Range, limit: usize) -> Result<Numbers, Error> {
        self.look(move |source| read::numbers(source, &range, limit)).await
    }

    pub async fn members(&self, seqs: Vec<Seq>) -> Result<Vec<Member>, Error> {
        self.look(move |source| read::members(source, seqs)).await
    }

    pub async fn memberships_of(&self, num: DeviceNum) -> Result<Vec<Membership>, Error> {
        self.database.glance(move |connection| read::memberships_of(connection, num)).await
    }

    pub fn last_seq(&self) -> Seq {
        *self.newest.borrow()
    }

    pub async fn changes(&self, after: Seq, limit: usize) -> Result<Vec<Member>, Error> {
        self.look(move |source| read::changes(source, after, limit)).await
    }

    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.newest.subscribe()
    }

    pub fn estimate(&self, area: &AreaAudience) -> Estimate {
        self.counters.estimate(area)
    }

    pub fn ranges(&self, audience: &AreaAudience, channel: Channel) -> Vec<(UnitCode, u16)> {
        self.counters.ranges(audience, channel)
    }

    pub async fn bulk_load<I>(&self, devices: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item = NewDevice> + Send + 'static,
    {
        let work = self.writing(move |writing| load::load(writing, devices.into_iter()));
        let after = self.after();
        self.database.write_alone(work, after).await.map(|(loaded, _)| loaded)
    }

    pub async fn forget_departed(&self, before: Timestamp) -> Result<u64, Error> {
        let before = sqlite::to_ms(before);
        let mut dropped = 0;
        loop {
            let batch = self.database.write(
                move |connection| -> Result<usize, Error> {
                    let sql = "DELETE FROM memberships WHERE seq IN
                        (SELECT seq FROM memberships WHERE left_at < ?1 LIMIT ?2)";
                    Ok(connection.prepare_cached(sql)?.execute([before, FORGET_BATCH])?)
                },
                |_| (),
            );
            match batch.await? {
                0 => return Ok(dropped),
                batch => dropped += batch as u64,
            }
        }
    }

    pub async fn late_cursor(&self) -> Result<Seq, Error> {
        self.database.read(schema::late_cursor).await
    }

    pub async fn set_late_cursor(&self, seq: Seq) -> Result<(), Error> {
        let work = move |connection: &_| schema::advance_late_cursor(connection, seq);
        self.database.write(work, |()| ()).await
    }

    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(Source<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let vault = self.vault.clone();
        let work = move |connection: &_| work(Source { connection, vault: vault.as_ref() });
        self.database.read(work).await
    }

    /// As [`Embedded::look`], for a device or two.
    async fn glance<T: Send + 'static>(
        &self,
        work: impl FnOnce(Source<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let vault = self.vault.clone();
        let work = move |connection: &_| work(Source { connection, vault: vault.as_ref() });
        self.database.glance(work).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writing) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database.write(self.writing(work), self.after()).await.map(|(answer, _)| answer)
    }

    /// Work of the registry as the database wants it; also answers what it changed.
    fn writing<T>(
        &self,
        work: impl FnOnce(&mut Writing) -> Result<T, Error> + Send + 'static,
    ) -> impl FnOnce(&rusqlite::Connection) -> Result<(T, Change), Error> + Send + 'static {
        let (shards, clock, vault) = (self.shards, self.clock.clone(), self.vault.clone());
        move |connection| {
            // As it will be read back: stored instants are whole milliseconds.
            let now = sqlite::from_ms(sqlite::to_ms(clock.now()))?;
            let source = Source { connection, vault: vault.as_ref() };
            let packs = Packs::of(connection)?;
            let mut writing = Writing { source, shards, now, packs, change: Change::default() };
            let answer = work(&mut writing)?;
            schema::count(connection, &writing.change.counts)?;
            Ok((answer, writing.change))
        }
    }

    /// Counts what became durable, and only then lets `last_seq` rise: whoever asks for it and
    /// then for ranges misses nobody.
    fn after<T>(&self) -> impl FnOnce(&(T, Change)) + Send + 'static {
        let (counters, newest) = (Arc::clone(&self.counters), Arc::clone(&self.newest));
        let changes = Arc::clone(&self.changes);
        move |(_, change)| {
            changes.fetch_add(1, Ordering::SeqCst);
            if !change.counts.is_empty() {
                counters.apply(change.counts.iter().map(|(spot, count)| (spot, *count)));
            }
            if let Some(seq) = change.newest {
                newest.send_replace(seq);
            }
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}
