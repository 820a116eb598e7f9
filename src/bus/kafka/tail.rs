//! Readers without a group: a thread that polls one client for many readers.
//!
//! A node reads every publication's partition twice (gateways, and the fan-out's follower of
//! supersessions). A client of its own for each would be hundreds of threads, so readers share
//! clients; two of the same partition get two, since a client reads it at one place only. A client
//! that forgot its brokers is replaced, and each reader goes on where it was.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, Context};
use super::intake::{Intake, Place};
use super::mailbox::Mailbox;
use super::message::delivery;
use crate::bus::{Error, Result};

/// Messages polled before commands are looked at again.
const POLL_MAX: usize = 1_000;
/// How often, and with what pause, a partition that has only just been assigned is asked to go on
/// elsewhere.
const SEEKS: u32 = 200;
const SEEK_PAUSE: Duration = Duration::from_millis(20);
/// How long the client may take to do so: it is a change of its own memory.
const SEEK_WAIT: Duration = Duration::from_secs(2);
/// Pause before another try to make a client.
const REMAKE_PAUSE: Duration = Duration::from_secs(1);

impl ConsumerContext for Context {}

/// All clients that read without a group.
#[derive(Debug)]
pub(super) struct Tails {
    config: ClientConfig,
    tails: Mutex<Vec<Weak<Tail>>>,
}

/// One client and its readers.
#[derive(Debug)]
pub(super) struct Tail {
    mailbox: Arc<Mailbox<Command>>,
    /// The partitions that are read here.
    taken: Mutex<Vec<Place>>,
}

/// Where a reader gets its records.
#[derive(Debug)]
pub(super) struct Source {
    pub intake: Arc<Intake>,
    place: Place,
    tail: Arc<Tail>,
}

#[derive(Debug)]
enum Command {
    Open { place: Place, name: String, from: u64, intake: Arc<Intake> },
    Resume { place: Place },
    Close { place: Place },
    Stop,
}

impl Tails {
    pub fn new(config: ClientConfig) -> Self {
        Self { config, tails: Mutex::default() }
    }

    /// Begins to read a partition (its topic's name on the cluster given) at an offset.
    pub fn open(&self, place: Place, name: &str, from: u64) -> Result<Source> {
        let intake = Arc::new(Intake::default());
        intake.open(place);
        let tail = self.tail_for(place)?;
        let name = name.to_owned();
        tail.mailbox.send(Command::Open { place, name, from, intake: Arc::clone(&intake) });
        Ok(Source { intake, place, tail })
    }

    /// A client that does not read this partition yet.
    fn tail_for(&self, place: Place) -> Result<Arc<Tail>> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.retain(|tail| tail.strong_count() > 0);
        for tail in tails.iter().filter_map(Weak::upgrade) {
            let mut taken = tail.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if !taken.contains(&place) {
                taken.push(place);
                drop(taken);
                return Ok(tail);
            }
        }
        let tail = Arc::new(Tail::start(&self.config, place)?);
        tails.push(Arc::downgrade(&tail));
        Ok(tail)
    }
}

impl Tail {
    fn start(config: &ClientConfig, first: Place) -> Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let mut consumer = make(config, &mailbox).map_err(|error| client::unmade(&error))?;
        let (mine, config) = (Arc::clone(&mailbox), config.clone());
        let run = move || {
            mine.attach();
            let mut readings = Readings::new();
            while let Ended::Lost = run(&consumer, &mine, &mut readings) {
                consumer = replace(consumer, (&config, &mine), &mut readings);
            }
            mine.close();
        };
        let thread = std::thread::Builder::new().name("loa-kafka-tail".to_owned());
        thread.spawn(run).map_err(|error| Error::Storage(error.to_string()))?;
        Ok(Self { mailbox, taken: Mutex::new(vec![first]) })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.mailbox.send(Command::Stop);
    }
}

impl Source {
    /// There is room again.
    pub fn resume(&self) {
        self.tail.mailbox.send(Command::Resume { place: self.place });
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // In this order, so that the thread closes before another reader of the place opens.
        self.tail.mailbox.send(Command::Close { place: self.place });
        let mut taken = self.tail.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|place| *place != self.place);
    }
}

/// A partition as the thread reads it.
struct Reading {
    name: String,
    next: u64,
    /// Absent while nobody reads it here.
    intake: Option<Arc<Intake>>,
}

/// Everything that was ever assigned here. A partition is never taken from the client again, only
/// paused: librdkafka 2.12 aborts when one is stopped a second time before it has stopped
/// (its issue 5573), and to begin again is a seek.
type Readings = BTreeMap<Place, Reading>;

/// Why a client is read no more.
enum Ended {
    /// Nobody reads.
    Stopped,
    /// It forgot its brokers.
    Lost,
}

fn make(
    config: &ClientConfig,
    mailbox: &Arc<Mailbox<Command>>,
) -> KafkaResult<BaseConsumer<Context>> {
    let mut consumer: BaseConsumer<Context> = config.create_with_context(Context::default())?;
    let waker = Arc::clone(mailbox);
    consumer.set_nonempty_callback(move || waker.wake());
    Ok(consumer)
}

/// Another client in a lost one's place, which reads on where each reader is.
fn replace(
    lost: BaseConsumer<Context>,
    (config, mailbox): (&ClientConfig, &Arc<Mailbox<Command>>),
    readings: &mut Readings,
) -> BaseConsumer<Context> {
    client::replaced("reader", readings.len());
    // Its end takes a moment that no reader needs to wait for.
    std::thread::spawn(move || drop(lost));
    let consumer = loop {
        match make(config, mailbox) {
            Ok(consumer) => break consumer,
            Err(error) => tracing::warn!(%error, "no other client could be made; trying again"),
        }
        std::thread::park_timeout(REMAKE_PAUSE);
    };
    // It never had those that nobody reads any more.
    readings.retain(|_, reading| reading.intake.is_some());
    for (&place, reading) in readings.iter() {
        let Some(intake) = &reading.intake else { continue };
        if let Err(error) = begin(&consumer, false, (place, reading)) {
            intake.end(Error::Storage(error.to_string()));
        } else if intake.is_full(place) {
            pause(&consumer, (place, reading));
        }
    }
    consumer
}

fn run(
    consumer: &BaseConsumer<Context>,
    mailbox: &Mailbox<Command>,
    readings: &mut Readings,
) -> Ended {
    loop {
        if consumer.context().pulse.is_lost() {
            return Ended::Lost;
        }
        for command in mailbox.take() {
            match command {
                Command::Open { place, name, from, intake } => {
                    let known = readings.contains_key(&place);
                    let reading = Reading { name, next: from, intake: Some(intake) };
                    let began = begin(consumer, known, (place, &reading));
                    if let (Err(error), Some(intake)) = (began, &reading.intake) {
                        intake.end(Error::Storage(error.to_string()));
                    }
                    readings.insert(place, reading);
                }
                Command::Close { place } => rest(consumer, readings, place),
                Command::Resume { place } => resume(consumer, readings, place),
                Command::Stop => return Ended::Stopped,
            }
        }
        if !poll(consumer, readings) {
            mailbox.wait();
        }
    }
}

/// Reads a partition from where its reader is.
fn begin(
    consumer: &BaseConsumer<Context>,
    known: bool,
    (place, reading): (Place, &Reading),
) -> KafkaResult<()> {
    let next = i64::try_from(reading.next).expect("Kafka's offsets are i64");
    let mut list = single(place, reading);
    if !known {
        list.set_all_offsets(Offset::Offset(next))?;
        return consumer.incremental_assign(&list);
    }
    let partition = list.elements()[0].partition();
    let mut sought = Ok(());
    for _ in 0..SEEKS {
        sought = consumer.seek(&reading.name, partition, Offset::Offset(next), SEEK_WAIT);
        if sought.is_ok() {
            break;
        }
        std::thread::park_timeout(SEEK_PAUSE);
    }
    sought.and_then(|()| consumer.resume(&list))
}

/// Nobody reads a partition any more.
fn rest(consumer: &BaseConsumer<Context>, readings: &mut Readings, place: Place) {
    let Some(reading) = readings.get_mut(&place) else { return };
    reading.intake = None;
    pause(consumer, (place, reading));
}

fn pause(consumer: &BaseConsumer<Context>, (place, reading): (Place, &Reading)) {
    if let Err(error) = consumer.pause(&single(place, reading)) {
        tracing::warn!(%error, "a reader's partition could not be paused");
    }
}

fn single(place: Place, reading: &Reading) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    let partition = i32::try_from(place.1).expect("far fewer partitions");
    list.add_partition(&reading.name, partition);
    list
}

fn resume(consumer: &BaseConsumer<Context>, readings: &mut Readings, place: Place) {
    let Some(reading) = readings.get_mut(&place) else { return };
    if reading.intake.is_none() {
        return;
    }
    if let Err(error) = consumer.resume(&single(place, reading)) {
        tracing::warn!(%error, "a reader's partition could not be resumed");
    }
}

/// Polls what is there. Answers whether there may be more.
fn poll(consumer: &BaseConsumer<Context>, readings: &mut Readings) -> bool {
    use std::sync::atomic::Ordering::Relaxed;
    for _ in 0..POLL_MAX {
        let calls = consumer.context().calls.load(Relaxed);
        match consumer.poll(Duration::ZERO) {
            Some(Ok(message)) => took(consumer, readings, &message),
            // Said in the context's `error`; librdkafka goes on by itself.
            Some(Err(_)) => {}
            None if consumer.context().calls.load(Relaxed) == calls => return false,
            None => {}
        }
    }
    true
}

fn took(
    consumer: &BaseConsumer<Context>,
    readings: &mut Readings,
    message: &rdkafka::message::BorrowedMessage<'_>,
) {
    use rdkafka::Message;
    let same = |place: &Place, reading: &Reading| {
        reading.name == message.topic() && i32::try_from(place.1) == Ok(message.partition())
    };
    let found = readings.iter_mut().find(|(place, reading)| same(place, reading));
    let Some((&place, reading)) = found else { return };
    // Closed while it was on its way.
    let Some(intake) = &reading.intake else { return };
    let delivery = delivery(place.0, message);
    let offset = delivery.position.offset;
    if offset > reading.next {
        let (topic, partition) = place;
        let (start, end) = (offset, offset + 1);
        let from = reading.next;
        intake.end(Error::OutOfRange { topic, partition, offset: from, start, end });
        return;
    }
    reading.next = offset + 1;
    let full = intake.put(delivery);
    if full {
        pause(consumer, (place, reading));
    }
}
