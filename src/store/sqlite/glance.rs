//! Short reads, many at once. After a node's restart thousands of clients come back in the same
//! second and each is looked up: with a thread woken, the file locked and a statement's snapshot
//! taken for one of them after the other, that would cost more than the looking. So what waits is
//! read by one thread, in one transaction, as the writer does with what is written.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// A thread is there and looks again before it goes.
    attended: bool,
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
        if self.readers.glances.add(Box::new(glance)) {
            let readers = Arc::clone(&self.readers);
            tokio::task::spawn_blocking(move || readers.attend());
        }
        answer.await.map_err(|_| Failure::new("a read ended without an answer"))?
    }
}

impl Readers {
    /// Until nothing waits. The connection is one more than those of the longer reads, which might
    /// have all of them for long.
    fn attend(&self) {
        while let Some(glances) = self.glances.next() {
            match self.take() {
                Ok(connection) => {
                    look(&connection, glances);
                    self.give_back(connection);
                }
                Err(failure) => glances.into_iter().for_each(|glance| glance(Err(failure.clone()))),
            }
        }
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
    /// Whether somebody has to come for it.
    fn add(&self, glance: Glance) -> bool {
        let mut waiting = self.lock();
        waiting.glances.push(glance);
        !std::mem::replace(&mut waiting.attended, true)
    }

    /// The next to be done together. None: nobody attends any more.
    fn next(&self) -> Option<Vec<Glance>> {
        let mut waiting = self.lock();
        let count = waiting.glances.len().min(GROUP_MAX);
        waiting.attended = count > 0;
        waiting.attended.then(|| waiting.glances.drain(..count).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
