//! Acks: work finishes in any order, offsets are committed in theirs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bus::{Position, TopicId};

/// What was delivered and what of it is done, so that only the contiguous beginning is committed.
///
/// Call [`Acks::begin`] for every delivery in the order delivered, [`Acks::done`] when its effect
/// is durable, and commit what `done` answers. What is begun and never done is delivered again
/// after a restart, with all that follows it.
#[derive(Debug, Default)]
pub struct Acks {
    partitions: Mutex<BTreeMap<(TopicId, u32), Window>>,
}

/// One partition's deliveries that are not committed yet. Offsets rise, perhaps with gaps (Kafka
/// leaves some to transactions).
#[derive(Debug, Default)]
struct Window {
    /// Offset, and whether it is done.
    waiting: VecDeque<(u64, bool)>,
}

impl Acks {
    /// Nothing delivered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A record was delivered. One that does not lie after all others of its partition is ignored:
    /// it is a repeat.
    pub fn begin(&self, position: Position) {
        let mut partitions = self.lock();
        let window = partitions.entry((position.topic, position.partition)).or_default();
        if window.waiting.back().is_none_or(|(last, _)| *last < position.offset) {
            window.waiting.push_back((position.offset, false));
        }
    }

    /// A record is done. Answers what to commit, if the contiguous beginning grew: the position
    /// after it.
    pub fn done(&self, position: Position) -> Option<Position> {
        let mut partitions = self.lock();
        let window = partitions.get_mut(&(position.topic, position.partition))?;
        let index =
            window.waiting.binary_search_by_key(&position.offset, |(offset, _)| *offset).ok()?;
        window.waiting[index].1 = true;
        let mut last = None;
        while let Some((offset, true)) = window.waiting.front().copied() {
            window.waiting.pop_front();
            last = Some(offset);
        }
        last.map(|offset| Position { offset: offset + 1, ..position })
    }

    /// A partition begins anew: what was begun of it before is somebody else's to do.
    pub fn forget(&self, topic: TopicId, partition: u32) {
        self.lock().remove(&(topic, partition));
    }

    /// How many records are begun and not committed: what a caller bounds its work by.
    pub fn waiting(&self) -> usize {
        self.lock().values().map(|window| window.waiting.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(TopicId, u32), Window>> {
        // Nothing in the critical sections can panic half way, so a poisoned lock holds good data.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(offset: u64) -> Position {
        Position { topic: TopicId::Receipts, partition: 3, offset }
    }

    #[test]
    fn repeats_and_strangers_change_nothing() {
        let acks = Acks::new();
        acks.begin(at(5));
        acks.begin(at(5));
        acks.begin(at(4));
        assert_eq!((acks.waiting(), acks.done(at(4)), acks.done(at(9))), (1, None, None));
        assert_eq!(acks.done(Position { partition: 1, ..at(5) }), None);
        assert_eq!((acks.done(at(5)), acks.done(at(5))), (Some(at(6)), None));
        acks.begin(at(7));
        acks.forget(TopicId::Receipts, 3);
        assert_eq!((acks.waiting(), acks.done(at(7))), (0, None));
    }

    proptest! {
        /// After each `done`, what was committed last is just after the longest run of done
        /// records from the beginning, whatever the order and the gaps.
        #[test]
        fn only_the_contiguous_beginning_is_committed(
            gaps in prop::collection::vec(1_u64..4, 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let acks = Acks::new();
            let mut offset = 0;
            let offsets: Vec<u64> = gaps.iter().map(|gap| { offset += gap; offset }).collect();
            offsets.iter().for_each(|offset| acks.begin(at(*offset)));
            let (mut done, mut committed) = (vec![false; offsets.len()], None);
            for index in order {
                let index = index.index(offsets.len());
                done[index] = true;
                committed = acks.done(at(offsets[index])).or(committed);
                let run = done.iter().take_while(|done| **done).count();
                let expected = run.checked_sub(1).map(|last| at(offsets[last] + 1));
                prop_assert_eq!(committed, expected);
                prop_assert_eq!(acks.waiting(), offsets.len() - run);
            }
        }
    }
}
