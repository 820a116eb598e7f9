//! Receipts and deliveries: each device counted once per publication and stage.
//!
//! Who was counted is kept in bitmaps of device numbers, one row per publication, stage and 65,536
//! devices (at most 8 KiB), so a receipt costs the same whether the publication went to a unit or
//! to ten million devices. The bitmaps do not follow units: a device that moves between two
//! receipts is still counted once.

use std::collections::{BTreeMap, HashMap};

use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::channel::Channel;
use crate::domain::funnel::Latency;
use crate::domain::ids::{DeviceNum, PublicationId, UnitCode};
use crate::domain::receipt::Stage;
use crate::store::Failure;
use crate::store::ledger::Error;
use crate::store::ledger::codec::unit_text;
use crate::store::ledger::embedded::schema::json;
use crate::store::ledger::mark::{DELIVERED, Mark, STAGES, stage_code, within_chunk};

/// Counts marks, and answers how many reached a stage their device had not.
pub fn record(connection: &Connection, marks: &[Mark]) -> Result<u64, Error> {
    let mut by_chunk: BTreeMap<(PublicationId, u64), Vec<&Mark>> = BTreeMap::new();
    for mark in marks {
        by_chunk.entry((mark.publication, mark.chunk())).or_default().push(mark);
    }
    let mut found = Found::default();
    for ((publication, chunk), marks) in by_chunk {
        let mut bitmaps = Bitmaps::load(connection, publication, chunk)?;
        marks.into_iter().for_each(|mark| found.count(mark, &mut bitmaps));
        bitmaps.store(connection, publication, chunk)?;
    }
    found.store(connection)?;
    Ok(found.new)
}

/// How far a publication got on a device.
pub fn stage_of(
    connection: &Connection,
    publication: PublicationId,
    device: DeviceNum,
) -> Result<Option<Stage>, Error> {
    let bitmaps = Bitmaps::load(connection, publication, device.0 >> 16)?;
    let reached = |stage: &Stage| {
        bitmaps.bitmaps[usize::from(stage_code(*stage))].contains(within_chunk(device))
    };
    Ok(Stage::ALL.into_iter().rev().find(reached))
}

/// Who of 65,536 devices reached which stage.
#[derive(Default)]
struct Bitmaps {
    bitmaps: [RoaringBitmap; STAGES],
    changed: [bool; STAGES],
}

impl Bitmaps {
    fn load(connection: &Connection, id: PublicationId, chunk: u64) -> Result<Self, Error> {
        let sql = "SELECT stage, devices FROM marks WHERE publication = ?1 AND chunk = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![id.0.as_bytes(), chunk as i64])?;
        let mut loaded = Self::default();
        while let Some(row) = rows.next()? {
            let stage: u8 = row.get(0)?;
            let bytes = row.get_ref(1)?.as_blob().map_err(Failure::new)?;
            let bitmap = RoaringBitmap::deserialize_from(bytes).map_err(Failure::new)?;
            let unknown = || Failure::new(format!("stage {stage} is unknown"));
            *loaded.bitmaps.get_mut(usize::from(stage)).ok_or_else(unknown)? = bitmap;
        }
        Ok(loaded)
    }

    /// Whether a device is new at a stage.
    fn insert(&mut self, stage: u8, device: DeviceNum) -> bool {
        let new = self.bitmaps[usize::from(stage)].insert(within_chunk(device));
        self.changed[usize::from(stage)] |= new;
        new
    }

    fn store(&self, connection: &Connection, id: PublicationId, chunk: u64) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO marks(publication, chunk, stage, devices)
                   VALUES (?1, ?2, ?3, ?4)";
        let mut statement = connection.prepare_cached(sql)?;
        for (stage, bitmap) in self.bitmaps.iter().enumerate() {
            if self.changed[stage] {
                let mut bytes = Vec::with_capacity(bitmap.serialized_size());
                bitmap.serialize_into(&mut bytes).map_err(Failure::new)?;
                statement.execute(params![id.0.as_bytes(), chunk as i64, stage as i64, bytes])?;
            }
        }
        Ok(())
    }
}

/// What a batch adds to the counts.
#[derive(Default)]
struct Found {
    new: u64,
    tallies: HashMap<(PublicationId, Option<UnitCode>, Channel, u8), u64>,
    latencies: HashMap<(PublicationId, u8), Latency>,
}

impl Found {
    fn count(&mut self, mark: &Mark, bitmaps: &mut Bitmaps) {
        for stage in mark.first..=mark.last {
            if !bitmaps.insert(stage, mark.device) {
                continue;
            }
            self.new += u64::from(stage == mark.last);
            let key = (mark.publication, mark.unit.clone(), mark.channel, stage);
            *self.tallies.entry(key).or_default() += 1;
            let timed = stage == DELIVERED || stage == stage_code(Stage::Received);
            if let Some(ms) = mark.latency_ms().filter(|_| timed) {
                self.latencies.entry((mark.publication, stage)).or_default().record(ms);
            }
        }
    }

    fn store(&self, connection: &Connection) -> Result<(), Error> {
        let sql = "INSERT INTO tallies(publication, unit, channel, stage, count)
            VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT DO UPDATE SET count = count + excluded.count";
        let mut statement = connection.prepare_cached(sql)?;
        for ((publication, unit, channel, stage), count) in &self.tallies {
            let unit = unit_text(unit.as_ref());
            let publication = publication.0.as_bytes();
            statement.execute(params![
                publication,
                unit,
                channel.as_str(),
                stage,
                *count as i64
            ])?;
        }
        for ((publication, stage), added) in &self.latencies {
            let mut latency = latency(connection, *publication, *stage)?;
            latency.add(added);
            let sql = "INSERT OR REPLACE INTO latencies(publication, stage, latency)
                       VALUES (?1, ?2, ?3)";
            let text = serde_json::to_string(&latency).map_err(Failure::new)?;
            let params = params![publication.0.as_bytes(), stage, text];
            connection.prepare_cached(sql)?.execute(params)?;
        }
        Ok(())
    }
}

/// The latencies of a stage; empty if nothing was counted.
pub fn latency(conn: &Connection, id: PublicationId, stage: u8) -> Result<Latency, Error> {
    let sql = "SELECT latency FROM latencies WHERE publication = ?1 AND stage = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let params = params![id.0.as_bytes(), stage];
    let found = statement.query_row(params, |row| Ok(json(row, 0))).optional()?;
    found.unwrap_or_else(|| Ok(Latency::default()))
}
