//! Counting again what the ledger may have lost. Every receipt is still on the log, and counting
//! one twice counts it once, so this goes on beside the counter and is repeated wherever it stops.

use std::convert::Infallible;
use std::time::Duration;

use crate::bus::TopicId;
use crate::lifecycle::Lifecycle;
use crate::receipt::{BATCH, Counter, Error, GROUP};
use crate::store::ledger::{Counted, Restart};

/// Between two looks whether the ledger was started anew.
const LOOK: Duration = Duration::from_secs(2);

/// Looks at the start and for as long as the node runs.
pub(super) fn start(mut counter: Counter, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("receipt.recount", async move {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
            let done = tokio::select! {
                done = settle(&mut counter) => done,
                () = stop.cancelled() => return Ok(()),
            };
            if let Err(error) = done {
                tracing::warn!(%error, "what the ledger may have lost is not counted again yet");
            }
        }
    });
}

async fn settle(counter: &mut Counter) -> Result<(), Error> {
    let Some(restart) = counter.parts.ledger.restarted(GROUP).await? else { return Ok(()) };
    let receipts = again(counter, &restart).await?;
    counter.parts.ledger.settled(GROUP, &restart).await?;
    tracing::info!(receipts, "the ledger's servers are others: receipts were counted again");
    Ok(())
}

/// Reads from where the ledger surely was, to the end as it is now.
async fn again(counter: &mut Counter, restart: &Restart) -> Result<u64, Error> {
    let (bus, topic) = (counter.parts.bus.clone(), TopicId::Receipts);
    let mut receipts = 0;
    for partition in 0..bus.partitions(topic) {
        let bounds = bus.bounds(topic, partition).await?;
        let from = restart.from.get(&partition.to_string()).copied().unwrap_or(0);
        let mut reader = bus.reader(topic, partition, from.clamp(bounds.start, bounds.end)).await?;
        while reader.offset() < bounds.end {
            let deliveries = reader.next_batch(BATCH).await?;
            // What cannot be read went to the dead letters when it was read first.
            let read = deliveries.iter().filter_map(|delivery| {
                crate::event::receipt::decode(&delivery.headers, &delivery.payload).ok()
            });
            let some: Vec<_> = read.collect();
            receipts += some.len() as u64;
            counter.count(&some, &Counted::new()).await?;
        }
    }
    Ok(receipts)
}
