//! The hub's feed: every partition of every publications topic, read without a group, from far
//! enough back to fill the book. Emergency entries go before personal and routine ones that wait.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::auth::gate::{self, Gate, Refused};
use crate::bus::{self, Bus, Delivery, Reader, TopicId};
use crate::clock::Clock;
use crate::domain::lane::Lane;
use crate::domain::publication::Publication;
use crate::event;
use crate::event::publication::Carried;
use crate::gateway::book::{Book, Shape};
use crate::gateway::hub::Hub;
use crate::gateway::position::Slot;
use crate::gateway::settings::Settings;
use crate::lifecycle::Readiness;
use crate::metrics;
use crate::store::alerts::{self, Alerts};

/// Records of one read.
const BATCH_MAX: usize = 256;
/// Batches of a lane that wait to be published to the streams.
const WAITING_MAX: usize = 4;

/// Why the feed ended. The node stops with it: a gateway that misses publications must not look
/// alive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log failed.
    #[error("reading publications: {0}")]
    Bus(#[from] bus::Error),
    /// The store of publications failed.
    #[error("reading what is live: {0}")]
    Alerts(#[from] alerts::Error),
    /// The kernel gave nothing to watch sockets with.
    #[error("watching sockets: {0}")]
    Sockets(#[from] std::io::Error),
}

/// The feed of one hub, opened and not yet running.
#[derive(Debug)]
pub struct Tail {
    hub: Hub,
    alerts: Alerts,
    gate: Gate,
    sources: Vec<Source>,
    /// Records there were at the start and are not published yet: until then the book is not full.
    behind: u64,
}

#[derive(Debug)]
struct Source {
    lane: Lane,
    index: usize,
    reader: Reader,
    /// Records up to here were there at the start.
    end_at_start: u64,
}

struct Batch {
    lane: Lane,
    index: usize,
    end_at_start: u64,
    deliveries: Vec<Delivery>,
}

/// Opens the log's tails and makes the hub over them.
pub async fn open(
    (bus, alerts, gate): (&Bus, &Alerts, &Gate),
    settings: &Settings,
    clock: Clock,
) -> Result<(Hub, Tail), Error> {
    let partitions = Lane::ALL.map(|lane| bus.partitions(TopicId::Publications(lane)));
    let shape = Shape {
        epoch: bus.epoch().to_owned(),
        partitions,
        ring_max: settings.ring_publications,
        live_max: settings.live_publications,
    };
    let (mut start, mut sources, mut behind) = (Vec::new(), Vec::new(), 0);
    for lane in Lane::ALL {
        let topic = TopicId::Publications(lane);
        for partition in 0..bus.partitions(topic) {
            let bounds = bus.bounds(topic, partition).await?;
            let from = bounds.start.max(bounds.end.saturating_sub(shape.ring_max as u64));
            let reader = bus.reader(topic, partition, from).await?;
            let index = shape.index(lane, partition);
            sources.push(Source { lane, index, reader, end_at_start: bounds.end });
            start.push(from);
            behind += bounds.end - from;
        }
    }
    let mut book = Book::new(shape, start);
    for publication in alerts.live(clock.now()) {
        book.seed(publication, false);
    }
    let hub = Hub::new(book, settings.clone(), clock);
    let (alerts, gate) = (alerts.clone(), gate.clone());
    Ok((hub.clone(), Tail { hub, alerts, gate, sources, behind }))
}

impl Tail {
    /// Publishes what is read until the token is cancelled. Ready once all that was on the log at
    /// the start is in the book.
    pub async fn run(self, stop: CancellationToken, ready: Readiness) -> Result<(), Error> {
        let Tail { hub, alerts, gate, sources, mut behind } = self;
        let beyond = Beyond { hub: &hub, alerts: &alerts, gate: &gate };
        ready.set(behind == 0);
        let (mut readers, mut lanes) = (JoinSet::new(), Vec::new());
        let mut inputs = Vec::new();
        for _ in Lane::ALL {
            let (input, output) = mpsc::channel(WAITING_MAX);
            inputs.push(input);
            lanes.push(output);
        }
        for source in sources {
            let lane = Lane::ALL.iter().position(|lane| *lane == source.lane);
            let input = inputs[lane.expect("every lane is in the list of all")].clone();
            readers.spawn(read(source, input));
        }
        drop(inputs);
        let [emergency, personal, routine] = &mut lanes[..] else {
            unreachable!("one output was made for each of three lanes");
        };
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(batch) = emergency.recv() => batch,
                Some(failed) = readers.join_next() => match failed {
                    Ok(Err(error)) => return Err(error.into()),
                    // A reader ends only with an error, or when nobody listens any more.
                    Ok(Ok(())) | Err(_) => return Err(bus::Error::Closed.into()),
                },
                Some(batch) = personal.recv() => batch,
                Some(batch) = routine.recv() => batch,
            };
            for delivery in batch.deliveries {
                let offset = delivery.position.offset;
                let slot = Slot { index: batch.index, offset };
                beyond.publish(slot, batch.lane, &delivery).await?;
                if behind > 0 && offset < batch.end_at_start {
                    behind -= 1;
                    ready.set(behind == 0);
                }
            }
        }
    }
}

async fn read(mut source: Source, lane: mpsc::Sender<Batch>) -> Result<(), bus::Error> {
    loop {
        let deliveries = source.reader.next_batch(BATCH_MAX).await?;
        let Source { lane: of, index, end_at_start, .. } = source;
        let batch = Batch { lane: of, index, end_at_start, deliveries };
        if lane.send(batch).await.is_err() {
            return Ok(());
        }
    }
}

/// Where what is read goes.
struct Beyond<'a> {
    hub: &'a Hub,
    alerts: &'a Alerts,
    gate: &'a Gate,
}

impl Beyond<'_> {
    async fn publish(&self, slot: Slot, lane: Lane, delivery: &Delivery) -> Result<(), Error> {
        let position = delivery.position;
        match self.read(lane, delivery).await {
            Ok(publication) => {
                seed_chain(self.hub, self.alerts, &publication).await?;
                self.hub.publish(slot, Arc::new(publication)).await;
                return Ok(());
            }
            Err(Skipped::Left) => {}
            Err(Skipped::Store(error)) => return Err(error.into()),
            Err(Skipped::Refused(refused)) => {
                metrics::record_refused("gateway", refused.code());
                tracing::warn!(
                    topic = %position.topic, partition = position.partition,
                    offset = position.offset, code = refused.code(), "not believed, skipped"
                );
            }
            // The router puts it among the dead letters; for a gateway it is nothing to send.
            Err(Skipped::Record(error)) => {
                tracing::warn!(
                    topic = %position.topic, partition = position.partition,
                    offset = position.offset, error = %error, "not a publication, skipped"
                );
            }
        }
        self.hub.skip(slot);
        Ok(())
    }

    /// As the router reads it. While the agencies cannot be read the signature suffices: ingest
    /// gives it within the jurisdiction alone, and a warning does not wait for a store.
    async fn read(&self, lane: Lane, delivery: &Delivery) -> Result<Publication, Skipped> {
        let Delivery { key, headers, payload, .. } = delivery;
        let record = gate::Parts { key, headers, payload };
        let read = event::publication::read(headers, payload).map_err(Skipped::Record)?;
        let publication = match read {
            Carried::Open(publication) => *publication,
            Carried::Sealed(sealed) => {
                self.gate.signed(record).map_err(Skipped::Refused)?;
                let opened = self.alerts.open_sealed(sealed).await.map_err(Skipped::Store)?;
                opened.ok_or(Skipped::Left)?
            }
        };
        self.gate.genuine(lane, record, &publication).map_err(Skipped::Refused)?;
        match self.gate.allowed(&publication).await {
            Ok(answer) => answer.map_err(Skipped::Refused)?,
            Err(error) => {
                tracing::warn!(%error, "the jurisdiction is not looked at again: no agencies");
            }
        }
        Ok(publication)
    }
}

/// Why a record is nothing to send.
enum Skipped {
    /// It is no publication.
    Record(event::envelope::Error),
    /// It is not believed.
    Refused(Refused),
    /// It was for a citizen who has left.
    Left,
    /// The citizen's key cannot be had.
    Store(alerts::Error),
}

/// An update or cancel of something older than the book: its chain is looked up, so that those who
/// were warned of it are known.
async fn seed_chain(hub: &Hub, alerts: &Alerts, publication: &Publication) -> Result<(), Error> {
    if hub.unknown(publication).is_empty() {
        return Ok(());
    }
    for stored in alerts.chain(publication.chain).await? {
        if stored.publication.id < publication.id {
            hub.seed(Arc::clone(&stored.publication), stored.superseded_by.is_some());
        }
    }
    Ok(())
}
