//! The people store in one SQLite file, `people.db`, that other processes may change.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{
    Account, Error, NewSession, PEOPLE_MAX, REQUESTS_MAX, Request, RequestState, Result,
    SEEN_EVERY, SESSIONS_MAX, Session, Settings,
};
use crate::domain::ids::PersonId;
use crate::domain::person::Person;
use crate::store::Failure;
use crate::store::sqlite::{Database, from_ms, to_ms};

const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE people (id TEXT PRIMARY KEY, body TEXT NOT NULL, password TEXT) WITHOUT ROWID;
    CREATE TABLE sessions (
        token BLOB PRIMARY KEY, -- SHA-256
        person TEXT NOT NULL, opened_ms INTEGER NOT NULL,
        seen_ms INTEGER NOT NULL, ends_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sessions_person ON sessions (person, opened_ms);
    CREATE TABLE failures (key TEXT NOT NULL, at_ms INTEGER NOT NULL);
    CREATE INDEX failures_key ON failures (key, at_ms);
    CREATE INDEX failures_at ON failures (at_ms);
    CREATE TABLE requests (
        id BLOB PRIMARY KEY, waiting INTEGER NOT NULL, asked_ms INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE INDEX requests_order ON requests (waiting DESC, asked_ms DESC);
",
    "
    CREATE TABLE accounts (account TEXT PRIMARY KEY, person TEXT NOT NULL) WITHOUT ROWID;
",
];

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the store of a directory.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let database = Database::plain(&settings.dir, "people.db", &MIGRATIONS).await?;
        Ok(Store { database })
    }

    /// Adds or replaces a person.
    pub async fn put(&self, person: Person, password: Option<String>) -> Result<()> {
        let work = move |connection: &Connection| -> Result<()> {
            let known = credentials(connection, person.id.as_str())?;
            if known.is_none() {
                let count = connection
                    .query_row("SELECT count(*) FROM people", [], |row| row.get::<_, i64>(0));
                if count.map_err(Failure::from)? >= PEOPLE_MAX as i64 {
                    return Err(Error::TooManyPeople);
                }
            }
            let ends = !person.active || password.is_some();
            let body = serde_json::to_string(&person).map_err(Failure::new)?;
            let upsert = "INSERT INTO people (id, body, password) VALUES (?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET body = excluded.body,
                password = coalesce(excluded.password, password)";
            let values = params![person.id.as_str(), body, password];
            connection.execute(upsert, values).map_err(Failure::from)?;
            if ends {
                let delete = "DELETE FROM sessions WHERE person = ?";
                connection.execute(delete, [person.id.as_str()]).map_err(Failure::from)?;
            }
            Ok(())
        };
        self.database.write(work, |()| ()).await
    }

    /// Everybody.
    pub async fn list(&self) -> Result<Vec<Person>> {
        self.database
            .look(|connection| {
                let mut select =
                    connection.prepare_cached("SELECT body FROM people ORDER BY id")?;
                let bodies = select.query_map([], |row| row.get::<_, String>(0))?;
                bodies.map(|body| serde_json::from_str(&body?).map_err(Failure::new)).collect()
            })
            .await
    }

    /// One person and the hash of their password.
    pub async fn credentials(&self, id: &PersonId) -> Result<Option<(Person, Option<String>)>> {
        let id = id.clone();
        self.database.look(move |connection| credentials(connection, id.as_str())).await
    }

    /// Says whose an account is.
    pub async fn link(&self, account: Account, person: &PersonId) -> Result<()> {
        let person = person.clone();
        self.database
            .change(move |connection| {
                let sql = "INSERT OR REPLACE INTO accounts (account, person) VALUES (?, ?)";
                connection.execute(sql, [account.as_str(), person.as_str()])?;
                Ok(())
            })
            .await
    }

    /// Takes every account from a person, and ends their sessions.
    pub async fn unlink(&self, person: &PersonId) -> Result<u64> {
        let person = person.clone();
        self.database
            .change(move |connection| {
                let sessions = "DELETE FROM sessions WHERE person = ?";
                connection.execute(sessions, [person.as_str()])?;
                let accounts = "DELETE FROM accounts WHERE person = ?";
                Ok(connection.execute(accounts, [person.as_str()])? as u64)
            })
            .await
    }

    /// Whose an account is.
    pub async fn linked(&self, account: &Account) -> Result<Option<PersonId>> {
        let account = account.clone();
        self.database
            .look(move |connection| {
                let sql = "SELECT person FROM accounts WHERE account = ?";
                let found: Option<String> =
                    connection.query_row(sql, [account.as_str()], |row| row.get(0)).optional()?;
                found.map(|id| id.parse().map_err(Failure::new)).transpose()
            })
            .await
    }

    /// Opens a session.
    pub async fn open_session(&self, session: NewSession) -> Result<()> {
        self.database
            .change(move |connection| {
                let insert = "INSERT INTO sessions (token, person, opened_ms, seen_ms, ends_ms)
                VALUES (?, ?, ?, ?, ?)";
                let (person, opened) = (session.person.as_str(), to_ms(session.opened_at));
                let ends = to_ms(session.ends_at);
                connection
                    .execute(insert, params![session.token_hash, person, opened, opened, ends])?;
                let trim = "DELETE FROM sessions WHERE token IN (SELECT token FROM sessions
                WHERE person = ? ORDER BY opened_ms DESC LIMIT -1 OFFSET ?)";
                connection.execute(trim, params![person, SESSIONS_MAX as i64])?;
                Ok(())
            })
            .await
    }

    /// The session of a token's hash.
    pub async fn session(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Option<Session>> {
        let found = self.database.read(move |connection| session(connection, token_hash)).await?;
        let Some(found) = found.filter(|found| found.holds(now, idle_since)) else {
            return Ok(None);
        };
        if now.duration_since(found.seen_at) >= SEEN_EVERY {
            let seen = move |connection: &Connection| -> Result<(), Failure> {
                let update = "UPDATE sessions SET seen_ms = max(seen_ms, ?) WHERE token = ?";
                connection.execute(update, params![to_ms(now), token_hash])?;
                Ok(())
            };
            self.database.write(seen, |()| ()).await?;
        }
        Ok(Some(found))
    }

    /// Ends a session.
    pub async fn close_session(&self, token_hash: [u8; 32]) -> Result<bool> {
        self.database
            .change(move |connection| {
                Ok(connection.execute("DELETE FROM sessions WHERE token = ?", [token_hash])? > 0)
            })
            .await
    }

    /// Remembers a failed login.
    pub async fn login_failed(&self, key: &str, now: Timestamp, since: Timestamp) -> Result<()> {
        let key = key.to_owned();
        self.database
            .change(move |connection| {
                connection.execute("DELETE FROM failures WHERE at_ms < ?", [to_ms(since)])?;
                let insert = "INSERT INTO failures (key, at_ms) VALUES (?, ?)";
                connection.execute(insert, params![key, to_ms(now)])?;
                Ok(())
            })
            .await
    }

    /// Failed logins under a key.
    pub async fn failures(&self, key: &str, since: Timestamp) -> Result<(u32, Option<Timestamp>)> {
        let key = key.to_owned();
        self.database
            .look(move |connection| {
                let select =
                    "SELECT count(*), min(at_ms) FROM failures WHERE key = ? AND at_ms >= ?";
                let mut select = connection.prepare_cached(select)?;
                let (count, oldest): (u32, Option<i64>) = select
                    .query_row(params![key, to_ms(since)], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok((count, oldest.map(from_ms).transpose()?))
            })
            .await
    }

    /// Forgets failed logins of a key.
    pub async fn login_succeeded(&self, key: &str, at: Option<Timestamp>) -> Result<()> {
        let key = key.to_owned();
        self.database
            .change(move |connection| {
                let delete = "DELETE FROM failures WHERE key = ?1 AND (?2 IS NULL OR rowid IN
                (SELECT rowid FROM failures WHERE key = ?1 AND at_ms = ?2 LIMIT 1))";
                connection.execute(delete, params![key, at.map(to_ms)])?;
                Ok(())
            })
            .await
    }

    /// Adds or replaces a request.
    pub async fn put_request(&self, request: Request) -> Result<()> {
        let work = move |connection: &Connection| -> Result<()> {
            let waiting = "SELECT count(*) FROM requests WHERE waiting = 1 AND id <> ?";
            let waiting =
                connection.query_row(waiting, [request.id.as_bytes()], |row| row.get::<_, i64>(0));
            if waiting.map_err(Failure::from)? >= REQUESTS_MAX as i64 {
                return Err(Error::TooManyRequests);
            }
            Ok(store_request(connection, &request)?)
        };
        self.database.write(work, |()| ()).await
    }

    /// Decides a request that waits.
    pub async fn decide_request(
        &self,
        id: Uuid,
        (state, by, at): (RequestState, String, Timestamp),
    ) -> Result<Option<Request>> {
        self.database
            .change(move |connection| {
                let select = "SELECT body FROM requests WHERE id = ? AND waiting = 1";
                let body: Option<String> =
                    connection.query_row(select, [id.as_bytes()], |row| row.get(0)).optional()?;
                let Some(body) = body else { return Ok(None) };
                let mut request: Request = serde_json::from_str(&body).map_err(Failure::new)?;
                request.state = state;
                (request.decided_by, request.decided_at) = (Some(by), Some(at));
                store_request(connection, &request)?;
                Ok(Some(request))
            })
            .await
    }

    /// The newest requests.
    pub async fn requests(&self) -> Result<Vec<Request>> {
        self.database
            .look(|connection| {
                let select =
                    "SELECT body FROM requests ORDER BY waiting DESC, asked_ms DESC LIMIT ?";
                let mut select = connection.prepare_cached(select)?;
                let bodies =
                    select.query_map([REQUESTS_MAX as i64], |row| row.get::<_, String>(0))?;
                bodies.map(|body| serde_json::from_str(&body?).map_err(Failure::new)).collect()
            })
            .await
    }

    /// Drops sessions that are long over.
    pub async fn forget(&self, ended_before: Timestamp) -> Result<u64> {
        self.database
            .change(move |connection| {
                let delete = "DELETE FROM sessions WHERE ends_ms < ?";
                Ok(connection.execute(delete, [to_ms(ended_before)])? as u64)
            })
            .await
    }
}

fn store_request(connection: &Connection, request: &Request) -> Result<(), Failure> {
    let body = serde_json::to_string(request).map_err(Failure::new)?;
    let upsert = "INSERT INTO requests (id, waiting, asked_ms, body) VALUES (?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET waiting = excluded.waiting, body = excluded.body";
    let waiting = request.state == RequestState::Waiting;
    let values = params![request.id.as_bytes(), waiting, to_ms(request.asked_at), body];
    connection.execute(upsert, values)?;
    Ok(())
}

fn credentials(
    connection: &Connection,
    id: &str,
) -> Result<Option<(Person, Option<String>)>, Failure> {
    let mut select = connection.prepare_cached("SELECT body, password FROM people WHERE id = ?")?;
    let found: Option<(String, Option<String>)> =
        select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((body, password)) = found else { return Ok(None) };
    Ok(Some((serde_json::from_str(&body).map_err(Failure::new)?, password)))
}

fn session(connection: &Connection, token: [u8; 32]) -> Result<Option<Session>, Failure> {
    let select = "SELECT people.body, seen_ms, ends_ms FROM sessions
        JOIN people ON people.id = sessions.person WHERE token = ?";
    let mut select = connection.prepare_cached(select)?;
    let found: Option<(String, i64, i64)> =
        select.query_row([token], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((body, seen, ends)) = found else { return Ok(None) };
    Ok(Some(Session {
        person: serde_json::from_str(&body).map_err(Failure::new)?,
        seen_at: from_ms(seen)?,
        ends_at: from_ms(ends)?,
    }))
}
