//! The counters of an audience's units, kept on the node and fetched again where they changed.
//! Each unit's counts have a version that every change replaces; versions are asked first, so what
//! is answered is at least as new as the moment of asking: exact for who asked for the newest Seq
//! before.

use std::collections::HashMap;

use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::domain::audience::AreaAudience;
use crate::domain::cell::Cell;
use crate::domain::device::Place;
use crate::domain::ids::UnitCode;
use crate::store::Failure;
use crate::store::redis::{Keys, Redis};
use crate::store::registry::codec::channel_of;
use crate::store::registry::counters::{Counters, Spot};

/// Units fetched in one go.
const FETCH_MAX: usize = 32;

/// What the node knows.
#[derive(Debug)]
pub struct Counts(Mutex<Known>);

#[derive(Debug)]
struct Known {
    counters: Counters,
    versions: HashMap<UnitCode, Vec<u8>>,
}

impl Counts {
    /// Knows nothing yet.
    pub fn new(shards: u16) -> Self {
        let counters = Counters::new(shards);
        Self(Mutex::new(Known { counters, versions: HashMap::new() }))
    }

    /// The counters, those of the audience's units as they are now. Held while they are read, so
    /// that nobody puts older counts in between.
    pub async fn fresh(
        &self,
        redis: &Redis,
        keys: &Keys,
        audience: &AreaAudience,
    ) -> Result<MappedMutexGuard<'_, Counters>, Failure> {
        let mut known = self.0.lock().await;
        if !audience.units.is_empty() {
            let mut ask = redis::cmd("HMGET");
            ask.arg(keys.key("versions"));
            for unit in &audience.units {
                ask.arg(unit.code.as_str());
            }
            let versions: Vec<Option<Vec<u8>>> = redis.ask(&ask).await?;
            let units = audience.units.iter().map(|unit| &unit.code).zip(versions);
            let stale: Vec<_> = units
                .filter(|(unit, version)| known.versions.get(*unit) != version.as_ref())
                .collect();
            for units in stale.chunks(FETCH_MAX) {
                known.fetch(redis, keys, units).await?;
            }
        }
        Ok(MutexGuard::map(known, |known| &mut known.counters))
    }
}

impl Known {
    async fn fetch(
        &mut self,
        redis: &Redis,
        keys: &Keys,
        units: &[(&UnitCode, Option<Vec<u8>>)],
    ) -> Result<(), Failure> {
        let mut ask = redis::pipe();
        for (unit, _) in units {
            ask.cmd("HGETALL").arg(keys.pair("c", unit));
        }
        let all: Vec<Vec<(String, i64)>> = redis.ask_all(&ask).await?;
        for ((unit, version), counts) in units.iter().zip(all) {
            let spots = counts.iter().map(|(field, count)| Some((spot(unit, field)?, *count)));
            let spots: Option<Vec<_>> = spots.collect();
            let spots = spots.ok_or_else(|| Failure::new(format!("counts of unit {unit}")))?;
            self.counters.replace(unit, spots.iter().map(|(spot, count)| (spot, *count)));
            match version {
                Some(version) => self.versions.insert((*unit).clone(), version.clone()),
                None => self.versions.remove(*unit),
            };
        }
        Ok(())
    }
}

fn spot(unit: &UnitCode, field: &str) -> Option<Spot> {
    let mut parts = field.split(':');
    let cell: u32 = parts.next()?.parse().ok()?;
    let channel = channel_of(parts.next()?.parse().ok()?)?;
    let shard = parts.next()?.parse().ok()?;
    let cell = cell.checked_sub(1).map(Cell::from_bits);
    Some(Spot { place: Place { unit: unit.clone(), cell }, channel, shard })
}
