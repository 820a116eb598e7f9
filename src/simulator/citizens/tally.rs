//! What the citizens saw, counted on their side: the truth that a funnel is compared with.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::domain::channel::Channel;
use crate::domain::ids::PublicationId;

/// First arrivals and repeats of every publication. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<HashMap<PublicationId, Seen>>>);

#[derive(Debug, Default)]
struct Seen {
    /// When each device first saw it.
    first: HashMap<u32, (Channel, Instant)>,
    repeats: u64,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Devices that saw it.
    pub devices: u64,
    /// Times a device saw it again.
    pub repeats: u64,
    /// The first device.
    pub first: f64,
    /// Half of them.
    pub p50: f64,
    /// Ninety-nine of a hundred.
    pub p99: f64,
    /// The last.
    pub last: f64,
}

impl Tally {
    /// A device saw a publication; whether it was the first time.
    pub fn saw(&self, publication: PublicationId, device: u32, channel: Channel) -> bool {
        let now = Instant::now();
        let mut all = self.lock();
        let seen = all.entry(publication).or_default();
        match seen.first.entry(device) {
            std::collections::hash_map::Entry::Occupied(_) => {
                seen.repeats += 1;
                false
            }
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert((channel, now));
                true
            }
        }
    }

    /// How many devices saw a publication, by channel.
    pub fn channels(&self, publication: PublicationId) -> BTreeMap<Channel, u64> {
        let mut counts = BTreeMap::new();
        if let Some(seen) = self.lock().get(&publication) {
            for (channel, _) in seen.first.values() {
                *counts.entry(*channel).or_default() += 1;
            }
        }
        counts
    }

    /// How many devices saw a publication.
    pub fn devices(&self, publication: PublicationId) -> u64 {
        self.lock().get(&publication).map_or(0, |seen| seen.first.len() as u64)
    }

    /// Counts and latencies since an instant.
    pub fn summary(&self, publication: PublicationId, since: Instant) -> Summary {
        let all = self.lock();
        let Some(seen) = all.get(&publication) else { return Summary::default() };
        let mut ms: Vec<f64> = seen
            .first
            .values()
            .map(|(_, at)| at.saturating_duration_since(since).as_secs_f64() * 1e3)
            .collect();
        ms.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (share * ms.len() as f64).ceil() as usize;
            ms.get(index.saturating_sub(1)).copied().unwrap_or_default()
        };
        Summary {
            devices: ms.len() as u64,
            repeats: seen.repeats,
            first: at(0.0),
            p50: at(0.5),
            p99: at(0.99),
            last: at(1.0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublicationId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
