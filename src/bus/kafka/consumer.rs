//! A group's reading of topics, and its commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use super::member::Seat;
use crate::bus::{Delivery, Error, Position, Result, Tenure, TopicId};

/// Reads topics for a group. Dropping it leaves the group.
#[derive(Debug)]
pub struct Consumer {
    intake: Arc<Intake>,
    committer: Committer,
    _leave: Leave,
}

/// Commits for a group.
#[derive(Clone, Debug)]
pub struct Committer {
    intake: Arc<Intake>,
    seats: Seats,
    closed: CancellationToken,
}

type Seats = Arc<BTreeMap<TopicId, Arc<Seat>>>;

/// Leaves the group when the consumer goes, whatever committers are left.
#[derive(Debug)]
struct Leave(Seats);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.values().for_each(|seat| seat.leave());
    }
}

impl Consumer {
    pub(super) fn new(
        intake: Arc<Intake>,
        seats: BTreeMap<TopicId, Arc<Seat>>,
        closed: CancellationToken,
    ) -> Self {
        let seats = Arc::new(seats);
        let leave = Leave(Arc::clone(&seats));
        let committer = Committer { intake: Arc::clone(&intake), seats, closed };
        Self { intake, committer, _leave: leave }
    }

    /// The next records of any partition.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let taken = tokio::select! {
            biased;
            () = self.committer.closed.cancelled() => return Err(Error::Closed),
            taken = self.intake.take(max) => taken?,
        };
        for (topic, partition) in taken.resume {
            if let Some(seat) = self.committer.seats.get(&topic) {
                seat.resume(partition);
            }
        }
        Ok(taken.deliveries)
    }

    /// A handle that commits.
    pub fn committer(&self) -> Committer {
        self.committer.clone()
    }
}

impl Committer {
    /// Remembers where the group goes on.
    pub async fn commit(&self, next: Position) -> Result<()> {
        let Position { topic, partition, offset } = next;
        let seat = self.seats.get(&topic);
        let seat = seat.filter(|seat| partition < seat.reads.partitions);
        let seat = seat.ok_or(Error::UnknownPartition { topic, partition })?;
        tokio::select! {
            biased;
            done = seat.commit(partition, offset) => done,
            () = self.closed.cancelled() => Err(Error::Closed),
        }
    }

    /// The time with a partition, while it is ours.
    pub fn tenure(&self, topic: TopicId, partition: u32) -> Option<Tenure> {
        self.seats.get(&topic)?.tenure(partition)
    }

    /// Holds a partition back, or lets it go.
    pub fn hold(&self, topic: TopicId, partition: u32, held: bool) {
        self.intake.hold((topic, partition), held);
    }
}
