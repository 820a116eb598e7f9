//! The funnel: what was targeted, what workers count, and what devices told us, added up when it
//! is asked for. A city-wide alert is some two thousand dispatches, read without their long parts.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::domain::channel::Channel;
use crate::domain::funnel::{Counts, Funnel, FunnelCell, Latency};
use crate::domain::ids::{PublicationId, UnitCode};
use crate::domain::receipt::Stage;
use crate::store::ledger::embedded::receipts::{DELIVERED, latency, stage_code};
use crate::store::ledger::embedded::schema::{channel, json, state, unit, unit_text};
use crate::store::ledger::{Error, State, Targeted};

type Cells = BTreeMap<(Option<UnitCode>, Channel), Counts>;

/// Replaces what was targeted under a key.
pub fn put_targeted(
    connection: &Connection,
    id: PublicationId,
    key: &str,
    targeted: &[Targeted],
) -> Result<(), Error> {
    let id = id.0.as_bytes();
    let sql = "DELETE FROM targets WHERE publication = ?1 AND key = ?2";
    connection.prepare_cached(sql)?.execute(params![id, key])?;
    let sql = "INSERT INTO targets(publication, key, unit, channel, count)
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET count = count + excluded.count";
    let mut statement = connection.prepare_cached(sql)?;
    for (unit, channel, count) in targeted {
        let unit = unit_text(unit.as_ref());
        statement.execute(params![id, key, unit, channel.as_str(), *count as i64])?;
    }
    Ok(())
}

/// The funnel of a publication.
pub fn funnel(connection: &Connection, id: PublicationId) -> Result<Funnel, Error> {
    let mut cells = Cells::new();
    add_targets(connection, id, &mut cells)?;
    let (open_dispatches, mut by_channel) = add_dispatches(connection, id, &mut cells)?;
    add_receipts(connection, id, &mut cells)?;
    // Only the gateways tell of what they delivered.
    let sockets = by_channel.entry(Channel::Websocket).or_default();
    sockets.add(&latency(connection, id, DELIVERED)?);
    by_channel.retain(|_, latency| latency.first_ms.is_some());
    let mut accepted_ms = Latency::default();
    by_channel.values().for_each(|latency| accepted_ms.add(latency));
    let mut funnel = Funnel {
        publication: id,
        total: Counts::default(),
        channels: BTreeMap::new(),
        units: BTreeMap::new(),
        cells: Vec::with_capacity(cells.len()),
        open_dispatches,
        accepted_ms,
        accepted_ms_by_channel: by_channel,
        received_ms: latency(connection, id, stage_code(Stage::Received))?,
    };
    for ((unit, channel), counts) in cells {
        funnel.total.add(&counts);
        funnel.channels.entry(channel).or_default().add(&counts);
        if let Some(unit) = &unit {
            funnel.units.entry(unit.clone()).or_default().add(&counts);
        }
        funnel.cells.push(FunnelCell { unit, channel, counts });
    }
    Ok(funnel)
}

fn add_targets(conn: &Connection, id: PublicationId, cells: &mut Cells) -> Result<(), Error> {
    let sql = "SELECT unit, channel, sum(count) FROM targets WHERE publication = ?1
               GROUP BY unit, channel";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([id.0.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let counts = cells.entry((unit(row, 0)?, channel(row, 1)?)).or_default();
        counts.targeted += row.get::<_, i64>(2)? as u64;
    }
    Ok(())
}

/// Answers how many dispatches are open, and their latencies by channel.
fn add_dispatches(
    conn: &Connection,
    id: PublicationId,
    cells: &mut Cells,
) -> Result<(u64, BTreeMap<Channel, Latency>), Error> {
    let sql = "SELECT unit, channel, state, counts, accepted_ms FROM dispatches
               WHERE publication = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([id.0.as_bytes()])?;
    let (mut open, mut accepted_ms) = (0, BTreeMap::<Channel, Latency>::new());
    while let Some(row) = rows.next()? {
        open += u64::from(state(row, 2)? == State::Open);
        // A worker knows what it sent; targets and receipts are counted elsewhere.
        let counts =
            Counts { targeted: 0, received: 0, shown: 0, acknowledged: 0, ..json(row, 3)? };
        let channel = channel(row, 1)?;
        cells.entry((unit(row, 0)?, channel)).or_default().add(&counts);
        accepted_ms.entry(channel).or_default().add(&json(row, 4)?);
    }
    Ok((open, accepted_ms))
}

fn add_receipts(conn: &Connection, id: PublicationId, cells: &mut Cells) -> Result<(), Error> {
    let sql = "SELECT unit, channel, stage, count FROM tallies WHERE publication = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([id.0.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let counts = cells.entry((unit(row, 0)?, channel(row, 1)?)).or_default();
        let count = row.get::<_, i64>(3)? as u64;
        match row.get::<_, u8>(2)? {
            DELIVERED => {
                counts.sent += count;
                counts.accepted += count;
            }
            1 => counts.received += count,
            2 => counts.shown += count,
            _ => counts.acknowledged += count,
        }
    }
    Ok(())
}
