//! A group: calls that share one commit, and what they come to.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use super::batch::Batch;
use super::layout::{Layout, Topic};
use super::segment::Segment;
use crate::bus::{Error, Position, Record, Result, TopicId};

/// Calls that share one commit. Each adds what it asks for, and waits for the [`Outcome`].
#[derive(Debug, Default)]
pub(super) struct Group {
    /// What it appends, by partition.
    pub slots: Vec<Slot>,
    /// Batches that were taken out of the slots, in the order in which they are written.
    pub bodies: Vec<Body>,
    /// Which slot a place has, plus one.
    slot_of: Vec<u16>,
    /// Where groups of readers go on.
    pub commits: Vec<(Arc<str>, usize, u64)>,
    /// Groups of readers that enter topics.
    pub joins: Vec<(Arc<str>, Vec<TopicId>)>,
    /// Where retention cuts partitions, if no group of readers came between, and before which
    /// instant a group must have been silent to count no longer.
    pub cuts: Vec<(usize, u64, i64)>,
    /// The segment in which the log shall go on.
    pub roll: Option<Segment>,
    pub outcome: Arc<Outcome>,
    pub calls: usize,
    pub bytes: usize,
    /// What its records take of the queue's room.
    pub room: usize,
}

/// What a group appends to one partition. Offsets count from the group's first in it.
#[derive(Debug)]
pub(super) struct Slot {
    pub place: usize,
    batches: Vec<Batch>,
    /// The offset after the batches that were taken out.
    taken: u64,
}

/// A batch of a partition on its way to the disk.
#[derive(Debug)]
pub(super) struct Body {
    pub place: usize,
    pub batch: Batch,
}

/// One call's records that are written down before the call has its turn, since there are many.
#[derive(Debug)]
pub(super) struct Written(Group, Places);

/// Where one call's records lie: partition and offset. Mostly there is one, which takes no memory
/// of its own. (Small on purpose: a [`Position`] that is put together just after the record was
/// copied waits for the other core's copy of that memory.)
#[derive(Debug)]
pub(super) enum Places {
    One([(u32, u64); 1]),
    Many(Vec<(u32, u64)>),
}

impl Places {
    fn of(records: &[Record], mut place: impl FnMut(&Record) -> (u32, u64)) -> Self {
        match records {
            [record] => Self::One([place(record)]),
            records => Self::Many(records.iter().map(place).collect()),
        }
    }

    fn as_mut(&mut self) -> &mut [(u32, u64)] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    /// The same, once it is known where the group's records begin in each place of the layout.
    pub fn on_the_log(
        mut self,
        (topic, of): (TopicId, &Topic),
        firsts: &Firsts,
    ) -> Vec<Option<Position>> {
        let places = self.as_mut().iter().map(|&(partition, offset)| {
            let offset = firsts[of.first + partition as usize] + offset;
            Some(Position { topic, partition, offset })
        });
        places.collect()
    }
}

impl Group {
    /// Writes records down, and answers where each lies, counted from the group's first record in
    /// its partition.
    pub fn publish(
        &mut self,
        layout: &Layout,
        of: &Topic,
        records: &[Record],
        mut memory: impl FnMut() -> Vec<u8>,
    ) -> Places {
        let places = layout.places.len();
        Places::of(records, |record| {
            let partition = crate::bus::partition::of_key(&record.key, of.count);
            let slot = self.slot(of.first + partition as usize, places);
            (partition, slot.put(record, &mut memory))
        })
    }

    /// Takes over what was written down elsewhere, for a topic.
    pub fn append(&mut self, layout: &Layout, of: &Topic, written: Written) -> Places {
        let Written(mut other, mut places) = written;
        let mut moved = vec![0; layout.places.len()];
        for mut theirs in std::mem::take(&mut other.slots) {
            let slot = self.slot(theirs.place, layout.places.len());
            moved[theirs.place] = slot.end();
            for batch in &mut theirs.batches {
                batch.first += moved[theirs.place];
            }
            slot.batches.append(&mut theirs.batches);
        }
        for (partition, offset) in places.as_mut() {
            *offset += moved[of.first + *partition as usize];
        }
        places
    }

    /// Takes what is written down so far out of the slots; what comes later is written down in
    /// other batches.
    pub fn take(&mut self) {
        for slot in &mut self.slots {
            slot.taken = slot.end();
            let place = slot.place;
            self.bodies.extend(slot.batches.drain(..).map(|batch| Body { place, batch }));
        }
    }

    fn slot(&mut self, place: usize, places: usize) -> &mut Slot {
        if self.slot_of.is_empty() {
            self.slot_of.resize(places, 0);
        }
        let slot = &mut self.slot_of[place];
        if *slot == 0 {
            self.slots.push(Slot { place, batches: Vec::new(), taken: 0 });
            *slot = u16::try_from(self.slots.len()).expect("a log has hundreds of partitions");
        }
        &mut self.slots[usize::from(*slot) - 1]
    }
}

impl Drop for Group {
    /// Whatever becomes of the writer, nobody waits for ever.
    fn drop(&mut self) {
        self.outcome.settle(Err(Error::Closed));
    }
}

impl Slot {
    fn put(&mut self, record: &Record, memory: &mut impl FnMut() -> Vec<u8>) -> u64 {
        let end = self.end();
        if !self.batches.last_mut().is_some_and(|last| last.put(record)) {
            let mut batch = Batch::empty(end, memory());
            batch.put(record);
            self.batches.push(batch);
        }
        end
    }

    /// The offset after its last record.
    pub fn end(&self) -> u64 {
        self.batches.last().map_or(self.taken, Batch::end)
    }
}

impl Written {
    /// Writes records down.
    pub fn new(layout: &Layout, of: &Topic, records: &[Record]) -> Self {
        let mut group = Group::default();
        let places = group.publish(layout, of, records, Vec::new);
        Self(group, places)
    }
}

/// What becomes of a group, and who waits to know.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    settled: OnceLock<Result<Firsts>>,
    waiting: Mutex<Vec<Waker>>,
}

/// The offset that a group's first record got in each place.
pub(super) type Firsts = Vec<u64>;

impl Outcome {
    /// Says what became of it and wakes everybody; the first time counts.
    pub fn settle(&self, outcome: Result<Firsts>) {
        if self.settled.set(outcome).is_ok() {
            let waiting = std::mem::take(&mut *self.lock());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Waits for it in a thread of its own.
    pub fn wait_here(&self) -> &Result<Firsts> {
        self.settled.wait()
    }

    /// Waits for it.
    pub async fn wait(&self) -> &Result<Firsts> {
        let mut mine: Option<usize> = None;
        std::future::poll_fn(|context| {
            if let Some(settled) = self.settled.get() {
                return Poll::Ready(settled);
            }
            let mut waiting = self.lock();
            // Settled before the wakers are taken, so that one of both sees the other.
            if let Some(settled) = self.settled.get() {
                return Poll::Ready(settled);
            }
            // Calls of one task that come one after another share a waker; so none is ever
            // replaced, since another may count on it.
            let last = waiting.len().checked_sub(1);
            let wakes = |place: &usize| waiting[*place].will_wake(context.waker());
            mine = mine.filter(wakes).or_else(|| last.filter(wakes));
            if mine.is_none() {
                mine = Some(waiting.len());
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Task {
        fn woken(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_once_for_all_its_calls_and_whoever_moved_where_it_is() {
        let tasks = [(); 3].map(|()| Arc::<Task>::default());
        let wakers = tasks.clone().map(Waker::from);
        let [mut first, mut second, mut third] = wakers.each_ref().map(Context::from_waker);
        let outcome = Outcome::default();
        let (mut one, mut two) = (pin!(outcome.wait()), pin!(outcome.wait()));
        let mut moved = pin!(outcome.wait());
        for _ in 0..3 {
            assert!(one.as_mut().poll(&mut first).is_pending());
            assert!(two.as_mut().poll(&mut first).is_pending());
            assert!(moved.as_mut().poll(&mut second).is_pending());
        }
        assert!(moved.as_mut().poll(&mut third).is_pending());
        outcome.settle(Ok(vec![7]));
        assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 1, 1]);
        for mut call in [one, two, moved] {
            let Poll::Ready(settled) = call.as_mut().poll(&mut third) else { panic!("pending") };
            assert_eq!(settled.as_ref().ok(), Some(&vec![7]));
        }
    }
}
