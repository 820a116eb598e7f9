//! The hub's feed: every partition of every publications topic, read without a group, from far
//! enough back to fill the book. Emergency entries go before personal and routine ones that wait.

use std::collections::VecDeque;
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
/// Records that are offered together at most: those that have come by then. An emergency waits for
/// so many of another lane, which take little longer than one.
const TOGETHER_MAX: usize = 16;

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
    index: usize,
    end_at_start: u64,
    deliveries: Vec<Delivery>,
}

/// What was read of a lane and waits to be offered.
struct Queue {
    lane: Lane,
    batches: mpsc::Receiver<Batch>,
    records: VecDeque<Record>,
}

struct Record {
    slot: Slot,
    delivery: Delivery,
    /// Whether it was there at the start.
    is_old: bool,
}

impl Queue {
    fn add(&mut self, batch: Batch) {
        let Batch { index, end_at_start, deliveries } = batch;
        self.records.extend(deliveries.into_iter().map(|delivery| {
            let offset = delivery.position.offset;
            Record { slot: Slot { index, offset }, delivery, is_old: offset < end_at_start }
        }));
    }

    /// Takes what has come.
    fn fill(&mut self) {
        while self.records.len() < TOGETHER_MAX
            && let Ok(batch) = self.batches.try_recv()
        {
            self.add(batch);
        }
    }
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
        let mut readers = JoinSet::new();
        let (inputs, outputs): (Vec<_>, Vec<_>) =
            Lane::ALL.iter().map(|_| mpsc::channel(WAITING_MAX)).unzip();
        for source in sources {
            let lane = Lane::ALL.iter().position(|lane| *lane == source.lane);
            let input = inputs[lane.expect("every lane is in the list of all")].clone();
            readers.spawn(read(source, input));
        }
        drop(inputs);
        let queues = Lane::ALL.into_iter().zip(outputs);
        let queue = |(lane, batches)| Queue { lane, batches, records: VecDeque::new() };
        let mut queues: Vec<Queue> = queues.map(queue).collect();
        let [emergency, personal, routine] = &mut queues[..] else {
            unreachable!("one was made for each of three lanes");
        };
        loop {
            let (queue, batch) = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(batch) = emergency.batches.recv() => (&mut *emergency, batch),
                Some(failed) = readers.join_next() => match failed {
                    Ok(Err(error)) => return Err(error.into()),
                    // A reader ends only with an error, or when nobody listens any more.
                    Ok(Ok(())) | Err(_) => return Err(bus::Error::Closed.into()),
                },
                Some(batch) = personal.batches.recv() => (&mut *personal, batch),
                Some(batch) = routine.batches.recv() => (&mut *routine, batch),
            };
            queue.add(batch);
            while let Some(queue) = next([&mut *emergency, &mut *personal, &mut *routine])
                && !stop.is_cancelled()
            {
                let old = beyond.publish(queue).await?;
                if old > 0 {
                    behind = behind.saturating_sub(old);
                    ready.set(behind == 0);
                }
            }
        }
    }
}

/// The first lane of which something waits, once each has taken what has come.
fn next(queues: [&mut Queue; 3]) -> Option<&mut Queue> {
    queues.into_iter().find_map(|queue| {
        queue.fill();
        (!queue.records.is_empty()).then_some(queue)
    })
}

async fn read(mut source: Source, lane: mpsc::Sender<Batch>) -> Result<(), bus::Error> {
    loop {
        let deliveries = source.reader.next_batch(BATCH_MAX).await?;
        let Source { index, end_at_start, .. } = source;
        let batch = Batch { index, end_at_start, deliveries };
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
    /// Offers the next records of a lane, and says how many of them were there at the start. One
    /// that takes the place of another comes first or next time: by then what it follows has been
    /// offered.
    async fn publish(&self, queue: &mut Queue) -> Result<u64, Error> {
        let (mut old, mut together) = (0, Vec::new());
        while together.len() < TOGETHER_MAX
            && let Some(record) = queue.records.pop_front()
        {
            let publication = self.publication(queue.lane, &record.delivery).await?;
            let follows = publication.as_ref().filter(|read| !read.supersedes.is_empty());
            if let Some(publication) = follows {
                if !together.is_empty() {
                    queue.records.push_front(record);
                    break;
                }
                seed_chain(self.hub, self.alerts, publication).await?;
            }
            old += u64::from(record.is_old);
            together.push((record.slot, publication.map(Arc::new)));
        }
        self.hub.publish(together).await;
        Ok(old)
    }

    /// A record's publication, if it is one to be offered.
    async fn publication(
        &self,
        lane: Lane,
        delivery: &Delivery,
    ) -> Result<Option<Publication>, Error> {
        let position = delivery.position;
        match self.read(lane, delivery).await {
            Ok(publication) => return Ok(Some(publication)),
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
        Ok(None)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Position;

    fn batch(lane: Lane, offsets: std::ops::Range<u64>) -> Batch {
        let delivery = |offset| Delivery {
            position: Position { topic: TopicId::Publications(lane), partition: 0, offset },
            at: jiff::Timestamp::UNIX_EPOCH,
            key: String::new(),
            headers: Vec::new(),
            payload: Default::default(),
        };
        Batch { index: 0, end_at_start: 2, deliveries: offsets.map(delivery).collect() }
    }

    #[tokio::test]
    async fn an_emergency_that_comes_meanwhile_goes_before_what_was_read_of_the_others() {
        let (inputs, outputs): (Vec<_>, Vec<_>) =
            Lane::ALL.iter().map(|_| mpsc::channel(WAITING_MAX)).unzip();
        let queue = |(lane, batches)| Queue { lane, batches, records: VecDeque::new() };
        let mut queues: Vec<Queue> = Lane::ALL.into_iter().zip(outputs).map(queue).collect();
        let [emergency, personal, routine] = &mut queues[..] else { panic!("three lanes") };
        let mut next = || {
            let queue = super::next([&mut *emergency, &mut *personal, &mut *routine])?;
            let taken: Vec<_> = queue.records.drain(..queue.records.len().min(2)).collect();
            Some((queue.lane, taken.iter().map(|record| record.slot.offset).collect::<Vec<_>>()))
        };
        let [of_emergency, of_personal, of_routine] = &inputs[..] else { panic!("three lanes") };
        assert_eq!(next(), None);
        of_routine.send(batch(Lane::Routine, 0..3)).await.expect("room");
        assert_eq!(next(), Some((Lane::Routine, vec![0, 1])));
        of_emergency.send(batch(Lane::Emergency, 7..8)).await.expect("room");
        of_personal.send(batch(Lane::Personal, 4..5)).await.expect("room");
        of_emergency.send(batch(Lane::Emergency, 8..9)).await.expect("room");
        assert_eq!(next(), Some((Lane::Emergency, vec![7, 8])), "what has come, together");
        assert_eq!(next(), Some((Lane::Personal, vec![4])));
        assert_eq!(next(), Some((Lane::Routine, vec![2])));
        assert_eq!(next(), None);
    }
}
