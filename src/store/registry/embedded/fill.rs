//! Packs the devices of an earlier release, at the first start of this one.
//!
//! It goes in the order in which they registered, so that nearly everybody comes last in a pack,
//! and a few thousand at a time: each step is a transaction of its own that leaves the registry
//! whole, so one that is killed goes on where it was. What cannot be read stops it, and with it the
//! start: whoever is in no pack is warned of nothing.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};

use crate::domain::ids::{DeviceId, DeviceNum};
use crate::store::Failure;
use crate::store::registry::Error;
use crate::store::registry::codec;
use crate::store::registry::embedded::packs::{Entry, Packs};
use crate::store::registry::embedded::{read, schema};
use crate::store::sqlite;

/// Devices of one step: some megabytes of journal.
const STEP: usize = 5_000;

/// A device as its row has it.
struct Row {
    num: DeviceNum,
    id: DeviceId,
    subject: Option<String>,
    address_since_ms: i64,
    profile: Vec<u8>,
}

/// Packs whoever has a place and no home yet, once in a file's life: since there are packs nobody
/// comes without.
pub fn fill(connection: &Connection, path: &Path) -> Result<(), Error> {
    if schema::is_packed(connection)? {
        return Ok(());
    }
    let (start, mut devices) = (Instant::now(), 0);
    let mut last = DeviceNum(0);
    loop {
        let step = unpacked(connection, last)?;
        let Some(newest) = step.last() else { break };
        last = newest.num;
        let moment = connection.unchecked_transaction()?;
        let mut packs = Packs::of(connection)?;
        for row in &step {
            pack(connection, &mut packs, row)?;
        }
        moment.commit()?;
        devices += step.len();
    }
    schema::set_packed(connection)?;
    if devices > 0 {
        let (path, seconds) = (path.display(), start.elapsed().as_secs());
        tracing::info!(%path, devices, seconds, "packed the devices of an earlier release");
    }
    Ok(())
}

/// The next devices whose profiles lie in their rows.
fn unpacked(connection: &Connection, after: DeviceNum) -> Result<Vec<Row>, Error> {
    let sql = "SELECT num, id, subject, address_since, profile FROM devices
        WHERE home IS NULL AND num > ?1 ORDER BY num LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after.0 as i64, STEP as i64])?;
    let mut found = Vec::with_capacity(STEP);
    while let Some(row) = rows.next()? {
        found.push(Row {
            num: DeviceNum(row.get::<_, i64>(0)? as u64),
            id: read::id(row, 1)?,
            subject: row.get(2)?,
            address_since_ms: row.get(3)?,
            profile: row.get(4)?,
        });
    }
    Ok(found)
}

fn pack(connection: &Connection, packs: &mut Packs<'_>, row: &Row) -> Result<(), Error> {
    let Row { num, id, address_since_ms, .. } = *row;
    let damaged = |what: &str| Failure::new(format!("device number {}: {what}", num.0));
    let places = codec::places(&row.profile).map_err(|error| damaged(&error.to_string()))?;
    let mut home = None;
    for one in read::memberships_of(connection, num)? {
        if one.left_at.is_some() {
            continue;
        }
        let place = places.iter().position(|place| *place == one.place);
        let place = place.and_then(|place| u8::try_from(place).ok());
        let (subject, profile) = (row.subject.as_deref(), &row.profile[..]);
        let entry = Entry {
            seq: one.seq,
            num,
            joined_ms: sqlite::to_ms(one.joined_at),
            address_since_ms,
            place: place.ok_or_else(|| damaged("its profile does not have a place of its"))?,
            id,
            subject,
            profile,
        };
        let key = packs.key(&one.place, one.channel, (one.shard, one.seq))?;
        packs.put(key, &entry)?;
        home = home.or(Some(key.bits()));
    }
    if home.is_some() {
        let sql = "UPDATE devices SET home = ?2, profile = x'' WHERE num = ?1";
        connection.prepare_cached(sql)?.execute(params![num.0 as i64, home])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Seq;
    use crate::store::registry::codec::{Owner, encode};
    use crate::store::registry::embedded::packs;
    use crate::store::registry::embedded::read::{Source, by_num};
    use crate::store::registry::embedded::schema::MIGRATIONS;

    /// As the release before packs wrote it.
    fn old_file(devices: i64) -> Connection {
        let connection = Connection::open_in_memory().expect("a file");
        let before = MIGRATIONS.len() - 1;
        for sql in &MIGRATIONS[..before] {
            connection.execute_batch(sql).expect("a migration");
        }
        for num in 1..=devices {
            let id = DeviceId(uuid::Uuid::from_u128(num as u128));
            let units: &[&str] = match num % 3 {
                0 => &[],
                1 => &["1"],
                _ => &["2", "1"],
            };
            let places: Vec<_> =
                units.iter().map(|unit| format!(r#"{{"unit":"{unit}"}}"#)).collect();
            let profile = format!(
                r#"{{"address":{{"channel":"fcm","kind":"token","value":"a:{num}"}},
                    "places":[{}],"languages":["vi"]}}"#,
                places.join(",")
            );
            let profile = serde_json::from_str(&profile).expect("a profile");
            let bytes = encode(&profile, Owner { id, vault: None });
            let sql = "INSERT INTO devices(num, id, secret_hash, address_since, profile)
                VALUES (?1, ?2, zeroblob(32), ?1, ?3)";
            connection.execute(sql, params![num, id.0.as_bytes(), bytes]).expect("a device");
            for unit in units {
                let sql = "INSERT INTO memberships(device, unit, channel, shard, joined_at)
                    VALUES (?1, ?2, 2, 0, ?1)";
                connection.execute(sql, params![num, unit]).expect("a membership");
            }
        }
        connection.execute_batch(MIGRATIONS[before]).expect("the migration");
        connection
    }

    fn members(connection: &Connection, unit: &str) -> Vec<u64> {
        let unit = unit.parse().expect("a code");
        let channel = crate::domain::channel::Channel::Fcm;
        let number = packs::range_number(connection, (&unit, channel, 0)).expect("a look");
        let mut found = Vec::new();
        packs::walk(connection, number.expect("a range"), (Seq(0), Seq(u64::MAX)), |entry| {
            found.push(entry.num.0);
            Ok(true)
        })
        .expect("a walk");
        found
    }

    #[test]
    fn a_file_of_before_is_packed_once_and_goes_on_where_it_was() {
        let connection = old_file(400);
        // A start that was killed after its first step.
        let some = unpacked(&connection, DeviceNum(0)).expect("devices");
        let mut packs = Packs::of(&connection).expect("packs");
        for row in &some[..100] {
            pack(&connection, &mut packs, row).expect("packed");
        }
        fill(&connection, Path::new("registry.db")).expect("filled");
        fill(&connection, Path::new("registry.db")).expect("nothing to do");
        let of = |wanted: &[u64]| (1..=400).filter(|num| wanted.contains(&(num % 3))).collect();
        let (ones, twos): (Vec<u64>, Vec<u64>) = (of(&[1, 2]), of(&[2]));
        assert_eq!((members(&connection, "1"), members(&connection, "2")), (ones, twos));
        let source = Source { connection: &connection, vault: None };
        for num in 1..=400 {
            let stored = by_num(source, DeviceNum(num)).expect("a look").expect("it is there");
            let unsaid = (stored.device.id.0.as_u128(), stored.device.address_since);
            let since = sqlite::from_ms(num as i64).expect("an instant");
            assert_eq!(unsaid, (u128::from(num), since));
            assert_eq!(stored.device.profile.places.len() as u64, num % 3);
        }
    }

    #[test]
    fn a_profile_that_cannot_be_read_stops_it_and_is_named() {
        let connection = old_file(5);
        connection.execute("UPDATE devices SET profile = x'09' WHERE num = 4", []).expect("");
        let error = fill(&connection, Path::new("registry.db")).expect_err("it stops");
        assert!(error.to_string().contains("device number 4"), "{error}");
        assert!(!schema::is_packed(&connection).expect("a look"));
    }
}
