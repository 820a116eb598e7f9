//! What the registry is asked: devices, and members in Seq order.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};
use uuid::Uuid;

use crate::domain::cell::Cell;
use crate::domain::channel::Channel;
use crate::domain::device::{Device, Place};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId};
use crate::store::registry::codec::{self, Damaged, Owner, channel_code, channel_of};
use crate::store::registry::embedded::packs::{self, Entry, Key};
use crate::store::registry::numbers::Numbers;
use crate::store::registry::placed::Placed;
use crate::store::registry::{
    Error, Member, Membership, PAGE_MAX, Range, SUBJECT_DEVICES_MAX, Stored,
};
use crate::store::vault::Vault;
use crate::store::{Failure, sqlite};

/// Where devices are read, and what their addresses are sealed with.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The file.
    pub connection: &'a Connection,
    /// The keys.
    pub vault: Option<&'a Vault>,
}

impl<'a> Source<'a> {
    /// Whose profile it is.
    pub fn owner(self, id: DeviceId) -> Owner<'a> {
        Owner { id, vault: self.vault }
    }
}

const DEVICE: &str =
    "SELECT num, id, subject, address_since, profile, home, secret_hash FROM devices";
/// A member's first six columns are its device's, as in [`DEVICE`].
const MEMBER: &str = "SELECT m.device, d.id, d.subject, d.address_since, d.profile, d.home,
        m.seq, m.unit, m.cell, m.channel, m.joined_at, m.left_at
    FROM memberships m LEFT JOIN devices d ON d.num = m.device";

/// The first seven columns are the device's, as in [`DEVICE`]; then come the membership's.
const PLACED: &str = "SELECT d.num, d.id, d.subject, d.address_since, d.profile, d.home,
        d.secret_hash, m.seq, m.unit, m.cell, m.channel, m.shard, m.joined_at, m.left_at
    FROM devices d LEFT JOIN memberships m ON m.device = d.num
    WHERE d.id = ?1 ORDER BY m.seq";

/// A device with its memberships: one statement, so that they are of one moment.
pub fn placed(source: Source<'_>, id: DeviceId) -> Result<Option<Placed>, Error> {
    let mut statement = source.connection.prepare_cached(PLACED)?;
    let mut rows = statement.query([id.0.as_bytes()])?;
    let mut found: Option<Placed> = None;
    while let Some(row) = rows.next()? {
        if found.is_none() {
            let (device, secret_hash) = (Arc::new(device(source, row)?), row.get(6)?);
            let stored = Stored { device, secret_hash };
            found = Some(Placed { stored, memberships: Vec::new() });
        }
        let joined: Option<i64> = row.get(7)?;
        if let (Some(found), Some(_)) = (&mut found, joined) {
            found.memberships.push(membership(row, 7)?);
        }
    }
    Ok(found)
}

/// A device by its id.
pub fn by_id(source: Source<'_>, id: DeviceId) -> Result<Option<Stored>, Error> {
    stored(source, &format!("{DEVICE} WHERE id = ?1"), id.0.as_bytes())
}

/// A device by its number.
pub fn by_num(source: Source<'_>, num: DeviceNum) -> Result<Option<Stored>, Error> {
    stored(source, &format!("{DEVICE} WHERE num = ?1"), &(num.0 as i64))
}

fn stored(source: Source<'_>, sql: &str, key: &dyn ToSql) -> Result<Option<Stored>, Error> {
    let mut statement = source.connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok((device(source, row), row.get(6)?));
    let found = statement.query_row([key], read).optional()?;
    let Some((device, secret_hash)) = found else { return Ok(None) };
    Ok(Some(Stored { device: Arc::new(device?), secret_hash }))
}

/// A citizen's devices.
pub fn of_subject(source: Source<'_>, subject: &SubjectId) -> Result<Vec<Arc<Device>>, Error> {
    let sql = format!("{DEVICE} WHERE subject = ?1 ORDER BY num LIMIT ?2");
    listed(source, &sql, params![subject.as_str(), SUBJECT_DEVICES_MAX as i64])
}

/// The devices after a number.
pub fn devices(
    source: Source<'_>,
    after: DeviceNum,
    limit: usize,
) -> Result<Vec<Arc<Device>>, Error> {
    let sql = format!("{DEVICE} WHERE num > ?1 ORDER BY num LIMIT ?2");
    listed(source, &sql, params![after.0 as i64, page(limit)])
}

fn listed(source: Source<'_>, sql: &str, params: impl Params) -> Result<Vec<Arc<Device>>, Error> {
    collect(source, sql, params, |row| device(source, row).map(Arc::new))
}

/// The next members of a range.
pub fn scan(source: Source<'_>, range: &Range, limit: usize) -> Result<Vec<Member>, Error> {
    let of_entry = |entry: &Entry<'_>| of_pack(source, range, entry);
    let of_row = |row: &Row<'_>| member(source, row);
    in_order(source, (range, limit), (MEMBER, of_row), of_entry, |one| one.seq)
}

/// The next members of a range, their numbers alone.
pub fn numbers(source: Source<'_>, range: &Range, limit: usize) -> Result<Numbers, Error> {
    let select = "SELECT m.seq, m.device FROM memberships m";
    let of_row = |row: &Row<'_>| {
        Ok((Seq(row.get::<_, i64>(0)? as u64), DeviceNum(row.get::<_, i64>(1)? as u64)))
    };
    let of_entry = |entry: &Entry<'_>| Ok((entry.seq, entry.num));
    in_order(source, (range, limit), (select, of_row), of_entry, |one| one.0)
}

/// The next of a range: those who left from their index, those who are live from the packs.
fn in_order<T>(
    source: Source<'_>,
    (range, limit): (&Range, usize),
    (select, of_row): (&str, impl Fn(&Row<'_>) -> Result<T, Error>),
    of_entry: impl Fn(&Entry<'_>) -> Result<T, Error>,
    seq: impl Fn(&T) -> Seq,
) -> Result<Vec<T>, Error> {
    // Of one moment: whoever leaves goes from the ones to the others.
    let moment = source.connection.unchecked_transaction()?;
    let sql = format!(
        "{select} WHERE m.unit = ?1 AND m.channel = ?2 AND m.shard = ?3 AND m.left_at NOTNULL
             AND m.seq > ?4 AND m.seq <= ?5 ORDER BY m.seq LIMIT ?6"
    );
    let channel = channel_code(range.channel);
    let (after, upto) = (bound(range.after), bound(range.upto));
    let unit = range.unit.as_str();
    let params = params![unit, channel, range.shard, after, upto, page(limit)];
    let mut found = collect(source, &sql, params, of_row)?;
    let departed = found.len();
    let limit = page(limit) as usize;
    walk(source, range, |entry| {
        found.push(of_entry(entry)?);
        Ok(found.len() - departed < limit)
    })?;
    moment.commit()?;
    if departed > 0 {
        found.sort_unstable_by_key(seq);
        found.truncate(limit);
    }
    Ok(found)
}

/// Walks the live members of a range.
pub fn walk(
    source: Source<'_>,
    range: &Range,
    show: impl FnMut(&Entry<'_>) -> Result<bool, Error>,
) -> Result<(), Error> {
    let Range { unit, channel, shard, after, upto } = range;
    match packs::range_number(source.connection, (unit, *channel, *shard))? {
        Some(number) => packs::walk(source.connection, number, (*after, *upto), show),
        None => Ok(()),
    }
}

/// A member that is in a pack.
fn of_pack(source: Source<'_>, range: &Range, entry: &Entry<'_>) -> Result<Member, Error> {
    let damaged = |error: Damaged| Failure::new(format!("device number {}: {error}", entry.num.0));
    let profile = codec::decode(entry.profile, source.owner(entry.id)).map_err(damaged)?;
    let place = profile.places.get(usize::from(entry.place)).cloned();
    let device = Device {
        num: entry.num,
        id: entry.id,
        subject: entry.subject.map(str::parse).transpose().map_err(Failure::new)?,
        address_since: sqlite::from_ms(entry.address_since_ms)?,
        profile,
    };
    Ok(Member {
        seq: entry.seq,
        num: entry.num,
        place: place.ok_or(Damaged).map_err(damaged)?,
        channel: range.channel,
        joined_at: sqlite::from_ms(entry.joined_ms)?,
        left_at: None,
        device: Some(Arc::new(device)),
    })
}

/// The memberships after one, of every unit and channel.
pub fn changes(source: Source<'_>, after: Seq, limit: usize) -> Result<Vec<Member>, Error> {
    let sql = format!("{MEMBER} WHERE m.seq > ?1 ORDER BY m.seq LIMIT ?2");
    collect(source, &sql, params![bound(after), page(limit)], |row| member(source, row))
}

/// Members by their numbers.
pub fn members(source: Source<'_>, mut seqs: Vec<Seq>) -> Result<Vec<Member>, Error> {
    seqs.truncate(PAGE_MAX);
    seqs.sort_unstable();
    seqs.dedup();
    let sql = format!("{MEMBER} WHERE m.seq = ?1");
    let mut statement = source.connection.prepare_cached(&sql)?;
    let mut found = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let mut rows = statement.query([bound(seq)])?;
        if let Some(row) = rows.next()? {
            found.push(member(source, row)?);
        }
    }
    Ok(found)
}

/// Every membership of a device.
pub fn memberships_of(conn: &Connection, num: DeviceNum) -> Result<Vec<Membership>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, unit, cell, channel, shard, joined_at, left_at
         FROM memberships WHERE device = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([num.0 as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(membership(row, 0)?);
    }
    Ok(found)
}

/// A membership of the device that was asked for, whose columns begin at `first`.
fn membership(row: &Row, first: usize) -> Result<Membership, Error> {
    let left_at: Option<i64> = row.get(first + 6)?;
    Ok(Membership {
        seq: Seq(row.get::<_, i64>(first)? as u64),
        place: place(row, first + 1, first + 2)?,
        channel: channel(row, first + 3)?,
        shard: row.get(first + 4)?,
        joined_at: sqlite::from_ms(row.get(first + 5)?)?,
        left_at: left_at.map(sqlite::from_ms).transpose()?,
    })
}

fn collect<T>(
    source: Source<'_>,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = source.connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The rows of a page: one at least, since an empty page means the end.
fn page(limit: usize) -> i64 {
    limit.clamp(1, PAGE_MAX) as i64
}

/// A Seq as SQLite can compare it: none is beyond its largest number.
fn bound(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn member(source: Source<'_>, row: &Row) -> Result<Member, Error> {
    let known = row.get_ref(1)?.as_blob_or_null().map_err(Failure::new)?.is_some();
    let left_at: Option<i64> = row.get(11)?;
    Ok(Member {
        seq: Seq(row.get::<_, i64>(6)? as u64),
        num: DeviceNum(row.get::<_, i64>(0)? as u64),
        place: place(row, 7, 8)?,
        channel: channel(row, 9)?,
        joined_at: sqlite::from_ms(row.get(10)?)?,
        left_at: left_at.map(sqlite::from_ms).transpose()?,
        device: known.then(|| device(source, row).map(Arc::new)).transpose()?,
    })
}

/// A profile as it is stored.
pub struct StoredProfile {
    /// Whose number.
    pub num: DeviceNum,
    /// Whose id.
    pub id: DeviceId,
    /// Where it lies, if not in the device's row.
    pub home: Option<Key>,
    /// The bytes.
    pub profile: Vec<u8>,
}

/// The next profiles in the order of their devices' numbers.
pub fn profiles(
    source: Source<'_>,
    after: DeviceNum,
    limit: usize,
) -> Result<Vec<StoredProfile>, Error> {
    let sql = "SELECT num, id, home, profile FROM devices WHERE num > ?1 ORDER BY num LIMIT ?2";
    collect(source, sql, params![after.0 as i64, page(limit)], |row| {
        let home = row.get::<_, Option<i64>>(2)?.map(Key::of);
        let profile = match home {
            Some(home) => packs::look(source.connection, home, |one| Ok(one.profile.to_owned()))?,
            None => row.get(3)?,
        };
        let num = DeviceNum(row.get::<_, i64>(0)? as u64);
        Ok(StoredProfile { num, id: id(row, 1)?, home, profile })
    })
}

fn device(source: Source<'_>, row: &Row) -> Result<Device, Error> {
    let num: i64 = row.get(0)?;
    let id = id(row, 1)?;
    let subject = row.get_ref(2)?.as_str_or_null().map_err(Failure::new)?;
    let home: Option<i64> = row.get(5)?;
    let profile = |bytes: &[u8]| {
        codec::decode(bytes, source.owner(id))
            .map_err(|error| Failure::new(format!("device number {num}: {error}")).into())
    };
    Ok(Device {
        num: DeviceNum(num as u64),
        id,
        subject: subject.map(str::parse).transpose().map_err(Failure::new)?,
        address_since: sqlite::from_ms(row.get(3)?)?,
        profile: match home {
            Some(home) => {
                packs::look(source.connection, Key::of(home), |one| profile(one.profile))?
            }
            None => profile(row.get_ref(4)?.as_blob().map_err(Failure::new)?)?,
        },
    })
}

/// A device's id from its column.
pub fn id(row: &Row, column: usize) -> Result<DeviceId, Error> {
    Ok(DeviceId(Uuid::from_bytes(row.get(column)?)))
}

/// A place from the columns of its unit and its cell.
pub fn place(row: &Row, unit: usize, cell: usize) -> Result<Place, Error> {
    let unit = row.get_ref(unit)?.as_str().map_err(Failure::new)?;
    let cell: Option<u32> = row.get(cell)?;
    let unit = unit.parse().map_err(Failure::new)?;
    Ok(Place { unit, cell: cell.map(Cell::from_bits) })
}

/// A channel from its column.
pub fn channel(row: &Row, column: usize) -> Result<Channel, Error> {
    let code: u8 = row.get(column)?;
    channel_of(code).ok_or_else(|| Failure::new(format!("channel {code} is unknown")).into())
}
