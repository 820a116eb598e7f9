//! A group's reading of topics, and its commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use super::mailbox::Mailbox;
use super::member::{Command, Member};
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
    members: Members,
    closed: CancellationToken,
}

type Members = Arc<BTreeMap<TopicId, Arc<Member>>>;

/// Leaves the group when the consumer goes, whatever committers are left.
#[derive(Debug)]
struct Leave(Members);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.values().for_each(|member| member.stop());
    }
}

impl Consumer {
    pub(super) fn new(
        intake: Arc<Intake>,
        members: BTreeMap<TopicId, Arc<Member>>,
        closed: CancellationToken,
    ) -> Self {
        let members = Arc::new(members);
        let leave = Leave(Arc::clone(&members));
        let committer = Committer { intake: Arc::clone(&intake), members, closed };
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
            if let Some(mailbox) = self.committer.mailbox(topic) {
                mailbox.send(Command::Resume { partition });
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
        let member = self.members.get(&topic);
        let member = member.filter(|member| partition < member.reads.partitions);
        let member = member.ok_or(Error::UnknownPartition { topic, partition })?;
        tokio::select! {
            biased;
            done = member.commit(partition, offset) => done,
            () = self.closed.cancelled() => Err(Error::Closed),
        }
    }

    /// The time with a partition, while it is ours.
    pub fn tenure(&self, topic: TopicId, partition: u32) -> Option<Tenure> {
        self.members.get(&topic)?.tenure(partition)
    }

    /// Holds a partition back, or lets it go.
    pub fn hold(&self, topic: TopicId, partition: u32, held: bool) {
        self.intake.hold((topic, partition), held);
    }

    fn mailbox(&self, topic: TopicId) -> Option<&Mailbox<Command>> {
        self.members.get(&topic).map(|member| &member.mailbox)
    }
}
