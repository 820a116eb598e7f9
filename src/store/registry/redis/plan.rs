//! What a change is: from the record that was read to the record that is wanted, with everything
//! else that goes with it. Pure; the script does it if the record is still the one that was read.

use jiff::Timestamp;

use crate::domain::channel::Channel;
use crate::domain::device::{Place, Profile};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId, UnitCode};
use crate::store::redis::Call;
use crate::store::registry::codec::channel_code;
use crate::store::registry::redis::record::{Person, Record, Row};
use crate::store::registry::redis::{Found, NUMS};
use crate::store::registry::shard_of;
use crate::store::vault::Vault;

/// Parts of the index by id: at ten million devices some 40 ids each, which Redis packs tightly.
const ID_BUCKETS: u64 = 1 << 18;
/// Parts of the index by subject.
const SUBJECT_BUCKETS: u64 = 1 << 16;

/// A change of one device.
#[derive(Clone, Debug)]
pub struct Change {
    num: DeviceNum,
    before: Vec<u8>,
    after: Vec<u8>,
    ids: Vec<(char, DeviceId)>,
    subjects: Vec<(char, SubjectId)>,
    left: Vec<(Place, Channel)>,
    joined: Vec<(Place, Channel)>,
    departed: Option<Timestamp>,
    dropped: Vec<(UnitCode, Channel, Seq)>,
    /// Entries of the list of departures that are done with.
    gone: Vec<Vec<u8>>,
}

impl Change {
    /// From a record to a record of a person; `now` dates what leaves and joins.
    pub fn to(
        vault: Option<&Vault>,
        found: &Found,
        person: Option<Person>,
        now: Timestamp,
    ) -> Self {
        let old = &found.record;
        let mut change = Self::nothing(found.num, &found.bytes);
        let none: &[Place] = &[];
        let (wanted, channel) = person.as_ref().map_or((none, Channel::Websocket), |person| {
            (&person.profile.places, person.profile.address.channel())
        });
        let mut rows = old.rows.clone();
        for row in rows.iter_mut().filter(|row| row.left_at.is_none()) {
            if row.channel != channel || !wanted.contains(&row.place) {
                row.left_at = Some(now);
                change.left.push((row.place.clone(), row.channel));
                change.departed = Some(now);
            }
        }
        for place in wanted {
            let known = |row: &Row| row.left_at.is_none() && row.place == *place;
            if !rows.iter().any(known) {
                let (place, left_at) = (place.clone(), None);
                change.joined.push((place.clone(), channel));
                rows.push(Row { seq: None, place, channel, joined_at: now, left_at });
            }
        }
        let (before, after) = (old.person.as_ref(), person.as_ref());
        change.index(before, after);
        change.after = Record { person, rows }.encode(vault);
        change
    }

    /// Drops the tombstones of those who left before an instant; answers how many.
    pub fn forget(
        vault: Option<&Vault>,
        found: &Found,
        before: Timestamp,
        entry: Vec<u8>,
    ) -> (Self, u64) {
        let mut change = Self::nothing(found.num, &found.bytes);
        let mut kept = found.record.clone();
        kept.rows.retain(|row| {
            let gone = row.left_at.is_some_and(|left_at| left_at < before);
            if let Some(seq) = row.seq.filter(|_| gone) {
                change.dropped.push((row.place.unit.clone(), row.channel, seq));
            }
            !gone
        });
        let dropped = change.dropped.len() as u64;
        change.after = kept.encode(vault);
        change.gone.push(entry);
        (change, dropped)
    }

    fn nothing(num: DeviceNum, bytes: &[u8]) -> Self {
        Self {
            num,
            before: bytes.to_owned(),
            after: bytes.to_owned(),
            ids: Vec::new(),
            subjects: Vec::new(),
            left: Vec::new(),
            joined: Vec::new(),
            departed: None,
            dropped: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// Whether anything would be written.
    pub fn changes(&self) -> bool {
        self.before != self.after
    }

    fn index(&mut self, before: Option<&Person>, after: Option<&Person>) {
        match (before, after) {
            (None, Some(person)) => self.ids.push(('+', person.id)),
            (Some(person), None) => self.ids.push(('-', person.id)),
            _ => {}
        }
        let old = before.and_then(|person| person.subject.clone());
        let new = after.and_then(|person| person.subject.clone());
        if old != new {
            self.subjects.extend(old.map(|subject| ('-', subject)));
            self.subjects.extend(new.map(|subject| ('+', subject)));
        }
    }

    /// Appends it to a call of the script, in the order the script reads.
    pub fn put<'a>(&self, mut call: Call<'a>, shards: u16) -> Call<'a> {
        let shard = shard_of(self.num, shards);
        call = call.arg(self.num.0).arg(&self.before[..]).arg(&self.after[..]).arg(&token()[..]);
        call = call.arg(self.ids.len());
        for (sign, id) in &self.ids {
            call = call.arg(sign.to_string()).arg(id_bucket(*id)).arg(&id.0.as_bytes()[..]);
        }
        call = call.arg(self.subjects.len());
        for (sign, subject) in &self.subjects {
            let bucket = subject_bucket(subject);
            call = call.arg(sign.to_string()).arg(bucket).arg(subject.as_str());
        }
        call = call.arg(self.left.len());
        for (place, channel) in &self.left {
            call = call.arg(place.unit.as_str()).arg(spot(place, *channel, shard));
        }
        call = call.arg(self.joined.len());
        for (place, channel) in &self.joined {
            let range = range(&place.unit, *channel, shard);
            call = call.arg(range).arg(place.unit.as_str()).arg(spot(place, *channel, shard));
        }
        call = call.arg(usize::from(self.departed.is_some()));
        if let Some(at) = self.departed {
            call = call.arg(&departure(at, self.num)[..]);
        }
        call = call.arg(self.dropped.len());
        for (unit, channel, seq) in &self.dropped {
            let entry = entry(*seq, self.num);
            call = call.arg(range(unit, *channel, shard)).arg(&entry[..]).arg(seq.0);
        }
        call = call.arg(self.gone.len());
        for entry in &self.gone {
            call = call.arg(&entry[..]);
        }
        call
    }
}

/// Who it is from now on: the address keeps its date while it stays the same.
pub fn revised(
    old: &Person,
    profile: Profile,
    subject: Option<SubjectId>,
    now: Timestamp,
) -> Person {
    let same = profile.address == old.profile.address;
    let address_since = if same { old.address_since } else { now };
    Person { id: old.id, secret_hash: old.secret_hash, address_since, subject, profile }
}

/// Where an id is found. Its last bits are random in every version of UUID that apps make.
pub fn id_bucket(id: DeviceId) -> u64 {
    id.0.as_u128() as u64 % ID_BUCKETS
}

/// Where a subject is found (FNV-1a).
pub fn subject_bucket(subject: &SubjectId) -> u64 {
    let mixed = subject.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed % SUBJECT_BUCKETS
}

/// The name of a range's list.
pub fn range(unit: &UnitCode, channel: Channel, shard: u16) -> String {
    format!("{unit}:{}:{shard}", channel_code(channel))
}

/// What is counted together, within a unit: cell (0 for the whole unit), channel, shard.
fn spot(place: &Place, channel: Channel, shard: u16) -> String {
    let cell = place.cell.map_or(0, |cell| u64::from(cell.bits()) + 1);
    format!("{cell}:{}:{shard}", channel_code(channel))
}

/// An entry of a range's list.
fn entry(seq: Seq, num: DeviceNum) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..5].copy_from_slice(&seq.0.to_be_bytes()[3..]);
    bytes[5..].copy_from_slice(&num.0.to_be_bytes()[3..]);
    bytes
}

/// An entry of the list of departures.
fn departure(at: Timestamp, num: DeviceNum) -> [u8; 11] {
    let mut bytes = [0; 11];
    bytes[..6].copy_from_slice(&at.as_millisecond().max(0).to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&num.0.to_be_bytes()[3..]);
    bytes
}

/// When and who, of an entry of the list of departures.
pub fn departed(entry: &[u8]) -> Option<(i64, DeviceNum)> {
    let (at, num) = entry.split_at_checked(6)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (num.len() == 5).then(|| (number(at) as i64, DeviceNum(number(num))))
}

/// Bytes of an entry of a range's list.
pub const ENTRY_BYTES: usize = 10;

/// The list and the place in it of a device's record.
pub fn place_of(num: DeviceNum) -> (u64, u64) {
    let at = num.0.saturating_sub(1);
    (at / NUMS, at % NUMS)
}

/// The Seq and the number of an entry of a range's list.
pub fn entry_of(entry: &[u8]) -> Option<(Seq, DeviceNum)> {
    let (seq, num) = entry.split_at_checked(5)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (num.len() == 5).then(|| (Seq(number(seq)), DeviceNum(number(num))))
}

/// Names the state of a unit's counts. Random, because a number that counts on would come again
/// with other counts after a restart that lost the newest.
fn token() -> [u8; 8] {
    rand::random()
}
