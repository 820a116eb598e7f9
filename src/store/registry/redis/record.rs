//! A device as one value of Redis: what it said of itself, and its memberships, those that have
//! left included. The Seqs come last, five bytes each, so that the script that gives out new ones
//! only appends them.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::cell::Cell;
use crate::domain::channel::Channel;
use crate::domain::device::{Device, Place, Profile};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId};
use crate::store::Failure;
use crate::store::registry::codec::{
    self, Damaged, Owner, Reader, channel_code, channel_of, put_number, put_text,
};
use crate::store::vault::Vault;

const VERSION: u8 = 1;
const PERSON: u8 = 1;
const SUBJECT: u8 = 2;
const SEQ_BYTES: usize = 5;

/// A device and its memberships.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The device; absent once it is removed.
    pub person: Option<Person>,
    /// Its memberships in the order of their Seqs; new ones last.
    pub rows: Vec<Row>,
}

/// What a device is but for its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Its id.
    pub id: DeviceId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// Since when it has its address.
    pub address_since: Timestamp,
    /// The citizen.
    pub subject: Option<SubjectId>,
    /// What it says of itself.
    pub profile: Profile,
}

/// A membership.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number; absent until the script gives it one.
    pub seq: Option<Seq>,
    /// Where.
    pub place: Place,
    /// Its channel.
    pub channel: Channel,
    /// When it joined.
    pub joined_at: Timestamp,
    /// When it left.
    pub left_at: Option<Timestamp>,
}

impl Person {
    /// The device of a number.
    pub fn device(self, num: DeviceNum) -> Device {
        let Self { id, address_since, subject, profile, .. } = self;
        Device { num, id, profile, subject, address_since }
    }
}

impl Record {
    /// Its bytes, but for the Seqs of new rows. Nobody and nothing is no bytes at all.
    pub fn encode(&self, vault: Option<&Vault>) -> Vec<u8> {
        if self.person.is_none() && self.rows.is_empty() {
            return Vec::new();
        }
        let subject = self.person.as_ref().and_then(|person| person.subject.as_ref());
        let person = if self.person.is_some() { PERSON } else { 0 };
        let mut out = vec![VERSION, person | if subject.is_some() { SUBJECT } else { 0 }];
        if let Some(person) = &self.person {
            out.extend(person.id.0.as_bytes());
            out.extend(person.secret_hash);
            put_instant(&mut out, person.address_since);
            if let Some(subject) = subject {
                put_text(&mut out, subject.as_str());
            }
            let profile = codec::encode(&person.profile, Owner { id: person.id, vault });
            put_number(&mut out, profile.len() as u64);
            out.extend(profile);
        }
        put_number(&mut out, self.rows.len() as u64);
        for row in &self.rows {
            self.put_row(&mut out, row);
        }
        for seq in self.rows.iter().filter_map(|row| row.seq) {
            out.extend(&seq.0.to_be_bytes()[8 - SEQ_BYTES..]);
        }
        out
    }

    /// A live row is one of the device's places on its channel, so that one byte says both.
    fn put_row(&self, out: &mut Vec<u8>, row: &Row) {
        let profile = self.person.as_ref().map(|person| &person.profile);
        let places = profile
            .filter(|profile| row.left_at.is_none() && profile.address.channel() == row.channel);
        let index =
            places.and_then(|profile| profile.places.iter().position(|place| *place == row.place));
        put_number(out, index.map_or(0, |index| index as u64 + 1));
        if index.is_none() {
            put_text(out, row.place.unit.as_str());
            put_number(out, row.place.cell.map_or(0, |cell| u64::from(cell.bits()) + 1));
            out.push(channel_code(row.channel));
            // Zero is "still here".
            put_number(out, row.left_at.map_or(0, |at| at.as_millisecond().max(1) as u64));
        }
        put_instant(out, row.joined_at);
    }

    /// What `encode` and the script wrote.
    pub fn decode(bytes: &[u8], vault: Option<&Vault>) -> Result<Self, Damaged> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return Err(Damaged);
        }
        let flags = reader.byte()?;
        let person = match flags & PERSON {
            0 => None,
            _ => Some(person(&mut reader, flags & SUBJECT != 0, vault)?),
        };
        let count = reader.length()?;
        let profile = person.as_ref().map(|person| &person.profile);
        let mut rows =
            (0..count).map(|_| row(&mut reader, profile)).collect::<Result<Vec<_>, _>>()?;
        for row in &mut rows {
            let mut seq = [0; 8];
            seq[8 - SEQ_BYTES..].copy_from_slice(reader.take(SEQ_BYTES)?);
            row.seq = Some(Seq(u64::from_be_bytes(seq)));
        }
        if reader.0.is_empty() { Ok(Self { person, rows }) } else { Err(Damaged) }
    }
}

/// A stored record that must be readable.
pub fn read(num: DeviceNum, bytes: &[u8], vault: Option<&Vault>) -> Result<Record, Failure> {
    let named = |error| Failure::new(format!("device number {}: {error}", num.0));
    Record::decode(bytes, vault).map_err(named)
}

fn person(
    reader: &mut Reader,
    with_subject: bool,
    vault: Option<&Vault>,
) -> Result<Person, Damaged> {
    let id = reader.take(16)?.try_into().map_err(|_| Damaged)?;
    let id = DeviceId(Uuid::from_bytes(id));
    let secret_hash = reader.take(32)?.try_into().map_err(|_| Damaged)?;
    let address_since = instant(reader)?;
    let subject = match with_subject {
        true => Some(reader.text()?.parse().map_err(|_| Damaged)?),
        false => None,
    };
    let length = reader.length()?;
    let profile = codec::decode(reader.take(length)?, Owner { id, vault })?;
    Ok(Person { id, secret_hash, address_since, subject, profile })
}

fn row(reader: &mut Reader, profile: Option<&Profile>) -> Result<Row, Damaged> {
    let index = reader.number()?;
    let (place, channel, left_at) = match (index, profile) {
        (0, _) => {
            let unit = reader.text()?.parse().map_err(|_| Damaged)?;
            let bits = u32::try_from(reader.number()?).map_err(|_| Damaged)?;
            let place = Place { unit, cell: bits.checked_sub(1).map(Cell::from_bits) };
            let channel = channel_of(reader.byte()?).ok_or(Damaged)?;
            let left = i64::try_from(reader.number()?).map_err(|_| Damaged)?;
            let left = (left > 0).then(|| Timestamp::from_millisecond(left));
            (place, channel, left.transpose().map_err(|_| Damaged)?)
        }
        (index, Some(profile)) => {
            let index = usize::try_from(index - 1).map_err(|_| Damaged)?;
            let place = profile.places.get(index).ok_or(Damaged)?;
            (place.clone(), profile.address.channel(), None)
        }
        (_, None) => return Err(Damaged),
    };
    Ok(Row { seq: None, place, channel, joined_at: instant(reader)?, left_at })
}

/// Instants of this registry are whole milliseconds after 1970.
fn put_instant(out: &mut Vec<u8>, at: Timestamp) {
    put_number(out, at.as_millisecond().max(0) as u64);
}

fn instant(reader: &mut Reader) -> Result<Timestamp, Damaged> {
    let ms = i64::try_from(reader.number()?).map_err(|_| Damaged)?;
    Timestamp::from_millisecond(ms).map_err(|_| Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::PushAddress;

    fn record() -> Record {
        let place = |code: &str, cell: Option<u32>| Place {
            unit: code.parse().expect("a code"),
            cell: cell.map(Cell::from_bits),
        };
        let ms = |ms| Timestamp::from_millisecond(ms).expect("an instant");
        let profile = Profile {
            address: PushAddress::Websocket,
            places: vec![place("26734", Some(9)), place("1", None)],
            languages: vec!["vi".into()],
            muted: Default::default(),
            quiet_hours: None,
            location_consent: None,
            exercises: false,
            app_version: None,
        };
        let person = Person {
            id: DeviceId(Uuid::from_u128(7)),
            secret_hash: [3; 32],
            address_since: ms(1_764_000_000_000),
            subject: Some("citizen".parse().expect("a subject")),
            profile,
        };
        let row = |seq, place, channel, left| Row {
            seq: Some(Seq(seq)),
            place,
            channel,
            joined_at: ms(1_764_000_000_000),
            left_at: left,
        };
        let rows = vec![
            row(3, place("x-1", None), Channel::Fcm, Some(ms(1_764_000_000_001))),
            row(70, place("1", None), Channel::Websocket, None),
            row(1 << 39, place("26734", Some(9)), Channel::Websocket, None),
        ];
        Record { person: Some(person), rows }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let whole = record();
        assert_eq!(Record::decode(&whole.encode(None), None), Ok(whole.clone()));
        let mut gone = Record { person: None, ..whole };
        gone.rows.truncate(1);
        assert_eq!(Record::decode(&gone.encode(None), None), Ok(gone));
        assert!(Record::default().encode(None).is_empty());
    }

    #[test]
    fn seqs_that_the_script_gives_out_are_appended() {
        let whole = record();
        let mut fresh = whole.clone();
        fresh.rows[2].seq = None;
        let mut bytes = fresh.encode(None);
        bytes.extend([0x80, 0, 0, 0, 0]);
        assert_eq!(Record::decode(&bytes, None), Ok(whole));
    }

    #[test]
    fn damage_is_noticed_and_never_panics() {
        let bytes = record().encode(None);
        for length in 1..bytes.len() {
            assert_eq!(Record::decode(&bytes[..length], None), Err(Damaged));
        }
        for (index, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << bit;
            let _ = Record::decode(&damaged, None);
        }
    }
}
