//! The keeper: a thread that does what must not hold up the writer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use jiff::Timestamp;

use super::retention::Retention;
use super::segment::Segment;
use crate::bus::{Error, Result};

/// How often retention looks, while the log is written to.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// How the writer tells it what to do.
pub(super) struct Keeper {
    tasks: Sender<Task>,
    next_trim: Timestamp,
}

enum Task {
    /// A segment is full: its index goes to the disk.
    Seal(Arc<Segment>),
    /// Delete what retention allows at an instant.
    Trim(Timestamp),
}

impl Keeper {
    /// Starts it; it ends with the writer.
    pub fn start(retention: Arc<Retention>, now: Timestamp) -> Result<Self> {
        let (tasks, queue) = channel();
        let thread = std::thread::Builder::new().name("loa-log-keeper".to_owned());
        let spawned = thread.spawn(move || keep(&retention, &queue));
        spawned.map_err(|error| Error::Storage(error.to_string()))?;
        Ok(Self { tasks, next_trim: now })
    }

    /// A segment, if there is one, is full.
    pub fn seal(&self, segment: Option<Arc<Segment>>) {
        if let Some(segment) = segment {
            let _ = self.tasks.send(Task::Seal(segment));
        }
    }

    /// Has retention look, now and then.
    pub fn look(&mut self, now: Timestamp) {
        if now >= self.next_trim {
            self.next_trim = now.saturating_add(TRIM_EVERY).expect("a minute fits");
            let _ = self.tasks.send(Task::Trim(now));
        }
    }
}

fn keep(retention: &Retention, queue: &Receiver<Task>) {
    while let Ok(task) = queue.recv() {
        let done = match task {
            Task::Seal(segment) => retention.seal(&segment),
            Task::Trim(now) => retention.trim(now).map(drop),
        };
        match done {
            Ok(()) | Err(Error::Closed) => {}
            Err(error) => {
                tracing::error!(%error, "retention failed; it is tried again in a minute")
            }
        }
    }
}
