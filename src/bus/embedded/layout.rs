//! What is known of the log in memory: its topics, their partitions and how far each goes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::groups::Groups;
use crate::bus::{Error, Result, Stats, TopicId};

/// The log's topics. The writer moves the bounds after each commit; everyone else looks.
#[derive(Debug)]
pub(super) struct Layout {
    /// The log's random name.
    pub epoch: String,
    /// Every partition, also of topics that this version does not have.
    pub places: Vec<Place>,
    pub topics: BTreeMap<TopicId, Topic>,
    groups: Mutex<Groups>,
    pub commits: AtomicU64,
    pub records: AtomicU64,
    pub deleted: AtomicU64,
}

/// One topic: so many partitions that lie together among the places.
#[derive(Debug)]
pub(super) struct Topic {
    pub first: usize,
    pub count: u32,
    /// Changes whenever the bounds of a partition did.
    pub changed: watch::Sender<u64>,
}

/// One partition.
#[derive(Debug)]
pub(super) struct Place {
    pub topic: String,
    pub partition: u32,
    /// None of a topic that this version does not have: it is kept as it is.
    pub known: Option<(TopicId, Duration)>,
    start: AtomicU64,
    end: AtomicU64,
}

/// What was found on the disk.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Where each partition begins and ends.
    pub places: BTreeMap<(String, u32), Range<u64>>,
    /// Group, topic and partition, where it goes on and when it said so.
    pub groups: BTreeMap<(String, String, u32), (u64, i64)>,
}

impl Found {
    /// Whether it has a partition.
    pub fn has(&self, place: &Place) -> bool {
        self.places.contains_key(&(place.topic.clone(), place.partition))
    }
}

impl Layout {
    /// A topic keeps the number of partitions it was made with; see [`crate::bus::Definition`].
    pub fn new(epoch: String, found: &Found) -> Self {
        let (mut places, mut topics) = (Vec::new(), BTreeMap::new());
        for id in TopicId::all() {
            let (definition, name) = (id.definition(), id.name());
            let made = (0..).take_while(|n| found.places.contains_key(&(name.clone(), *n)));
            let made = u32::try_from(made.count()).expect("a topic has at most 64 partitions");
            let count = if made == 0 { definition.partitions } else { made };
            let topic = Topic { first: places.len(), count, changed: watch::Sender::new(0) };
            topics.insert(id, topic);
            for partition in 0..count {
                let bounds = found.places.get(&(name.clone(), partition)).cloned();
                let known = Some((id, definition.retention()));
                places.push(Place::new(&name, partition, known, bounds.unwrap_or(0..0)));
            }
        }
        let of_ours = |topic: &str| topics.keys().any(|id| id.name() == topic);
        for ((topic, partition), bounds) in &found.places {
            if !of_ours(topic) {
                places.push(Place::new(topic, *partition, None, bounds.clone()));
            }
        }
        let mut groups = Groups::default();
        for ((group, topic, partition), &(next, at_ms)) in &found.groups {
            let same = |place: &Place| place.topic == *topic && place.partition == *partition;
            // A place that is gone has nothing left that the group could read.
            if let Some(place) = places.iter().position(same) {
                groups.set(&group.as_str().into(), place, next, at_ms);
            }
        }
        let zero = || AtomicU64::new(0);
        let (commits, records, deleted) = (zero(), zero(), zero());
        Self { epoch, places, topics, groups: Mutex::new(groups), commits, records, deleted }
    }

    /// Where a partition stands among the places.
    pub fn index(&self, topic: TopicId, partition: u32) -> Result<usize> {
        let of = self.topics.get(&topic).filter(|of| partition < of.count);
        let index = of.map(|of| of.first + partition as usize);
        index.ok_or(Error::UnknownPartition { topic, partition })
    }

    pub fn partition(&self, topic: TopicId, partition: u32) -> Result<&Place> {
        Ok(&self.places[self.index(topic, partition)?])
    }

    /// Where a partition of any name stands.
    pub fn named(&self, topic: &str, partition: u32) -> Option<usize> {
        self.places.iter().position(|place| place.is(topic, partition))
    }

    /// How many partitions a topic has; 0 for one that the log lacks.
    pub fn count(&self, topic: TopicId) -> u32 {
        self.topics.get(&topic).map_or(0, |topic| topic.count)
    }

    /// Where groups go on. Only the writer changes it.
    pub fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits for a change of a partition.
    pub fn tell(&self, place: usize) {
        if let Some((id, _)) = self.places[place].known {
            self.topics[&id].changed.send_modify(|count| *count += 1);
        }
    }

    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            deleted: self.deleted.load(Ordering::Relaxed),
        }
    }
}

impl Place {
    fn new(
        topic: &str,
        partition: u32,
        known: Option<(TopicId, Duration)>,
        bounds: Range<u64>,
    ) -> Self {
        let (start, end) = (AtomicU64::new(bounds.start), AtomicU64::new(bounds.end));
        Self { topic: topic.to_owned(), partition, known, start, end }
    }

    /// Whether it is the one of a name.
    pub fn is(&self, topic: &str, partition: u32) -> bool {
        self.partition == partition && self.topic == topic
    }

    /// From the oldest record kept to the offset that the next one will get.
    pub fn bounds(&self) -> Range<u64> {
        self.start.load(Ordering::Acquire)..self.end.load(Ordering::Acquire)
    }

    /// Makes appended records visible, once they are committed.
    pub fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Gives up what retention is about to delete.
    pub fn set_start(&self, start: u64) {
        self.start.store(start, Ordering::Release);
    }
}
