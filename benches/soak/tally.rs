//! Who got what, and how long after it was accepted: devices by publication, and the times of a
//! while. The providers' process counts pushes with it, the driver what sockets got.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use loa::domain::ids::PublicationId;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

/// Times fall into classes that differ by so much.
const STEP: f64 = 1.02;

/// Milliseconds, in classes of two percent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Times(BTreeMap<u16, u64>);

impl Times {
    fn note(&mut self, ms: f64) {
        let class = ((1.0 + ms.max(0.0)).ln() / STEP.ln()) as u16;
        *self.0.entry(class).or_default() += 1;
    }

    /// Takes in others.
    pub fn merge(&mut self, others: &Self) {
        for (class, count) in &others.0 {
            *self.0.entry(*class).or_default() += count;
        }
    }

    /// The milliseconds within which a share of all came; none if nothing came.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (share * self.0.values().sum::<u64>() as f64).ceil() as u64;
        let mut seen = 0;
        let class = self.0.iter().find_map(|(class, count)| {
            seen += count;
            (seen >= wanted).then_some(*class)
        })?;
        Some(STEP.powf(f64::from(class) + 0.5) - 1.0)
    }
}

/// What came since the last look.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Window {
    /// How many.
    pub arrived: u64,
    /// How long after the acceptance, of those that were to be at once.
    pub times: Times,
}

/// What came of one publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// To how many of the devices that stay.
    pub devices: u64,
    /// To which of them.
    pub print: u64,
    /// Beyond the first of each device.
    pub repeats: u64,
    /// The same, where the answer to an earlier one may have been lost on purpose.
    pub forgiven: u64,
}

/// What came of each publication.
pub type Totals = BTreeMap<PublicationId, Total>;

/// One arrival.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Of what.
    pub publication: PublicationId,
    /// At whom.
    pub device: u32,
    /// When.
    pub at: Timestamp,
    /// Whether nothing held it up but us.
    pub is_timed: bool,
    /// Whether its answer may be lost on purpose: then another one is right, however late.
    pub is_doubtful: bool,
}

/// The count.
#[derive(Debug)]
pub struct Tally {
    stable: u32,
    all: HashMap<PublicationId, Seen>,
    window: Window,
}

#[derive(Debug, Default)]
struct Seen {
    devices: RoaringBitmap,
    /// Those of which an answer may have been lost.
    doubtful: RoaringBitmap,
    repeats: u64,
    forgiven: u64,
}

impl Tally {
    /// An empty one; the devices below `stable` are those that stay.
    pub fn new(stable: u32) -> Self {
        Self { stable, all: HashMap::new(), window: Window::default() }
    }

    /// Takes note.
    pub fn note(&mut self, arrival: Arrival) {
        let Arrival { publication, device, at, .. } = arrival;
        self.window.arrived += 1;
        let seen = self.all.entry(publication).or_default();
        let is_first = seen.devices.insert(device);
        if !is_first && seen.doubtful.contains(device) {
            seen.forgiven += 1;
        } else if !is_first {
            seen.repeats += 1;
            let late_ms = ms_since(publication, at);
            eprintln!("  twice: {publication} at {device}, again {late_ms:.0} ms after acceptance");
        } else if arrival.is_timed && device < self.stable {
            self.window.times.note(ms_since(publication, at));
        }
        if arrival.is_doubtful {
            seen.doubtful.insert(device);
        }
    }

    /// How many of those that stay a publication reached.
    pub fn count(&self, publication: PublicationId) -> u64 {
        let seen = self.all.get(&publication);
        seen.map_or(0, |seen| seen.devices.range_cardinality(..self.stable))
    }

    /// What came since the last call.
    pub fn window(&mut self) -> Window {
        std::mem::take(&mut self.window)
    }

    /// What came of everything.
    pub fn totals(&self) -> Totals {
        let total = |(id, seen): (&PublicationId, &Seen)| {
            let mut stable = seen.devices.clone();
            stable.remove_range(self.stable..);
            let (devices, print) = (stable.len(), print(&stable));
            (*id, Total { devices, print, repeats: seen.repeats, forgiven: seen.forgiven })
        };
        self.all.iter().map(total).collect()
    }
}

/// A number that other devices would not have.
pub fn print(devices: &RoaringBitmap) -> u64 {
    let mixed = |device: u32| {
        let wide = (u64::from(device) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (wide ^ (wide >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    devices.iter().fold(0, |sum: u64, device| sum.wrapping_add(mixed(device)))
}

/// An id begins with the millisecond of the acceptance.
fn ms_since(publication: PublicationId, at: Timestamp) -> f64 {
    let accepted_ms = (publication.0.as_u128() >> 80) as i64;
    at.as_microsecond() as f64 / 1e3 - accepted_ms as f64
}
