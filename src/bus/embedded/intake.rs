//! Where calls wait for the writer: each adds itself to the last group that takes more. While one
//! group is being synchronised, the next is written down here by its callers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::group::{Group, Outcome};
use crate::bus::{Error, Result};

/// Calls that share one commit at most: enough to fill the disk's time, little enough that none
/// waits long for the others.
const GROUP_CALLS_MAX: usize = 1024;
/// Bytes after which a group takes no more calls.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Calls at once that are a rush: more are on their way, and a commit without them makes them wait
/// for a second one. Fewer do not wait: most calls are alone, and nobody follows them.
const RUSH_CALLS: usize = 8;
/// How long a rush waits for its next calls: many times what a publisher takes, a small part of
/// what a commit does.
const RUSH_GAP: Duration = Duration::from_micros(10);
/// How long a rush gathers in all: about a commit's time, which it may save.
const RUSH_TIME_MAX: Duration = Duration::from_millis(1);
/// Batches' memory that is kept for the next ones.
const MEMORY_KEPT: usize = 32;
/// The most bytes of one that is kept.
const MEMORY_BYTES_MAX: usize = 256 * 1024;

/// The queue before the writer.
#[derive(Debug, Default)]
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    work: Condvar,
    /// Calls that came in, to be looked at without the lock.
    came: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    groups: VecDeque<Group>,
    memory: Vec<Vec<u8>>,
    closed: bool,
    /// The writer waits to be woken.
    idle: bool,
}

/// Memory of batches that are on the disk.
pub(super) struct Memory<'a>(&'a mut Vec<Vec<u8>>);

impl Memory<'_> {
    /// Some of it, or none.
    pub fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }
}

impl Intake {
    /// Adds a call to a group, and answers whom to wait for.
    pub fn enter<T>(
        &self,
        call: impl FnOnce(&mut Group, &mut Memory<'_>) -> T,
    ) -> Result<(Arc<Outcome>, T)> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Error::Closed);
        }
        if waiting.groups.back().is_none_or(is_full) {
            waiting.groups.push_back(Group::default());
        }
        let Waiting { groups, memory, idle, .. } = &mut *waiting;
        let group = groups.back_mut().expect("just looked at");
        group.calls += 1;
        let entered = call(group, &mut Memory(memory));
        let outcome = group.outcome.clone();
        let wake = std::mem::take(idle);
        // Changed with the lock held alone, so no more than a store.
        self.came.store(self.came.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        drop(waiting);
        if wake {
            self.work.notify_one();
        }
        Ok((outcome, entered))
    }

    /// Takes no more calls; the writer ends after those that came.
    pub fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    /// Whoever still waits is told that it is over.
    pub fn end(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let groups = std::mem::take(&mut waiting.groups);
        drop(waiting);
        drop(groups);
    }

    /// The next group; waits for one. None when it was closed.
    pub fn next(&self) -> Option<Group> {
        let mut waiting = self.lock();
        loop {
            match waiting.groups.front() {
                Some(group) if group.calls >= RUSH_CALLS && !is_full(group) => break,
                Some(_) => return waiting.groups.pop_front(),
                None if waiting.closed => return None,
                None => {
                    waiting.idle = true;
                    waiting = self.work.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        drop(waiting);
        self.let_rush();
        self.lock().groups.pop_front()
    }

    /// Waits while a rush goes on. It neither parks nor yields: on a busy machine either would give
    /// the core away for a thousand times as long.
    fn let_rush(&self) {
        let start = Instant::now();
        loop {
            let came = self.came.load(Ordering::Relaxed);
            let gap = Instant::now();
            while gap.elapsed() < RUSH_GAP {
                std::hint::spin_loop();
            }
            if self.came.load(Ordering::Relaxed) == came || start.elapsed() > RUSH_TIME_MAX {
                return;
            }
        }
    }

    /// Keeps the memory of batches for the next ones.
    pub fn keep(&self, batches: impl Iterator<Item = Batch>) {
        let mut waiting = self.lock();
        let room = MEMORY_KEPT.saturating_sub(waiting.memory.len());
        let small = batches.map(Batch::into_bytes).filter(|of| of.capacity() <= MEMORY_BYTES_MAX);
        waiting.memory.extend(small.take(room));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(group: &Group) -> bool {
    group.calls >= GROUP_CALLS_MAX || group.bytes >= GROUP_BYTES
}
