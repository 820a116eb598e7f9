//! Publishing: an idempotent producer that waits for every copy, and is made anew when it fails
//! for good.
//!
//! Nothing that was acknowledged is lost, and records of one key stay in order. What was on its way
//! when brokers failed may lie twice all the same: after an election librdkafka (2.12 at least) may
//! give its producer another epoch and send all of it again (its issue 4953), and so does a
//! producer that takes the place of another. Whoever reads the log is safe to repeat.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, PurgeConfig};

use super::client::{self, BATCH_BYTES_MAX, Verdict, unmade, verdict};
use super::message;
use super::pulse::Pulse;
use crate::bus::{Error, Position, Record, Result, TopicId, partition};
use crate::clock::Clock;

/// Records that may wait in the producer, beside the bytes of `bus.queue_mib`.
const QUEUE_RECORDS_MAX: u32 = 200_000;
/// Pause of a publisher that found the queue full.
const FULL_PAUSE: Duration = Duration::from_millis(10);
/// Pause before records are sent again after an error that passes.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long an answer to a submission is tried.
const REPLY_PATIENCE: Duration = Duration::from_secs(5);
/// How long closing waits for what is on its way.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// Where a call's records go.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub topic: TopicId,
    /// The topic's name on the cluster.
    pub name: &'a str,
    pub partitions: u32,
}

/// The producer of a node.
pub(super) struct Producer {
    config: ClientConfig,
    clock: Clock,
    current: Mutex<Current>,
    published: AtomicU64,
    calls: AtomicU64,
}

/// The first record of each partition that was not taken, and why.
type Failed = BTreeMap<u32, (usize, KafkaError)>;

#[derive(Clone)]
struct Current {
    generation: u64,
    producer: FutureProducer<Quiet>,
    pulse: Arc<Pulse>,
}

/// librdkafka's log, as ours, and how it is.
#[derive(Clone, Debug)]
struct Quiet(Arc<Pulse>);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::say(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.0.note(statistics);
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("published", &self.published).finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer whose queue holds so many mebibytes.
    pub fn new(base: &ClientConfig, queue_mib: u32, clock: Clock) -> Result<Self> {
        let mut config = base.clone();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("queue.buffering.max.kbytes", (queue_mib * 1024).to_string())
            .set("queue.buffering.max.messages", QUEUE_RECORDS_MAX.to_string())
            .set("message.max.bytes", BATCH_BYTES_MAX.to_string())
            // A record waits for the brokers as long as its publisher does; there is no loss to
            // be told of.
            .set("message.timeout.ms", "0")
            .set("linger.ms", "0")
            .set("compression.type", "zstd");
        Pulse::ask(&mut config);
        let current = Current::make(&config, 0)?;
        let (published, calls) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { config, clock, current: Mutex::new(current), published, calls })
    }

    /// Publishes records, each to its key's partition. Waits while the queue is full or brokers
    /// are away.
    pub async fn publish(
        &self,
        target: &Target<'_>,
        records: &[Record],
    ) -> Result<Vec<Option<Position>>> {
        let mut placed = vec![None; records.len()];
        let partitions: Vec<u32> = records
            .iter()
            .map(|record| partition::of_key(&record.key, target.partitions))
            .collect();
        let mut due: Vec<usize> = (0..records.len()).collect();
        while !due.is_empty() {
            let current = self.current()?;
            let (mut sent, mut failed) = (Vec::with_capacity(due.len()), Failed::new());
            for &index in &due {
                let partition = partitions[index];
                // Nothing overtakes a record of its own partition.
                if failed.contains_key(&partition) {
                    continue;
                }
                let place = (target, partition);
                match self.enqueue(&current, place, &records[index]).await? {
                    Ok(future) => sent.push((index, future)),
                    Err(error) => drop(failed.insert(partition, (index, error))),
                }
            }
            for (index, future) in sent {
                let partition = partitions[index];
                match current.outcome(future).await {
                    Ok(at) => {
                        // A broker whose first answer was lost knows a repeated record for one it
                        // has, and acknowledges it without an offset (librdkafka: -1).
                        let offset = u64::try_from(at.offset).ok();
                        let position = |offset| Position { topic: target.topic, partition, offset };
                        placed[index] = offset.map(position);
                    }
                    Err(error) => {
                        let first = failed.entry(partition).or_insert((index, error));
                        first.0 = first.0.min(index);
                    }
                }
            }
            // What failed, and what follows it in its partition: order is worth a repeat.
            due.retain(|&index| {
                failed.get(&partitions[index]).is_some_and(|(first, _)| index >= *first)
            });
            self.mend(target, &current, failed).await?;
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.published.fetch_add(records.len() as u64, Ordering::Relaxed);
        Ok(placed)
    }

    /// What must be done before records are sent again.
    async fn mend(&self, target: &Target<'_>, current: &Current, failed: Failed) -> Result<()> {
        let Some((_, (_, first))) = failed.first_key_value() else { return Ok(()) };
        let (topic, partitions) = (target.topic, failed.len());
        tracing::warn!(%topic, partitions, error = %first, "records were not taken");
        let unfit = current.producer.client().fatal_error().is_some();
        let mut recreate = unfit || current.pulse.is_lost();
        for (_, error) in failed.into_values() {
            match verdict(&error) {
                Verdict::Refuse => return Err(Error::Refused { topic, reason: error.to_string() }),
                Verdict::Recreate => recreate = true,
                Verdict::Retry => {}
            }
        }
        if recreate {
            self.recreate(current.generation)?;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        Ok(())
    }

    /// Puts a record into the queue; waits while it is full, unless nothing will ever leave it.
    async fn enqueue(
        &self,
        current: &Current,
        (target, partition): (&Target<'_>, u32),
        record: &Record,
    ) -> Result<std::result::Result<DeliveryFuture, KafkaError>> {
        let headers = message::headers(target.topic, record)?;
        let partition = i32::try_from(partition).expect("far fewer partitions");
        let mut message = FutureRecord::to(target.name)
            .key(&record.key)
            .payload(&record.payload[..])
            .headers(headers)
            .partition(partition)
            .timestamp(self.clock.now().as_millisecond());
        loop {
            match current.producer.send_result(message) {
                Ok(future) => return Ok(Ok(future)),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), same))
                    if !current.pulse.is_lost() =>
                {
                    message = same;
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err((error, _)) => return Ok(Err(error)),
            }
        }
    }

    /// Sends one record to any topic, and gives up after a moment.
    pub async fn reply(&self, topic: &str, record: &Record) -> Result<()> {
        let headers = message::headers(TopicId::Submissions, record)?;
        let message =
            FutureRecord::to(topic).key(&record.key).payload(&record.payload[..]).headers(headers);
        let producer = self.current()?.producer;
        let sent = tokio::time::timeout(REPLY_PATIENCE, producer.send(message, REPLY_PATIENCE));
        match sent.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(Error::Unreachable(error.to_string())),
            Err(_) => Err(Error::Unreachable(format!("{topic} did not take it in time"))),
        }
    }

    /// The producer of now, and never one that is of no use.
    fn current(&self) -> Result<Current> {
        let current = self.lock().clone();
        if !current.pulse.is_lost() {
            return Ok(current);
        }
        self.recreate(current.generation)?;
        Ok(self.lock().clone())
    }

    /// Makes another producer, unless somebody else did.
    fn recreate(&self, generation: u64) -> Result<()> {
        let mut current = self.lock();
        if current.generation == generation {
            if current.pulse.is_lost() {
                client::replaced("producer", 0);
            } else {
                tracing::warn!(generation, "the producer failed for good; another takes its place");
            }
            let next = Current::make(&self.config, generation + 1)?;
            let old = std::mem::replace(&mut *current, next);
            // What it still holds comes back to its publishers as not sent. Ending it takes a
            // moment that no async thread has.
            std::thread::spawn(move || drop(old));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything on its way has arrived, for a while.
    pub async fn close(&self) -> Result<()> {
        let producer = self.current()?.producer;
        let flushed = tokio::task::spawn_blocking(move || producer.flush(CLOSE_PATIENCE)).await;
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::Storage(format!("not everything was sent: {error}"))),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Calls that returned, and their records.
    pub fn counts(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), self.published.load(Ordering::Relaxed))
    }
}

impl Current {
    fn make(config: &ClientConfig, generation: u64) -> Result<Self> {
        let pulse = Arc::new(Pulse::default());
        let producer = config.create_with_context(Quiet(Arc::clone(&pulse)));
        let producer = producer.map_err(|error| unmade(&error))?;
        Ok(Self { generation, producer, pulse })
    }

    /// What became of a record. A producer that forgot its brokers gives back what it holds: some
    /// of that may have been written, and is written again by the next.
    async fn outcome(
        &self,
        mut future: DeliveryFuture,
    ) -> std::result::Result<Delivery, KafkaError> {
        tokio::select! {
            biased;
            outcome = &mut future => return flat(outcome),
            () = self.pulse.lost() => {}
        }
        // By each publisher, since another one's may have come before this one's record.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        flat(future.await)
    }
}

fn flat<E>(
    outcome: std::result::Result<OwnedDeliveryResult, E>,
) -> std::result::Result<Delivery, KafkaError> {
    outcome.map_err(|_| KafkaError::Canceled)?.map_err(|(error, _)| error)
}
