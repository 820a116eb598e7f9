//! Where groups of readers go on.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A group's place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The offset to read next.
    pub next: u64,
    /// When it last joined or committed.
    pub at_ms: i64,
}

/// The marks of all groups, by partition.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<usize, BTreeMap<Arc<str>, Mark>>);

impl Groups {
    /// Where a group goes on in a partition.
    pub fn next(&self, group: &str, place: usize) -> Option<u64> {
        self.0.get(&place)?.get(group).map(|mark| mark.next)
    }

    /// A group goes on there.
    pub fn set(&mut self, group: &Arc<str>, place: usize, next: u64, at_ms: i64) {
        self.0.entry(place).or_default().insert(group.clone(), Mark { next, at_ms });
    }

    /// Where a group goes on in each partition it ever read.
    pub fn of(&self, group: &str) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().filter_map(move |(place, of)| Some((*place, of.get(group)?.next)))
    }

    /// The offset at which the hindmost group that still counts goes on.
    pub fn first_needed(&self, place: usize, silent_ms: i64) -> Option<u64> {
        let of = self.0.get(&place)?.values();
        of.filter(|mark| mark.at_ms > silent_ms).map(|mark| mark.next).min()
    }

    /// Every mark.
    pub fn all(&self) -> impl Iterator<Item = (usize, &str, Mark)> {
        self.0
            .iter()
            .flat_map(|(place, of)| of.iter().map(|(group, mark)| (*place, &**group, *mark)))
    }
}
