//! Where profiles lie: with those of their range, in packs.
//!
//! An alert is for ranges, and a city's devices came in no order. A profile in its device's row
//! would cost a page of the file for each member of a range; so it lies in a pack, a row of as many
//! members of one range as fit a page, with all that a scan asks of them. Whoever is live is in a
//! pack, a device once in the range of each of its places; whoever left is in none. A pack is named
//! by its range's number and the Seq of its first member, its members are in the order of Seq, and
//! those of one range never overlap: so a scan is a walk along the table's own tree, and whoever
//! knows a range and a Seq finds the pack. A device's row knows one of its memberships, its
//! **home**, where its profile is read.
//!
//! A device without a place has no home, and its profile lies in its row; so does that of one that
//! an earlier release registered, until [`fill`](crate::store::registry::embedded::fill) packs it.

use std::collections::HashMap;
use std::ops::Range as Span;

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::channel::Channel;
use crate::domain::device::Place;
use crate::domain::ids::{Seq, UnitCode};
use crate::store::Failure;
use crate::store::registry::Error;
use crate::store::registry::codec::{Damaged, channel_code};

mod entry;

use entry::Entries;
pub use entry::{Entry, NUMBER_MAX};

/// Bits of a pack's number that are a Seq; those above are the number of its range.
const SEQ_BITS: u32 = NUMBER_MAX.ilog2();
/// Bytes of a page that a row needs besides its pack, and a few more: the head of a leaf, the
/// cell's place, its length and key, and the row's own head (SQLite, "Database File Format").
const BESIDE: usize = 40;
/// Open packs that a load keeps in memory at most: 64 MiB of them.
const OPEN_MAX: usize = 16 * 1024;

/// Where a member is: the number of its range and its Seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(i64);

impl Key {
    /// As it is stored.
    pub fn of(bits: i64) -> Self {
        Self(bits)
    }

    /// For a column.
    pub fn bits(self) -> i64 {
        self.0
    }

    /// The membership.
    pub fn seq(self) -> Seq {
        Seq(self.0 as u64 & (NUMBER_MAX - 1))
    }

    fn range(self) -> i64 {
        self.0 >> SEQ_BITS
    }
}

/// What packs of a range may be named.
pub fn keys(range: i64) -> Span<i64> {
    range << SEQ_BITS..(range + 1) << SEQ_BITS
}

/// The number of a range, if it ever had a member.
pub fn range_number(
    connection: &Connection,
    (unit, channel, shard): (&UnitCode, Channel, u16),
) -> Result<Option<i64>, Error> {
    let sql = "SELECT num FROM ranges WHERE unit = ?1 AND channel = ?2 AND shard = ?3";
    let range = params![unit.as_str(), channel_code(channel), shard];
    Ok(connection.prepare_cached(sql)?.query_row(range, |row| row.get(0)).optional()?)
}

/// Shows a member's entry, in the moment of whatever statement is under way.
pub fn look<T>(
    connection: &Connection,
    key: Key,
    show: impl FnOnce(&Entry<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut statement = connection.prepare_cached(NEAREST)?;
    let mut rows = statement.query([key.0, keys(key.range()).start])?;
    let row = rows.next()?.ok_or_else(|| absent(key))?;
    let bytes = row.get_ref(1)?.as_blob().map_err(Failure::new)?;
    for entry in Entries::of(bytes) {
        let entry = entry.map_err(|error| damaged(key, error))?;
        if entry.seq == key.seq() {
            return show(&entry);
        }
    }
    Err(absent(key))
}

/// Shows the members of a range after one, up to another, in the order of Seq, until `show` answers
/// that it is enough.
pub fn walk(
    connection: &Connection,
    range: i64,
    (after, upto): (Seq, Seq),
    mut show: impl FnMut(&Entry<'_>) -> Result<bool, Error>,
) -> Result<(), Error> {
    // The first pack is the one that has whoever comes next, perhaps in its middle.
    let sql = "SELECT first, entries FROM packs WHERE first <= ?3 AND first >=
            coalesce((SELECT max(first) FROM packs WHERE first <= ?2 AND first >= ?1), ?2)
        ORDER BY first";
    let all = keys(range);
    let at = |seq: Seq| all.start + seq.0.min(NUMBER_MAX - 1) as i64;
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([all.start, at(after), at(upto)])?;
    while let Some(row) = rows.next()? {
        let first = Key(row.get(0)?);
        let bytes = row.get_ref(1)?.as_blob().map_err(Failure::new)?;
        for entry in Entries::of(bytes) {
            let entry = entry.map_err(|error| damaged(first, error))?;
            if entry.seq > upto {
                return Ok(());
            }
            if entry.seq > after && !show(&entry)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The pack that has a member, or would have it.
const NEAREST: &str = "SELECT first, entries FROM packs WHERE first <= ?1 AND first >= ?2
    ORDER BY first DESC LIMIT 1";

/// A pack taken out to be changed.
struct Pack {
    first: Key,
    bytes: Vec<u8>,
}

/// Puts members into packs and takes them out, inside the writer's transaction.
pub struct Packs<'a> {
    connection: &'a Connection,
    /// Bytes after which a pack takes no more.
    bytes_max: usize,
    /// Where a load goes on, by range; none outside of one.
    open: Option<HashMap<i64, Pack>>,
}

impl<'a> Packs<'a> {
    /// Those of a file.
    pub fn of(connection: &'a Connection) -> Result<Self, Error> {
        let mut statement = connection.prepare_cached("PRAGMA page_size")?;
        let page_bytes: u32 = statement.query_row([], |row| row.get(0))?;
        Ok(Self { connection, bytes_max: page_bytes as usize - BESIDE, open: None })
    }

    /// From now on the last pack of each range is kept in memory, until [`Packs::close`]. Whoever
    /// is put meanwhile comes after all the others of its range, and nobody is taken.
    pub fn keep_open(&mut self) {
        self.open = Some(HashMap::new());
    }

    /// Writes what was kept in memory.
    pub fn close(&mut self) -> Result<(), Error> {
        let open = self.open.take().into_iter().flatten();
        for (_, pack) in open {
            self.write(pack)?;
        }
        Ok(())
    }

    /// Where a membership is, in a range that is given a number if it has none.
    pub fn key(
        &self,
        place: &Place,
        channel: Channel,
        (shard, seq): (u16, Seq),
    ) -> Result<Key, Error> {
        let range = (&place.unit, channel, shard);
        let number = match range_number(self.connection, range)? {
            Some(number) => number,
            None => {
                let sql = "INSERT INTO ranges(unit, channel, shard) VALUES (?1, ?2, ?3)";
                let values = params![place.unit.as_str(), channel_code(channel), shard];
                self.connection.prepare_cached(sql)?.execute(values)?;
                self.connection.last_insert_rowid()
            }
        };
        if number >> (i64::BITS - 1 - SEQ_BITS) != 0 {
            return Err(Failure::new(format!("{number} ranges are too many")).into());
        }
        Ok(Key(keys(number).start + seq.0 as i64))
    }

    /// Packs a member.
    pub fn put(&mut self, key: Key, entry: &Entry<'_>) -> Result<(), Error> {
        let mut fresh = Vec::new();
        entry.put(&mut fresh);
        let Some(mut pack) = self.nearest(key)? else {
            return self.keep(Pack { first: key, bytes: fresh });
        };
        let at = pack.place_of(key.seq())?;
        // Whoever is new comes last: the pack stays full, and the next one begins.
        if at.start == pack.bytes.len() && at.start + fresh.len() > self.bytes_max {
            if self.open.is_some() {
                self.write(pack)?;
            }
            return self.keep(Pack { first: key, bytes: fresh });
        }
        pack.bytes.splice(at, fresh);
        self.keep(pack)
    }

    /// Packs a member anew.
    pub fn replace(&mut self, key: Key, entry: &Entry<'_>) -> Result<(), Error> {
        self.change(key, |_, out| entry.put(out))
    }

    /// Packs a member's profile anew.
    pub fn reprofile(&mut self, key: Key, profile: &[u8]) -> Result<(), Error> {
        self.change(key, |entry, out| Entry { profile, ..*entry }.put(out))
    }

    fn change(
        &mut self,
        key: Key,
        put: impl FnOnce(&Entry<'_>, &mut Vec<u8>),
    ) -> Result<(), Error> {
        let mut pack = self.taken(key)?;
        let at = pack.place_of(key.seq())?;
        let old = Entries::of(&pack.bytes[at.clone()]).next().ok_or_else(|| absent(key))?;
        let mut fresh = Vec::new();
        put(&old.map_err(|error| damaged(key, error))?, &mut fresh);
        if pack.bytes[at.clone()] == fresh[..] {
            return Ok(());
        }
        pack.bytes.splice(at, fresh);
        self.keep(pack)
    }

    /// Takes a member out of its pack.
    pub fn take(&mut self, key: Key) -> Result<(), Error> {
        let mut pack = self.taken(key)?;
        let at = pack.place_of(key.seq())?;
        if at.is_empty() {
            return Err(absent(key));
        }
        pack.bytes.drain(at);
        if pack.bytes.is_empty() {
            return self.delete(pack.first);
        }
        if pack.bytes.len() < self.bytes_max / 4 {
            pack = self.joined(pack)?;
        }
        self.keep(pack)
    }

    /// One pack of a small one and the one after or before it, if there is one and both fit a page.
    fn joined(&self, mut pack: Pack) -> Result<Pack, Error> {
        let Span { start, end } = keys(pack.first.range());
        let fits = |other: &Pack| other.bytes.len() + pack.bytes.len() <= self.bytes_max;
        let sql = "SELECT first, entries FROM packs WHERE first > ?1 AND first < ?2
            ORDER BY first LIMIT 1";
        if let Some(after) = self.pack(sql, [pack.first.0, end])?.filter(fits) {
            self.delete(after.first)?;
            pack.bytes.extend(after.bytes);
            return Ok(pack);
        }
        if let Some(mut before) = self.pack(NEAREST, [pack.first.0 - 1, start])?.filter(fits) {
            self.delete(pack.first)?;
            before.bytes.extend(pack.bytes);
            return Ok(before);
        }
        Ok(pack)
    }

    /// The pack that has a member, or would have it; one that is kept open is taken out.
    fn nearest(&mut self, key: Key) -> Result<Option<Pack>, Error> {
        let open = self.open.as_mut().and_then(|open| open.remove(&key.range()));
        match open {
            Some(pack) => Ok(Some(pack)),
            None => self.pack(NEAREST, [key.0, keys(key.range()).start]),
        }
    }

    fn taken(&mut self, key: Key) -> Result<Pack, Error> {
        self.nearest(key)?.ok_or_else(|| absent(key))
    }

    fn pack(&self, sql: &str, keys: [i64; 2]) -> Result<Option<Pack>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let read =
            |row: &rusqlite::Row<'_>| Ok(Pack { first: Key(row.get(0)?), bytes: row.get(1)? });
        Ok(statement.query_row(keys, read).optional()?)
    }

    fn keep(&mut self, pack: Pack) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return self.write(pack) };
        let full = open.len() >= OPEN_MAX;
        open.insert(pack.first.range(), pack);
        if full {
            self.close()?;
            self.keep_open();
        }
        Ok(())
    }

    /// Writes a pack, as two or more if it has grown too large for its page.
    fn write(&self, pack: Pack) -> Result<(), Error> {
        let mut left = pack;
        loop {
            let rest = left.split(self.bytes_max)?;
            let sql = "INSERT INTO packs(first, entries) VALUES (?1, ?2)
                ON CONFLICT DO UPDATE SET entries = excluded.entries";
            self.connection.prepare_cached(sql)?.execute(params![left.first.0, left.bytes])?;
            match rest {
                Some(rest) => left = rest,
                None => return Ok(()),
            }
        }
    }

    fn delete(&self, first: Key) -> Result<(), Error> {
        let sql = "DELETE FROM packs WHERE first = ?1";
        self.connection.prepare_cached(sql)?.execute([first.0])?;
        Ok(())
    }
}

impl Pack {
    /// The bytes of a membership's entry; none where it would be, if it is not there.
    fn place_of(&self, seq: Seq) -> Result<Span<usize>, Error> {
        let mut entries = Entries::of(&self.bytes);
        loop {
            let start = entries.at();
            match entries.seq() {
                None => return Ok(start..start),
                Some(found) => match found.map_err(|error| damaged(self.first, error))? {
                    found if found == seq => return Ok(start..entries.at()),
                    found if found > seq => return Ok(start..start),
                    _ => {}
                },
            }
        }
    }

    /// Leaves the first half here, if that is too much for one page and more than one entry.
    fn split(&mut self, bytes_max: usize) -> Result<Option<Pack>, Error> {
        if self.bytes.len() <= bytes_max {
            return Ok(None);
        }
        let mut entries = Entries::of(&self.bytes);
        let mut cut = None;
        let damaged = |error| damaged(self.first, error);
        entries.seq().transpose().map_err(damaged)?;
        loop {
            let start = entries.at();
            let Some(seq) = entries.seq().transpose().map_err(damaged)? else { break };
            // The one before the middle, or the only place there is.
            if cut.is_none() || start <= self.bytes.len() / 2 {
                cut = Some((start, seq));
            }
        }
        let Some((start, seq)) = cut else { return Ok(None) };
        let first = Key(keys(self.first.range()).start + seq.0 as i64);
        Ok(Some(Pack { first, bytes: self.bytes.split_off(start) }))
    }
}

fn damaged(near: Key, error: Damaged) -> Error {
    Failure::new(format!("the pack at {:#x}: {error}", near.0)).into()
}

fn absent(key: Key) -> Error {
    Failure::new(format!("no pack has {:?} of range {}", key.seq(), key.range())).into()
}

#[cfg(test)]
mod tests;
