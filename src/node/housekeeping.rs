//! What keeps a node from growing: what is over is dropped when its kind's time has come, and the
//! lag of each consumer group and the channels' throttles are measured. Devices that are not seen
//! any more are [`dormant`]'s.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use crate::channel::Sender;
use crate::config::retention::{Periods, before};
use crate::fanout::worker;
use crate::ingest::Ingest;
use crate::ingest::intake;
use crate::lifecycle::Lifecycle;
use crate::metrics;
use crate::node::stores::RESERVED;
use crate::node::{Parts, dormant};
use crate::receipt;
use crate::route::router;
use crate::store::alerts::{self, Dropped, Over};

/// How often old things are dropped.
const DROP: Duration = Duration::from_secs(600);
/// How often lag is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// How often an api node of a cluster looks for what another one left unlogged.
const FINISH: Duration = Duration::from_secs(10);
/// A device that moved is remembered so long, and for as long as an older alert is live, so that a
/// cancel finds it.
const DEPARTED: SignedDuration = SignedDuration::from_hours(48);

/// How often the log is asked whether it could take an alert.
const ASK: Duration = Duration::from_secs(2);

/// Starts all of it.
pub fn start(parts: Parts, senders: Vec<Arc<Sender>>, periods: Periods, tasks: &Lifecycle) {
    watch_log(&parts, tasks);
    dormant::start(parts.clone(), periods.devices, tasks);
    let stop = tasks.token().clone();
    tasks.service("housekeeping", async move {
        let mut drop_old = tokio::time::interval(DROP);
        let mut measure = tokio::time::interval(MEASURE);
        loop {
            tokio::select! {
                _ = drop_old.tick() => tidy(&parts, &periods).await,
                _ = measure.tick() => {
                    senders.iter().for_each(|sender| throttle(sender));
                    note_seen(&parts).await;
                    lag(&parts).await;
                }
                () = stop.cancelled() => {
                    note_seen(&parts).await;
                    return Ok::<(), Infallible>(());
                }
            }
        }
    });
}

/// In a cluster, what a node that died had reserved and not logged is finished by another one.
pub fn finish_for_others(ingest: Ingest, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("ingest.recover", async move {
        let mut look = tokio::time::interval(FINISH);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
            match ingest.recover().await {
                Ok(0) => {}
                Ok(publications) => {
                    tracing::info!(publications, "finished what another node left unlogged");
                }
                Err(problem) => {
                    let error = problem.detail;
                    tracing::warn!(error, "what is unlogged could not be finished yet");
                }
            }
            match ingest.finish_drafts(RESERVED).await {
                Ok(0) => {}
                Ok(drafts) => tracing::info!(drafts, "published what another node had decided"),
                Err(problem) => {
                    let error = problem.detail;
                    tracing::warn!(error, "what is decided could not be published yet");
                }
            }
        }
    });
}

/// A node whose log is away is not ready: others may still reach it.
fn watch_log(parts: &Parts, tasks: &Lifecycle) {
    let (bus, stop, ready) = (parts.bus.clone(), tasks.token().clone(), tasks.part("log"));
    ready.set(true);
    tasks.service("log", async move {
        let mut was_ready = true;
        let mut ask = tokio::time::interval(ASK);
        loop {
            let is_ready = tokio::select! {
                is_ready = async { ask.tick().await; bus.is_ready().await } => is_ready,
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            };
            if is_ready != was_ready {
                tracing::warn!(is_ready, "the event log came or went; publishers wait for it");
                was_ready = is_ready;
            }
            ready.set(is_ready);
        }
    });
}

/// What was said and is over; of citizens a page at a time, until none is left.
async fn forget_said(parts: &Parts, over: Over) -> alerts::Result<Dropped> {
    let mut all = Dropped::default();
    loop {
        let some = parts.alerts.forget(over).await?;
        all.areas += some.areas;
        all.personal += some.personal;
        all.keys += some.keys;
        if some.personal < alerts::PAGE_MAX as u64 {
            return Ok(all);
        }
    }
}

/// Drops whatever is due now, and says what it was.
pub async fn tidy(parts: &Parts, periods: &Periods) {
    let now = parts.clock.now();
    let oldest_live = parts.alerts.live(now).iter().map(|live| live.accepted_at).min();
    let departed = before(now, DEPARTED);
    let departed = oldest_live.map_or(departed, |live| live.min(departed));
    let over = Over { areas: before(now, periods.alerts), personal: before(now, periods.personal) };
    let said = forget_said(parts, over).await.map_err(|error| error.to_string());
    let said = |count: fn(&Dropped) -> u64| said.as_ref().map(count).map_err(Clone::clone);
    let due = before(now, periods.receipts);
    let receipts = parts.ledger.forget(due).await.map_err(|error| error.to_string());
    let left = parts.registry.forget_departed(departed).await.map_err(|error| error.to_string());
    let replies = parts.replies.forget(now).await.map_err(|error| error.to_string());
    let due = before(now, periods.drafts);
    let drafts = parts.drafts.forget(due).await.map_err(|error| error.to_string());
    let due = before(now, periods.answers);
    let answers = parts.answers.forget(due).await.map_err(|error| error.to_string());
    let sessions = parts.people.forget(now).await.map_err(|error| error.to_string());
    let records = parts.bus.trim(now).await.map_err(|error| error.to_string());
    let done = [
        ("alerts", said(|dropped| dropped.areas)),
        ("personal", said(|dropped| dropped.personal)),
        ("personal_keys", said(|dropped| dropped.keys)),
        ("receipts", receipts),
        ("departed", left),
        ("replies", replies),
        ("drafts", drafts),
        ("answers", answers),
        ("sessions", sessions),
        ("log_records", records),
    ];
    for (kind, dropped) in done {
        match dropped {
            Ok(0) => {}
            Ok(count) => {
                metrics::retention(kind, count);
                tracing::info!(kind, count, "dropped what is over");
            }
            Err(error) => tracing::warn!(kind, error, "old entries could not be dropped"),
        }
    }
}

/// Tells the registry whom this node has seen.
async fn note_seen(parts: &Parts) {
    if let Err(error) = parts.registry.note_seen(&parts.seen, parts.clock.now()).await {
        tracing::warn!(%error, "it is not noted yet which devices were seen");
    }
}

fn throttle(sender: &Sender) {
    let now = sender.figures();
    let figures = (now.limit, now.in_flight, now.waiting, now.waits);
    metrics::throttle(sender.channel(), figures);
}

async fn lag(parts: &Parts) {
    for group in [intake::GROUP, router::GROUP, worker::GROUP, receipt::GROUP] {
        match parts.bus.lag(group).await {
            Ok(lags) => {
                for lag in lags {
                    let records = lag.end.saturating_sub(lag.next.offset);
                    metrics::lag(group, lag.next.topic.name(), records);
                }
            }
            Err(error) => tracing::debug!(group, error = %error, "no lag to be had"),
        }
    }
}
