//! The alerts store in one SQLite file, `alerts.db`.
//!
//! Publications are rows of JSON beside the columns they are looked up by; an identity is a unique
//! index, so a reservation is one insert. What is live is kept in memory as well.

mod names;
mod rows;

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::watch;

use super::live::{LIVE_MAX, Live};
use super::personal::Carried;
use super::{
    Accepted, Accepting, Dropped, Error, Identity, Over, PAGE_MAX, Result, Settings, Stored,
};
use crate::domain::ids::{ChainId, PublicationId, SubjectId};
use crate::domain::publication::Publication;
use crate::domain::sealed::Sealed;
use crate::store::Failure;
use crate::store::sqlite::{Database, to_ms};
use crate::store::vault::Vault;
use rows::File;

const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE publications (
        id BLOB PRIMARY KEY,
        chain BLOB NOT NULL,
        identity_kind TEXT NOT NULL,  -- alert, notice, status-change
        identity_owner TEXT NOT NULL, -- the sender or the agency
        identity_name TEXT NOT NULL,
        identity_rank INTEGER NOT NULL, -- the instant sent in ms, the step, or 0
        digest BLOB NOT NULL,
        subject TEXT,                 -- absent for an area
        expires_ms INTEGER NOT NULL,
        superseded_by BLOB,
        position TEXT,                -- absent until it is on the log
        raw BLOB,
        body TEXT NOT NULL,           -- the publication as JSON, or sealed
        UNIQUE (identity_kind, identity_owner, identity_name, identity_rank)
    );
    CREATE INDEX publications_chain ON publications (chain, id);
    CREATE INDEX publications_area ON publications (id) WHERE subject IS NULL;
    CREATE INDEX publications_subject ON publications (subject, id) WHERE subject IS NOT NULL;
    CREATE INDEX publications_unlogged ON publications (id) WHERE position IS NULL;
    CREATE INDEX publications_expiry ON publications (expires_ms);
",
    "
    CREATE TABLE subject_keys (
        subject TEXT PRIMARY KEY,
        handle BLOB NOT NULL UNIQUE,
        key BLOB NOT NULL             -- sealed by the vault
    ) WITHOUT ROWID;
",
    // Keys that an earlier release left behind the last publication they were for.
    "
    DELETE FROM subject_keys WHERE subject NOT IN
        (SELECT subject FROM publications WHERE subject IS NOT NULL);
",
    // A pseudonym that another took the place of; and several keys of one citizen, each of a time
    // when they were called otherwise.
    "
    CREATE TABLE names (
        former TEXT PRIMARY KEY,
        present TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX names_present ON names (present);
    CREATE TABLE keys (
        handle BLOB PRIMARY KEY,
        subject TEXT NOT NULL,
        key BLOB NOT NULL             -- sealed by the vault
    ) WITHOUT ROWID;
    INSERT INTO keys (handle, subject, key) SELECT handle, subject, key FROM subject_keys;
    DROP TABLE subject_keys;
    ALTER TABLE keys RENAME TO subject_keys;
    CREATE INDEX subject_keys_subject ON subject_keys (subject);
",
];

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    live: Arc<Live>,
    vault: Option<Vault>,
}

impl Store {
    /// Opens the store of a directory.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let (database, live) =
            Database::of_dir(&settings.dir, "alerts.db", &MIGRATIONS, load).await?;
        Ok(Store { database, live: Arc::new(live), vault: None })
    }

    /// The same store, which seals what is one citizen's from now on.
    pub fn sealed(self, vault: Vault) -> Store {
        Store { vault: Some(vault), ..self }
    }

    /// How publications go onto the log.
    pub async fn carried(&self, ids: Vec<PublicationId>) -> Result<Vec<Carried>> {
        self.database.look(move |connection| rows::carried(connection, &ids)).await
    }

    /// Whether nothing is sealed yet.
    pub fn is_unsealed(&self) -> bool {
        self.vault.as_ref().is_some_and(|vault| !vault.seals())
    }

    /// What a sealed publication says.
    pub async fn open_sealed(&self, sealed: Sealed) -> Result<Option<Publication>> {
        let vault = self.vault.clone();
        let work = move |connection: &Connection| {
            rows::open(File { connection, vault: vault.as_ref() }, &sealed)
        };
        self.database.look(work).await
    }

    /// Destroys a citizen's key and what was said to them alone, in the journal too.
    pub async fn erase(&self, subject: &SubjectId) -> Result<()> {
        let subject = subject.clone();
        self.database
            .change::<_, Error>(move |connection| rows::erase(connection, &subject))
            .await?;
        Ok(self.database.scrub().await?)
    }

    /// Reserves and stores publications.
    pub async fn accept_all(&self, accepting: Vec<Accepting>) -> Result<Vec<Accepted>> {
        if accepting.len() > PAGE_MAX {
            return Err(Error::TooMany(accepting.len()));
        }
        let accepting = Arc::new(accepting);
        let (given, live) = (accepting.clone(), self.live.clone());
        let vault = self.vault.clone();
        let work = move |connection: &Connection| {
            let file = File { connection, vault: vault.as_ref() };
            let answer = |(index, accepting)| match accept(file, accepting)? {
                Accepted::Conflict(known) => Err(Error::Clash { index, known }),
                accepted => Ok(accepted),
            };
            given.iter().enumerate().map(answer).collect::<Result<_>>()
        };
        let after = move |accepted: &Vec<Accepted>| {
            for (accepting, accepted) in accepting.iter().zip(accepted) {
                if matches!(accepted, Accepted::New) {
                    live.insert(Arc::new(accepting.stored()));
                }
            }
        };
        self.database.write(work, after).await
    }

    /// Remembers where publications are on the log.
    pub async fn mark_all_logged(&self, logged: Vec<(PublicationId, String)>) -> Result<()> {
        let logged = Arc::new(logged);
        let (given, live) = (logged.clone(), self.live.clone());
        let work = move |connection: &Connection| {
            let update = "UPDATE publications SET position = coalesce(position, ?) WHERE id = ?";
            let mut update = connection.prepare_cached(update).map_err(Failure::from)?;
            for (id, position) in given.iter() {
                let known = update.execute(params![position, id.0.as_bytes()]);
                if known.map_err(Failure::from)? == 0 {
                    return Err(Error::Unknown(*id));
                }
            }
            Ok(())
        };
        let after = move |(): &()| {
            logged.iter().for_each(|(id, position)| live.logged(*id, position));
        };
        self.database.write(work, after).await
    }

    /// What was accepted and not logged.
    pub async fn unlogged(&self) -> Result<Vec<Publication>> {
        let stored = self.list("position IS NULL ORDER BY id", Vec::new(), PAGE_MAX).await?;
        Ok(stored.iter().map(|stored| (*stored.publication).clone()).collect())
    }

    /// A publication by its id.
    pub async fn get(&self, id: PublicationId) -> Result<Option<Arc<Stored>>> {
        if let Some(stored) = self.live.get(id) {
            return Ok(Some(stored));
        }
        let found = self.list("id = ?", vec![rows::blob(id.0)], 1).await?;
        Ok(found.into_iter().next())
    }

    /// The alert that a CAP reference names.
    pub async fn by_identity(
        &self,
        sender: &str,
        identifier: &str,
        sent: Timestamp,
    ) -> Result<Option<Arc<Stored>>> {
        let (sender, identifier) = (sender.to_owned(), identifier.to_owned());
        let key = rows::Key::of(&Identity::Alert { sender, identifier, sent })?;
        let found = self.list(rows::BY_KEY, key.values(), 1).await?;
        Ok(found.into_iter().next())
    }

    /// The alerts with a sender and identifier.
    pub async fn by_identifier(&self, sender: &str, identifier: &str) -> Result<Vec<Arc<Stored>>> {
        let values = vec![sender.to_owned().into(), identifier.to_owned().into()];
        let filter = "identity_kind = 'alert' AND identity_owner = ? AND identity_name = ?
            ORDER BY id";
        self.list(filter, values, PAGE_MAX).await
    }

    /// A chain's publications.
    pub async fn chain(&self, chain: ChainId) -> Result<Vec<Arc<Stored>>> {
        self.list("chain = ? ORDER BY id", vec![rows::blob(chain.0)], PAGE_MAX).await
    }

    /// Remembers what was replaced or withdrawn.
    pub async fn supersede(&self, ids: &[PublicationId], by: PublicationId) -> Result<()> {
        let ids: Arc<[PublicationId]> = ids.into();
        let (given, live) = (ids.clone(), self.live.clone());
        let work = move |connection: &Connection| {
            let update = "UPDATE publications SET superseded_by = ?
                WHERE id = ? AND superseded_by IS NULL AND id <> ?1";
            let mut update = connection.prepare_cached(update).map_err(Failure::from)?;
            for id in given.iter() {
                let values = params![by.0.as_bytes(), id.0.as_bytes()];
                update.execute(values).map_err(Failure::from)?;
            }
            Ok(())
        };
        let after = move |(): &()| {
            ids.iter().filter(|id| **id != by).for_each(|id| live.remove(*id));
        };
        self.database.write(work, after).await
    }

    /// What says something now.
    pub fn live(&self, now: Timestamp) -> Vec<Arc<Publication>> {
        self.live.list(now)
    }

    /// Rises when that changes.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.live.watch()
    }

    /// Area publications, newest first.
    pub async fn recent(
        &self,
        before: Option<PublicationId>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        let filter = "subject IS NULL AND id < ? ORDER BY id DESC";
        self.list(filter, vec![rows::before(before)], limit).await
    }

    /// A citizen's publications, newest first.
    pub async fn for_subject(
        &self,
        subject: &SubjectId,
        before: Option<PublicationId>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        let values = vec![subject.as_str().to_owned().into(), rows::before(before)];
        let filter = "subject = coalesce((SELECT present FROM names WHERE former = ?1), ?1)
            AND id < ?2 ORDER BY id DESC";
        self.list(filter, values, limit).await
    }

    /// Deletes what is long over, and keys of citizens of whom nothing is left.
    pub async fn forget(&self, over: Over) -> Result<Dropped> {
        let live = self.live.clone();
        let work = move |connection: &Connection| Ok(rows::forget(connection, over)?);
        self.database.write(work, move |_| live.forget(over.areas)).await
    }

    /// Reads the publications that a filter finds.
    async fn list(
        &self,
        filter: &'static str,
        values: Vec<rusqlite::types::Value>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        let (limit, vault) = (limit.min(PAGE_MAX), self.vault.clone());
        let work = move |connection: &Connection| {
            rows::select(File { connection, vault: vault.as_ref() }, filter, values, limit)
        };
        self.database.look(work).await
    }
}

/// What a file holds. Whatever had expired when its newest publication was accepted is passed
/// over, so that a long history costs nothing.
fn load(connection: &Connection) -> Result<Live, Failure> {
    let live = Live::default();
    // Areas alone can be live, and nothing of theirs is sealed.
    let file = File { connection, vault: None };
    let newest = rows::select(file, "subject IS NULL ORDER BY id DESC", Vec::new(), 1)?;
    let Some(newest) = newest.first().map(|stored| stored.publication.accepted_at) else {
        return Ok(live);
    };
    let filter = "subject IS NULL AND superseded_by IS NULL AND expires_ms > ? ORDER BY id";
    let values = vec![to_ms(newest).into()];
    for stored in rows::select(file, filter, values, LIVE_MAX)? {
        live.insert(stored);
    }
    Ok(live)
}

/// One reservation, within the writer's transaction.
fn accept(file: File<'_>, accepting: &Accepting) -> Result<Accepted> {
    let connection = file.connection;
    let key = rows::Key::of(&accepting.identity)?;
    if let Some(stored) = rows::select(file, rows::BY_KEY, key.values(), 1)?.pop() {
        let digest = format!("SELECT digest FROM publications WHERE {}", rows::BY_KEY);
        let digest: [u8; 32] = connection
            .prepare_cached(&digest)
            .and_then(|mut digest| {
                digest.query_row(rusqlite::params_from_iter(key.values()), |row| row.get(0))
            })
            .map_err(Failure::from)?;
        return Ok(if digest == accepting.digest {
            Accepted::Same(stored)
        } else {
            Accepted::Conflict(stored.publication.id)
        });
    }
    let id = accepting.publication.id;
    let taken = connection
        .prepare_cached("SELECT 1 FROM publications WHERE id = ?")
        .and_then(|mut taken| taken.query_row([id.0.as_bytes()], |_| Ok(())).optional());
    if taken.map_err(Failure::from)?.is_some() {
        return Err(Error::IdTaken(id));
    }
    rows::insert(file, accepting, &key)?;
    Ok(Accepted::New)
}
