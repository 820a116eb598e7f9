//! How many live memberships there are by unit, cell, channel and shard, in memory: estimates and
//! ranges answer from it at once. Its size follows the city's cells, not its devices.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::domain::audience::{AreaAudience, AudienceUnit, Coverage};
use crate::domain::cell::Cell;
use crate::domain::channel::Channel;
use crate::domain::device::Place;
use crate::domain::ids::UnitCode;
use crate::store::registry::Estimate;

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spot {
    /// Unit and cell.
    pub place: Place,
    /// Channel.
    pub channel: Channel,
    /// Shard, 0..shards.
    pub shard: u16,
}

/// The counters; shared by all handles of a registry.
#[derive(Debug)]
pub struct Counters {
    shards: usize,
    units: RwLock<HashMap<UnitCode, Unit>>,
}

#[derive(Debug)]
struct Unit {
    /// Every place.
    all: Tally,
    /// Places that are the whole unit.
    whole: Tally,
    /// Places that are a cell, sorted.
    cells: Vec<(Cell, Tally)>,
}

/// Counts by channel, then shard.
#[derive(Clone, Debug)]
struct Tally(Box<[u64]>);

impl Counters {
    /// Counters that are all zero.
    pub fn new(shards: u16) -> Self {
        Self { shards: usize::from(shards), units: RwLock::default() }
    }

    /// Adds what came and takes off what went.
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = (&'a Spot, i64)>) {
        let zero = Tally(vec![0; self.shards * Channel::ALL.len()].into());
        let mut units = self.units.write().unwrap_or_else(PoisonError::into_inner);
        for (spot, change) in changes {
            if !units.contains_key(&spot.place.unit) {
                let (all, whole) = (zero.clone(), zero.clone());
                let unit = Unit { all, whole, cells: Vec::new() };
                units.insert(spot.place.unit.clone(), unit);
            }
            let unit = units.get_mut(&spot.place.unit).expect("it was just put there");
            let tally = match spot.place.cell {
                None => &mut unit.whole,
                Some(cell) => {
                    let found = unit.cells.binary_search_by_key(&cell, |(cell, _)| *cell);
                    let index = found.unwrap_or_else(|index| {
                        unit.cells.insert(index, (cell, zero.clone()));
                        index
                    });
                    &mut unit.cells[index].1
                }
            };
            let index = first(spot.channel, self.shards) + usize::from(spot.shard);
            for tally in [tally, &mut unit.all] {
                tally.0[index] = tally.0[index].saturating_add_signed(change);
            }
        }
    }

    /// Counts a unit anew.
    pub fn replace<'a>(&self, unit: &UnitCode, counts: impl IntoIterator<Item = (&'a Spot, i64)>) {
        self.units.write().unwrap_or_else(PoisonError::into_inner).remove(unit);
        self.apply(counts);
    }

    /// How many an area is.
    pub fn estimate(&self, audience: &AreaAudience) -> Estimate {
        let units = self.read();
        let mut estimate = Estimate::default();
        for wanted in &audience.units {
            let Some(unit) = units.get(&wanted.code) else { continue };
            let count = |counts: &[u64], channel| -> u64 {
                counts[first(channel, self.shards)..][..self.shards].iter().sum()
            };
            let counts = self.sum(unit, wanted);
            let mut channels = BTreeMap::new();
            for channel in Channel::ALL {
                let total = count(&counts, channel);
                if total > 0 {
                    channels.insert(channel, total);
                    *estimate.channels.entry(channel).or_default() += total;
                    estimate.total += total;
                }
            }
            if matches!(wanted.coverage, Coverage::Part { .. }) {
                estimate.coarse += unit.whole.0.iter().sum::<u64>();
            }
            if !channels.is_empty() {
                estimate.units.insert(wanted.code.clone(), channels);
            }
        }
        estimate
    }

    /// The units and shards of an area in which a channel has somebody.
    pub fn ranges(&self, audience: &AreaAudience, channel: Channel) -> Vec<(UnitCode, u16)> {
        let units = self.read();
        let mut ranges = Vec::new();
        for wanted in &audience.units {
            let Some(unit) = units.get(&wanted.code) else { continue };
            let mut missing: Vec<u16> = (0..self.shards as u16).collect();
            for tally in unit.inside(wanted) {
                let counts = &tally.0[first(channel, self.shards)..][..self.shards];
                missing.retain(|shard| counts[usize::from(*shard)] == 0);
                if missing.is_empty() {
                    break;
                }
            }
            let shards = (0..self.shards as u16).filter(|shard| !missing.contains(shard));
            ranges.extend(shards.map(|shard| (wanted.code.clone(), shard)));
        }
        ranges
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<UnitCode, Unit>> {
        self.units.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts of a unit's places that are in an audience.
    fn sum(&self, unit: &Unit, wanted: &AudienceUnit) -> Vec<u64> {
        let mut sum = vec![0; self.shards * Channel::ALL.len()];
        for tally in unit.inside(wanted) {
            sum.iter_mut().zip(&tally.0).for_each(|(sum, count)| *sum += count);
        }
        sum
    }
}

/// Where a channel's counts begin in a tally.
fn first(channel: Channel, shards: usize) -> usize {
    let index = Channel::ALL.iter().position(|known| *known == channel);
    index.expect("ALL has every channel") * shards
}

impl Unit {
    /// What is counted of the unit's places that are in an audience.
    fn inside<'a>(&'a self, wanted: &'a AudienceUnit) -> impl Iterator<Item = &'a Tally> {
        let (all, whole, listed) = match &wanted.coverage {
            Coverage::Whole => (Some(&self.all), None, &[][..]),
            Coverage::Part { cells } => (None, Some(&self.whole), &cells[..]),
            Coverage::Cells { cells } => (None, None, &cells[..]),
        };
        let listed = listed.iter().filter_map(|cell| {
            let found = self.cells.binary_search_by_key(cell, |(cell, _)| *cell);
            found.ok().map(|index| &self.cells[index].1)
        });
        all.into_iter().chain(whole).chain(listed)
    }
}
