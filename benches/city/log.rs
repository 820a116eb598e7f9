//! The event log against the bare disk, append by append in the same run.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use anyhow::Result;
use loa::bus::{Bus, Position, Record, Settings, TopicId};
use loa::clock::Clock;
use loa::domain::lane::Lane;

use crate::disk::Bare;
use crate::report::{Row, Table, median};

const TOPIC: TopicId = TopicId::Publications(Lane::Emergency);
const PAYLOAD_BYTES: usize = 512;
/// Lone appends.
const LONE: usize = 1_500;
/// Publishers at once, one record each: what a group commit brings together.
const PUBLISHERS: usize = 512;
/// Groups.
const ROUNDS: usize = 40;

/// Runs it.
pub async fn run(table: &mut Table) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bus = Bus::open(&Settings::new(dir.path()), Clock::System).await?;
    let mut bare = Bare::preallocate(dir.path())?;
    let (mut ours, mut disk) = (Vec::new(), Vec::new());
    for number in 0..LONE {
        // Made before the clock starts, as the bare file's bytes are.
        let one = vec![record(number)];
        let start = Instant::now();
        bus.publish(TOPIC, one).await?;
        ours.push(start.elapsed().as_secs_f64() * 1e6);
        disk.push(bare.append(&[b'x'; PAYLOAD_BYTES])?.as_secs_f64() * 1e6);
    }
    let name = "log: a lone durable append, p50";
    table.add(Row::new(name, median(&mut ours), "us").limit(median(&mut disk)).at_most(1.3));
    let group = vec![b'x'; PUBLISHERS * PAYLOAD_BYTES];
    let (mut ours, mut disk) = (Vec::new(), Vec::new());
    let before = bus.stats();
    for _ in 0..ROUNDS {
        let records: Vec<_> = (0..PUBLISHERS).map(|number| vec![record(number)]).collect();
        let start = Instant::now();
        all(records.into_iter().map(|one| bus.publish(TOPIC, one))).await?;
        ours.push(PUBLISHERS as f64 / start.elapsed().as_secs_f64());
        disk.push(PUBLISHERS as f64 / bare.append(&group)?.as_secs_f64());
    }
    let name = "log: 512 publishers, a record each";
    table.add(Row::new(name, median(&mut ours), "1/s").limit(median(&mut disk)).at_least(0.5));
    let commits = (bus.stats().commits - before.commits) as f64 / ROUNDS as f64;
    table.add(Row::new("log: commits for 512 publishers", commits, "commits"));
    bus.close().await?;
    Ok(())
}

/// Waits for all. Each time one is woken all are asked, in one task and without a queue of which is
/// which: the log is measured, not what its callers are kept in.
async fn all<F>(calls: impl Iterator<Item = F>) -> loa::bus::Result<()>
where
    F: Future<Output = loa::bus::Result<Vec<Option<Position>>>>,
{
    let mut waiting: Vec<_> = calls.map(Box::pin).collect();
    let mut outcome = Ok(());
    poll_fn(|context| {
        waiting.retain_mut(|call| match call.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(Ok(_)) => false,
            Poll::Ready(Err(error)) => {
                outcome = Err(error);
                false
            }
        });
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcome
}

fn record(number: usize) -> Record {
    let headers = vec![("ce_id".to_owned(), number.to_string())];
    Record { key: number.to_string(), headers, payload: vec![b'x'; PAYLOAD_BYTES].into() }
}
