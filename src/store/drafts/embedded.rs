//! The drafts store in one SQLite file, `drafts.db`.

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use tokio::sync::watch;

use super::{Error, Filter, OPEN_MAX, PAGE_MAX, Result, Settings};
use crate::domain::draft::Draft;
use crate::domain::ids::{DraftId, PublicationId};
use crate::store::Failure;
use crate::store::sqlite::{Database, to_ms, unsigned};

const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE drafts (
        id BLOB PRIMARY KEY, agency TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
        number INTEGER NOT NULL,  -- rises with each change of any draft
        due INTEGER NOT NULL, publication BLOB, updated_ms INTEGER NOT NULL,
        body TEXT NOT NULL,       -- the draft as JSON
        raw BLOB                  -- the XML it came as
    );
    CREATE UNIQUE INDEX drafts_number ON drafts (number);
    CREATE INDEX drafts_agency ON drafts (agency, number);
    CREATE INDEX drafts_due ON drafts (id) WHERE due = 1;
    CREATE INDEX drafts_publication ON drafts (publication) WHERE publication IS NOT NULL;
    CREATE TABLE numbers (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
    INSERT INTO numbers VALUES (1, 0);
"];

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    newest: watch::Sender<u64>,
}

impl Store {
    /// Opens the store of a directory.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let last = |connection: &Connection| -> Result<u64, Failure> {
            Ok(connection.query_row("SELECT last FROM numbers", [], |row| unsigned(row, 0))?)
        };
        let (database, last) =
            Database::of_dir(&settings.dir, "drafts.db", &MIGRATIONS, last).await?;
        Ok(Store { database, newest: watch::Sender::new(last) })
    }

    /// Stores a new draft.
    pub async fn create(&self, draft: Draft, raw: Option<Bytes>) -> Result<()> {
        let work = move |connection: &Connection| -> Result<u64> {
            let open = "SELECT count(*) FROM drafts WHERE agency = ?
                AND state IN ('editing', 'submitted', 'returned')";
            let open = connection.query_row(open, [draft.agency.as_str()], |row| row.get(0));
            let open: i64 = open.map_err(Failure::from)?;
            if open >= OPEN_MAX as i64 {
                return Err(Error::TooMany(draft.agency.clone()));
            }
            let insert = "INSERT INTO drafts
                (number, agency, state, version, due, publication, updated_ms, body, id, raw)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let number = next(connection)?;
            let mut values = columns(&draft, number)?;
            values.push(raw.map_or(Value::Null, |raw| Value::Blob(raw.to_vec())));
            connection.execute(insert, params_from_iter(values)).map_err(Failure::from)?;
            Ok(number)
        };
        self.written(work).await
    }

    /// One draft.
    pub async fn get(&self, id: DraftId) -> Result<Option<Draft>> {
        let found = self.select("id = ?", vec![blob(id.0)], 1).await?;
        Ok(found.into_iter().map(|(_, draft)| draft).next())
    }

    /// The XML a draft came as.
    pub async fn raw(&self, id: DraftId) -> Result<Option<Bytes>> {
        let work = move |connection: &Connection| -> Result<_, Failure> {
            let raw = connection
                .query_row("SELECT raw FROM drafts WHERE id = ?", [id.0.as_bytes()], |row| {
                    row.get::<_, Option<Vec<u8>>>(0)
                })
                .optional()?;
            Ok(raw.flatten().map(Bytes::from))
        };
        Ok(self.database.read(work).await?)
    }

    /// The draft that became a publication.
    pub async fn of_publication(&self, id: PublicationId) -> Result<Option<Draft>> {
        let found = self.select("publication = ?", vec![blob(id.0)], 1).await?;
        Ok(found.into_iter().map(|(_, draft)| draft).next())
    }

    /// Drafts, the newest change first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Draft>> {
        let any = |text: Option<&str>| text.map_or(Value::Null, |text| text.to_owned().into());
        let agency = any(filter.agency.as_ref().map(|agency| agency.as_str()));
        let state = any(filter.state.map(|state| state.as_str()));
        let clause = "(?1 IS NULL OR agency = ?1) AND (?2 IS NULL OR state = ?2)
            ORDER BY number DESC";
        let found = self.select(clause, vec![agency, state], filter.limit).await?;
        Ok(found.into_iter().map(|(_, draft)| draft).collect())
    }

    /// Replaces a draft.
    pub async fn change(&self, from: u64, draft: Draft) -> Result<()> {
        let work = move |connection: &Connection| -> Result<u64> {
            at_version(connection, draft.id, from)?;
            let update =
                "UPDATE drafts SET number = ?, agency = ?, state = ?, version = ?, due = ?,
                publication = ?, updated_ms = ?, body = ? WHERE id = ?";
            let number = next(connection)?;
            let values = columns(&draft, number)?;
            connection.execute(update, params_from_iter(values)).map_err(Failure::from)?;
            Ok(number)
        };
        self.written(work).await
    }

    /// Throws a draft away.
    pub async fn remove(&self, id: DraftId, from: u64) -> Result<()> {
        let work = move |connection: &Connection| -> Result<u64> {
            at_version(connection, id, from)?;
            let delete = "DELETE FROM drafts WHERE id = ?";
            connection.execute(delete, [id.0.as_bytes()]).map_err(Failure::from)?;
            Ok(next(connection)?)
        };
        self.written(work).await
    }

    /// What was decided and not published.
    pub async fn due(&self) -> Result<Vec<Draft>> {
        let found = self.select("due = 1 ORDER BY number", Vec::new(), PAGE_MAX).await?;
        Ok(found.into_iter().map(|(_, draft)| draft).collect())
    }

    /// Drafts changed after a number.
    pub async fn changed(&self, after: u64) -> Result<Vec<(u64, Draft)>> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.select("number > ? ORDER BY number", vec![after.into()], PAGE_MAX).await
    }

    /// A number that rises with every durable change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Deletes what is closed and old.
    pub async fn forget(&self, changed_before: Timestamp) -> Result<u64> {
        let work = move |connection: &Connection| -> Result<u64> {
            let delete = "DELETE FROM drafts WHERE updated_ms < ? AND due = 0
                AND state IN ('rejected', 'published', 'overridden')";
            let deleted = connection.execute(delete, [to_ms(changed_before)]);
            Ok(deleted.map_err(Failure::from)? as u64)
        };
        self.database.write(work, |_| ()).await
    }

    async fn written(
        &self,
        work: impl FnOnce(&Connection) -> Result<u64> + Send + 'static,
    ) -> Result<()> {
        let newest = self.newest.clone();
        let after = move |number: &u64| {
            let _ = newest.send_replace(*number);
        };
        self.database.write(work, after).await.map(|_| ())
    }

    async fn select(
        &self,
        clause: &'static str,
        mut values: Vec<Value>,
        limit: usize,
    ) -> Result<Vec<(u64, Draft)>> {
        let work = move |connection: &Connection| -> Result<_, Failure> {
            let select = format!("SELECT number, body FROM drafts WHERE {clause} LIMIT ?");
            values.push(Value::Integer(limit.min(PAGE_MAX) as i64));
            let mut select = connection.prepare_cached(&select)?;
            let mut rows = select.query(params_from_iter(values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let body = row.get_ref(1)?.as_str().map_err(Failure::new)?;
                found.push((unsigned(row, 0)?, serde_json::from_str(body).map_err(Failure::new)?));
            }
            Ok(found)
        };
        Ok(self.database.read(work).await?)
    }
}

fn blob(id: uuid::Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

/// The columns in the order of both statements that write them.
fn columns(draft: &Draft, number: u64) -> Result<Vec<Value>, Failure> {
    let integer = |number: u64| i64::try_from(number).map(Value::Integer).map_err(Failure::new);
    Ok(vec![
        integer(number)?,
        draft.agency.to_string().into(),
        draft.state.as_str().to_owned().into(),
        integer(draft.version)?,
        i64::from(draft.is_due()).into(),
        draft.publication.map_or(Value::Null, |id| blob(id.0)),
        to_ms(draft.updated_at).into(),
        serde_json::to_string(draft).map_err(Failure::new)?.into(),
        blob(draft.id.0),
    ])
}

/// The number of the next change.
fn next(connection: &Connection) -> Result<u64, Failure> {
    let update = "UPDATE numbers SET last = last + 1 RETURNING last";
    Ok(connection.prepare_cached(update)?.query_row([], |row| unsigned(row, 0))?)
}

fn at_version(connection: &Connection, id: DraftId, given: u64) -> Result<()> {
    let select = "SELECT version FROM drafts WHERE id = ?";
    let mut select = connection.prepare_cached(select).map_err(Failure::from)?;
    let now = select.query_row(params![id.0.as_bytes()], |row| unsigned(row, 0)).optional();
    let now = now.map_err(Failure::from)?;
    match now {
        None => Err(Error::Unknown(id)),
        Some(now) if now != given => Err(Error::Stale { id, given, now }),
        Some(_) => Ok(()),
    }
}
