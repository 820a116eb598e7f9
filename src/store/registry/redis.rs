//! The registry on Redis. Everything lies under one tag, on one primary, so that a script gives
//! out numbers and Seqs and memberships become visible in their order.
//!
//! What is where (`n/64` is a bucket of 64 neighbours; lists are what Redis packs tightest):
//! - `d:n/64` list: the [`record`] of each device by its number;
//! - `i:…` hashes: number by id; `s:…` hashes: numbers by subject;
//! - `r:unit:channel:shard` list: (Seq, number) of a range, in order;
//! - `m:n/64` list: number by Seq, for the change feed;
//! - `c:unit` hash: live memberships by cell, channel and shard; `versions` hash: its state;
//! - `v:n/64` hashes: the day each device was last seen;
//! - `gone` list: who left when, to be forgotten; `seq`, `num` counters; `late` the lease.
//!
//! **A change** reads the device's record, plans in Rust what it becomes, and runs one script that
//! does it if the record is still the one that was read; else it reads again. So a repeated change
//! finds itself done: nothing happens twice.
//!
//! **If Redis loses its last writes** the counter of Seqs is raised again by any node that knew a
//! higher one, so that no Seq comes twice. Devices that are lost register at their next start.

use std::fmt;
use std::ops::Range as Span;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::domain::audience::AreaAudience;
use crate::domain::channel::{Channel, PushAddress};
use crate::domain::device::{Device, Profile};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, UnitCode};
use crate::store::Failure;
use crate::store::redis::{Keys, Redis};
use crate::store::registry::{
    Error, Estimate, Lease, Membership, NewDevice, Resealed, SHARDS_MAX, Stored, check, shard_of,
};
use crate::store::vault::Vault;

mod counts;
mod load;
mod owners;
mod plan;
mod read;
mod record;
mod scripts;
mod seen;

use counts::Counts;
use plan::Change;
use record::{Person, Record};
use scripts::Scripts;

/// Numbers a node takes at once: a bucket, so that neighbours register on one node.
const NUMS: u64 = 64;
/// Times a change is planned anew because somebody else changed the device.
const REPLANS_MAX: usize = 100;
/// Departures forgotten in one call of the script.
const FORGET_BATCH: usize = 50;

/// A handle; clones share it. Beside it, what addresses are sealed with.
#[derive(Clone)]
pub struct Shared(Arc<Inner>, Option<Vault>);

struct Inner {
    redis: Redis,
    keys: Keys,
    scripts: Scripts,
    shards: u16,
    clock: Clock,
    counts: Counts,
    /// Numbers this node may give out.
    nums: Mutex<Span<u64>>,
    newest: Arc<watch::Sender<Seq>>,
    follower: JoinHandle<()>,
}

/// A device as it was read.
struct Found {
    num: DeviceNum,
    bytes: Vec<u8>,
    record: Record,
}

impl Found {
    /// A number that nobody had before.
    fn nobody(num: DeviceNum) -> Self {
        Self { num, bytes: Vec::new(), record: Record::default() }
    }
}

/// What the script answered to one change.
enum Outcome {
    /// Done; the newest Seq.
    Done(Seq),
    /// The record is another one by now.
    Moved,
    /// The citizen has enough devices.
    Full,
}

impl Shared {
    /// Opens the registry, or creates it with so many shards.
    pub async fn open(redis: Redis, shards: u16, clock: Clock) -> Result<Self, Error> {
        if !(1..=SHARDS_MAX).contains(&shards) {
            return Err(Error::Settings(format!("shards must be 1 to {SHARDS_MAX}, not {shards}")));
        }
        let keys = redis.keys("reg");
        let made = keys.key("shards");
        redis.ask::<()>(redis::cmd("SETNX").arg(&made).arg(shards)).await?;
        let there: u16 = redis.ask(redis::cmd("GET").arg(&made)).await?;
        if there != shards {
            let stem = keys.stem();
            let text = format!("{stem} was created with {there} shards, the settings say {shards}");
            return Err(Error::Settings(text));
        }
        let mut feed = redis.follow(&keys.key("seq")).await?;
        let newest = Arc::new(watch::Sender::new(Seq(*feed.borrow())));
        let known = Arc::clone(&newest);
        let follower = tokio::spawn(async move {
            while feed.changed().await.is_ok() {
                raise(&known, Seq(*feed.borrow_and_update()));
            }
        });
        let (scripts, counts) = (Scripts::default(), Counts::new(shards));
        let nums = Mutex::default();
        let inner = Inner { redis, keys, scripts, shards, clock, counts, nums, newest, follower };
        Ok(Self(Arc::new(inner), None))
    }

    /// The same registry, which seals push addresses from now on.
    pub fn sealed(self, vault: Vault) -> Self {
        Self(self.0, Some(vault))
    }

    fn vault(&self) -> Option<&Vault> {
        self.1.as_ref()
    }

    pub fn shards(&self) -> u16 {
        self.0.shards
    }

    pub async fn register(&self, new: NewDevice) -> Result<Arc<Device>, Error> {
        check(new.id, &new.profile)?;
        for _ in 0..REPLANS_MAX {
            let now = self.now();
            let (found, old) = match self.find(new.id).await? {
                Some((_, old)) if old.secret_hash != new.secret_hash => {
                    return Err(Error::Taken(new.id));
                }
                Some((found, old)) => (found, Some(old)),
                None => {
                    let num = DeviceNum(self.next_num().await?);
                    (Found::nobody(num), None)
                }
            };
            let person = match &old {
                Some(old) => {
                    let subject = new.subject.clone().or_else(|| old.subject.clone());
                    plan::revised(old, new.profile.clone(), subject, now)
                }
                None => person(&new, now),
            };
            if let Some(device) = self.put(&found, old.as_ref(), person, now).await? {
                return Ok(device);
            }
        }
        Err(contended(new.id))
    }

    pub async fn update(&self, id: DeviceId, profile: Profile) -> Result<Arc<Device>, Error> {
        check(id, &profile)?;
        self.revise(id, |old, now| plan::revised(old, profile.clone(), old.subject.clone(), now))
            .await
    }

    pub async fn remove(&self, id: DeviceId) -> Result<bool, Error> {
        let mut tried = false;
        for _ in 0..REPLANS_MAX {
            // Gone although it was there: by our own hand, whose answer was lost.
            let Some((found, _)) = self.find(id).await? else { return Ok(tried) };
            tried = true;
            let change = Change::to(self.vault(), &found, None, self.now());
            if let Outcome::Done(_) = self.apply(change).await? {
                return Ok(true);
            }
        }
        Err(contended(id))
    }

    pub async fn deactivate_address(
        &self,
        num: DeviceNum,
        address: PushAddress,
        not_after: Option<Timestamp>,
    ) -> Result<bool, Error> {
        if address == PushAddress::Websocket {
            return Ok(false);
        }
        let mut tried = false;
        for _ in 0..REPLANS_MAX {
            let Some(found) = self.by_num(num).await? else { return Ok(false) };
            let Some(old) = found.record.person.clone() else { return Ok(false) };
            if tried && old.profile.address == PushAddress::Websocket {
                return Ok(true);
            }
            let newer = not_after.is_some_and(|known| old.address_since > known);
            if newer || old.profile.address != address {
                return Ok(false);
            }
            tried = true;
            let now = self.now();
            let profile = Profile { address: PushAddress::Websocket, ..old.profile.clone() };
            let person = plan::revised(&old, profile, old.subject.clone(), now);
            let change = Change::to(self.vault(), &found, Some(person), now);
            if let Outcome::Done(_) = self.apply(change).await? {
                return Ok(true);
            }
        }
        Err(Failure::new(format!("device number {} is changed all the time", num.0)).into())
    }

    pub async fn get(&self, id: DeviceId) -> Result<Option<Stored>, Error> {
        let Some((found, person)) = self.find(id).await? else { return Ok(None) };
        let secret_hash = person.secret_hash;
        Ok(Some(Stored { device: Arc::new(person.device(found.num)), secret_hash }))
    }

    pub async fn estimate(&self, area: &AreaAudience) -> Result<Estimate, Error> {
        let counts = self.0.counts.fresh(&self.0.redis, &self.0.keys, area).await?;
        Ok(counts.estimate(area))
    }

    pub async fn ranges(
        &self,
        audience: &AreaAudience,
        channel: Channel,
    ) -> Result<Vec<(UnitCode, u16)>, Error> {
        let counts = self.0.counts.fresh(&self.0.redis, &self.0.keys, audience).await?;
        Ok(counts.ranges(audience, channel))
    }

    pub async fn last_seq(&self) -> Result<Seq, Error> {
        let get = redis::cmd("GET").arg(self.0.keys.key("seq")).to_owned();
        let seq: Option<u64> = self.0.redis.ask(&get).await?;
        Ok(Seq(seq.unwrap_or(0)))
    }

    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.0.newest.subscribe()
    }

    pub async fn forget_departed(&self, before: Timestamp) -> Result<u64, Error> {
        let mut dropped = 0;
        loop {
            let mut batch = redis::cmd("LRANGE");
            batch.arg(self.0.keys.key("gone")).arg(0).arg(FORGET_BATCH - 1);
            let entries: Vec<Vec<u8>> = self.0.redis.ask(&batch).await?;
            let due = entries.into_iter().map_while(|entry| {
                let (at, num) = plan::departed(&entry)?;
                (at < before.as_millisecond()).then_some((num, entry))
            });
            let due: Vec<_> = due.collect();
            if due.is_empty() {
                return Ok(dropped);
            }
            for (num, entry) in due {
                dropped += self.forget(num, before, entry).await?;
            }
        }
    }

    async fn forget(
        &self,
        num: DeviceNum,
        before: Timestamp,
        entry: Vec<u8>,
    ) -> Result<u64, Error> {
        for _ in 0..REPLANS_MAX {
            let found = self.by_num(num).await?.unwrap_or_else(|| Found::nobody(num));
            let (change, dropped) = Change::forget(self.vault(), &found, before, entry.clone());
            if let Outcome::Done(_) = self.apply_all(&[change], false).await?.remove(0) {
                return Ok(dropped);
            }
        }
        Err(Failure::new(format!("device number {} is changed all the time", num.0)).into())
    }

    pub async fn late_cursor(&self) -> Result<Seq, Error> {
        let get = redis::cmd("HGET").arg(self.0.keys.key("late")).arg("cursor").to_owned();
        let cursor: Option<u64> = self.0.redis.ask(&get).await?;
        Ok(Seq(cursor.unwrap_or(0)))
    }

    pub async fn late_lease(&self, owner: &str, ttl: Duration) -> Result<Option<Lease>, Error> {
        let call = self.0.scripts.lease.call().key(self.0.keys.key("late"));
        let call = call.arg("take").arg(owner).arg(ttl.as_millis() as u64);
        let token: u64 = self.0.redis.run(&call).await?;
        Ok((token > 0).then_some(Lease(token)))
    }

    pub async fn leave_late(&self, lease: Lease) -> Result<(), Error> {
        let call = self.0.scripts.lease.call().key(self.0.keys.key("late"));
        Ok(self.0.redis.run::<()>(&call.arg("leave").arg(lease.0)).await?)
    }

    pub async fn set_late_cursor(&self, seq: Seq, lease: Lease) -> Result<bool, Error> {
        let call = self.0.scripts.lease.call().key(self.0.keys.key("late"));
        let call = call.arg("set").arg(lease.0).arg(seq.0);
        Ok(self.0.redis.run::<u8>(&call).await? > 0)
    }

    /// As it will be read back: stored instants are whole milliseconds.
    fn now(&self) -> Timestamp {
        let now = self.0.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    async fn revise(
        &self,
        id: DeviceId,
        revised: impl Fn(&Person, Timestamp) -> Person + Send + Sync,
    ) -> Result<Arc<Device>, Error> {
        for _ in 0..REPLANS_MAX {
            let now = self.now();
            let (found, old) = self.find(id).await?.ok_or(Error::NotFound(id))?;
            let person = revised(&old, now);
            if let Some(device) = self.put(&found, Some(&old), person, now).await? {
                return Ok(device);
            }
        }
        Err(contended(id))
    }

    /// Makes a device this person; nothing if the device was changed meanwhile.
    async fn put(
        &self,
        found: &Found,
        old: Option<&Person>,
        person: Person,
        now: Timestamp,
    ) -> Result<Option<Arc<Device>>, Error> {
        let device = Arc::new(person.clone().device(found.num));
        if old == Some(&person) {
            return Ok(Some(device));
        }
        let change = Change::to(self.vault(), found, Some(person), now);
        match self.apply(change).await? {
            Outcome::Done(_) => Ok(Some(device)),
            Outcome::Moved => Ok(None),
            Outcome::Full => {
                let subject = device.subject.clone();
                Err(subject.map_or_else(|| contended(device.id), Error::SubjectFull))
            }
        }
    }

    async fn apply(&self, change: Change) -> Result<Outcome, Error> {
        Ok(self.apply_all(&[change], true).await?.remove(0))
    }

    /// Applies changes in one call, each for itself; answers one outcome each.
    async fn apply_all(&self, changes: &[Change], lasting: bool) -> Result<Vec<Outcome>, Error> {
        let inner = &self.0;
        let call = inner.scripts.apply.call().key(inner.keys.key("seq"));
        let mut call = call.arg(inner.keys.stem()).arg(changes.len());
        for change in changes {
            call = change.put(call, inner.shards);
        }
        let answers: Vec<String> = match lasting {
            true => inner.redis.run_lasting(&inner.keys, &call).await?,
            false => inner.redis.run(&call).await?,
        };
        let outcomes = answers.iter().map(|answer| match answer.as_str() {
            "moved" => Ok(Outcome::Moved),
            "full" => Ok(Outcome::Full),
            seq => seq.parse().map(|seq| Outcome::Done(Seq(seq))).map_err(Failure::new),
        });
        let outcomes = outcomes.collect::<Result<Vec<_>, _>>()?;
        if outcomes.len() != changes.len() {
            return Err(Failure::new("the script answered for other changes").into());
        }
        for outcome in &outcomes {
            if let Outcome::Done(seq) = outcome {
                inner.redis.note(&inner.keys.key("seq"), seq.0);
                raise(&inner.newest, *seq);
            }
        }
        Ok(outcomes)
    }

    /// Writes the next devices anew whose addresses are not sealed with the newest key.
    pub async fn reseal(&self, after: DeviceNum, limit: usize) -> Result<Resealed, Error> {
        let Some(last) = self.last_of(after, limit).await? else {
            return Ok(Resealed { last: None, changed: 0 });
        };
        let mut changed = 0;
        for found in self.by_nums(after.0 + 1..=last.0).await? {
            let Some(person) = found.record.person.clone() else { continue };
            let change = Change::to(self.vault(), &found, Some(person), self.now());
            if change.changes() {
                // One that was changed meanwhile was sealed with that.
                self.apply_all(&[change], false).await?;
                changed += 1;
            }
        }
        Ok(Resealed { last: Some(last), changed })
    }

    /// The last of the next so many numbers that were given out; none if none was after this one.
    async fn last_of(&self, after: DeviceNum, limit: usize) -> Result<Option<DeviceNum>, Error> {
        let get = redis::cmd("GET").arg(self.0.keys.key("num")).to_owned();
        let end: Option<u64> = self.0.redis.ask(&get).await?;
        let last = DeviceNum(end.unwrap_or(0).min(after.0.saturating_add(limit as u64)));
        Ok((last > after).then_some(last))
    }

    /// The key that everything was sealed with, once.
    pub async fn sealed_with(&self) -> Result<Option<u8>, Error> {
        Ok(self.0.redis.ask(redis::cmd("GET").arg(self.0.keys.key("sealed-with"))).await?)
    }

    /// Remembers that.
    pub async fn set_sealed_with(&self, number: u8) -> Result<(), Error> {
        let key = self.0.keys.key("sealed-with");
        Ok(self.0.redis.ask(redis::cmd("SET").arg(key).arg(number)).await?)
    }

    async fn next_num(&self) -> Result<u64, Error> {
        let mut nums = self.0.nums.lock().await;
        if nums.is_empty() {
            // Asked twice it leaves a bucket empty, which costs nothing.
            let take = redis::cmd("INCRBY").arg(self.0.keys.key("num")).arg(NUMS).to_owned();
            let end: u64 = self.0.redis.ask(&take).await?;
            *nums = end + 1 - NUMS..end + 1;
        }
        nums.next().ok_or_else(|| Failure::new("no numbers").into())
    }

    /// The shard of each of a device's memberships.
    fn memberships(&self, num: DeviceNum, record: Record) -> Vec<Membership> {
        let shard = shard_of(num, self.0.shards);
        let rows = record.rows.into_iter().filter_map(|row| {
            let record::Row { seq, place, channel, joined_at, left_at } = row;
            seq.map(|seq| Membership { seq, channel, shard, place, joined_at, left_at })
        });
        rows.collect()
    }
}

fn person(new: &NewDevice, now: Timestamp) -> Person {
    Person {
        id: new.id,
        secret_hash: new.secret_hash,
        address_since: now,
        subject: new.subject.clone(),
        profile: new.profile.clone(),
    }
}

fn raise(newest: &watch::Sender<Seq>, seq: Seq) {
    newest.send_if_modified(|known| {
        let newer = seq > *known;
        *known = seq.max(*known);
        newer
    });
}

fn contended(id: DeviceId) -> Error {
    Failure::new(format!("device {id} is changed all the time")).into()
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.0.keys).finish()
    }
}
