//! The funnel: what was targeted, what workers count, and what devices told us, added up when it
//! is asked for. A city-wide alert is some two thousand dispatches, read in a few round trips and
//! without their long parts.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::channel::Channel;
use crate::domain::dispatch::DispatchId;
use crate::domain::funnel::{Funnel, LATENCY_BUCKETS, Latency};
use crate::domain::ids::{PublicationId, UnitCode};
use crate::store::Failure;
use crate::store::ledger::codec::{channel, state, unit};
use crate::store::ledger::redis::{AT_ONCE, rows};
use crate::store::ledger::sums::{Sums, add_stage, workers};
use crate::store::ledger::{Error, State, Targeted};
use crate::store::redis::{Keys, Redis};

/// What the funnel reads of a dispatch.
const FIELDS: [&str; 5] = ["unit", "channel", "state", "counts", "latency"];

type Row = (Option<String>, Option<String>, Option<u8>, Option<String>, Option<String>);

/// Replaces what was targeted under a key.
pub async fn put_targeted(
    redis: &Redis,
    keys: &Keys,
    key: &str,
    targeted: &[Targeted],
) -> Result<(), Error> {
    let text = serde_json::to_string(targeted).map_err(Failure::new)?;
    let mut set = redis::cmd("HSET");
    set.arg(keys.key("targets")).arg(key).arg(text);
    Ok(redis.ask(&set).await?)
}

/// The funnel of a publication.
pub async fn funnel(
    redis: &Redis,
    (id, keys): (PublicationId, &Keys),
    dispatches: Vec<DispatchId>,
) -> Result<Funnel, Error> {
    let mut sums = Sums::default();
    let mut all = redis::pipe();
    for part in ["targets", "tallies", "latencies"] {
        all.cmd("HGETALL").arg(keys.key(part));
    }
    let (targets, tallies, latencies): (
        HashMap<String, String>,
        HashMap<String, u64>,
        HashMap<String, u64>,
    ) = redis.ask_all(&all).await?;
    add_targets(targets.into_values(), &mut sums)?;
    add_dispatches(redis, dispatches, &mut sums).await?;
    for (cell, count) in tallies {
        let ((unit, channel), stage) = cell_of(&cell)?;
        add_stage(sums.cells.entry((unit, channel)).or_default(), stage, count);
    }
    sums.delivered = latency(&latencies, "0");
    sums.received = latency(&latencies, "1");
    Ok(sums.funnel(id))
}

fn add_targets(texts: impl Iterator<Item = String>, sums: &mut Sums) -> Result<(), Error> {
    for text in texts {
        let targeted: Vec<Targeted> = serde_json::from_str(&text).map_err(Failure::new)?;
        for (unit, channel, count) in targeted {
            sums.cells.entry((unit, channel)).or_default().targeted += count;
        }
    }
    Ok(())
}

async fn add_dispatches(
    redis: &Redis,
    dispatches: Vec<DispatchId>,
    sums: &mut Sums,
) -> Result<(), Error> {
    let read = |id: DispatchId| async move {
        let mut get = redis::cmd("HMGET");
        get.arg(rows::key(redis, id)).arg(&FIELDS);
        redis.ask::<Row>(&get).await.map_err(Error::from)
    };
    let mut rows = stream::iter(dispatches.into_iter().map(read)).buffer_unordered(AT_ONCE);
    while let Some(row) = rows.try_next().await? {
        let (Some(place), Some(name), Some(code), Some(counts), Some(latency)) = row else {
            continue;
        };
        sums.open_dispatches += u64::from(state(code)? == State::Open);
        let (counts, channel) =
            (serde_json::from_str(&counts).map_err(Failure::new)?, channel(&name)?);
        sums.cells.entry((unit(&place)?, channel)).or_default().add(&workers(counts));
        let latency: Latency = serde_json::from_str(&latency).map_err(Failure::new)?;
        sums.by_channel.entry(channel).or_default().add(&latency);
    }
    Ok(())
}

type Cell = (Option<UnitCode>, Channel);

/// `unit|channel|stage`.
fn cell_of(text: &str) -> Result<(Cell, u8), Error> {
    let damaged = || Failure::new(format!("the count `{text}` is unknown"));
    let mut parts = text.split('|');
    let (Some(place), Some(name), Some(stage)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(damaged().into());
    };
    let stage = stage.parse().map_err(|_| damaged())?;
    Ok(((unit(place)?, channel(name)?), stage))
}

/// A stage's latencies from fields `stage:bucket`, `stage:first` and `stage:last`.
fn latency(fields: &HashMap<String, u64>, stage: &str) -> Latency {
    let mine: BTreeMap<&str, u64> = fields
        .iter()
        .filter_map(|(name, value)| {
            let (of, part) = name.split_once(':')?;
            (of == stage).then_some((part, *value))
        })
        .collect();
    let mut latency = Latency {
        first_ms: mine.get("first").copied(),
        last_ms: mine.get("last").copied(),
        buckets: Vec::new(),
    };
    for (part, count) in mine {
        let Some(bucket) = part.parse().ok().filter(|bucket| *bucket < LATENCY_BUCKETS) else {
            continue; // the first and the last
        };
        if latency.buckets.len() <= bucket {
            latency.buckets.resize(bucket + 1, 0);
        }
        latency.buckets[bucket] = count;
    }
    latency
}
