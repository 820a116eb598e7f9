//! A member of a consumer group: one thread that polls one topic's partitions into the intake, and
//! one that commits for whoever did the work.
//!
//! A group of ours is one group of Kafka's for each topic, so that a rebalance of one lane never
//! touches another. Partitions come and go cooperatively. Of one that went, nothing more is
//! delivered or committed: its next owner begins at the last commit. A member whose client forgot
//! the brokers gives up all it had, and another one takes its seat.

mod group;
mod seat;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{oneshot, watch};

use self::group::Group;
pub(super) use self::seat::Seat;
use super::intake::Intake;
use super::mailbox::Mailbox;
use super::message::delivery;
use super::pulse::Pulse;
use crate::bus::{Error, Lag, Position, Tenure, TopicId};

/// How long a question to the brokers may take before the thread goes on with its work.
const QUESTION_PATIENCE: Duration = Duration::from_secs(5);
/// How long partitions that are to go wait for the work on them to end: a batch's answers, with
/// room. The group's other members go on meanwhile.
const WORK_PATIENCE: Duration = Duration::from_secs(5);
/// Messages polled before commands are looked at again.
const POLL_MAX: usize = 1_000;

/// What the polling thread is asked to do.
#[derive(Debug)]
enum Command {
    /// A paused partition has room again.
    Resume { partition: u32 },
    /// Leave the group and end.
    Stop,
}

/// What the committing thread is asked: all that waits for a broker's answer.
#[derive(Debug)]
enum Question {
    /// Remember where the group goes on in a partition.
    Commit { partition: u32, next: u64, reply: oneshot::Sender<Answer> },
    /// How far is the group behind, in every partition of the topic?
    Lag { reply: oneshot::Sender<Result<Vec<Lag>, KafkaError>> },
    /// End.
    Stop,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// It is durable, or not ours to make any more.
    Done,
    /// Not now.
    Again,
    /// The partition ends before.
    Beyond { start: u64, end: u64 },
}

/// Which topic a member reads, for which group.
#[derive(Debug)]
pub(super) struct Reads {
    pub group: String,
    pub topic: TopicId,
    /// The topic's name on the cluster.
    pub name: String,
    pub partitions: u32,
}

/// What the thread shares with those who use it.
#[derive(Debug)]
struct Member {
    reads: Arc<Reads>,
    mailbox: Mailbox<Command>,
    questions: Mailbox<Question>,
    intake: Arc<Intake>,
    owned: Mutex<BTreeMap<u32, Owned>>,
    /// Becomes true with the first assignment.
    assigned: watch::Sender<bool>,
    /// Callbacks so far, so that a poll that ran one is told from an empty one.
    calls: AtomicU64,
    pulse: Pulse,
    /// It gave up its seat: what its client says from now on is nobody's concern.
    over: AtomicBool,
}

/// Why a member polls no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was told to leave the group.
    Left,
    /// Its client forgot the brokers.
    Lost,
}

/// A partition that is ours now.
#[derive(Debug, Default)]
struct Owned {
    /// After the last record that was fetched.
    next: Option<u64>,
    /// The group's commit, once known; nothing below is committed.
    floor: Option<u64>,
    waiting: Vec<(u64, oneshot::Sender<Answer>)>,
    tenure: Tenure,
}

impl Member {
    /// A member with a client that joins the group as soon as it is polled.
    fn new(
        config: &ClientConfig,
        reads: &Arc<Reads>,
        intake: &Arc<Intake>,
    ) -> KafkaResult<(Arc<Member>, BaseConsumer<Group>)> {
        let member = Arc::new(Member {
            reads: Arc::clone(reads),
            mailbox: Mailbox::default(),
            questions: Mailbox::default(),
            intake: Arc::clone(intake),
            owned: Mutex::default(),
            assigned: watch::Sender::new(false),
            calls: AtomicU64::new(0),
            pulse: Pulse::default(),
            over: AtomicBool::new(false),
        });
        let group = Group(Arc::clone(&member));
        let mut consumer: BaseConsumer<Group> = config.create_with_context(group)?;
        consumer.subscribe(&[&member.reads.name])?;
        let waker = Arc::clone(&member);
        consumer.set_nonempty_callback(move || waker.mailbox.wake());
        Ok((member, consumer))
    }

    /// The polling thread's life with one client.
    fn live(self: &Arc<Self>, consumer: BaseConsumer<Group>) -> Ended {
        self.mailbox.attach();
        let consumer = Arc::new(consumer);
        let (member, mine) = (Arc::clone(self), Arc::clone(&consumer));
        let thread = std::thread::Builder::new().name("loa-kafka-commit".to_owned());
        let commits = match thread.spawn(move || member.answer(&mine)) {
            Ok(commits) => commits,
            Err(error) => {
                self.intake.end(Error::Storage(error.to_string()));
                self.close();
                return Ended::Left;
            }
        };
        let ended = self.run(&consumer);
        if ended == Ended::Lost {
            self.give_up();
        }
        self.questions.send(Question::Stop);
        let member = Arc::clone(self);
        let end = move || {
            // Waits for a commit under way. Its panic would be said by the runtime.
            let _ = commits.join();
            member.close();
            // Leaves the group, which takes a moment.
            drop(consumer);
        };
        match ended {
            Ended::Left => end(),
            // A commit without brokers may be under way for long, and the successor does not wait.
            Ended::Lost => drop(std::thread::spawn(end)),
        }
        ended
    }

    /// Nothing is ours any more, and whoever waits for an answer is to ask the successor.
    fn give_up(&self) {
        let mine: Vec<u32> = self.lock().keys().copied().collect();
        self.let_go(&mine);
        self.over.store(true, Ordering::Relaxed);
        self.close();
        self.assigned.send_replace(true);
    }

    fn close(&self) {
        self.mailbox.close();
        self.questions.close();
        self.lock().clear();
    }

    /// Of these partitions nothing more is delivered or committed.
    fn let_go(&self, partitions: &[u32]) {
        partitions.iter().for_each(|one| self.intake.close((self.reads.topic, *one)));
        self.end_work(partitions);
        for partition in partitions {
            // Those who wait for a commit are told that it is not theirs to make any more.
            let gone = self.lock().remove(partition);
            let waiting = gone.into_iter().flat_map(|owned| owned.waiting);
            waiting.for_each(|(_, reply)| tell(reply, Answer::Done));
        }
    }

    /// Commits; comes back when it is durable, when the partition is somebody else's, or when the
    /// member is ([`Error::Closed`]).
    async fn commit(&self, partition: u32, next: u64) -> Result<(), Error> {
        const RETRY_PAUSE: Duration = Duration::from_millis(100);
        let mut assigned = self.assigned.subscribe();
        assigned.wait_for(|assigned| *assigned).await.map_err(|_| Error::Closed)?;
        loop {
            let (reply, answer) = oneshot::channel();
            self.questions.send(Question::Commit { partition, next, reply });
            match answer.await.map_err(|_| Error::Closed)? {
                Answer::Done => return Ok(()),
                Answer::Again => tokio::time::sleep(RETRY_PAUSE).await,
                Answer::Beyond { start, end } => {
                    let (topic, offset) = (self.reads.topic, next);
                    return Err(Error::OutOfRange { topic, partition, offset, start, end });
                }
            }
        }
    }

    /// The time with a partition, while it is ours.
    fn tenure(&self, partition: u32) -> Option<Tenure> {
        self.lock().get(&partition).map(|owned| owned.tenure.clone())
    }

    /// Ends the work on partitions that are to go. What is not done in time is fenced where it is
    /// written.
    fn end_work(&self, partitions: &[u32]) {
        let tenures: Vec<Tenure> = partitions.iter().filter_map(|one| self.tenure(*one)).collect();
        tenures.iter().for_each(Tenure::end);
        let deadline = Instant::now() + WORK_PATIENCE;
        let late = tenures.iter().filter(|tenure| !tenure.is_idle_by(deadline)).count();
        if late > 0 {
            let Reads { group, topic, .. } = &*self.reads;
            tracing::warn!(group, %topic, late, "partitions go to others with work under way");
        }
    }

    fn run(&self, consumer: &BaseConsumer<Group>) -> Ended {
        loop {
            if self.pulse.is_lost() {
                return Ended::Lost;
            }
            for command in self.mailbox.take() {
                match command {
                    Command::Stop => return Ended::Left,
                    Command::Resume { partition } => {
                        self.note("resume", consumer.resume(&self.list(&[(partition, None)])));
                    }
                }
            }
            if self.poll(consumer) {
                continue;
            }
            self.mailbox.wait();
        }
    }

    /// Polls what is there. Answers whether there may be more.
    fn poll(&self, consumer: &BaseConsumer<Group>) -> bool {
        for _ in 0..POLL_MAX {
            let calls = self.calls.load(Ordering::Relaxed);
            match consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let delivery = delivery(self.reads.topic, &message);
                    let at = delivery.position;
                    self.fetched(consumer, at);
                    if self.intake.put(delivery) {
                        self.pause(consumer, at.partition);
                    }
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let why = format!("group {}: {code}", self.reads.group);
                    self.intake.end(Error::Storage(why));
                    return false;
                }
                // Said in the context's `error`; librdkafka goes on by itself.
                Some(Err(_)) => {}
                None if self.calls.load(Ordering::Relaxed) == calls => return false,
                None => {}
            }
        }
        true
    }

    /// Notes a record that came, and tells of those that retention took before.
    fn fetched(&self, consumer: &BaseConsumer<Group>, at: Position) {
        let Position { topic, partition, offset } = at;
        let known = self.lock().get(&partition).map(|owned| owned.next.or(owned.floor));
        let expected = match known {
            None => return,
            Some(Some(expected)) => expected,
            // The first since it is ours: where does the group stand?
            Some(None) => match self.committed(consumer, partition) {
                Ok(committed) => committed.unwrap_or(offset),
                Err(_) => offset,
            },
        };
        if let Some(missed @ 1..) = offset.checked_sub(expected) {
            let group = &self.reads.group;
            tracing::warn!(group, %topic, partition, missed, "{}", crate::bus::OVERTAKEN);
        }
        if let Some(owned) = self.lock().get_mut(&partition) {
            owned.next = Some(offset + 1);
        }
    }

    /// The committing thread's life.
    fn answer(&self, consumer: &BaseConsumer<Group>) {
        self.questions.attach();
        while !self.over.load(Ordering::Relaxed) {
            for question in self.questions.take() {
                match question {
                    Question::Stop => return,
                    Question::Lag { reply } => drop(reply.send(self.lag(consumer))),
                    Question::Commit { partition, next, reply } => {
                        let asked = self.may_commit(consumer, partition, next);
                        match (asked, self.lock().get_mut(&partition)) {
                            // Asked of an ownership that is over; it may be ours anew.
                            (None, Some(owned)) if owned.floor.is_none() => {
                                tell(reply, Answer::Again);
                            }
                            (None, Some(owned)) => owned.waiting.push((next, reply)),
                            (answer, _) => tell(reply, answer.unwrap_or(Answer::Done)),
                        }
                    }
                }
            }
            if !self.commit_all(consumer) {
                self.questions.wait();
            }
        }
    }

    /// `None` when a commit must be sent, else its answer.
    fn may_commit(
        &self,
        consumer: &BaseConsumer<Group>,
        partition: u32,
        next: u64,
    ) -> Option<Answer> {
        let (floor, fetched) = {
            let owned = self.lock();
            // Whoever owns it now commits what it does itself.
            let Some(owned) = owned.get(&partition) else { return Some(Answer::Done) };
            (owned.floor, owned.next)
        };
        let floor = match floor {
            Some(floor) => floor,
            None => {
                let Ok(floor) = self.committed(consumer, partition) else {
                    return Some(Answer::Again);
                };
                let floor = floor.unwrap_or(0);
                self.lock().entry(partition).and_modify(|owned| owned.floor = Some(floor));
                floor
            }
        };
        if next <= floor {
            return Some(Answer::Done);
        }
        if fetched.is_some_and(|fetched| next <= fetched) {
            return None;
        }
        let place = i32::try_from(partition).expect("far fewer partitions");
        match consumer.fetch_watermarks(&self.reads.name, place, QUESTION_PATIENCE) {
            Ok((_, end)) if next <= unsigned(end) => None,
            Ok((start, end)) => Some(Answer::Beyond { start: unsigned(start), end: unsigned(end) }),
            Err(_) => Some(Answer::Again),
        }
    }

    fn committed(
        &self,
        consumer: &BaseConsumer<Group>,
        partition: u32,
    ) -> KafkaResult<Option<u64>> {
        let list = self.list(&[(partition, None)]);
        let committed = consumer.committed_offsets(list, QUESTION_PATIENCE)?;
        Ok(committed.elements().first().and_then(|one| offset(one.offset())))
    }

    /// One commit for all partitions that wait for one; those that come meanwhile share the next.
    /// Answers whether there was any.
    fn commit_all(&self, consumer: &BaseConsumer<Group>) -> bool {
        let mut due = Vec::new();
        for (&partition, owned) in self.lock().iter() {
            let highest = owned.waiting.iter().map(|(next, _)| *next).max();
            due.extend(highest.map(|next| (partition, Some(next))));
        }
        if due.is_empty() {
            return false;
        }
        let outcome = consumer.commit(&self.list(&due), CommitMode::Sync);
        for (partition, next) in due {
            self.landed((partition, next.unwrap_or(0)), &outcome);
        }
        true
    }

    /// A commit came back.
    fn landed(&self, (partition, flight): (u32, u64), outcome: &KafkaResult<()>) {
        let mut owned = self.lock();
        // Taken from us meanwhile: those who waited were told.
        let Some(owned) = owned.get_mut(&partition) else { return };
        let answer = match outcome {
            Ok(()) => {
                owned.floor = owned.floor.max(Some(flight));
                Answer::Done
            }
            Err(error) => {
                tracing::debug!(partition, %error, "a commit was not taken; it is tried again");
                Answer::Again
            }
        };
        let (there, wait): (Vec<_>, Vec<_>) =
            owned.waiting.drain(..).partition(|(next, _)| *next <= flight);
        owned.waiting = wait;
        there.into_iter().for_each(|(_, reply)| tell(reply, answer));
    }

    fn lag(&self, consumer: &BaseConsumer<Group>) -> KafkaResult<Vec<Lag>> {
        let topic = self.reads.topic;
        let all: Vec<_> = (0..self.reads.partitions).map(|partition| (partition, None)).collect();
        let committed = consumer.committed_offsets(self.list(&all), QUESTION_PATIENCE)?;
        let ask = |at: Offset| {
            let mut list = self.list(&all);
            list.set_all_offsets(at)?;
            consumer.offsets_for_times(list, QUESTION_PATIENCE)
        };
        let (starts, ends) = (ask(Offset::Beginning)?, ask(Offset::End)?);
        let of = |list: &TopicPartitionList, partition: u32| {
            let place = i32::try_from(partition).expect("far fewer partitions");
            list.find_partition(&self.reads.name, place).and_then(|one| offset(one.offset()))
        };
        let lags = (0..self.reads.partitions).map(|partition| {
            let end = of(&ends, partition).unwrap_or(0);
            let start = of(&starts, partition).unwrap_or(0);
            let next = of(&committed, partition).unwrap_or(0).max(start);
            Lag { next: Position { topic, partition, offset: next }, end }
        });
        Ok(lags.collect())
    }

    fn pause(&self, consumer: &BaseConsumer<Group>, partition: u32) {
        self.note("pause", consumer.pause(&self.list(&[(partition, None)])));
    }

    fn note(&self, what: &str, done: KafkaResult<()>) {
        if let Err(error) = done {
            // It was taken from us meanwhile; the next owner starts afresh.
            tracing::debug!(topic = %self.reads.topic, %error, "could not {what} a partition");
        }
    }

    fn list(&self, places: &[(u32, Option<u64>)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for &(partition, next) in places {
            let place = i32::try_from(partition).expect("far fewer partitions");
            let mut one = list.add_partition(&self.reads.name, place);
            if let Some(next) = next {
                let next = i64::try_from(next).expect("Kafka's offsets are i64");
                one.set_offset(Offset::Offset(next)).expect("an offset from 0 on is one");
            }
        }
        list
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Owned>> {
        // Nothing in the critical sections can panic half way, so a poisoned lock holds good data.
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who no longer waits does not want to know.
fn tell(reply: oneshot::Sender<Answer>, answer: Answer) {
    let _ = reply.send(answer);
}

/// An offset that names a record.
fn offset(offset: Offset) -> Option<u64> {
    match offset {
        Offset::Offset(at) => u64::try_from(at).ok(),
        _ => None,
    }
}

fn unsigned(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}
