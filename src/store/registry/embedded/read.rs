//! What the registry is asked: devices, and members in Seq order.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};
use uuid::Uuid;

use crate::domain::cell::Cell;
use crate::domain::channel::Channel;
use crate::domain::device::{Device, Place};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId};
use crate::store::registry::codec::{self, Owner, channel_code, channel_of};
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

const DEVICE: &str = "SELECT num, id, subject, address_since, profile, secret_hash FROM devices";
/// A member's first five columns are its device's, as in [`DEVICE`].
const MEMBER: &str = "SELECT m.device, d.id, d.subject, d.address_since, d.profile,
        m.seq, m.unit, m.cell, m.channel, m.joined_at, m.left_at
    FROM memberships m LEFT JOIN devices d ON d.num = m.device";

/// The first six columns are the device's, as in [`DEVICE`]; then come the membership's.
const PLACED: &str = "SELECT d.num, d.id, d.subject, d.address_since, d.profile, d.secret_hash,
        m.seq, m.unit, m.cell, m.channel, m.shard, m.joined_at, m.left_at
    FROM devices d LEFT JOIN memberships m ON m.device = d.num
    WHERE d.id = ?1 ORDER BY m.seq";

/// A device with its memberships: one statement, so that they are of one moment.
pub fn placed(source: Source<'_>, id: DeviceId) -> Result<Option<Placed>, Error> {
    let mut statement = source.connection.prepare_cached(PLACED)?;
    let mut rows = statement.query([id.0.as_bytes()])?;
    let mut found: Option<Placed> = None;
    while let Some(row) = rows.next()? {
        if found.is_none() {
            let (device, secret_hash) = (Arc::new(device(source, row)?), row.get(5)?);
            let stored = Stored { device, secret_hash };
            found = Some(Placed { stored, memberships: Vec::new() });
        }
        let joined: Option<i64> = row.get(6)?;
        if let (Some(found), Some(_)) = (&mut found, joined) {
            found.memberships.push(membership(row, 6)?);
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
    let read = |row: &Row<'_>| Ok((device(source, row), row.get(5)?));
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
    let mut statement = source.connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut devices = Vec::new();
    while let Some(row) = rows.next()? {
        devices.push(Arc::new(device(source, row)?));
    }
    Ok(devices)
}

/// The next members of a range.
pub fn scan(source: Source<'_>, range: &Range, limit: usize) -> Result<Vec<Member>, Error> {
    let sql = format!(
        "{MEMBER} WHERE m.unit = ?1 AND m.channel = ?2 AND m.shard = ?3
             AND m.seq > ?4 AND m.seq <= ?5 ORDER BY m.seq LIMIT ?6"
    );
    let channel = channel_code(range.channel);
    let (after, upto) = (bound(range.after), bound(range.upto));
    let unit = range.unit.as_str();
    let params = params![unit, channel, range.shard, after, upto, page(limit)];
    collect(source, &sql, params)
}

/// The memberships after one, of every unit and channel.
pub fn changes(source: Source<'_>, after: Seq, limit: usize) -> Result<Vec<Member>, Error> {
    let sql = format!("{MEMBER} WHERE m.seq > ?1 ORDER BY m.seq LIMIT ?2");
    collect(source, &sql, params![bound(after), page(limit)])
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

fn collect(source: Source<'_>, sql: &str, params: impl Params) -> Result<Vec<Member>, Error> {
    let mut statement = source.connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(member(source, row)?);
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
    let left_at: Option<i64> = row.get(10)?;
    Ok(Member {
        seq: Seq(row.get::<_, i64>(5)? as u64),
        num: DeviceNum(row.get::<_, i64>(0)? as u64),
        place: place(row, 6, 7)?,
        channel: channel(row, 8)?,
        joined_at: sqlite::from_ms(row.get(9)?)?,
        left_at: left_at.map(sqlite::from_ms).transpose()?,
        device: known.then(|| device(source, row).map(Arc::new)).transpose()?,
    })
}

/// The next profiles as they are stored, in the order of their devices' numbers.
pub fn profiles(
    source: Source<'_>,
    after: DeviceNum,
    limit: usize,
) -> Result<Vec<(DeviceNum, DeviceId, Vec<u8>)>, Error> {
    let sql = "SELECT num, id, profile FROM devices WHERE num > ?1 ORDER BY num LIMIT ?2";
    let mut statement = source.connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        let num: i64 = row.get(0)?;
        Ok((DeviceNum(num as u64), DeviceId(Uuid::from_bytes(row.get(1)?)), row.get(2)?))
    };
    let rows = statement.query_map(params![after.0 as i64, page(limit)], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn device(source: Source<'_>, row: &Row) -> Result<Device, Error> {
    let num: i64 = row.get(0)?;
    let id = DeviceId(Uuid::from_bytes(row.get(1)?));
    let subject = row.get_ref(2)?.as_str_or_null().map_err(Failure::new)?;
    let profile = row.get_ref(4)?.as_blob().map_err(Failure::new)?;
    Ok(Device {
        num: DeviceNum(num as u64),
        id,
        subject: subject.map(str::parse).transpose().map_err(Failure::new)?,
        address_since: sqlite::from_ms(row.get(3)?)?,
        profile: codec::decode(profile, source.owner(id))
            .map_err(|error| Failure::new(format!("device number {num}: {error}")))?,
    })
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
