//! What changes the registry, each function a whole change inside the writer's transaction.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::params;

use crate::domain::channel::{Channel, PushAddress};
use crate::domain::device::{Device, Place, Profile};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId};
use crate::store::registry::codec::{self, channel_code};
use crate::store::registry::counters::Spot;
use crate::store::registry::embedded::read::{self, Source};
use crate::store::registry::{Error, NewDevice, Resealed, SUBJECT_DEVICES_MAX, shard_of};
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
        let sql = "INSERT INTO devices(id, secret_hash, subject, address_since, profile)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        self.source.connection.prepare_cached(sql)?.execute(params![
            new.id.0.as_bytes(),
            new.secret_hash,
            new.subject.as_ref().map(SubjectId::as_str),
            sqlite::to_ms(self.now),
            codec::encode(&new.profile, self.source.owner(new.id)),
        ])?;
        let num = DeviceNum(self.source.connection.last_insert_rowid() as u64);
        let channel = new.profile.address.channel();
        for place in &new.profile.places {
            self.join(num, place, channel)?;
        }
        Ok(Arc::new(Device {
            num,
            id: new.id,
            profile: new.profile.clone(),
            subject: new.subject.clone(),
            address_since: self.now,
        }))
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
        self.settle(old.device.num, &[], old.device.profile.address.channel())?;
        let sql = "DELETE FROM devices WHERE num = ?1";
        self.source.connection.prepare_cached(sql)?.execute([old.device.num.0 as i64])?;
        Ok(true)
    }

    /// Writes the next devices anew whose addresses are not sealed with the newest key.
    pub fn reseal(&mut self, after: DeviceNum, limit: usize) -> Result<Resealed, Error> {
        let stored = read::profiles(self.source, after, limit)?;
        let sql = "UPDATE devices SET profile = ?2 WHERE num = ?1";
        let mut update = self.source.connection.prepare_cached(sql)?;
        let mut done = Resealed { last: None, changed: 0 };
        for (num, id, bytes) in stored {
            done.last = Some(num);
            let owner = self.source.owner(id);
            let profile = codec::decode(&bytes, owner)
                .map_err(|error| Failure::new(format!("device number {}: {error}", num.0)))?;
            let fresh = codec::encode(&profile, owner);
            if fresh != bytes {
                update.execute(params![num.0 as i64, fresh])?;
                done.changed += 1;
            }
        }
        Ok(done)
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
        let sql =
            "UPDATE devices SET subject = ?2, address_since = ?3, profile = ?4 WHERE num = ?1";
        self.source.connection.prepare_cached(sql)?.execute(params![
            new.num.0 as i64,
            new.subject.as_ref().map(SubjectId::as_str),
            sqlite::to_ms(address_since),
            codec::encode(&new.profile, self.source.owner(new.id)),
        ])?;
        self.settle(new.num, &new.profile.places, new.profile.address.channel())?;
        Ok(Arc::new(new))
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

    /// Makes a device's live memberships those of these places on this channel: what is the same
    /// keeps its Seq.
    fn settle(&mut self, num: DeviceNum, wanted: &[Place], channel: Channel) -> Result<(), Error> {
        let live = read::memberships_of(self.source.connection, num)?;
        let live: Vec<_> = live.into_iter().filter(|old| old.left_at.is_none()).collect();
        for old in &live {
            if old.channel != channel || !wanted.contains(&old.place) {
                let sql = "UPDATE memberships SET left_at = ?2 WHERE seq = ?1";
                let params = params![old.seq.0 as i64, sqlite::to_ms(self.now)];
                self.source.connection.prepare_cached(sql)?.execute(params)?;
                let (place, channel, shard) = (old.place.clone(), old.channel, old.shard);
                self.change.counts.push((Spot { place, channel, shard }, -1));
            }
        }
        for place in wanted {
            if !live.iter().any(|old| old.channel == channel && old.place == *place) {
                self.join(num, place, channel)?;
            }
        }
        Ok(())
    }

    fn join(&mut self, num: DeviceNum, place: &Place, channel: Channel) -> Result<(), Error> {
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
        self.change.newest = Some(Seq(self.source.connection.last_insert_rowid() as u64));
        self.change.counts.push((Spot { place: place.clone(), channel, shard }, 1));
        Ok(())
    }
}
