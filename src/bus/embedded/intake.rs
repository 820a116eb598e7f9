//! Where calls wait for the writer: each adds itself to the last group that takes more. While one
//! group is being synchronised, the next is written down here by its callers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::group::{Body, Group, Outcome};
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
/// Bytes of a rush that are written ahead of the rest: many enough that their own call costs
/// little, few enough that little is left to write when the last one came.
const AHEAD_BYTES: usize = 32 * 1024;
/// Batches' memory that is kept for the next ones.
const MEMORY_KEPT: usize = 64;
/// The most bytes of one that is kept.
const MEMORY_BYTES_MAX: usize = 128 * 1024;

/// The queue before the writer.
#[derive(Debug, Default)]
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    work: Condvar,
    /// Bytes of records that came in, and one for each call, to be looked at without the lock.
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
        let before = group.bytes;
        let entered = call(group, &mut Memory(memory));
        let came = group.bytes - before + 1;
        let outcome = group.outcome.clone();
        let wake = std::mem::take(idle);
        // Changed with the lock held alone, so no more than a store.
        self.came.store(self.came.load(Ordering::Relaxed).wrapping_add(came), Ordering::Relaxed);
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

    /// The next group; waits for one. None when it was closed. While a rush goes on, `ahead` is
    /// given all that is there of it, sealed, time and again.
    pub fn next(&self, ahead: impl FnMut(&[Body])) -> Option<Group> {
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
        let bytes = waiting.groups.front().map_or(0, |group| group.bytes);
        drop(waiting);
        let bodies = self.let_rush(bytes, ahead);
        let mut group = self.lock().groups.pop_front()?;
        group.bodies = bodies;
        Some(group)
    }

    /// Waits while a rush goes on, of which so many bytes are there, and answers what was given to
    /// `ahead`. It neither parks nor yields: on a busy machine either would give the core away for
    /// a thousand times as long.
    fn let_rush(&self, bytes: usize, mut ahead: impl FnMut(&[Body])) -> Vec<Body> {
        let start = Instant::now();
        let mut bodies = Vec::new();
        let mut given = self.came.load(Ordering::Relaxed).wrapping_sub(bytes);
        loop {
            let came = self.came.load(Ordering::Relaxed);
            if came.wrapping_sub(given) >= AHEAD_BYTES {
                given = came;
                let is_over = self.take(&mut bodies);
                ahead(&bodies);
                if is_over {
                    return bodies;
                }
            } else {
                let gap = Instant::now();
                while gap.elapsed() < RUSH_GAP {
                    std::hint::spin_loop();
                }
                if self.came.load(Ordering::Relaxed) == came {
                    return bodies;
                }
            }
            if start.elapsed() > RUSH_TIME_MAX {
                return bodies;
            }
        }
    }

    /// Takes what is there of the next group, and seals it; whether that is all that it will have.
    fn take(&self, into: &mut Vec<Body>) -> bool {
        let sealed = into.len();
        let is_over = self.lock().groups.front_mut().is_none_or(|group| {
            group.take();
            into.append(&mut group.bodies);
            is_full(group)
        });
        for body in &mut into[sealed..] {
            body.batch.seal();
        }
        is_over
    }

    /// Keeps the memory of batches for the next ones.
    pub fn keep(&self, bodies: Vec<Body>) {
        let mut waiting = self.lock();
        let room = MEMORY_KEPT.saturating_sub(waiting.memory.len());
        let bytes = bodies.into_iter().map(|body| body.batch.into_bytes());
        let small = bytes.filter(|of| of.capacity() <= MEMORY_BYTES_MAX);
        waiting.memory.extend(small.take(room));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(group: &Group) -> bool {
    group.calls >= GROUP_CALLS_MAX || group.bytes >= GROUP_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::embedded::batch;
    use crate::bus::embedded::layout::{Found, Layout};
    use crate::bus::{Record, TopicId};

    /// Publishes so many records of so many bytes, a call each.
    fn publish(intake: &Intake, layout: &Layout, calls: usize, bytes: usize) {
        let of = &layout.topics[&TopicId::Audit];
        let payload = vec![0; bytes].into();
        let record = [Record { key: String::new(), headers: Vec::new(), payload }];
        for _ in 0..calls {
            let entered = intake.enter(|group, memory| {
                group.bytes += record[0].size();
                group.publish(layout, of, &record, || memory.take())
            });
            assert!(entered.is_ok());
        }
    }

    #[test]
    fn what_is_there_of_a_rush_is_given_ahead_while_more_of_it_comes() {
        let layout = Layout::new("an epoch".to_owned(), &Found::default());
        let intake = Intake::default();
        publish(&intake, &layout, RUSH_CALLS, 5 * 1024);
        let mut given = Vec::new();
        let group = intake.next(|bodies| {
            given.push(bodies.len());
            assert!(bodies.iter().all(|body| batch::sum(body.batch.bytes()) != Some(0)), "sealed");
            if given.len() == 1 {
                publish(&intake, &layout, 1, 5 * 1024);
            }
        });
        assert_eq!(given, [1], "the one that came then is too little");
        let mut group = group.expect("a group");
        group.take();
        let offsets: Vec<_> =
            group.bodies.iter().map(|body| body.batch.first..body.batch.end()).collect();
        assert_eq!(offsets, [0..8, 8..9]);
        assert_eq!((group.calls, group.slots[0].end()), (9, 9));
        intake.close();
        assert!(intake.next(|_| unreachable!("nothing came")).is_none());
    }

    #[test]
    fn a_rush_is_over_when_its_group_is_full_whatever_comes_after_it() {
        let layout = Layout::new("an epoch".to_owned(), &Found::default());
        let intake = Intake::default();
        publish(&intake, &layout, GROUP_CALLS_MAX - 1, 40);
        let mut given = 0;
        let group = intake.next(|_| {
            given += 1;
            // The last that the group takes, and the first of the next one, which never ends.
            publish(&intake, &layout, 1, 40);
            publish(&intake, &layout, 1, 2 * AHEAD_BYTES);
        });
        assert_eq!(group.map(|group| group.calls), Some(GROUP_CALLS_MAX));
        assert!(given <= 2, "{given} times");
    }
}
