//! The registry: who wants to be warned where, and by which road. Read by the router (estimates,
//! ranges, late joiners), by fan-out workers (scans) and by the citizens' HTTP face.
//!
//! **Memberships.** Each place of a device is a *membership* of (unit, channel) with a [`Seq`]
//! that rises by one with every membership ever made. Its shard follows from the device's number.
//! When a device changes, the memberships whose unit, cell and channel stay the same keep their
//! Seq; the others are marked as left (a tombstone, kept until [`Registry::forget_departed`]) and
//! what is new gets a new Seq. A new address on the same channel moves nothing.
//!
//! **Consistent scans.** Memberships become visible in Seq order: once [`Registry::last_seq`] has
//! answered `n`, every membership with Seq ≤ n is there, and no other ever appears at or below n.
//! So a scan of a range up to `n`, in however many pages, whatever its interruptions, sees each
//! membership of that range exactly once:
//! - who stays for the whole scan is seen live;
//! - who comes in mid-scan has a Seq above `n` and is in [`Registry::changes`] after `n`;
//! - who goes or moves in mid-scan is seen live before and as a tombstone after, never twice; a
//!   move's new membership lies above `n`.
//!
//! **Atomic and durable.** Each call that changes something happens as a whole or not at all, and
//! survives a kill and a power cut once it has returned. All futures are cancel-safe in that
//! sense: a dropped future leaves the change done or not done.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::audience::{AreaAudience, Audience};
use crate::domain::channel::{Channel, PushAddress};
use crate::domain::device::{Device, Place, Profile, Violation};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId, UnitCode};
use crate::store::Failure;

mod counters;
mod embedded;

/// Devices one citizen may have; a subject dispatch reads them all at once.
pub const SUBJECT_DEVICES_MAX: usize = 64;
/// Members one page of a scan, or one call of [`Registry::members`], may hold.
pub const PAGE_MAX: usize = 10_000;
/// Shards a registry may have: more would only make more, smaller dispatches.
pub const SHARDS_MAX: u16 = 64;

/// Where the registry is and how it is cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The data directory; created if missing.
    pub dir: PathBuf,
    /// Parts each (unit, channel) is cut into, 1..=[`SHARDS_MAX`]: how many workers may share one
    /// unit. Fixed when the registry is created.
    pub shards: u16,
}

impl Settings {
    /// A registry of four shards in a data directory.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), shards: 4 }
    }
}

/// Why the registry did not do what was asked. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No such device.
    #[error("device {0} is not registered")]
    NotFound(DeviceId),
    /// The id is registered with another secret.
    #[error("device {0} is registered with another secret")]
    Taken(DeviceId),
    /// A bulk load repeated an id, of its own or of a device already here.
    #[error("the load repeats a device id")]
    Repeated,
    /// The citizen already has [`SUBJECT_DEVICES_MAX`] devices.
    #[error("subject {0} already has {SUBJECT_DEVICES_MAX} devices")]
    SubjectFull(SubjectId),
    /// The profile breaks rules.
    #[error("device {id}: {}", .violations.iter().map(Violation::to_string)
        .collect::<Vec<_>>().join("; "))]
    Invalid {
        /// Whose profile.
        id: DeviceId,
        /// Every broken rule.
        violations: Vec<Violation>,
    },
    /// The settings do not fit the registry that is there.
    #[error("registry: {0}")]
    Settings(String),
    /// The storage failed.
    #[error("registry: {0}")]
    Storage(#[from] Failure),
}

/// A device that registers.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDevice {
    /// The id it chose.
    pub id: DeviceId,
    /// SHA-256 of its secret; the secret itself is never stored.
    pub secret_hash: [u8; 32],
    /// What it says of itself.
    pub profile: Profile,
    /// The citizen, if one is logged in.
    pub subject: Option<SubjectId>,
}

/// A device with what proves a request to be its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The device.
    pub device: Arc<Device>,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
}

/// A part of the registry to scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The unit.
    pub unit: UnitCode,
    /// The channel.
    pub channel: Channel,
    /// The shard, 0..shards.
    pub shard: u16,
    /// The last membership already seen; scan what comes after it.
    pub after: Seq,
    /// The last membership of the scan, inclusive.
    pub upto: Seq,
}

/// A membership with its device as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The membership's number.
    pub seq: Seq,
    /// The device's number; stays after the device is removed.
    pub num: DeviceNum,
    /// The channel of the membership, which for a tombstone may differ from the device's now.
    pub channel: Channel,
    /// When it joined.
    pub joined_at: Timestamp,
    /// When it left; absent while it is live.
    pub left_at: Option<Timestamp>,
    /// Where.
    pub place: Place,
    /// The device as it is now; absent once it is removed.
    pub device: Option<Arc<Device>>,
}

/// One membership of a known device.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    /// Its number.
    pub seq: Seq,
    /// Its channel.
    pub channel: Channel,
    /// Its shard.
    pub shard: u16,
    /// Where.
    pub place: Place,
    /// When it joined.
    pub joined_at: Timestamp,
    /// When it left; absent while it is live.
    pub left_at: Option<Timestamp>,
}

/// How many an audience is. It counts places: a device with two places inside counts at both
/// here, and once as sent and once as skipped in the funnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// By unit and channel; without zeros, and empty for a subject.
    pub units: BTreeMap<UnitCode, BTreeMap<Channel, u64>>,
    /// By channel, zeros left out.
    pub channels: BTreeMap<Channel, u64>,
    /// Everything together.
    pub total: u64,
    /// Those of them whose place is a whole unit that is covered only in part.
    pub coarse: u64,
}

/// A handle to the registry; clones share it.
#[derive(Clone, Debug)]
pub enum Registry {
    /// A file in the data directory.
    Embedded(embedded::Embedded),
}

impl Registry {
    /// Opens the registry of a data directory, or creates it. Refuses another number of shards
    /// than it was created with.
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        embedded::Embedded::open(settings, clock).await.map(Self::Embedded)
    }

    /// Parts each (unit, channel) is cut into.
    pub fn shards(&self) -> u16 {
        let Self::Embedded(embedded) = self;
        embedded.shards()
    }

    /// Registers a device. Safe to repeat: the same id with the same secret takes the profile as
    /// an update, and the subject if one is given. Another secret is refused.
    pub async fn register(&self, new: NewDevice) -> Result<Arc<Device>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.register(new).await
    }

    /// Replaces what a device says of itself.
    pub async fn update(&self, id: &DeviceId, profile: Profile) -> Result<Arc<Device>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.update(*id, profile).await
    }

    /// Gives a device to a citizen, or takes it from one.
    pub async fn claim(
        &self,
        id: &DeviceId,
        subject: Option<SubjectId>,
    ) -> Result<Arc<Device>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.claim(*id, subject).await
    }

    /// Removes a device and everything it said of itself; only tombstones with its number stay.
    /// Whether there was one.
    pub async fn remove(&self, id: &DeviceId) -> Result<bool, Error> {
        let Self::Embedded(embedded) = self;
        embedded.remove(*id).await
    }

    /// A device by its id.
    pub async fn get(&self, id: &DeviceId) -> Result<Option<Stored>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.get(*id).await
    }

    /// A citizen's devices, at most [`SUBJECT_DEVICES_MAX`], in the order of their numbers.
    pub async fn of_subject(&self, subject: &SubjectId) -> Result<Vec<Arc<Device>>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.of_subject(subject.clone()).await
    }

    /// Takes a dead push address from a device, which is then reached by websocket. Does nothing,
    /// and answers false, if the device has another address by now, or registered this one after
    /// `not_after` (APNs's `timestamp`).
    pub async fn deactivate_address(
        &self,
        num: DeviceNum,
        address: &PushAddress,
        not_after: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let Self::Embedded(embedded) = self;
        embedded.deactivate_address(num, address.clone(), not_after).await
    }

    /// The next members of a range in Seq order, tombstones included; at most `limit`, itself held
    /// within 1..=[`PAGE_MAX`]. An empty page is the end; a short one is not.
    pub async fn scan(&self, range: &Range, limit: usize) -> Result<Vec<Member>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.scan(range.clone(), limit).await
    }

    /// The members with these numbers that exist, in Seq order; reads the first [`PAGE_MAX`].
    pub async fn members(&self, seqs: &[Seq]) -> Result<Vec<Member>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.members(seqs.to_vec()).await
    }

    /// Every membership of a device, tombstones included, in Seq order.
    pub async fn memberships_of(&self, num: DeviceNum) -> Result<Vec<Membership>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.memberships_of(num).await
    }

    /// The newest membership; see the module's rule of consistent scans. Ask it before
    /// [`Registry::ranges`], so that a range that is empty has nobody up to it.
    pub async fn last_seq(&self) -> Result<Seq, Error> {
        let Self::Embedded(embedded) = self;
        Ok(embedded.last_seq())
    }

    /// New memberships of every unit and channel in Seq order, for the late joiners.
    pub async fn changes(&self, after: Seq, limit: usize) -> Result<Vec<Member>, Error> {
        let Self::Embedded(embedded) = self;
        embedded.changes(after, limit).await
    }

    /// Follows the newest membership.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        let Self::Embedded(embedded) = self;
        embedded.watch()
    }

    /// How many an audience is, without reading a device (but for a subject's).
    pub async fn estimate(&self, audience: &Audience) -> Result<Estimate, Error> {
        let Self::Embedded(embedded) = self;
        embedded.estimate(audience).await
    }

    /// The units and shards of an audience in which a channel has somebody, sorted.
    pub async fn ranges(
        &self,
        audience: &AreaAudience,
        channel: Channel,
    ) -> Result<Vec<(UnitCode, u16)>, Error> {
        let Self::Embedded(embedded) = self;
        Ok(embedded.ranges(audience, channel))
    }

    /// Loads many new devices in one transaction and answers how many. All or nothing; other
    /// changes wait for it. An id that is already here, or comes twice, refuses the load.
    pub async fn bulk_load<I>(&self, devices: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item = NewDevice> + Send + 'static,
    {
        let Self::Embedded(embedded) = self;
        embedded.bulk_load(devices).await
    }

    /// Drops the tombstones of those who left before an instant, and answers how many. The caller
    /// knows that nothing live is older.
    pub async fn forget_departed(&self, before: Timestamp) -> Result<u64, Error> {
        let Self::Embedded(embedded) = self;
        embedded.forget_departed(before).await
    }

    /// How far the router has followed the late joiners; zero at first.
    pub async fn late_cursor(&self) -> Result<Seq, Error> {
        let Self::Embedded(embedded) = self;
        embedded.late_cursor().await
    }

    /// Remembers how far the router has followed the late joiners; it never goes back.
    pub async fn set_late_cursor(&self, seq: Seq) -> Result<(), Error> {
        let Self::Embedded(embedded) = self;
        embedded.set_late_cursor(seq).await
    }
}
