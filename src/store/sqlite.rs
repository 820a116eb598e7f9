//! SQLite below the embedded stores: one file, one writer thread, a few readers.
//!
//! The writer takes whatever waits in its queue, runs it in one transaction and answers everybody
//! after the one flush (group commit), so a hundred callers at once cost little more than one.
//! Each piece of work has a savepoint of its own: one that fails leaves nothing behind and does
//! not disturb its neighbours. The file is in WAL mode with `synchronous = FULL`: what was
//! answered survives a kill and a power cut. Readers see what was committed when they began.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::store::Failure;

mod glance;
pub mod spare;

use glance::Glances;
use spare::Spare;

/// Pieces of work that may wait for the writer; who comes later waits outside.
const QUEUE_MAX: usize = 4096;
/// Pieces of work in one transaction: bounds how long the first of them waits for its answer.
const GROUP_MAX: usize = 1024;
/// Connections that read at once.
const READERS_MAX: usize = 4;
/// Prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 64;
/// Bytes of a file, from its start, that readers see in the kernel's own pages, as much as SQLite
/// is built to allow (`.cargo/config.toml`): a scan copies nothing and calls nobody.
const MAPPED_MAX: i64 = 64 << 30;
/// How long to wait for another process (an operator's tool) that holds the file.
const BUSY: Duration = Duration::from_secs(5);
/// Times the journal is emptied anew because a reader still needed it.
const SCRUBS_MAX: usize = 3;

/// A file; clones share it. The last one to go waits for the writer to finish what was queued.
#[derive(Clone)]
pub struct Database {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
}

struct Writer {
    /// `None` only while it is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    glances: Glances,
}

/// Does the work; whether to keep what it did, and whom to answer.
type Work = Box<dyn FnOnce(&Connection) -> (bool, Settle) + Send>;
/// Answers the caller once it is known whether the transaction was committed.
type Settle = Box<dyn FnOnce(Result<(), Failure>) + Send>;

enum Job {
    /// Work in a transaction.
    Do(Task),
    /// The journal is to be emptied.
    Scrub(oneshot::Sender<Result<(), Failure>>),
}

struct Task {
    /// Runs in a transaction of its own (long work).
    alone: bool,
    work: Work,
}

impl Database {
    /// Opens or creates a file, brings it to the newest of `migrations` (the file's `user_version`
    /// says how many of them it has had) and runs `prepare` before anybody else may use it.
    /// Blocking.
    pub fn open<T, E: From<Failure>>(
        path: &Path,
        migrations: &[&str],
        prepare: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let mut connection = connect(path, OpenFlags::default())?;
        migrate(&mut connection, migrations)?;
        spare::remake(&connection);
        let prepared = prepare(&connection)?;
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("loa-sqlite".into())
            .spawn(move || write_until_closed(&connection, queue))
            .map_err(Failure::new)?;
        let readers = Readers {
            path: path.to_owned(),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(READERS_MAX)),
            glances: Glances::default(),
        };
        let writer = Writer { jobs: Some(jobs), thread: Some(thread) };
        Ok((Self { writer: Arc::new(writer), readers: Arc::new(readers) }, prepared))
    }

    /// As [`Database::open`], for a file of a directory that is made where there is none, away from
    /// the runtime's workers.
    pub async fn of_dir<T, E>(
        dir: &Path,
        name: &'static str,
        migrations: &'static [&'static str],
        prepare: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<(Self, T), E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        let dir = dir.to_owned();
        let open = move || {
            std::fs::create_dir_all(&dir).map_err(Failure::new)?;
            Self::open(&dir.join(name), migrations, prepare)
        };
        tokio::task::spawn_blocking(open).await.map_err(Failure::new)?
    }

    /// As [`Database::of_dir`], with nothing to prepare.
    pub async fn plain(
        dir: &Path,
        name: &'static str,
        migrations: &'static [&'static str],
    ) -> Result<Self, Failure> {
        let nothing = |_: &Connection| Ok::<_, Failure>(());
        Ok(Self::of_dir(dir, name, migrations, nothing).await?.0)
    }

    /// As [`Database::write`], for work that only the storage can refuse.
    pub async fn change<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure>,
    {
        Ok(self.write(work, |_| ()).await?)
    }

    /// As [`Database::read`], for what only the storage can refuse.
    pub async fn look<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure>,
    {
        Ok(self.read(work).await?)
    }

    /// Does work in the writer's next transaction and answers when it is durable. `after` runs on
    /// the writer's thread between the commit and the answer, in the order of the work.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        self.submit(false, work, after).await
    }

    /// As [`Database::write`], in a transaction of its own; others wait meanwhile.
    pub async fn write_alone<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        self.submit(true, work, after).await
    }

    /// Moves the journal into the file and empties it, so that nothing of what was deleted stays in
    /// it. The writer does so between transactions: of two connections that empty one journal each
    /// turns the other away. Fails if another process reads all the time.
    pub async fn scrub(&self) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        self.queue(Job::Scrub(reply)).await?;
        answer.await.map_err(|_| stopped())?
    }

    async fn submit<T, E>(
        &self,
        alone: bool,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // A caller that went away is no reason to fail: what it asked for is done all the same.
        let work = move |connection: &Connection| -> (bool, Settle) {
            match work(connection) {
                Ok(value) => {
                    let settle = move |committed: Result<(), Failure>| {
                        let _ = reply.send(committed.map_err(E::from).map(|()| {
                            after(&value);
                            value
                        }));
                    };
                    (true, Box::new(settle))
                }
                Err(error) => (false, Box::new(move |_| drop(reply.send(Err(error))))),
            }
        };
        self.queue(Job::Do(Task { alone, work: Box::new(work) })).await?;
        answer.await.map_err(|_| stopped())?
    }

    async fn queue(&self, job: Job) -> Result<(), Failure> {
        let jobs = self.writer.jobs.as_ref().expect("taken only when the last handle drops");
        jobs.send(job).await.map_err(|_| stopped())
    }

    /// Reads at once, on the caller's own thread: for a row or two that every request asks for, of
    /// a small file whose pages are therefore in memory, so that to wake another thread and to be
    /// woken by it would take longer than the read. It waits for nobody: where no connection is
    /// idle, the file is held by someone or anything else is amiss, it is read as
    /// [`Database::read`] does.
    pub async fn peek<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        if let Some(connection) = self.readers.idle() {
            let at_once = connection.busy_timeout(Duration::ZERO).map(|()| work(&connection));
            let patient = connection.busy_timeout(BUSY);
            if let (Ok(Ok(answer)), Ok(())) = (at_once, patient) {
                self.readers.give_back(connection);
                return Ok(answer);
            }
        }
        self.read(work).await
    }

    /// Reads on a connection of the pool, away from the runtime's workers.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        let permits = Arc::clone(&self.readers.permits);
        let permit = permits.acquire_owned().await.map_err(Failure::new)?;
        let readers = Arc::clone(&self.readers);
        let task = tokio::task::spawn_blocking(move || {
            // The permit goes with the work: a caller that goes away does not free it early.
            let _permit = permit;
            let connection = readers.take()?;
            let answer = work(&connection);
            readers.give_back(connection);
            answer
        });
        task.await.map_err(Failure::new)?
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.readers.path).finish()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It panics only if SQLite's rollback does; its callers have been told already.
            let _ = thread.join();
        }
    }
}

impl Readers {
    fn take(&self) -> Result<Connection, Failure> {
        let open = || connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        self.idle().map_or_else(open, Ok)
    }

    fn idle(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Failure> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    keep_statements(&connection, STATEMENTS_MAX)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        // Its own pages are those of the journal.
        connection.execute_batch("PRAGMA cache_size = -8192;")?;
        connection.pragma_update(None, "mmap_size", MAPPED_MAX)?;
    } else {
        spare::prepare(&connection)?;
        // 32 MiB of pages, and 4 MiB of journal before they are moved into the file; a journal
        // that readers made longer goes back to twice that. What is deleted is overwritten: a
        // person who leaves leaves the file too.
        connection.execute_batch(
            "PRAGMA cache_size = -32768; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 1024;
             PRAGMA journal_size_limit = 8388608;",
        )?;
    }
    Ok(connection)
}

/// Keeps so many statements prepared, and their plans with them: without the guarantee (QPSG) one
/// with a parameter after LIMIT is compiled anew each time it is used, since its value might lead
/// to another plan (SQLite, "The Query Planner Stability Guarantee").
pub fn keep_statements(connection: &Connection, count: usize) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(count);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Lets the journal grow to 32 MiB, for a file that is written to all the time: a page written
/// again and again reaches the main file once. One that readers made longer goes back to 40 MiB,
/// which has room for a transaction that begins just below 32. On the writer's connection, so for
/// [`Database::open`]'s `prepare`.
pub fn lengthen_journal(connection: &Connection) -> Result<(), Failure> {
    let sql = "PRAGMA wal_autocheckpoint = 8192; PRAGMA journal_size_limit = 41943040;";
    Ok(connection.execute_batch(sql)?)
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), Failure> {
    let had: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let had = usize::try_from(had).map_err(Failure::new)?;
    if had > migrations.len() {
        return Err(Failure::new(format!(
            "the file has version {had}, this program knows {}",
            migrations.len()
        )));
    }
    let transaction = connection.transaction()?;
    for migration in &migrations[had..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", migrations.len() as i64)?;
    Ok(transaction.commit()?)
}

fn write_until_closed(connection: &Connection, mut queue: mpsc::Receiver<Job>) {
    let mut spare = Spare::default();
    let mut next = None;
    while let Some(first) = next.take().or_else(|| next_job(connection, &mut queue, &mut spare)) {
        let first = match first {
            Job::Do(task) => task,
            Job::Scrub(reply) => {
                // Whoever no longer waits does not want to know.
                let _ = reply.send(empty_journal(connection));
                continue;
            }
        };
        let mut settles = Vec::new();
        let outcome = connection.execute_batch("BEGIN IMMEDIATE").and_then(|()| {
            let alone = first.alone;
            settles.push(run(connection, first)?);
            while !alone && settles.len() < GROUP_MAX {
                match queue.try_recv() {
                    Ok(Job::Do(task)) if !task.alone => settles.push(run(connection, task)?),
                    Ok(job) => {
                        next = Some(job);
                        break;
                    }
                    Err(_) => break,
                }
            }
            spare.look(connection)?;
            connection.execute_batch("COMMIT")
        });
        let outcome = outcome.map_err(Failure::from);
        if outcome.is_err() && !connection.is_autocommit() {
            // A failed commit leaves the transaction open; a failed rollback closes it too.
            let _ = connection.execute_batch("ROLLBACK");
        }
        for settle in settles.into_iter().flatten() {
            settle(outcome.clone());
        }
    }
}

/// Waits for a job; while there is none, what is free of the file is given back.
fn next_job(
    connection: &Connection,
    queue: &mut mpsc::Receiver<Job>,
    spare: &mut Spare,
) -> Option<Job> {
    while spare.is_due() {
        match queue.try_recv() {
            Ok(job) => return Some(job),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => spare.give_back(connection),
        }
    }
    queue.blocking_recv()
}

/// Moves the journal into the file and empties it.
fn empty_journal(connection: &Connection) -> Result<(), Failure> {
    for _ in 0..SCRUBS_MAX {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: bool = connection.query_row(sql, [], |row| row.get(0))?;
        if !busy {
            return Ok(());
        }
    }
    let path = connection.path().unwrap_or_default();
    Err(Failure::new(format!("{path}: readers hold the journal, it could not be emptied")))
}

/// Why a caller has no answer.
fn stopped() -> Failure {
    Failure::new("the writer stopped before it answered")
}

/// Runs one piece of work in a savepoint. A panic in it is undone like a failure; its caller is
/// told by the loss of the reply.
fn run(connection: &Connection, task: Task) -> rusqlite::Result<Option<Settle>> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let done = catch_unwind(AssertUnwindSafe(|| (task.work)(connection)));
    if !matches!(done, Ok((true, _))) {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    Ok(done.ok().map(|(_, settle)| settle))
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(error)
    }
}

/// An instant as it is stored: milliseconds since the epoch.
pub fn to_ms(instant: Timestamp) -> i64 {
    instant.as_millisecond()
}

/// A stored instant.
pub fn from_ms(ms: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_millisecond(ms).map_err(Failure::new)
}

/// A column that is never negative: a number, a version, a count.
pub fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

#[cfg(test)]
mod tests;
