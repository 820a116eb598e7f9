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
//! survives a kill and a power cut once it has returned (embedded), or what the servers are set to
//! survive ([`crate::store::redis`]). All futures are cancel-safe in that
//! sense: a dropped future leaves the change done or not done.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::audience::{AreaAudience, Audience};
use crate::domain::channel::{Channel, PushAddress};
use crate::domain::device::{Device, Place, Profile, Violation, validate};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId, UnitCode};
use crate::store::Failure;
use crate::store::redis::Redis;
use crate::store::vault::Vault;

mod codec;
mod counters;
mod embedded;
pub mod numbers;
pub mod owners;
pub mod placed;
mod redis;
pub mod seen;

pub use embedded::Entry;

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

/// The right to follow the late joiners: one router has it at a time. Each new holder's number is
/// higher, so that one that was away cannot move the cursor of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease(u64);

/// What became of a part of the registry whose addresses were to be sealed with the newest key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// The last device looked at; go on after it. None: there are no more.
    pub last: Option<DeviceNum>,
    /// Devices that were written anew.
    pub changed: u64,
}

/// A handle to the registry; clones share it.
#[derive(Clone, Debug)]
pub enum Registry {
    /// A file in the data directory.
    Embedded(embedded::Embedded),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Shared),
}

impl Registry {
    /// Opens the registry of a data directory, or creates it. Refuses another number of shards
    /// than it was created with.
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        embedded::Embedded::open(settings, clock).await.map(Self::Embedded)
    }

    /// Opens the registry that the nodes of a cluster share, or creates it. Refuses another number
    /// of shards than it was created with.
    pub async fn shared(redis: Redis, shards: u16, clock: Clock) -> Result<Self, Error> {
        redis::Shared::open(redis, shards, clock).await.map(Self::Redis)
    }

    /// The same registry, which from now on keeps push addresses sealed; without this they are
    /// kept as they are. What was written before is read either way.
    pub fn sealed(self, vault: Vault) -> Self {
        match self {
            Self::Embedded(embedded) => Self::Embedded(embedded.sealed(vault)),
            Self::Redis(shared) => Self::Redis(shared.sealed(vault)),
        }
    }

    /// Seals the next devices' addresses anew that are not sealed with the newest key: all of an
    /// older release, and those of a key that is to be put away. At most `limit` are looked at.
    pub async fn reseal(&self, after: DeviceNum, limit: usize) -> Result<Resealed, Error> {
        match self {
            Self::Embedded(embedded) => embedded.reseal(after, limit).await,
            Self::Redis(shared) => shared.reseal(after, limit).await,
        }
    }

    /// The number of the key that everything was once found sealed with.
    pub async fn sealed_with(&self) -> Result<Option<u8>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.sealed_with().await,
            Self::Redis(shared) => shared.sealed_with().await,
        }
    }

    /// Remembers that everything is sealed with a key, and drops what the storage still has of
    /// how it was before.
    pub async fn set_sealed_with(&self, number: u8) -> Result<(), Error> {
        match self {
            Self::Embedded(embedded) => embedded.set_sealed_with(number).await,
            Self::Redis(shared) => shared.set_sealed_with(number).await,
        }
    }

    /// Drops what the storage still has of removed devices: a file's journal. On Redis there is
    /// nothing to do here; its append-only file is written anew by itself.
    pub async fn scrub(&self) -> Result<(), Error> {
        match self {
            Self::Embedded(embedded) => embedded.scrub().await,
            Self::Redis(_) => Ok(()),
        }
    }

    /// Parts each (unit, channel) is cut into.
    pub fn shards(&self) -> u16 {
        match self {
            Self::Embedded(embedded) => embedded.shards(),
            Self::Redis(shared) => shared.shards(),
        }
    }

    /// Registers a device. Safe to repeat: the same id with the same secret takes the profile as
    /// an update, and the subject if one is given. Another secret is refused.
    pub async fn register(&self, new: NewDevice) -> Result<Arc<Device>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.register(new).await,
            Self::Redis(shared) => shared.register(new).await,
        }
    }

    /// Replaces what a device says of itself.
    pub async fn update(&self, id: &DeviceId, profile: Profile) -> Result<Arc<Device>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.update(*id, profile).await,
            Self::Redis(shared) => shared.update(*id, profile).await,
        }
    }

    /// Removes a device and everything it said of itself; only tombstones with its number stay.
    /// Whether there was one.
    pub async fn remove(&self, id: &DeviceId) -> Result<bool, Error> {
        match self {
            Self::Embedded(embedded) => embedded.remove(*id).await,
            Self::Redis(shared) => shared.remove(*id).await,
        }
    }

    /// A device by its id.
    pub async fn get(&self, id: &DeviceId) -> Result<Option<Stored>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.get(*id).await,
            Self::Redis(shared) => shared.get(*id).await,
        }
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
        match self {
            Self::Embedded(embedded) => {
                embedded.deactivate_address(num, address.clone(), not_after).await
            }
            Self::Redis(shared) => shared.deactivate_address(num, address.clone(), not_after).await,
        }
    }

    /// The next members of a range in Seq order, tombstones included; at most `limit`, itself held
    /// within 1..=[`PAGE_MAX`]. An empty page is the end; a short one is not.
    pub async fn scan(&self, range: &Range, limit: usize) -> Result<Vec<Member>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.scan(range.clone(), limit).await,
            Self::Redis(shared) => shared.scan(range.clone(), limit).await,
        }
    }

    /// The members with these numbers that exist, in Seq order; reads the first [`PAGE_MAX`].
    pub async fn members(&self, seqs: &[Seq]) -> Result<Vec<Member>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.members(seqs.to_vec()).await,
            Self::Redis(shared) => shared.members(seqs.to_vec()).await,
        }
    }

    /// Every membership of a device, tombstones included, in Seq order.
    pub async fn memberships_of(&self, num: DeviceNum) -> Result<Vec<Membership>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.memberships_of(num).await,
            Self::Redis(shared) => shared.memberships_of(num).await,
        }
    }

    /// The newest membership; see the module's rule of consistent scans. Ask it before
    /// [`Registry::ranges`], so that a range that is empty has nobody up to it.
    pub async fn last_seq(&self) -> Result<Seq, Error> {
        match self {
            Self::Embedded(embedded) => Ok(embedded.last_seq()),
            Self::Redis(shared) => shared.last_seq().await,
        }
    }

    /// New memberships of every unit and channel in Seq order, for the late joiners.
    pub async fn changes(&self, after: Seq, limit: usize) -> Result<Vec<Member>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.changes(after, limit).await,
            Self::Redis(shared) => shared.changes(after, limit).await,
        }
    }

    /// Follows the newest membership.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        match self {
            Self::Embedded(embedded) => embedded.watch(),
            Self::Redis(shared) => shared.watch(),
        }
    }

    /// How many an audience is, without reading a device (but for a subject's).
    pub async fn estimate(&self, audience: &Audience) -> Result<Estimate, Error> {
        match (audience, self) {
            (Audience::Area(area), Self::Embedded(embedded)) => Ok(embedded.estimate(area)),
            (Audience::Area(area), Self::Redis(shared)) => shared.estimate(area).await,
            (Audience::Subject { .. }, _) => self.estimate_citizen(audience).await,
        }
    }

    /// The units and shards of an audience in which a channel has somebody, sorted.
    pub async fn ranges(
        &self,
        audience: &AreaAudience,
        channel: Channel,
    ) -> Result<Vec<(UnitCode, u16)>, Error> {
        match self {
            Self::Embedded(embedded) => Ok(embedded.ranges(audience, channel)),
            Self::Redis(shared) => shared.ranges(audience, channel).await,
        }
    }

    /// Loads many new devices and answers how many. An id that is already here, or comes twice,
    /// refuses the whole load, as does a broken profile. Embedded, it is one transaction and other
    /// changes wait for it. On Redis it is checked as a whole first and then written in small
    /// parts, each of them whole: a load that Redis fails in the middle leaves those before.
    pub async fn bulk_load<I>(&self, devices: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item = NewDevice> + Send + 'static,
    {
        match self {
            Self::Embedded(embedded) => embedded.bulk_load(devices).await,
            Self::Redis(shared) => shared.bulk_load(devices).await,
        }
    }

    /// Drops the tombstones of those who left before an instant, and answers how many. The caller
    /// knows that nothing live is older.
    pub async fn forget_departed(&self, before: Timestamp) -> Result<u64, Error> {
        match self {
            Self::Embedded(embedded) => embedded.forget_departed(before).await,
            Self::Redis(shared) => shared.forget_departed(before).await,
        }
    }

    /// How far the router has followed the late joiners; zero at first.
    pub async fn late_cursor(&self) -> Result<Seq, Error> {
        match self {
            Self::Embedded(embedded) => embedded.late_cursor().await,
            Self::Redis(shared) => shared.late_cursor().await,
        }
    }

    /// Takes or renews the lease on the late joiners for a time; nothing while another router has
    /// it. `owner` is a name that no other process has. In the embedded shape there is one router,
    /// which always has it.
    pub async fn late_lease(&self, owner: &str, ttl: Duration) -> Result<Option<Lease>, Error> {
        match self {
            Self::Embedded(_) => Ok(Some(Lease(1))),
            Self::Redis(shared) => shared.late_lease(owner, ttl).await,
        }
    }

    /// Gives the lease back, so that another router need not wait for its end.
    pub async fn leave_late(&self, lease: Lease) -> Result<(), Error> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Redis(shared) => shared.leave_late(lease).await,
        }
    }

    /// Remembers how far the router has followed the late joiners; it never goes back. Does
    /// nothing, and answers false, once another router has taken the lease.
    pub async fn set_late_cursor(&self, seq: Seq, lease: Lease) -> Result<bool, Error> {
        match self {
            Self::Embedded(embedded) => embedded.set_late_cursor(seq).await.map(|()| true),
            Self::Redis(shared) => shared.set_late_cursor(seq, lease).await,
        }
    }
}

fn check(id: DeviceId, profile: &Profile) -> Result<(), Error> {
    let violations = validate(profile);
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid { id, violations }) }
}

/// A device's shard: its number, well mixed (the finisher of splitmix64), so that devices that
/// registered together are spread.
fn shard_of(num: DeviceNum, shards: u16) -> u16 {
    let mut mixed = num.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ mixed >> 31) % u64::from(shards)) as u16
}
