//! The funnel: what was targeted, what workers count, and what devices told us, added up when it
//! is asked for. A city-wide alert is some two thousand dispatches, read without their long parts.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::domain::channel::Channel;
use crate::domain::funnel::{Funnel, Latency};
use crate::domain::ids::PublicationId;
use crate::domain::receipt::Stage;
use crate::store::ledger::codec::unit_text;
use crate::store::ledger::embedded::receipts::latency;
use crate::store::ledger::embedded::schema::{channel, json, state, unit};
use crate::store::ledger::mark::{DELIVERED, stage_code};
use crate::store::ledger::sums::{Cells, Sums, add_stage, workers};
use crate::store::ledger::{Error, State, Targeted};

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
    let (open_dispatches, by_channel) = add_dispatches(connection, id, &mut cells)?;
    add_receipts(connection, id, &mut cells)?;
    let delivered = latency(connection, id, DELIVERED)?;
    let received = latency(connection, id, stage_code(Stage::Received))?;
    Ok(Sums { cells, open_dispatches, by_channel, delivered, received }.funnel(id))
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
        let counts = workers(json(row, 3)?);
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
        add_stage(counts, row.get(2)?, count);
    }
    Ok(())
}
