//! What was fetched and not yet taken: a bounded buffer for each partition, visited in turn.
//!
//! A full buffer pauses its own partition at the broker and no other; taking from it resumes it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::bus::{Delivery, Error, Result, TopicId};

/// Records of one partition that wait before it is paused: some batches of its reader.
const RECORDS_MAX: usize = 4_096;
/// Bytes of one partition that wait before it is paused.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes after which a batch takes no more records.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// One partition of one topic.
pub(super) type Place = (TopicId, u32);

/// What was fetched and not yet taken.
#[derive(Debug, Default)]
pub(super) struct Intake {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    buffers: BTreeMap<Place, Buffer>,
    /// The partition to be visited first in front.
    turn: VecDeque<Place>,
    /// Nothing more will come, and why.
    ended: Option<Error>,
}

#[derive(Debug, Default)]
struct Buffer {
    waiting: VecDeque<Delivery>,
    bytes: usize,
    /// Paused at the broker until half of it is taken.
    full: bool,
    /// Not to be taken from until it is let go.
    held: bool,
}

/// What was taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// In order within each partition.
    pub deliveries: Vec<Delivery>,
    /// Partitions that have room again.
    pub resume: Vec<Place>,
}

impl Intake {
    /// A partition is ours from now on.
    pub fn open(&self, place: Place) {
        let mut state = self.lock();
        if state.buffers.insert(place, Buffer::default()).is_none() {
            state.turn.push_back(place);
        }
    }

    /// A partition is no longer ours: what waits of it is somebody else's to read.
    pub fn close(&self, place: Place) {
        let mut state = self.lock();
        state.buffers.remove(&place);
        state.turn.retain(|other| *other != place);
    }

    /// A record came. Answers whether its partition is full now and must be paused.
    pub fn put(&self, delivery: Delivery) -> bool {
        let place = (delivery.position.topic, delivery.position.partition);
        let mut state = self.lock();
        // Fetched before the partition was taken from us, and polled after.
        let Some(buffer) = state.buffers.get_mut(&place) else { return false };
        buffer.bytes += delivery.payload.len();
        buffer.waiting.push_back(delivery);
        let was_full = buffer.full;
        buffer.full |= buffer.waiting.len() >= RECORDS_MAX || buffer.bytes >= BYTES_MAX;
        let now_full = buffer.full && !was_full;
        drop(state);
        self.changed.notify_one();
        now_full
    }

    /// Whether a partition is paused at the broker.
    pub fn is_full(&self, place: Place) -> bool {
        self.lock().buffers.get(&place).is_some_and(|buffer| buffer.full)
    }

    /// Nothing more will come.
    pub fn end(&self, error: Error) {
        self.lock().ended.get_or_insert(error);
        self.changed.notify_one();
    }

    /// Holds a partition back, or lets it go.
    pub fn hold(&self, place: Place, held: bool) {
        if let Some(buffer) = self.lock().buffers.get_mut(&place) {
            buffer.held = held;
        }
        self.changed.notify_one();
    }

    /// The next records, at least one. Cancel-safe.
    pub async fn take(&self, max: usize) -> Result<Taken> {
        loop {
            let changed = self.changed.notified();
            let taken = self.try_take(max)?;
            if !taken.deliveries.is_empty() {
                return Ok(taken);
            }
            changed.await;
        }
    }

    fn try_take(&self, max: usize) -> Result<Taken> {
        let mut state = self.lock();
        let mut taken = Taken::default();
        let mut bytes = 0;
        for _ in 0..state.turn.len() {
            if taken.deliveries.len() >= max || bytes >= BATCH_BYTES {
                break;
            }
            state.turn.rotate_left(1);
            let Some(&place) = state.turn.back() else { break };
            let Some(buffer) = state.buffers.get_mut(&place).filter(|buffer| !buffer.held) else {
                continue;
            };
            while taken.deliveries.len() < max && bytes < BATCH_BYTES {
                let Some(delivery) = buffer.waiting.pop_front() else { break };
                buffer.bytes -= delivery.payload.len();
                bytes += delivery.payload.len();
                taken.deliveries.push(delivery);
            }
            let half = buffer.waiting.len() <= RECORDS_MAX / 2 && buffer.bytes <= BYTES_MAX / 2;
            if buffer.full && half {
                buffer.full = false;
                taken.resume.push(place);
            }
        }
        match &state.ended {
            Some(error) if taken.deliveries.is_empty() => Err(error.clone()),
            _ => Ok(taken),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the critical sections can panic half way, so a poisoned lock holds good data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use jiff::Timestamp;

    use super::*;
    use crate::bus::Position;

    const TOPIC: TopicId = TopicId::Receipts;

    fn delivery(partition: u32, offset: u64) -> Delivery {
        let position = Position { topic: TOPIC, partition, offset };
        let (key, at) = (String::new(), Timestamp::UNIX_EPOCH);
        Delivery { position, key, headers: Vec::new(), at, payload: Bytes::from_static(b"12") }
    }

    fn take(intake: &Intake, max: usize) -> Taken {
        intake.take(max).now_or_never().expect("something waits").expect("not ended")
    }

    #[test]
    fn partitions_take_turns_and_keep_their_order() {
        let intake = Intake::default();
        (0..3).for_each(|partition| intake.open((TOPIC, partition)));
        (0..50).for_each(|offset| assert!(!intake.put(delivery(0, offset))));
        (0..2).for_each(|offset| assert!(!intake.put(delivery(2, offset))));
        let of = |taken: Taken| -> Vec<_> {
            taken.deliveries.iter().map(|d| (d.position.partition, d.position.offset)).collect()
        };
        assert_eq!(of(take(&intake, 2)), [(0, 0), (0, 1)]);
        assert_eq!(of(take(&intake, 3)), [(2, 0), (2, 1), (0, 2)]);
    }

    #[test]
    fn a_full_partition_pauses_alone_and_goes_on_when_half_is_taken() {
        let intake = Intake::default();
        (0..2).for_each(|partition| intake.open((TOPIC, partition)));
        let full = |offset: usize| offset + 1 == RECORDS_MAX;
        (0..RECORDS_MAX + 9)
            .for_each(|offset| assert_eq!(intake.put(delivery(0, offset as u64)), full(offset)));
        assert!(!intake.put(delivery(1, 0)));
        assert!(take(&intake, 100).resume.is_empty());
        let resumed: Vec<_> =
            (0..RECORDS_MAX / 100).flat_map(|_| take(&intake, 100).resume).collect();
        assert_eq!(resumed, [(TOPIC, 0)]);
    }

    #[test]
    fn a_held_partition_gives_nothing_until_it_is_let_go() {
        let intake = Intake::default();
        (0..2).for_each(|partition| intake.open((TOPIC, partition)));
        intake.put(delivery(0, 0));
        intake.hold((TOPIC, 0), true);
        assert!(intake.take(1).now_or_never().is_none());
        intake.put(delivery(1, 0));
        assert_eq!(take(&intake, 9).deliveries.len(), 1);
        intake.hold((TOPIC, 0), false);
        assert_eq!(take(&intake, 9).deliveries[0].position.partition, 0);
    }

    #[test]
    fn what_waits_of_a_partition_taken_away_is_dropped() {
        let intake = Intake::default();
        intake.open((TOPIC, 0));
        intake.put(delivery(0, 7));
        intake.close((TOPIC, 0));
        intake.put(delivery(0, 8));
        assert!(intake.take(1).now_or_never().is_none());
        intake.end(Error::Closed);
        assert!(matches!(intake.take(1).now_or_never(), Some(Err(Error::Closed))));
    }
}
