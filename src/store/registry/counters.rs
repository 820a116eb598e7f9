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
    /// Places that are the whole unit.
    whole: Tally,
    /// Places that are a cell.
    cells: HashMap<Cell, Tally>,
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
                let unit = Unit { whole: zero.clone(), cells: HashMap::new() };
                units.insert(spot.place.unit.clone(), unit);
            }
            let unit = units.get_mut(&spot.place.unit).expect("it was just put there");
            let tally = match spot.place.cell {
                None => &mut unit.whole,
                Some(cell) => unit.cells.entry(cell).or_insert_with(|| zero.clone()),
            };
            let index = first(spot.channel, self.shards) + usize::from(spot.shard);
            tally.0[index] = tally.0[index].saturating_add_signed(change);
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
            let mut channels = BTreeMap::new();
            for channel in Channel::ALL {
                let count = |tally: &Tally| self.of(tally, channel).iter().sum::<u64>();
                let total: u64 = unit.inside(wanted).map(count).sum();
                if total > 0 {
                    channels.insert(channel, total);
                    *estimate.channels.entry(channel).or_default() += total;
                    estimate.total += total;
                }
                if matches!(wanted.coverage, Coverage::Part { .. }) {
                    estimate.coarse += count(&unit.whole);
                }
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
            let mut counts = vec![0; self.shards];
            for tally in unit.inside(wanted) {
                for (sum, count) in counts.iter_mut().zip(self.of(tally, channel)) {
                    *sum += count;
                }
            }
            let shards = (0..).zip(counts).filter(|(_, count)| *count > 0);
            ranges.extend(shards.map(|(shard, _)| (wanted.code.clone(), shard)));
        }
        ranges
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<UnitCode, Unit>> {
        self.units.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn of<'a>(&self, tally: &'a Tally, channel: Channel) -> &'a [u64] {
        &tally.0[first(channel, self.shards)..][..self.shards]
    }
}

/// Where a channel's counts begin in a tally.
fn first(channel: Channel, shards: usize) -> usize {
    let index = Channel::ALL.iter().position(|known| *known == channel);
    index.expect("ALL has every channel") * shards
}

impl Unit {
    /// The counts of the unit's places that are in an audience.
    fn inside<'a>(&'a self, wanted: &'a AudienceUnit) -> impl Iterator<Item = &'a Tally> {
        let (whole, listed, all) = match &wanted.coverage {
            Coverage::Whole => (true, &[][..], true),
            Coverage::Part { cells } => (true, &cells[..], false),
            Coverage::Cells { cells } => (false, &cells[..], false),
        };
        let listed = listed.iter().filter_map(|cell| self.cells.get(cell));
        let every = self.cells.values().filter(move |_| all);
        whole.then_some(&self.whole).into_iter().chain(listed).chain(every)
    }
}
