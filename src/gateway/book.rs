//! What a gateway remembers of the log: the newest publications of every partition, in order, and
//! all that is live however old. Pure: the hub feeds it and asks it.
//!
//! Bounds: a ring per partition, and a cap on what is live. What falls out of a ring raises that
//! partition's floor; a client whose position lies below a floor is told to reload, never given a
//! list with a gap.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::audience::Audience;
use crate::domain::ids::PublicationId;
use crate::domain::lane::Lane;
use crate::domain::publication::Publication;
use crate::gateway::entry::Entry;
use crate::gateway::position::{Position, Slot};

/// How far back a chain is followed.
const CHAIN_MAX: usize = 64;
/// Ids superseded before they were seen that are remembered: lanes are not ordered among them.
const EARLY_MAX: usize = 10_000;
/// How often, in entries, what is over is swept out.
const SWEEP_EVERY: u64 = 256;

/// The shape of the log and how much of it is kept.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The log's epoch.
    pub epoch: String,
    /// Partitions of each lane, in the order of [`Lane::ALL`].
    pub partitions: [u32; 3],
    /// Publications kept per partition.
    pub ring_max: usize,
    /// Live publications kept beside the rings.
    pub live_max: usize,
}

impl Shape {
    /// The index of a lane's partition among all.
    pub fn index(&self, lane: Lane, partition: u32) -> usize {
        let before = Lane::ALL.iter().take_while(|each| **each != lane).count();
        let skipped: u32 = self.partitions[..before].iter().sum();
        (skipped + partition) as usize
    }

    /// How many partitions there are in all.
    pub fn slots(&self) -> usize {
        self.partitions.iter().sum::<u32>() as usize
    }

    /// Whether an index is one of the personal lane, which concerns only who has logged in.
    fn is_personal(&self, index: usize) -> bool {
        let first = self.index(Lane::Personal, 0);
        (first..first + self.partitions[1] as usize).contains(&index)
    }
}

/// The memory of a gateway.
#[derive(Debug)]
pub struct Book {
    shape: Shape,
    /// The next offset of each partition.
    next: Vec<u64>,
    /// The lowest offset of each partition from which nothing is missing.
    floor: Vec<u64>,
    rings: Vec<VecDeque<Arc<Entry>>>,
    /// Area publications that may still be live, by serial.
    areas: BTreeMap<u64, Arc<Entry>>,
    by_id: HashMap<PublicationId, Arc<Entry>>,
    /// Superseded by something that came first.
    early: HashSet<PublicationId>,
    serial: u64,
}

impl Book {
    /// An empty book that begins at these offsets.
    pub fn new(shape: Shape, start: Vec<u64>) -> Self {
        assert_eq!(start.len(), shape.slots(), "a start for each partition");
        Self {
            rings: vec![VecDeque::new(); start.len()],
            next: start.clone(),
            floor: start,
            areas: BTreeMap::new(),
            by_id: HashMap::new(),
            early: HashSet::new(),
            serial: 0,
            shape,
        }
    }

    /// The shape of the log.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The position after all that was read.
    pub fn position(&self, now: Timestamp) -> Position {
        Position { epoch: self.shape.epoch.clone(), at: now, next: self.next.clone() }
    }

    /// The serial of the newest entry; 0 when there is none.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What a publication supersedes that this book does not know.
    pub fn unknown(&self, publication: &Publication) -> Vec<PublicationId> {
        let ids = publication.supersedes.iter().take(CHAIN_MAX);
        ids.copied().filter(|id| !self.by_id.contains_key(id)).collect()
    }

    /// A record that is nothing for citizens, or cannot be read: only the position moves.
    pub fn skip(&mut self, slot: Slot) {
        self.next[slot.index] = slot.offset + 1;
    }

    /// A publication older than what is read of the log: live at start, or part of a chain.
    pub fn seed(&mut self, publication: Arc<Publication>, superseded: bool) {
        if self.by_id.contains_key(&publication.id) {
            return;
        }
        let entry = self.make(None, publication);
        if superseded {
            entry.supersede();
        }
        self.by_id.insert(entry.id(), Arc::clone(&entry));
        self.areas.insert(entry.serial, entry);
    }

    /// The next publication of a partition. `None` if it is a repeat of one already here.
    pub fn insert(
        &mut self,
        slot: Slot,
        publication: Arc<Publication>,
        now: Timestamp,
    ) -> Option<Arc<Entry>> {
        self.skip(slot);
        let known = self.by_id.get(&publication.id);
        if known.is_some_and(|known| known.slot.is_some()) {
            return None;
        }
        // Seeded from the store and now read from the log: from here on it has a place on it. Who
        // was sent the seeded one is not sent it again, by its id.
        let seeded = known.map(|known| (known.serial, known.is_superseded()));
        let position = self.position(now).encode();
        let entry = self.make(Some((slot, position)), publication);
        if let Some((serial, superseded)) = seeded {
            self.areas.remove(&serial);
            if superseded {
                entry.supersede();
            }
        }
        self.by_id.insert(entry.id(), Arc::clone(&entry));
        if matches!(entry.publication.audience, Audience::Area(_)) {
            self.areas.insert(entry.serial, Arc::clone(&entry));
        }
        self.rings[slot.index].push_back(Arc::clone(&entry));
        if self.rings[slot.index].len() > self.shape.ring_max {
            self.forget_oldest(slot.index);
        }
        if entry.serial.is_multiple_of(SWEEP_EVERY) || self.areas.len() > self.shape.live_max {
            self.sweep(now);
        }
        Some(entry)
    }

    /// What is live, in the order of the log.
    pub fn live(&self, now: Timestamp) -> Vec<Arc<Entry>> {
        self.areas.values().filter(|entry| entry.is_live(now)).cloned().collect()
    }

    /// Everything after a position that passes the filter, in order; `None` if that is not known
    /// for sure. `personal` says whether the personal lane matters to who asks.
    pub fn after(
        &self,
        position: &Position,
        personal: bool,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Option<Vec<Arc<Entry>>> {
        if position.epoch != self.shape.epoch || position.next.len() != self.next.len() {
            return None;
        }
        let matters = |index: usize| personal || !self.shape.is_personal(index);
        let covered = (0..self.next.len())
            .all(|index| !matters(index) || position.next[index] >= self.floor[index]);
        if !covered {
            return None;
        }
        let mut missed = Vec::new();
        for (index, ring) in self.rings.iter().enumerate().filter(|(index, _)| matters(*index)) {
            let offset = |entry: &Arc<Entry>| entry.slot.map_or(0, |slot| slot.offset);
            let first = ring.partition_point(|entry| offset(entry) < position.next[index]);
            missed.extend(ring.range(first..).filter(|entry| wanted(entry)).cloned());
        }
        missed.sort_unstable_by_key(|entry| entry.serial);
        Some(missed)
    }

    /// One publication, if it is still remembered.
    pub fn get(&self, id: &PublicationId) -> Option<&Arc<Entry>> {
        self.by_id.get(id)
    }

    /// Publications remembered.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    fn make(&mut self, at: Option<(Slot, String)>, publication: Arc<Publication>) -> Arc<Entry> {
        self.serial += 1;
        let withdraws = self.chain_of(&publication);
        for earlier in &withdraws {
            earlier.supersede();
        }
        for id in publication.supersedes.iter().filter(|id| !self.by_id.contains_key(id)) {
            if self.early.len() < EARLY_MAX {
                self.early.insert(*id);
            }
        }
        let entry = Entry::new(self.serial, at, publication, withdraws);
        if self.early.remove(&entry.id()) {
            entry.supersede();
        }
        Arc::new(entry)
    }

    /// What a publication supersedes, and what those superseded.
    fn chain_of(&self, publication: &Publication) -> Vec<Arc<Entry>> {
        let mut chain: Vec<Arc<Entry>> = Vec::new();
        for id in &publication.supersedes {
            let Some(direct) = self.by_id.get(id) else { continue };
            for entry in std::iter::once(direct).chain(&direct.withdraws) {
                let is_new = chain.iter().all(|known| known.id() != entry.id());
                if is_new && chain.len() < CHAIN_MAX && entry.id() != publication.id {
                    chain.push(Arc::clone(entry));
                }
            }
        }
        chain
    }

    fn forget_oldest(&mut self, index: usize) {
        let Some(oldest) = self.rings[index].pop_front() else { return };
        self.floor[index] = oldest.slot.map_or(self.floor[index], |slot| slot.offset + 1);
        if !self.areas.contains_key(&oldest.serial) {
            self.by_id.remove(&oldest.id());
        }
    }

    /// Drops what is over. A superseded one stays while its successor holds it.
    fn sweep(&mut self, now: Timestamp) {
        let over: Vec<u64> = self
            .areas
            .iter()
            .filter(|(_, entry)| !entry.is_live(now))
            .map(|(serial, _)| *serial)
            .collect();
        let excess = self.areas.len().saturating_sub(over.len() + self.shape.live_max);
        if excess > 0 {
            tracing::warn!(excess, limit = self.shape.live_max, "too many live publications");
        }
        let oldest: Vec<u64> = self
            .areas
            .keys()
            .filter(|serial| over.binary_search(serial).is_err())
            .take(excess)
            .copied()
            .collect();
        for serial in over.into_iter().chain(oldest) {
            let Some(entry) = self.areas.remove(&serial) else { continue };
            let in_ring = entry.slot.is_some_and(|slot| slot.offset >= self.floor[slot.index]);
            if !in_ring {
                self.by_id.remove(&entry.id());
            }
        }
    }
}

#[cfg(test)]
mod tests;
