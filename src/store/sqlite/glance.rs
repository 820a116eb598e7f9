//! Short reads, many at once. After a node's restart thousands of clients come back in the same
//! second and each is looked up: with a thread woken, the file locked and a statement's snapshot
//! taken for one of them after the other, that would cost more than the looking. So what waits is
//! read by one thread, in one transaction, as the writer does with what is written.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, Thread};

use tokio::sync::oneshot;

use super::{Connection, Database, Readers};
use crate::store::Failure;

/// Reads in one transaction: bounds how long the journal is held for them.
const GROUP_MAX: usize = 256;

/// Reads one thing and answers who asked; told instead why there is no connection.
type Glance = Box<dyn FnOnce(Result<&Connection, Failure>) + Send>;

/// Short reads that wait: as many as there are callers, who wait for them.
#[derive(Default)]
pub(super) struct Glances(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    glances: Vec<Glance>,
    attendant: Attendant,
}

/// The thread that reads: begun with the first glance, and there until the file is closed.
#[derive(Default)]
enum Attendant {
    /// Not begun.
    #[default]
    None,
    /// Parked: whoever brings a glance wakes it.
    Parked(Thread),
    /// It looks again before it parks.
    Awake,
}

/// What a glance's caller has to do about the thread.
enum Call {
    Nothing,
    Wake(Thread),
    Begin,
}

impl Database {
    /// As [`Database::read`], for what takes a few rows found by their keys.
    pub async fn glance<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let glance = move |connection: Result<&Connection, Failure>| {
            // Whoever no longer waits does not want to know.
            let _ = reply.send(connection.map_err(E::from).and_then(work));
        };
        match self.readers.glances.add(Box::new(glance)) {
            Call::Nothing => {}
            Call::Wake(thread) => thread.unpark(),
            Call::Begin => begin(&self.readers),
        }
        answer.await.map_err(|_| Failure::new("a read ended without an answer"))?
    }
}

/// Begins the thread; if there can be none, whoever waits is told, and the next one tries again.
fn begin(readers: &Arc<Readers>) {
    let weak = Arc::downgrade(readers);
    let begun = thread::Builder::new().name("loa-glance".into()).spawn(move || attend(&weak));
    if let Err(error) = begun {
        let failure = Failure::new(error);
        for glance in readers.glances.give_up() {
            glance(Err(failure.clone()));
        }
    }
}

/// Until the file is closed. The connection is one more than those of the longer reads, which might
/// have all of them for long. Parked, it holds nothing of the file.
fn attend(readers: &Weak<Readers>) {
    while let Some(readers) = readers.upgrade() {
        while let Some(glances) = readers.glances.next() {
            match readers.take() {
                Ok(connection) => {
                    look(&connection, glances);
                    readers.give_back(connection);
                }
                Err(failure) => glances.into_iter().for_each(|glance| glance(Err(failure.clone()))),
            }
        }
        drop(readers);
        // Woken since `next` found nothing, it does not even park.
        thread::park();
    }
}

/// One transaction for all, whose snapshot is taken after the last of them was asked for. None
/// disturbs its neighbours: a panic is told to its caller by the loss of the reply.
fn look(connection: &Connection, glances: Vec<Glance>) {
    let together = glances.len() > 1;
    let begun = if together { connection.execute_batch("BEGIN") } else { Ok(()) };
    let failure = begun.err().map(Failure::from);
    for glance in glances {
        let found = failure.clone().map_or(Ok(connection), Err);
        let _ = catch_unwind(AssertUnwindSafe(|| glance(found)));
    }
    if !connection.is_autocommit() {
        // Nothing was written, so that nothing is lost if it ends in another way.
        let _ = connection.execute_batch("COMMIT");
    }
}

impl Glances {
    fn add(&self, glance: Glance) -> Call {
        let mut waiting = self.lock();
        waiting.glances.push(glance);
        match std::mem::replace(&mut waiting.attendant, Attendant::Awake) {
            Attendant::None => Call::Begin,
            Attendant::Parked(thread) => Call::Wake(thread),
            Attendant::Awake => Call::Nothing,
        }
    }

    /// The next to be done together. None: the thread that asks parks.
    fn next(&self) -> Option<Vec<Glance>> {
        let mut waiting = self.lock();
        let count = waiting.glances.len().min(GROUP_MAX);
        if count == 0 {
            waiting.attendant = Attendant::Parked(thread::current());
            return None;
        }
        Some(waiting.glances.drain(..count).collect())
    }

    /// What waits for a thread that could not begin.
    fn give_up(&self) -> Vec<Glance> {
        let mut waiting = self.lock();
        waiting.attendant = Attendant::None;
        std::mem::take(&mut waiting.glances)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Glances {
    fn drop(&mut self) {
        // The file is closed: the thread finds that out.
        if let Attendant::Parked(thread) = &self.lock().attendant {
            thread.unpark();
        }
    }
}
