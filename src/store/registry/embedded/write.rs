//! What changes the registry, each function a whole change inside the writer's transaction.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::params;

use crate::domain::channel::{Channel, PushAddress};
use crate::domain::device::{Device, Place, Profile};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId};
use crate::store::registry::codec::{self, channel_code};
use crate::store::registry::counters::Spot;
use crate::store::registry::embedded::packs::{Entry, Key, Packs};
use crate::store::registry::embedded::read::{self, Source, StoredProfile};
use crate::store::registry::embedded::schema;
use crate::store::registry::{
    Error, Membership, NewDevice, Resealed, SUBJECT_DEVICES_MAX, shard_of,
};
use crate::store::{Failure, sqlite};

/// What a change did to memberships, told to the counters once it is durable.
#[derive(Debug, Default)]
pub struct Change {
    /// Who came (+1) and who went (−1).
    pub counts: Vec<(Spot, i64)>,
    /// The newest membership, if there is a new one.
    pub newest: Option<Seq>,
}

/// One transaction's view: where to write, how devices are cut into shards, and what time it is.
pub struct Writing<'a> {
    /// The writer's connection, and what addresses are sealed with.
    pub source: Source<'a>,
    /// Shards of the registry.
    pub shards: u16,
    /// The present instant.
    pub now: Timestamp,
    /// Where profiles lie.
    pub packs: Packs<'a>,
    /// What was done so far.
    pub change: Change,
}

impl Writing<'_> {
    /// Registers a device, or takes a repeated registration as an update.
    pub fn register(&mut self, new: &NewDevice) -> Result<Arc<Device>, Error> {
        match read::by_id(self.source, new.id)? {
            Some(old) if old.secret_hash != new.secret_hash => Err(Error::Taken(new.id)),
            Some(old) => {
                let subject = new.subject.clone().or_else(|| old.device.subject.clone());
                self.revise(&old.device, new.profile.clone(), subject)
            }
            None => {
                self.check_subject(new.subject.as_ref())?;
                self.insert(new)
            }
        }
    }

    /// Inserts a device that is not here.
    pub fn insert(&mut self, new: &NewDevice) -> Result<Arc<Device>, Error> {
        let device = Device {
            num: schema::next_num(self.source.connection)?,
            id: new.id,
            profile: new.profile.clone(),
            subject: new.subject.clone(),
            address_since: self.now,
        };
        let channel = device.profile.address.channel();
        let mut joined = Vec::new();
        for place in &device.profile.places {
            joined.push(self.join(device.num, place, channel)?);
        }
        let home = self.pack(&device, &joined, &[])?;
        let sql = "INSERT INTO devices(num, id, secret_hash, subject, address_since, profile, home)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.source.connection.prepare_cached(sql)?.execute(params![
            device.num.0 as i64,
            device.id.0.as_bytes(),
            new.secret_hash,
            device.subject.as_ref().map(SubjectId::as_str),
            sqlite::to_ms(device.address_since),
            self.profile_of_row(&device, home),
            home.map(Key::bits),
        ])?;
        Ok(Arc::new(device))
    }

    /// Replaces a device's profile.
    pub fn update(&mut self, id: DeviceId, profile: Profile) -> Result<Arc<Device>, Error> {
        let old = read::by_id(self.source, id)?.ok_or(Error::NotFound(id))?.device;
        self.revise(&old, profile, old.subject.clone())
    }

    /// Gives a device to whom `whose` says, which is told whose it is.
    pub fn give(
        &mut self,
        id: DeviceId,
        whose: impl Fn(Option<&SubjectId>) -> Option<SubjectId>,
    ) -> Result<Arc<Device>, Error> {
        let old = read::by_id(self.source, id)?.ok_or(Error::NotFound(id))?.device;
        self.revise(&old, old.profile.clone(), whose(old.subject.as_ref()))
    }

    /// Takes a dead address, if it still is the device's.
    pub fn deactivate_address(
        &mut self,
        num: DeviceNum,
        address: &PushAddress,
        not_after: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let Some(old) = read::by_num(self.source, num)? else { return Ok(false) };
        let old = old.device;
        let newer = not_after.is_some_and(|known| old.address_since > known);
        if newer || old.profile.address != *address || *address == PushAddress::Websocket {
            return Ok(false);
        }
        let profile = Profile { address: PushAddress::Websocket, ..old.profile.clone() };
        self.revise(&old, profile, old.subject.clone())?;
        Ok(true)
    }

    /// Removes a device; its memberships stay as tombstones without a person behind them.
    pub fn remove(&mut self, id: DeviceId) -> Result<bool, Error> {
        let Some(old) = read::by_id(self.source, id)? else { return Ok(false) };
        let num = old.device.num;
        self.settle(num, &[], old.device.profile.address.channel())?;
        let sql = "DELETE FROM devices WHERE num = ?1";
        self.source.connection.prepare_cached(sql)?.execute([num.0 as i64])?;
        Ok(true)
    }

    /// Writes the next devices anew whose addresses are not sealed with the newest key.
    pub fn reseal(&mut self, after: DeviceNum, limit: usize) -> Result<Resealed, Error> {
        let mut done = Resealed { last: None, changed: 0 };
        for stored in read::profiles(self.source, after, limit)? {
            done.last = Some(stored.num);
            let owner = self.source.owner(stored.id);
            let profile = codec::decode(&stored.profile, owner).map_err(|error| {
                Failure::new(format!("device number {}: {error}", stored.num.0))
            })?;
            let fresh = codec::encode(&profile, owner);
            if fresh != stored.profile {
                self.put_profile(&stored, &fresh)?;
                done.changed += 1;
            }
        }
        Ok(done)
    }

    /// Writes a profile anew that means what it meant.
    fn put_profile(&mut self, old: &StoredProfile, fresh: &[u8]) -> Result<(), Error> {
        if old.home.is_none() {
            let sql = "UPDATE devices SET profile = ?2 WHERE num = ?1";
            let values = params![old.num.0 as i64, fresh];
            self.source.connection.prepare_cached(sql)?.execute(values)?;
            return Ok(());
        }
        for one in live(self.source, old.num)? {
            self.packs.reprofile(self.key(&one)?, fresh)?;
        }
        Ok(())
    }

    fn revise(
        &mut self,
        old: &Device,
        profile: Profile,
        subject: Option<SubjectId>,
    ) -> Result<Arc<Device>, Error> {
        if subject != old.subject {
            self.check_subject(subject.as_ref())?;
        }
        let same_address = profile.address == old.profile.address;
        let address_since = if same_address { old.address_since } else { self.now };
        let new = Device { num: old.num, id: old.id, profile, subject, address_since };
        if new == *old {
            return Ok(Arc::new(new));
        }
        let channel = new.profile.address.channel();
        let (stayed, joined) = self.settle(new.num, &new.profile.places, channel)?;
        let home = self.pack(&new, &joined, &stayed)?;
        let sql = "UPDATE devices SET subject = ?2, address_since = ?3, profile = ?4, home = ?5
                   WHERE num = ?1";
        self.source.connection.prepare_cached(sql)?.execute(params![
            new.num.0 as i64,
            new.subject.as_ref().map(SubjectId::as_str),
            sqlite::to_ms(address_since),
            self.profile_of_row(&new, home),
            home.map(Key::bits),
        ])?;
        Ok(Arc::new(new))
    }

    /// Packs a device as each of its live memberships, those that are new and those that are packed
    /// already, and answers its home.
    fn pack(
        &mut self,
        device: &Device,
        new: &[Membership],
        old: &[Membership],
    ) -> Result<Option<Key>, Error> {
        let profile = codec::encode(&device.profile, self.source.owner(device.id));
        let mut home = None;
        for (membership, is_new) in
            old.iter().map(|one| (one, false)).chain(new.iter().map(|one| (one, true)))
        {
            let place = device.profile.places.iter().position(|place| *place == membership.place);
            let place = place.and_then(|place| u8::try_from(place).ok());
            let entry = Entry {
                seq: membership.seq,
                num: device.num,
                joined_ms: sqlite::to_ms(membership.joined_at),
                address_since_ms: sqlite::to_ms(device.address_since),
                place: place.ok_or_else(|| Failure::new("a live membership of no place"))?,
                id: device.id,
                subject: device.subject.as_ref().map(SubjectId::as_str),
                profile: &profile,
            };
            let key = self.key(membership)?;
            if is_new {
                self.packs.put(key, &entry)?;
            } else {
                self.packs.replace(key, &entry)?;
            }
            home = home.or(Some(key));
        }
        Ok(home)
    }

    /// What a device's own row has of its profile: nothing if it is packed.
    fn profile_of_row(&self, device: &Device, home: Option<Key>) -> Vec<u8> {
        match home {
            Some(_) => Vec::new(),
            None => codec::encode(&device.profile, self.source.owner(device.id)),
        }
    }

    fn key(&self, membership: &Membership) -> Result<Key, Error> {
        let Membership { seq, channel, shard, ref place, .. } = *membership;
        self.packs.key(place, channel, (shard, seq))
    }

    fn check_subject(&self, subject: Option<&SubjectId>) -> Result<(), Error> {
        let Some(subject) = subject else { return Ok(()) };
        let sql = "SELECT count(*) FROM devices WHERE subject = ?1";
        let mut statement = self.source.connection.prepare_cached(sql)?;
        let count: i64 = statement.query_row([subject.as_str()], |row| row.get(0))?;
        if count >= SUBJECT_DEVICES_MAX as i64 {
            return Err(Error::SubjectFull(subject.clone()));
        }
        Ok(())
    }

    /// Makes a device's live memberships those of these places on this channel, and answers which
    /// stayed and which are new: what is the same keeps its Seq. Whoever left is in no pack any
    /// more, and whoever is new in none yet.
    fn settle(
        &mut self,
        num: DeviceNum,
        wanted: &[Place],
        channel: Channel,
    ) -> Result<(Vec<Membership>, Vec<Membership>), Error> {
        let (stay, leave): (Vec<_>, Vec<_>) = live(self.source, num)?
            .into_iter()
            .partition(|old| old.channel == channel && wanted.contains(&old.place));
        for old in leave {
            self.packs.take(self.key(&old)?)?;
            let sql = "UPDATE memberships SET left_at = ?2 WHERE seq = ?1";
            let params = params![old.seq.0 as i64, sqlite::to_ms(self.now)];
            self.source.connection.prepare_cached(sql)?.execute(params)?;
            let Membership { place, channel, shard, .. } = old;
            self.change.counts.push((Spot { place, channel, shard }, -1));
        }
        let mut joined = Vec::new();
        for place in wanted {
            if !stay.iter().any(|old| old.place == *place) {
                joined.push(self.join(num, place, channel)?);
            }
        }
        Ok((stay, joined))
    }

    fn join(
        &mut self,
        num: DeviceNum,
        place: &Place,
        channel: Channel,
    ) -> Result<Membership, Error> {
        let shard = shard_of(num, self.shards);
        let sql = "INSERT INTO memberships(device, unit, cell, channel, shard, joined_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.source.connection.prepare_cached(sql)?.execute(params![
            num.0 as i64,
            place.unit.as_str(),
            place.cell.map(|cell| cell.bits()),
            channel_code(channel),
            shard,
            sqlite::to_ms(self.now),
        ])?;
        let seq = Seq(self.source.connection.last_insert_rowid() as u64);
        self.change.newest = Some(seq);
        self.change.counts.push((Spot { place: place.clone(), channel, shard }, 1));
        let (place, joined_at) = (place.clone(), self.now);
        Ok(Membership { seq, channel, shard, place, joined_at, left_at: None })
    }
}

fn live(source: Source<'_>, num: DeviceNum) -> Result<Vec<Membership>, Error> {
    let mut live = read::memberships_of(source.connection, num)?;
    live.retain(|one| one.left_at.is_none());
    Ok(live)
}
