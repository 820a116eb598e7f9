//! A place in a group, whoever sits on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use tokio::sync::{oneshot, watch};

use super::{Command, Ended, Group, Member, Question, Reads};
use crate::bus::kafka::client;
use crate::bus::kafka::intake::Intake;
use crate::bus::{Error, Lag, Tenure};

/// Pause before another try to make a client.
const REMAKE_PAUSE: Duration = Duration::from_secs(1);

/// A group's reading of one topic: the member of now, and what its successors are made of.
#[derive(Debug)]
pub(in crate::bus::kafka) struct Seat {
    pub reads: Arc<Reads>,
    config: ClientConfig,
    intake: Arc<Intake>,
    member: watch::Sender<Arc<Member>>,
    /// Nobody sits here any more.
    left: Mutex<bool>,
}

impl Seat {
    /// Starts the thread that joins the group.
    pub fn take(
        config: &ClientConfig,
        reads: Reads,
        intake: Arc<Intake>,
    ) -> Result<Arc<Seat>, Error> {
        let reads = Arc::new(reads);
        let (member, consumer) =
            Member::new(config, &reads, &intake).map_err(|error| client::unmade(&error))?;
        let (config, left) = (config.clone(), Mutex::new(false));
        let seat =
            Arc::new(Seat { reads, config, intake, member: watch::Sender::new(member), left });
        let shared = Arc::clone(&seat);
        let thread = std::thread::Builder::new().name("loa-kafka-poll".to_owned());
        let run = move || shared.live(consumer);
        thread.spawn(run).map_err(|error| Error::Storage(error.to_string()))?;
        Ok(seat)
    }

    /// The polling thread's life.
    fn live(&self, mut consumer: BaseConsumer<Group>) {
        while let Ended::Lost = self.member().live(consumer) {
            client::replaced("member", self.reads.partitions as usize);
            match self.successor() {
                Some(next) => consumer = next,
                None => return,
            }
        }
    }

    /// Another member; none when the group was left meanwhile.
    fn successor(&self) -> Option<BaseConsumer<Group>> {
        loop {
            let made = Member::new(&self.config, &self.reads, &self.intake);
            let left = self.left();
            if *left {
                return None;
            }
            match made {
                Ok((member, consumer)) => {
                    self.member.send_replace(member);
                    return Some(consumer);
                }
                Err(error) => tracing::warn!(%error, "no other client could be made; trying again"),
            }
            drop(left);
            std::thread::park_timeout(REMAKE_PAUSE);
        }
    }

    /// Commits; comes back when it is durable, or when the partition is somebody else's.
    pub async fn commit(&self, partition: u32, next: u64) -> Result<(), Error> {
        let mut seen = self.member.subscribe();
        loop {
            let member = Arc::clone(&seen.borrow_and_update());
            match member.commit(partition, next).await {
                Err(Error::Closed) if !*self.left() => {
                    // The successor knows whether it is still ours to commit.
                    seen.changed().await.map_err(|_| Error::Closed)?;
                }
                done => return done,
            }
        }
    }

    /// The time with a partition, while it is ours.
    pub fn tenure(&self, partition: u32) -> Option<Tenure> {
        self.member().tenure(partition)
    }

    /// A paused partition has room again.
    pub fn resume(&self, partition: u32) {
        self.member().mailbox.send(Command::Resume { partition });
    }

    /// How far the group is behind, in every partition; nothing once it was left.
    pub async fn lag(&self) -> Option<Result<Vec<Lag>, KafkaError>> {
        let (reply, answer) = oneshot::channel();
        self.member().questions.send(Question::Lag { reply });
        answer.await.ok()
    }

    /// Leaves the group.
    pub fn leave(&self) {
        let mut left = self.left();
        *left = true;
        self.member().mailbox.send(Command::Stop);
    }

    fn member(&self) -> Arc<Member> {
        Arc::clone(&self.member.borrow())
    }

    fn left(&self) -> MutexGuard<'_, bool> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
