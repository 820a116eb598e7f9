//! When a device was last seen: whoever has not been for long is dropped, with address and places.
//!
//! Seen is who showed their secret. A node remembers whom it has seen within a week and tells the
//! registry of each once, in batches: an instant that is a week late does not matter beside the
//! hundreds of days after which a device is dropped, and a write on each request would.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use roaring::RoaringTreemap;

use crate::domain::ids::{DeviceId, DeviceNum};
use crate::store::registry::{Error, Registry};

/// A device is told of once in this time.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Devices told of in one call.
pub const NOTE_MAX: usize = 1_000;

/// Whom this node has seen lately. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<Sighted>>);

#[derive(Debug, Default)]
struct Sighted {
    since: Timestamp,
    known: RoaringTreemap,
    /// Those of them that the registry has not been told of.
    fresh: RoaringTreemap,
}

/// A part of the registry that was looked through for devices nobody has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unseen {
    /// The last device looked at; go on after it. None: there are no more.
    pub last: Option<DeviceNum>,
    /// Those that were not seen.
    pub devices: Vec<(DeviceNum, DeviceId)>,
}

impl Seen {
    /// A device showed its secret.
    pub fn saw(&self, num: DeviceNum, now: Timestamp) {
        let mut sighted = self.sighted();
        if now.duration_since(sighted.since) >= WEEK {
            sighted.known.clear();
            sighted.since = now;
        }
        if sighted.known.insert(num.0) {
            sighted.fresh.insert(num.0);
        }
    }

    /// The next devices to tell the registry of, at most [`NOTE_MAX`].
    fn take(&self) -> Vec<DeviceNum> {
        let mut sighted = self.sighted();
        let next: Vec<u64> = sighted.fresh.iter().take(NOTE_MAX).collect();
        for num in &next {
            sighted.fresh.remove(*num);
        }
        next.into_iter().map(DeviceNum).collect()
    }

    fn put_back(&self, nums: &[DeviceNum]) {
        self.sighted().fresh.extend(nums.iter().map(|num| num.0));
    }

    fn sighted(&self) -> MutexGuard<'_, Sighted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Writes down who was seen since the last call. What fails is told again by the next one.
    pub async fn note_seen(&self, seen: &Seen, now: Timestamp) -> Result<(), Error> {
        loop {
            let nums = seen.take();
            if nums.is_empty() {
                return Ok(());
            }
            let noted = match self {
                Self::Embedded(embedded) => embedded.note_seen(nums.clone(), now).await,
                Self::Redis(shared) => shared.note_seen(&nums, now).await,
            };
            if let Err(error) = noted {
                seen.put_back(&nums);
                return Err(error);
            }
        }
    }

    /// When a device was seen, as far as it is noted: to a week, and on Redis to a day.
    pub async fn seen_at(&self, num: DeviceNum) -> Result<Option<Timestamp>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.seen_at(num).await,
            Self::Redis(shared) => shared.seen_at(num).await,
        }
    }

    /// Looks through the next `limit` devices for those not seen since an instant. One that was
    /// never seen counts from when it got its address; and where that was under a release that
    /// noted nobody, from the first call of this one.
    pub async fn unseen(
        &self,
        after: DeviceNum,
        limit: usize,
        since: Timestamp,
    ) -> Result<Unseen, Error> {
        match self {
            Self::Embedded(embedded) => embedded.unseen(after, limit, since).await,
            Self::Redis(shared) => shared.unseen(after, limit, since).await,
        }
    }
}

/// When a device counts as last seen: as noted, or else since its address or since the registry
/// notes who was seen, whichever is later.
pub(super) fn last_seen(
    noted: Option<Timestamp>,
    address_since: Timestamp,
    noting_since: Timestamp,
) -> Timestamp {
    noted.unwrap_or(noting_since).max(address_since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_of_once_a_week() {
        let (seen, start) = (Seen::default(), Timestamp::UNIX_EPOCH + WEEK);
        let (one, two) = (DeviceNum(1), DeviceNum(2));
        seen.saw(one, start);
        seen.saw(one, start);
        seen.saw(two, start);
        assert_eq!(seen.take(), [one, two]);
        seen.saw(one, start + WEEK / 2);
        assert!(seen.take().is_empty(), "the registry knows");
        seen.put_back(&[two]);
        assert_eq!(seen.take(), [two], "what failed is told again");
        seen.saw(one, start + WEEK);
        assert_eq!(seen.take(), [one]);
    }
}
