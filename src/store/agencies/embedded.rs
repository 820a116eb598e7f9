//! The agencies store in one SQLite file, `agencies.db`, that other processes may change.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use subtle::ConstantTimeEq;

use super::{ApiKey, Error, Holder, KEYS_MAX, KeyInfo, LAST_USED_EVERY, Result, Settings, key};
use crate::domain::agency::Agency;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::AgencyId;
use crate::domain::person::Right;
use crate::store::Failure;
use crate::store::sqlite::{Database, from_ms, to_ms};

/// Bytes of a key's digest that it is found by; the rest is compared in constant time.
const PREFIX_BYTES: usize = 8;

const MIGRATIONS: [&str; 3] = [
    "
    CREATE TABLE agencies (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE keys (
        agency TEXT NOT NULL REFERENCES agencies (id), name TEXT NOT NULL,
        digest_prefix BLOB NOT NULL, -- the first 8 bytes of the digest
        digest BLOB NOT NULL,        -- SHA-256 of the key
        created_ms INTEGER NOT NULL, expires_ms INTEGER, last_used_ms INTEGER, revoked_ms INTEGER,
        PRIMARY KEY (agency, name)
    );
    CREATE INDEX keys_digest ON keys (digest_prefix);
",
    // Comma-separated; a key of before may write.
    "ALTER TABLE keys ADD COLUMN rights TEXT NOT NULL DEFAULT 'write'",
    // The client certificate that a key is bound to.
    "ALTER TABLE keys ADD COLUMN certificate TEXT",
];

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

/// A key as looked up.
struct Found {
    agency: String,
    name: String,
    expires: Option<Timestamp>,
    last_used: Option<Timestamp>,
    revoked: bool,
    certificate: Option<Fingerprint>,
}

impl Store {
    /// Opens the store of a directory.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let database = Database::plain(&settings.dir, "agencies.db", &MIGRATIONS).await?;
        Ok(Store { database })
    }

    /// Adds or replaces an agency.
    pub async fn put(&self, agency: Agency) -> Result<()> {
        let work = move |connection: &Connection| {
            let body = serde_json::to_string(&agency).map_err(Failure::new)?;
            let upsert = "INSERT INTO agencies (id, body) VALUES (?, ?)
                ON CONFLICT (id) DO UPDATE SET body = excluded.body";
            connection.execute(upsert, params![agency.id.as_str(), body]).map_err(Failure::from)?;
            Ok(())
        };
        self.database.write(work, |()| ()).await
    }

    /// Every agency.
    pub async fn list(&self) -> Result<Vec<Agency>> {
        let work = |connection: &Connection| -> Result<Vec<Agency>, Failure> {
            let mut statement =
                connection.prepare_cached("SELECT body FROM agencies ORDER BY id")?;
            let bodies = statement.query_map([], |row| row.get::<_, String>(0))?;
            bodies.map(|body| parse(&body?)).collect()
        };
        Ok(self.database.read(work).await?)
    }

    /// One agency.
    pub async fn get(&self, id: &AgencyId) -> Result<Option<Agency>> {
        let id = id.clone();
        Ok(self
            .database
            .read(move |connection: &Connection| agency(connection, id.as_str()))
            .await?)
    }

    /// Makes a key; its name has been looked at.
    pub async fn add_key(
        &self,
        id: &AgencyId,
        name: &str,
        (now, expires): (Timestamp, Option<Timestamp>),
        certificate: Option<Fingerprint>,
    ) -> Result<ApiKey> {
        let (id, name, key) = (id.clone(), name.to_owned(), ApiKey::generate());
        let digest = key::digest(key.expose()).expect("a generated key has the form of a key");
        let work = move |connection: &Connection| {
            if agency(connection, id.as_str())?.is_none() {
                return Err(Error::UnknownAgency(id));
            }
            let known = infos(connection, &id)?;
            if known.iter().any(|key| key.name == name) {
                return Err(Error::NameTaken { agency: id, name });
            }
            if known.len() >= KEYS_MAX {
                return Err(Error::TooManyKeys(id));
            }
            let insert = "INSERT INTO keys
                (agency, name, digest_prefix, digest, created_ms, expires_ms, certificate)
                VALUES (?, ?, ?, ?, ?, ?, ?)";
            let prefix = &digest[..PREFIX_BYTES];
            let (made, expires) = (to_ms(now), expires.map(to_ms));
            let bound = certificate.map(String::from);
            let values = params![id.as_str(), name, prefix, digest, made, expires, bound];
            connection.execute(insert, values).map_err(Failure::from)?;
            Ok(())
        };
        self.database.write(work, |()| ()).await?;
        Ok(key)
    }

    /// An agency's keys.
    pub async fn keys(&self, id: &AgencyId) -> Result<Vec<KeyInfo>> {
        let id = id.clone();
        Ok(self.database.read(move |connection: &Connection| infos(connection, &id)).await?)
    }

    /// Whose key it is.
    pub async fn authenticate(&self, key: &str, now: Timestamp) -> Result<Option<Holder>> {
        let Some(digest) = key::digest(key) else { return Ok(None) };
        let work = move |connection: &Connection| -> Result<_, Failure> {
            let Some(found) = find(connection, &digest)? else { return Ok(None) };
            let over = found.revoked || found.expires.is_some_and(|expires| now >= expires);
            if over {
                return Ok(None);
            }
            Ok(agency(connection, &found.agency)?.map(|agency| (agency, found)))
        };
        let Some((agency, found)) = self.database.peek(work).await? else { return Ok(None) };
        let stale = found.last_used.is_none_or(|last| now.duration_since(last) >= LAST_USED_EVERY);
        if stale {
            self.touch(&agency.id, &found.name, now);
        }
        Ok(Some(Holder { agency, key_name: found.name, certificate: found.certificate }))
    }

    /// What a key may.
    pub async fn key_rights(&self, id: &AgencyId, name: &str) -> Result<BTreeSet<Right>> {
        let (id, name) = (id.clone(), name.to_owned());
        let work = move |connection: &Connection| -> Result<BTreeSet<Right>, Failure> {
            let select = "SELECT rights FROM keys WHERE agency = ? AND name = ?";
            let mut select = connection.prepare_cached(select)?;
            let rights: Option<String> =
                select.query_row([id.as_str(), &name], |row| row.get(0)).optional()?;
            let rights = rights.unwrap_or_default();
            let words = rights.split(',').filter(|word| !word.is_empty());
            words.map(|word| word.parse().map_err(Failure::new)).collect()
        };
        Ok(self.database.read(work).await?)
    }

    /// Gives a key its rights.
    pub async fn set_key_rights(
        &self,
        id: &AgencyId,
        name: &str,
        rights: BTreeSet<Right>,
    ) -> Result<bool> {
        let (id, name) = (id.clone(), name.to_owned());
        let words: Vec<&str> = rights.into_iter().map(Right::as_str).collect();
        let words = words.join(",");
        let work = move |connection: &Connection| {
            let update = "UPDATE keys SET rights = ? WHERE agency = ? AND name = ?";
            let values = params![words, id.as_str(), name];
            Ok(connection.execute(update, values).map_err(Failure::from)? > 0)
        };
        self.database.write(work, |_| ()).await
    }

    /// Writes a key's last use when the writer has time; a failure is no reason to refuse anybody.
    fn touch(&self, id: &AgencyId, name: &str, now: Timestamp) {
        let (database, id, name) = (self.database.clone(), id.clone(), name.to_owned());
        let work = move |connection: &Connection| -> Result<(), Failure> {
            let update = "UPDATE keys SET last_used_ms = max(coalesce(last_used_ms, 0), ?)
                WHERE agency = ? AND name = ?";
            connection.execute(update, params![to_ms(now), id.as_str(), name])?;
            Ok(())
        };
        tokio::spawn(async move {
            if let Err(error) = database.write(work, |()| ()).await {
                tracing::warn!(%error, "the last use of an API key could not be written");
            }
        });
    }

    /// Revokes a key.
    pub async fn revoke(&self, id: &AgencyId, name: &str, now: Timestamp) -> Result<bool> {
        let (id, name) = (id.clone(), name.to_owned());
        let work = move |connection: &Connection| {
            let update = "UPDATE keys SET revoked_ms = ?
                WHERE agency = ? AND name = ? AND revoked_ms IS NULL";
            let values = params![to_ms(now), id.as_str(), name];
            Ok(connection.execute(update, values).map_err(Failure::from)? > 0)
        };
        self.database.write(work, |_| ()).await
    }
}

fn parse(body: &str) -> Result<Agency, Failure> {
    serde_json::from_str(body).map_err(Failure::new)
}

fn agency(connection: &Connection, id: &str) -> Result<Option<Agency>, Failure> {
    let mut select = connection.prepare_cached("SELECT body FROM agencies WHERE id = ?")?;
    let body: Option<String> = select.query_row([id], |row| row.get(0)).optional()?;
    body.as_deref().map(parse).transpose()
}

fn find(connection: &Connection, digest: &[u8; 32]) -> Result<Option<Found>, Failure> {
    let select = "SELECT digest, agency, name, expires_ms, last_used_ms, revoked_ms, certificate
        FROM keys WHERE digest_prefix = ?";
    let mut select = connection.prepare_cached(select)?;
    let mut rows = select.query([&digest[..PREFIX_BYTES]])?;
    while let Some(row) = rows.next()? {
        let stored: [u8; 32] = row.get(0)?;
        if bool::from(stored.ct_eq(digest)) {
            return Ok(Some(Found {
                agency: row.get(1)?,
                name: row.get(2)?,
                expires: instant(row, 3)?,
                last_used: instant(row, 4)?,
                revoked: row.get::<_, Option<i64>>(5)?.is_some(),
                certificate: bound(row, 6)?,
            }));
        }
    }
    Ok(None)
}

fn infos(connection: &Connection, id: &AgencyId) -> Result<Vec<KeyInfo>, Failure> {
    let select =
        "SELECT name, created_ms, expires_ms, last_used_ms, revoked_ms, certificate FROM keys
        WHERE agency = ? ORDER BY name";
    let mut select = connection.prepare_cached(select)?;
    let mut rows = select.query([id.as_str()])?;
    let mut infos = Vec::new();
    while let Some(row) = rows.next()? {
        infos.push(KeyInfo {
            name: row.get(0)?,
            created: from_ms(row.get(1)?)?,
            expires: instant(row, 2)?,
            last_used: instant(row, 3)?,
            revoked: instant(row, 4)?,
            certificate: bound(row, 5)?,
        });
    }
    Ok(infos)
}

/// A binding that cannot be read opens nothing: it fails, and is not passed over.
fn bound(row: &Row<'_>, column: usize) -> Result<Option<Fingerprint>, Failure> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(Failure::new)).transpose()
}

fn instant(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, Failure> {
    row.get::<_, Option<i64>>(column)?.map(from_ms).transpose()
}
