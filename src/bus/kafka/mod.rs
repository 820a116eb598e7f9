//! The log on Apache Kafka.
//!
//! One idempotent producer waits for every copy. Each consumer is a member of a group in a thread
//! of its own; readers without a group share a few threads. Partitions are counted once, at the
//! start, and keys are spread over them as Kafka's own producers do. A client that forgets the
//! brokers is replaced (`pulse`), and nobody who uses it need know.

mod client;
mod cluster;
mod consumer;
mod intake;
mod mailbox;
mod member;
mod message;
mod producer;
mod pulse;
mod reader;
mod settings;
mod tail;
pub mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rdkafka::config::ClientConfig;
use tokio_util::sync::CancellationToken;

pub use consumer::{Committer, Consumer};
pub use reader::Reader;
pub use settings::{Mechanism, Sasl, Settings, Tls};

use crate::bus::{Error, Lag, Position, Record, Result, Stats, TopicId, limits};
use crate::clock::Clock;
use cluster::{Cluster, Layout};
use intake::Intake;
use member::{Reads, Seat};
use producer::{Producer, Target};
use pulse::Pulse;
use tail::Tails;

/// Bytes that one client fetches ahead, beside the intakes' own bounds.
const FETCH_AHEAD_KIB: u32 = 8 * 1024;

/// The log on a cluster. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cluster: Cluster,
    layout: Layout,
    producer: Producer,
    tails: Tails,
    /// What group members are made with, but for the group's name.
    groups: ClientConfig,
    seats: Mutex<Vec<Weak<Seat>>>,
    closed: CancellationToken,
}

impl Log {
    /// Finds the cluster and its topics. Waits for as long as no broker answers.
    pub async fn open(settings: &Settings, queue_mib: u32, clock: Clock) -> Result<Log> {
        let base = client::config(settings)?;
        let cluster = Cluster::new(&base, &settings.topic_prefix)?;
        let layout = cluster.layout(settings).await?;
        let mut readers = base.clone();
        readers
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", FETCH_AHEAD_KIB.to_string())
            // An answer with fewer bytes than this does not wait for more.
            .set("fetch.min.bytes", "1")
            .set("fetch.error.backoff.ms", "100");
        Pulse::ask(&mut readers);
        if let Some(rack) = &settings.rack {
            readers.set("client.rack", rack);
        }
        let mut groups = readers.clone();
        let session_ms = settings.session_seconds * 1000;
        groups
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session_ms.to_string())
            .set("heartbeat.interval.ms", (session_ms / 4).to_string());
        // Never joined; the client asks for a name all the same.
        readers.set("group.id", format!("{}loa.reader", settings.topic_prefix));
        let producer = Producer::new(&base, queue_mib, clock)?;
        let (tails, seats) = (Tails::new(readers), Mutex::default());
        let closed = CancellationToken::new();
        Ok(Log(Arc::new(Shared { cluster, layout, producer, tails, groups, seats, closed })))
    }

    /// Publishes records, each to its key's partition.
    pub async fn publish(
        &self,
        topic: TopicId,
        records: Vec<Record>,
    ) -> Result<Vec<Option<Position>>> {
        let partitions = self.partitions(topic);
        if partitions == 0 {
            return Err(Error::UnknownPartition { topic, partition: 0 });
        }
        limits::check_records(topic, &records)?;
        let name = self.0.cluster.name(topic);
        let target = Target { topic, name: &name, partitions };
        tokio::select! {
            biased;
            () = self.0.closed.cancelled() => Err(Error::Closed),
            placed = self.0.producer.publish(&target, &records) => placed,
        }
    }

    /// Writes to somebody's topic; the cluster's own name, without our prefix.
    pub async fn reply(&self, topic: &str, record: &Record) -> Result<()> {
        limits::check_records(TopicId::Submissions, std::slice::from_ref(record))?;
        self.0.producer.reply(topic, record).await
    }

    /// Joins a group.
    pub async fn consumer(&self, group: &str, topics: &[TopicId]) -> Result<Consumer> {
        limits::check_group(group)?;
        let topics: BTreeSet<TopicId> = topics.iter().copied().collect();
        if let Some(&topic) = topics.iter().find(|topic| self.partitions(**topic) == 0) {
            return Err(Error::UnknownPartition { topic, partition: 0 });
        }
        if self.0.closed.is_cancelled() {
            return Err(Error::Closed);
        }
        let intake = Arc::new(Intake::default());
        let mut seats = BTreeMap::new();
        for topic in topics {
            let seat = self.seat(group, topic, Arc::clone(&intake))?;
            seats.insert(topic, seat);
        }
        Ok(Consumer::new(intake, seats, self.0.closed.clone()))
    }

    fn seat(&self, group: &str, topic: TopicId, intake: Arc<Intake>) -> Result<Arc<Seat>> {
        let name = self.0.cluster.name(topic);
        let reads =
            Reads { group: group.to_owned(), topic, name, partitions: self.partitions(topic) };
        let mut config = self.0.groups.clone();
        config.set("group.id", self.0.cluster.group(group, topic));
        let seat = Seat::take(&config, reads, intake)?;
        let mut seats = self.0.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|seat| seat.strong_count() > 0);
        seats.push(Arc::downgrade(&seat));
        Ok(seat)
    }

    /// Reads a partition from an offset on.
    pub async fn reader(&self, topic: TopicId, partition: u32, from: u64) -> Result<Reader> {
        let Range { start, end } = self.bounds(topic, partition).await?;
        if from < start || from > end {
            return Err(Error::OutOfRange { topic, partition, offset: from, start, end });
        }
        let name = self.0.cluster.name(topic);
        let source = self.0.tails.open((topic, partition), &name, from)?;
        let next = Position { topic, partition, offset: from };
        Ok(Reader::new(source, next, self.0.closed.clone()))
    }

    /// What a partition holds.
    pub async fn bounds(&self, topic: TopicId, partition: u32) -> Result<Range<u64>> {
        if partition >= self.partitions(topic) {
            return Err(Error::UnknownPartition { topic, partition });
        }
        self.0.cluster.bounds(topic, partition).await
    }

    /// What a topic is called on the cluster.
    pub fn topic_name(&self, topic: TopicId) -> String {
        self.0.cluster.name(topic)
    }

    /// How many partitions a topic has; counted when the log was opened.
    pub fn partitions(&self, topic: TopicId) -> u32 {
        self.0.layout.partitions.get(&topic).copied().unwrap_or(0)
    }

    /// The topics that are one agency's own.
    pub fn agency_topics(&self) -> impl Iterator<Item = TopicId> {
        let own = |topic: &&TopicId| matches!(topic, TopicId::SubmissionsOf(_));
        self.0.layout.partitions.keys().filter(own).copied()
    }

    /// The cluster's and topics' name.
    pub fn epoch(&self) -> &str {
        &self.0.layout.epoch
    }

    /// How far a group is behind, as its members in this process know it.
    pub async fn lag(&self, group: &str) -> Result<Vec<Lag>> {
        limits::check_group(group)?;
        let seats: BTreeMap<TopicId, Arc<Seat>> = {
            let seats = self.0.seats.lock().unwrap_or_else(PoisonError::into_inner);
            let alive = seats.iter().filter_map(Weak::upgrade);
            let mine = alive.filter(|seat| seat.reads.group == group);
            mine.map(|seat| (seat.reads.topic, seat)).collect()
        };
        let mut lags = Vec::new();
        for seat in seats.into_values() {
            // Who has left meanwhile knows nothing any more.
            let Some(answer) = seat.lag().await else { continue };
            lags.extend(answer.map_err(|error| Error::Unreachable(error.to_string()))?);
        }
        Ok(lags)
    }

    /// Whether the cluster could take an alert now.
    pub async fn is_ready(&self) -> bool {
        self.0.cluster.is_ready().await
    }

    /// What was done since it was opened. The brokers delete by themselves.
    pub fn stats(&self) -> Stats {
        let (commits, records) = self.0.producer.counts();
        Stats { commits, records, deleted: 0 }
    }

    /// Waits for what is on its way, and ends everything.
    pub async fn close(self) -> Result<()> {
        let flushed = self.0.producer.close().await;
        self.0.closed.cancel();
        flushed
    }
}
