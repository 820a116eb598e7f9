//! Rows of `alerts.db`: an identity as a key, a publication as JSON.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use uuid::Uuid;

use crate::domain::ids::{PublicationId, SubjectId};
use crate::domain::publication::Publication;
use crate::domain::sealed::{Handle, Sealed};
use crate::store::Failure;
use crate::store::alerts::embedded::names;
use crate::store::alerts::personal::{self, Body, Carried, SubjectKey, subject_of};
use crate::store::alerts::{Accepting, Dropped, Identity, Over, PAGE_MAX, Stored};
use crate::store::sqlite::to_ms;
use crate::store::vault::Vault;

/// The file, and what citizens' keys are kept under; none keeps what is theirs as it is.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// The file.
    pub connection: &'a Connection,
    /// The keys.
    pub vault: Option<&'a Vault>,
}

/// The filter that finds an identity's publication; its values are [`Key::values`].
pub const BY_KEY: &str =
    "identity_kind = ? AND identity_owner = ? AND identity_name = ? AND identity_rank = ?";

/// An identity as columns.
pub struct Key {
    kind: &'static str,
    owner: String,
    name: String,
    rank: i64,
}

impl Key {
    /// The columns of an identity. A step beyond SQLite's integers is refused.
    pub fn of(identity: &Identity) -> Result<Self, Failure> {
        Ok(match identity {
            Identity::Alert { sender, identifier, sent } => Self {
                kind: "alert",
                owner: sender.clone(),
                name: identifier.clone(),
                rank: to_ms(*sent),
            },
            Identity::Notice { agency, identifier } => Self {
                kind: "notice",
                owner: agency.to_string(),
                name: identifier.clone(),
                rank: 0,
            },
            Identity::StatusChange { agency, kind, reference, step } => Self {
                kind: "status-change",
                owner: agency.to_string(),
                // JSON keeps two texts apart whatever is in them.
                name: serde_json::to_string(&(kind, reference)).map_err(Failure::new)?,
                rank: i64::try_from(*step).map_err(Failure::new)?,
            },
        })
    }

    /// The values of [`BY_KEY`].
    pub fn values(&self) -> Vec<Value> {
        let Self { kind, owner, name, rank } = self;
        vec![(*kind).to_owned().into(), owner.clone().into(), name.clone().into(), (*rank).into()]
    }
}

/// An id as a value.
pub fn blob(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

/// The upper bound of a page: the id it continues at, or above all ids.
pub fn before(id: Option<PublicationId>) -> Value {
    id.map_or_else(|| Value::Blob(vec![0xff; 17]), |id| blob(id.0))
}

/// Stores a publication.
pub fn insert(file: File<'_>, accepting: &Accepting, key: &Key) -> Result<(), Failure> {
    let (connection, publication) = (file.connection, &accepting.publication);
    // Whoever still writes to a former pseudonym writes to the citizen all the same.
    let subject = subject_of(publication).map(|subject| names::present(connection, subject));
    let subject = subject.transpose()?;
    let body = match (&subject, file.vault.filter(|vault| vault.seals())) {
        (Some(subject), Some(vault)) => key_of(connection, vault, subject)?.seal(publication)?,
        _ => serde_json::to_string(publication).map_err(Failure::new)?,
    };
    let insert = "INSERT INTO publications (id, chain, identity_kind, identity_owner,
        identity_name, identity_rank, digest, subject, expires_ms, raw, body)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(insert)?.execute(params![
        publication.id.0.as_bytes(),
        publication.chain.0.as_bytes(),
        key.kind,
        key.owner,
        key.name,
        key.rank,
        accepting.digest,
        subject.as_ref().map(SubjectId::as_str),
        to_ms(publication.expires),
        accepting.raw.as_deref(),
        body,
    ])?;
    Ok(())
}

/// The publications that a filter finds, in its order.
pub fn select(
    file: File<'_>,
    filter: &str,
    mut values: Vec<Value>,
    limit: usize,
) -> Result<Vec<Arc<Stored>>, Failure> {
    let select = format!(
        "SELECT body, superseded_by, position, raw, id, subject FROM publications
         WHERE {filter} LIMIT ?"
    );
    values.push(Value::Integer(i64::try_from(limit).map_err(Failure::new)?));
    let mut statement = file.connection.prepare_cached(&select)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(stored(file, row)?.map(Arc::new));
    }
    Ok(found)
}

/// The key of a citizen; made at the first need.
fn key_of(
    connection: &Connection,
    vault: &Vault,
    subject: &SubjectId,
) -> Result<SubjectKey, Failure> {
    let select = "SELECT handle, key FROM subject_keys WHERE subject = ? LIMIT 1";
    let known: Option<(Handle, Vec<u8>)> = connection
        .prepare_cached(select)?
        .query_row([subject.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (handle, kept) = match known {
        Some(known) => known,
        None => {
            let (handle, kept) = SubjectKey::fresh(vault);
            let insert = "INSERT INTO subject_keys (subject, handle, key) VALUES (?, ?, ?)";
            let values = params![subject.as_str(), handle, kept];
            connection.prepare_cached(insert)?.execute(values)?;
            (handle, kept)
        }
    };
    SubjectKey::open(vault, handle, &kept)
}

/// What a sealed publication says; none if its citizen has left.
pub fn open(file: File<'_>, sealed: &Sealed) -> Result<Option<Publication>, Failure> {
    let select = "SELECT key, subject FROM subject_keys WHERE handle = ?";
    let known: Option<(Vec<u8>, String)> = file
        .connection
        .prepare_cached(select)?
        .query_row([sealed.handle], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((kept, holder)) = known else { return Ok(None) };
    let vault = file.vault.ok_or_else(|| Failure::new("no vault is at hand"))?;
    let read = SubjectKey::open(vault, sealed.handle, &kept)?.read(sealed)?;
    read.map(|publication| called(file.connection, publication, holder)).transpose()
}

/// A publication for whom it is kept, under all their pseudonyms.
fn called(
    connection: &Connection,
    publication: Publication,
    subject: String,
) -> Result<Publication, Failure> {
    let subject = subject.parse().map_err(Failure::new)?;
    Ok(personal::readdressed(publication, names::of(connection, subject)?))
}

/// How publications go onto the log, as they are stored.
pub fn carried(connection: &Connection, ids: &[PublicationId]) -> Result<Vec<Carried>, Failure> {
    let mut select = connection.prepare_cached("SELECT body FROM publications WHERE id = ?")?;
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let read = |row: &Row<'_>| row.get::<_, String>(0);
        let text = select.query_row([id.0.as_bytes()], read).optional()?;
        all.push(Carried::of(*id, text.as_deref())?);
    }
    Ok(all)
}

/// Destroys a citizen's keys, and removes what was said to them alone and what they were called.
pub fn erase(connection: &Connection, subject: &SubjectId) -> Result<(), Failure> {
    for delete in [
        "DELETE FROM subject_keys WHERE subject = ?",
        "DELETE FROM publications WHERE subject = ?",
        "DELETE FROM names WHERE present = ?",
    ] {
        connection.execute(delete, [subject.as_str()])?;
    }
    Ok(())
}

/// Deletes what is long over, and the keys of citizens of whom nothing is left.
pub fn forget(connection: &Connection, over: Over) -> Result<Dropped, Failure> {
    let mut dropped = Dropped::default();
    // What expired before an instant was accepted before it, and ids rise with that. The sign keeps
    // SQLite off the index by expiry, where citizens' publications would be in the way.
    let areas = "DELETE FROM publications WHERE subject IS NULL AND id < ? AND +expires_ms < ?
        AND position IS NOT NULL";
    let before = to_ms(over.areas);
    let first = PublicationId::first_of(before);
    dropped.areas = connection.execute(areas, params![first.0.as_bytes(), before])? as u64;
    let due = "SELECT id, subject FROM publications WHERE expires_ms < ? AND +subject IS NOT NULL
        AND position IS NOT NULL LIMIT ?";
    let mut due = connection.prepare_cached(due)?;
    let due = due.query_map(params![to_ms(over.personal), PAGE_MAX as i64], |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, String>(1)?))
    })?;
    let due = due.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut delete = connection.prepare_cached("DELETE FROM publications WHERE id = ?")?;
    for (id, _) in &due {
        dropped.personal += delete.execute([id])? as u64;
    }
    let unused = "DELETE FROM subject_keys WHERE subject = ?1
        AND NOT EXISTS (SELECT 1 FROM publications WHERE subject = ?1)";
    let mut unused = connection.prepare_cached(unused)?;
    for (_, subject) in &due {
        dropped.keys += unused.execute([subject])? as u64;
    }
    Ok(dropped)
}

fn stored(file: File<'_>, row: &Row<'_>) -> Result<Option<Stored>, Failure> {
    let id = PublicationId(Uuid::from_bytes(row.get(4)?));
    let publication = match personal::body(id, row.get_ref(0)?.as_str().map_err(Failure::new)?)? {
        Body::Open(publication) => match row.get(5)? {
            Some(subject) => called(file.connection, *publication, subject)?,
            None => *publication,
        },
        Body::Sealed(sealed) => match open(file, &sealed)? {
            Some(publication) => publication,
            None => return Ok(None),
        },
    };
    let superseded_by: Option<[u8; 16]> = row.get(1)?;
    let raw: Option<Vec<u8>> = row.get(3)?;
    Ok(Some(Stored {
        publication: Arc::new(publication),
        superseded_by: superseded_by.map(|id| PublicationId(Uuid::from_bytes(id))),
        logged: row.get(2)?,
        raw: raw.map(Bytes::from),
    }))
}
