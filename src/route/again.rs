//! Routing again what stores on Redis may have lost when their servers were started anew or
//! replaced: publications that only the log has now, freezes, rows, targets, and the last saves of
//! dispatches whose records are committed, so that no worker would come back to them.
//!
//! Routing is safe to repeat, and a worker passes over what is done or in work. So the publications
//! of a while before go through the router once more, and the open dispatches of all that is live
//! go onto the log once more.

use std::convert::Infallible;
use std::time::Duration;

use crate::bus::{Position, TopicId};
use crate::domain::dispatch::Dispatch;
use crate::domain::ids::PublicationId;
use crate::domain::lane::Lane;
use crate::lifecycle::Lifecycle;
use crate::route::late::Routed;
use crate::route::router::{self, GROUP, Read};
use crate::route::{Error, Parts};
use crate::store::ledger::{Counted, Restart, State};

/// Between two looks whether the stores were started anew.
const LOOK: Duration = Duration::from_secs(2);
/// Publications read at once.
const PAGE: usize = 64;

/// A partition of a lane, as the ledger remembers it.
fn part(topic: TopicId, partition: u32) -> String {
    format!("{}/{partition}", topic.name())
}

/// Remembers that a publication was routed.
pub async fn routed(parts: &Parts, position: Position) -> Result<(), Error> {
    let part = part(position.topic, position.partition);
    let routed = Counted::from([(part, position.offset + 1)]);
    Ok(parts.ledger.counted(GROUP, &routed).await?)
}

/// Looks at the start and for as long as the node runs.
pub fn start(parts: Parts, announced: Routed, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("route.again", async move {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
            let done = tokio::select! {
                done = settle(&parts, &announced) => done,
                () = stop.cancelled() => return Ok(()),
            };
            if let Err(error) = done {
                tracing::warn!(%error, "what the stores may have lost is not routed again yet");
            }
        }
    });
}

async fn settle(parts: &Parts, announced: &Routed) -> Result<(), Error> {
    let Some(restart) = parts.ledger.restarted(GROUP).await? else { return Ok(()) };
    let publications = again(parts, &restart).await?;
    let now = parts.clock.now();
    for live in parts.alerts.live(now) {
        republish(parts, live.id).await?;
    }
    announced.announce();
    parts.ledger.settled(GROUP, &restart).await?;
    tracing::info!(publications, "the stores' servers are others: routed again");
    Ok(())
}

/// From where the stores surely were, to the log's end as it is now.
async fn again(parts: &Parts, restart: &Restart) -> Result<u64, Error> {
    let mut publications = 0;
    for lane in Lane::ALL {
        let topic = TopicId::Publications(lane);
        for partition in 0..parts.bus.partitions(topic) {
            let bounds = parts.bus.bounds(topic, partition).await?;
            let from = restart.from.get(&part(topic, partition)).copied().unwrap_or(0);
            let from = from.clamp(bounds.start, bounds.end);
            let mut reader = parts.bus.reader(topic, partition, from).await?;
            while reader.offset() < bounds.end {
                for delivery in reader.next_batch(PAGE).await? {
                    // What cannot be read or believed is among the dead letters already.
                    let (publication, form) = match router::read(parts, lane, &delivery).await {
                        Ok(Read::Ours(publication, form)) => (publication, form),
                        Ok(_) | Err(Error::Record(_)) => continue,
                        Err(error) => return Err(error),
                    };
                    let position = format!("{partition}/{}", delivery.position.offset);
                    if publication.is_expired(parts.clock.now()) {
                        continue;
                    }
                    if parts.alerts.restore(&publication, position).await? {
                        tracing::warn!(
                            publication.id = %publication.id,
                            "a publication was on the log alone and is stored again"
                        );
                    }
                    router::route(parts, &publication, form).await?;
                    publications += 1;
                }
            }
        }
    }
    Ok(publications)
}

/// Open dispatches go onto the log again.
pub async fn republish(parts: &Parts, id: PublicationId) -> Result<(), Error> {
    let rows = parts.ledger.of_publication(id).await?;
    let open = rows.into_iter().filter(|row| row.state == State::Open && !row.frozen);
    let open: Vec<Dispatch> = open.map(|row| row.dispatch).collect();
    router::publish(parts, &open).await
}
