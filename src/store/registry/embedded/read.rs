//! What the registry is asked: devices, and members in Seq order.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};
use uuid::Uuid;

use crate::domain::cell::Cell;
use crate::domain::channel::Channel;
use crate::domain::device::{Device, Place};
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId};
use crate::store::registry::codec::{self, channel_code, channel_of};
use crate::store::registry::{
    Error, Member, Membership, PAGE_MAX, Range, SUBJECT_DEVICES_MAX, Stored,
};
use crate::store::{Failure, sqlite};

const DEVICE: &str = "SELECT num, id, subject, address_since, profile, secret_hash FROM devices";
/// A member's first five columns are its device's, as in [`DEVICE`].
const MEMBER: &str = "SELECT m.device, d.id, d.subject, d.address_since, d.profile,
        m.seq, m.unit, m.cell, m.channel, m.joined_at, m.left_at
    FROM memberships m LEFT JOIN devices d ON d.num = m.device";

/// A device by its id.
pub fn by_id(connection: &Connection, id: DeviceId) -> Result<Option<Stored>, Error> {
    stored(connection, &format!("{DEVICE} WHERE id = ?1"), id.0.as_bytes())
}

/// A device by its number.
pub fn by_num(connection: &Connection, num: DeviceNum) -> Result<Option<Stored>, Error> {
    stored(connection, &format!("{DEVICE} WHERE num = ?1"), &(num.0 as i64))
}

fn stored(connection: &Connection, sql: &str, key: &dyn ToSql) -> Result<Option<Stored>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([key], |row| Ok((device(row), row.get(5)?))).optional()?;
    let Some((device, secret_hash)) = found else { return Ok(None) };
    Ok(Some(Stored { device: Arc::new(device?), secret_hash }))
}

/// A citizen's devices.
pub fn of_subject(conn: &Connection, subject: &SubjectId) -> Result<Vec<Arc<Device>>, Error> {
    let mut statement =
        conn.prepare_cached(&format!("{DEVICE} WHERE subject = ?1 ORDER BY num LIMIT ?2"))?;
    let mut rows = statement.query(params![subject.as_str(), SUBJECT_DEVICES_MAX as i64])?;
    let mut devices = Vec::new();
    while let Some(row) = rows.next()? {
        devices.push(Arc::new(device(row)?));
    }
    Ok(devices)
}

/// The next members of a range.
pub fn scan(conn: &Connection, range: &Range, limit: usize) -> Result<Vec<Member>, Error> {
    let sql = format!(
        "{MEMBER} WHERE m.unit = ?1 AND m.channel = ?2 AND m.shard = ?3
             AND m.seq > ?4 AND m.seq <= ?5 ORDER BY m.seq LIMIT ?6"
    );
    let channel = channel_code(range.channel);
    let (after, upto) = (bound(range.after), bound(range.upto));
    let unit = range.unit.as_str();
    let params = params![unit, channel, range.shard, after, upto, page(limit)];
    collect(conn, &sql, params)
}

/// The memberships after one, of every unit and channel.
pub fn changes(conn: &Connection, after: Seq, limit: usize) -> Result<Vec<Member>, Error> {
    let sql = format!("{MEMBER} WHERE m.seq > ?1 ORDER BY m.seq LIMIT ?2");
    collect(conn, &sql, params![bound(after), page(limit)])
}

/// Members by their numbers.
pub fn members(conn: &Connection, mut seqs: Vec<Seq>) -> Result<Vec<Member>, Error> {
    seqs.truncate(PAGE_MAX);
    seqs.sort_unstable();
    seqs.dedup();
    let mut statement = conn.prepare_cached(&format!("{MEMBER} WHERE m.seq = ?1"))?;
    let mut found = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let mut rows = statement.query([bound(seq)])?;
        if let Some(row) = rows.next()? {
            found.push(member(row)?);
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
        let left_at: Option<i64> = row.get(6)?;
        found.push(Membership {
            seq: Seq(row.get::<_, i64>(0)? as u64),
            place: place(row, 1, 2)?,
            channel: channel(row, 3)?,
            shard: row.get(4)?,
            joined_at: sqlite::from_ms(row.get(5)?)?,
            left_at: left_at.map(sqlite::from_ms).transpose()?,
        });
    }
    Ok(found)
}

fn collect(conn: &Connection, sql: &str, params: impl Params) -> Result<Vec<Member>, Error> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(member(row)?);
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

fn member(row: &Row) -> Result<Member, Error> {
    let known = row.get_ref(1)?.as_blob_or_null().map_err(Failure::new)?.is_some();
    let left_at: Option<i64> = row.get(10)?;
    Ok(Member {
        seq: Seq(row.get::<_, i64>(5)? as u64),
        num: DeviceNum(row.get::<_, i64>(0)? as u64),
        place: place(row, 6, 7)?,
        channel: channel(row, 8)?,
        joined_at: sqlite::from_ms(row.get(9)?)?,
        left_at: left_at.map(sqlite::from_ms).transpose()?,
        device: known.then(|| device(row).map(Arc::new)).transpose()?,
    })
}

fn device(row: &Row) -> Result<Device, Error> {
    let num: i64 = row.get(0)?;
    let subject = row.get_ref(2)?.as_str_or_null().map_err(Failure::new)?;
    let profile = row.get_ref(4)?.as_blob().map_err(Failure::new)?;
    Ok(Device {
        num: DeviceNum(num as u64),
        id: DeviceId(Uuid::from_bytes(row.get(1)?)),
        subject: subject.map(str::parse).transpose().map_err(Failure::new)?,
        address_since: sqlite::from_ms(row.get(3)?)?,
        profile: codec::decode(profile)
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
