//! Rows of `alerts.db`: an identity as a key, a publication as JSON.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use uuid::Uuid;

use crate::domain::audience::Audience;
use crate::domain::ids::PublicationId;
use crate::domain::publication::Publication;
use crate::store::Failure;
use crate::store::alerts::{Accepting, Identity, Stored};
use crate::store::sqlite::to_ms;

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
pub fn insert(connection: &Connection, accepting: &Accepting, key: &Key) -> Result<(), Failure> {
    let publication = &accepting.publication;
    let subject = match &publication.audience {
        Audience::Subject { subject } => Some(subject.as_str()),
        Audience::Area(_) => None,
    };
    let body = serde_json::to_string(publication).map_err(Failure::new)?;
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
        subject,
        to_ms(publication.expires),
        accepting.raw.as_deref(),
        body,
    ])?;
    Ok(())
}

/// The publications that a filter finds, in its order.
pub fn select(
    connection: &Connection,
    filter: &str,
    mut values: Vec<Value>,
    limit: usize,
) -> Result<Vec<Arc<Stored>>, Failure> {
    let select = format!(
        "SELECT body, superseded_by, position, raw FROM publications WHERE {filter} LIMIT ?"
    );
    values.push(Value::Integer(i64::try_from(limit).map_err(Failure::new)?));
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Arc::new(stored(row)?));
    }
    Ok(found)
}

fn stored(row: &Row<'_>) -> Result<Stored, Failure> {
    let body = row.get_ref(0)?.as_str().map_err(Failure::new)?;
    let publication: Publication = serde_json::from_str(body).map_err(Failure::new)?;
    let superseded_by: Option<[u8; 16]> = row.get(1)?;
    let raw: Option<Vec<u8>> = row.get(3)?;
    Ok(Stored {
        publication: Arc::new(publication),
        superseded_by: superseded_by.map(|id| PublicationId(Uuid::from_bytes(id))),
        logged: row.get(2)?,
        raw: raw.map(Bytes::from),
    })
}
