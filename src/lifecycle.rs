//! Owned tasks, readiness and drain. Every task of a node is spawned here, so that it has a name,
//! stops on one token, never panics unnoticed, and is waited for when the node ends.
//!
//! Two kinds: a *service* (listener, consumer, tail) runs until the token is cancelled, and the
//! node stops if one ends before; a *job* (one connection, one batch) may end whenever it likes,
//! and its panic costs only itself. [`threads`] has what all of them run on.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub mod threads;

/// Why a node stopped although nobody asked it to.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A service returned an error.
    #[error("service {name} failed: {cause}")]
    Failed {
        /// The service.
        name: &'static str,
        /// Its error.
        cause: String,
    },
    /// A service returned although it should run until the end.
    #[error("service {name} ended before it was asked to")]
    Ended {
        /// The service.
        name: &'static str,
    },
    /// A service panicked.
    #[error("service {name} panicked: {message}")]
    Panicked {
        /// The service.
        name: &'static str,
        /// The panic's message.
        message: String,
    },
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every task ended within the grace period.
    Whole,
    /// So many tasks were still running when it was over.
    Left(usize),
}

/// The tasks of one node. Clones share everything.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    token: CancellationToken,
    tracker: TaskTracker,
    failure: watch::Sender<Option<Error>>,
    parts: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

/// Says when one part of the node is ready. Dropped unready, the part stays unready.
#[derive(Debug)]
pub struct Readiness {
    name: &'static str,
    parts: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

impl Readiness {
    /// Declares the part ready, or no longer ready.
    pub fn set(&self, ready: bool) {
        lock(&self.parts).insert(self.name, ready);
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// A lifecycle with no tasks, whose token is its own.
    pub fn new() -> Self {
        Self {
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
            failure: watch::Sender::new(None),
            parts: Arc::default(),
        }
    }

    /// The token every task stops on.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Runs a service until the token is cancelled. If it ends, fails or panics before, the node
    /// stops and [`Lifecycle::stopped`] says why.
    pub fn service<E: Display>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let (token, failure) = (self.token.clone(), self.failure.clone());
        self.tracker.spawn(async move {
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let error = match outcome {
                Err(panic) => Error::Panicked { name, message: panic_message(&*panic) },
                Ok(Err(cause)) => Error::Failed { name, cause: cause.to_string() },
                Ok(Ok(())) if token.is_cancelled() => return,
                Ok(Ok(())) => Error::Ended { name },
            };
            tracing::error!(service = name, error = %error, "a service stopped, the node follows");
            failure.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(error);
                is_first
            });
            token.cancel();
        });
    }

    /// Runs a job to its own end; a panic is logged and costs only this job. A job that may take
    /// long watches the token itself.
    pub fn job(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        // Boxed: as a part of the task it would be moved with it, some five times.
        let work = Box::pin(work);
        self.tracker.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                tracing::error!(job = name, panic = panic_message(&*panic), "a job panicked");
            }
        })
    }

    /// Adds a part that the node waits for before it calls itself ready.
    pub fn part(&self, name: &'static str) -> Readiness {
        lock(&self.parts).insert(name, false);
        Readiness { name, parts: Arc::clone(&self.parts) }
    }

    /// The parts that are not ready, in alphabetical order; empty means ready. A node that drains
    /// is not ready.
    pub fn not_ready(&self) -> Vec<&'static str> {
        if self.token.is_cancelled() {
            return vec!["draining"];
        }
        let parts = lock(&self.parts);
        parts.iter().filter(|(_, ready)| !**ready).map(|(name, _)| *name).collect()
    }

    /// Asks every task to stop.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Waits until the token is cancelled and answers why, if a service was the cause.
    pub async fn stopped(&self) -> Result<(), Error> {
        self.token.cancelled().await;
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }

    /// Waits for every task to end after [`Lifecycle::stop`], at most the grace period.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.token.cancel();
        self.tracker.close();
        match tokio::time::timeout(grace, self.tracker.wait()).await {
            Ok(()) => Drained::Whole,
            Err(_) => Drained::Left(self.tracker.len()),
        }
    }
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// The flags stay usable after a panic elsewhere: each is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_service_that_panics_stops_the_node_and_says_why() {
        let life = Lifecycle::new();
        let token = life.token().clone();
        life.service("steady", async move {
            token.cancelled().await;
            Ok::<_, Error>(())
        });
        life.service("broken", async { panic!("no disk") as Result<(), Error> });
        let error = life.stopped().await.expect_err("a service panicked");
        assert_eq!(error, Error::Panicked { name: "broken", message: "no disk".into() });
        assert_eq!(life.drain(GRACE).await, Drained::Whole);
    }

    #[tokio::test]
    async fn a_service_that_ends_early_stops_the_node() {
        let life = Lifecycle::new();
        life.service("short", async { Ok::<_, Error>(()) });
        assert_eq!(life.stopped().await, Err(Error::Ended { name: "short" }));
    }

    #[tokio::test]
    async fn a_job_that_panics_costs_only_itself() {
        let life = Lifecycle::new();
        life.job("bad", async { panic!("one record") }).await.expect("the panic was caught");
        assert!(!life.token().is_cancelled());
        life.stop();
        assert_eq!(life.stopped().await, Ok(()));
    }

    #[tokio::test]
    async fn a_drain_ends_with_the_grace_period_and_counts_what_is_left() {
        let life = Lifecycle::new();
        life.job("stuck", std::future::pending());
        assert_eq!(life.drain(Duration::from_millis(10)).await, Drained::Left(1));
    }

    #[test]
    fn readiness_names_what_is_missing() {
        let life = Lifecycle::new();
        let (bus, hub) = (life.part("bus"), life.part("hub"));
        assert_eq!(life.not_ready(), ["bus", "hub"]);
        bus.set(true);
        hub.set(true);
        assert!(life.not_ready().is_empty());
        life.stop();
        assert_eq!(life.not_ready(), ["draining"]);
    }
}
