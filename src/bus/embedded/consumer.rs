//! The embedded log's consumers: a group's reading, and its commits.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use futures_util::future::select_all;
use tokio::sync::watch;

use super::Shared;
use super::fetch::Piece;
use crate::bus::{Delivery, Error, OVERTAKEN, Position, Result, Tenure, TopicId};

/// Reads topics for a group. Dropping it frees the group for another.
#[derive(Debug)]
pub struct Consumer {
    committer: Committer,
    changed: Vec<watch::Receiver<u64>>,
    held: watch::Receiver<Places>,
    /// Where it goes on in each partition, the one to be visited first in front.
    next: Vec<Position>,
    _membership: Membership,
}

/// Commits for a group.
#[derive(Clone, Debug)]
pub struct Committer {
    log: Arc<Shared>,
    group: Arc<str>,
    held: Arc<watch::Sender<Places>>,
    /// Nobody takes a partition from it.
    tenure: Tenure,
}

/// Partitions that are held back.
type Places = BTreeSet<(TopicId, u32)>;

/// The group's hold on its topics.
#[derive(Debug)]
struct Membership {
    log: Arc<Shared>,
    group: Arc<str>,
    topics: BTreeSet<TopicId>,
}

impl Consumer {
    /// Enters a group for topics that exist.
    pub(super) async fn join(
        log: Arc<Shared>,
        group: &str,
        topics: BTreeSet<TopicId>,
    ) -> Result<Self> {
        let membership = Membership::take(&log, group, topics)?;
        let group = membership.group.clone();
        let topics = || membership.topics.iter().copied();
        log.ask(|of| of.joins.push((group.clone(), topics().collect()))).await?;
        let next = positions(&log, &group, &membership.topics);
        let changed = topics().map(|topic| log.layout.topics[&topic].changed.subscribe()).collect();
        let (hold, held) = watch::channel(Places::new());
        let (hold, tenure) = (Arc::new(hold), Tenure::default());
        let committer = Committer { log, group, held: hold, tenure };
        Ok(Self { committer, changed, held, next, _membership: membership })
    }

    /// The next records of any partition.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        loop {
            // Marked as seen before the bounds are looked at, so that no change is missed.
            for changed in &mut self.changed {
                changed.borrow_and_update();
            }
            self.held.borrow_and_update();
            if self.committer.log.closed.is_cancelled() {
                return Err(Error::Closed);
            }
            let batch = self.fetch(max).await?;
            if !batch.is_empty() {
                self.advance(&batch);
                return Ok(batch);
            }
            let any = select_all(self.changed.iter_mut().map(|topic| Box::pin(topic.changed())));
            tokio::select! {
                () = self.committer.log.closed.cancelled() => return Err(Error::Closed),
                (changed, ..) = any => changed.map_err(|_| Error::Closed)?,
                changed = self.held.changed() => changed.map_err(|_| Error::Closed)?,
            }
        }
    }

    /// A handle that commits.
    pub fn committer(&self) -> Committer {
        self.committer.clone()
    }

    async fn fetch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let log = self.committer.log.clone();
        let mut pieces = Vec::new();
        let held = self.held.borrow().clone();
        let free = |next: &&mut Position| !held.contains(&(next.topic, next.partition));
        for next in self.next.iter_mut().filter(free) {
            let place = log.layout.partition(next.topic, next.partition)?;
            let bounds = place.bounds();
            if next.offset < bounds.start {
                let Position { topic, partition, offset } = *next;
                tracing::warn!(
                    group = %self.committer.group, %topic, partition,
                    missed = bounds.start - offset, "{OVERTAKEN}"
                );
                next.offset = bounds.start;
            }
            if next.offset < bounds.end {
                pieces.push(Piece { from: *next, end: bounds.end });
            }
        }
        if pieces.is_empty() {
            return Ok(Vec::new());
        }
        match log.pool.read(pieces, max).await {
            // Retention overtook this read: look at the bounds again.
            Err(Error::OutOfRange { .. }) => Box::pin(self.fetch(max)).await,
            other => other,
        }
    }

    /// Goes past a batch, and visits its last partition last the next time.
    fn advance(&mut self, batch: &[Delivery]) {
        let same = |next: &Position, at: &Position| {
            next.topic == at.topic && next.partition == at.partition
        };
        for delivery in batch {
            let at = &delivery.position;
            if let Some(next) = self.next.iter_mut().find(|next| same(next, at)) {
                next.offset = at.offset + 1;
            }
        }
        let last = batch.last().map(|delivery| delivery.position);
        let place = last.and_then(|at| self.next.iter().position(|next| same(next, &at)));
        if let Some(place) = place {
            self.next.rotate_left(place + 1);
        }
    }
}

/// Where a group goes on in topics that it has entered.
fn positions(log: &Shared, group: &str, topics: &BTreeSet<TopicId>) -> Vec<Position> {
    let groups = log.layout.groups();
    let next = groups.of(group).filter_map(|(place, offset)| {
        let place = &log.layout.places[place];
        let (topic, _) = place.known.filter(|(topic, _)| topics.contains(topic))?;
        Some(Position { topic, partition: place.partition, offset })
    });
    next.collect()
}

impl Committer {
    /// Remembers where the group goes on.
    pub async fn commit(&self, next: Position) -> Result<()> {
        let Position { topic, partition, offset } = next;
        let place = self.log.layout.index(topic, partition)?;
        let bounds = self.log.layout.places[place].bounds();
        if offset > bounds.end {
            let (start, end) = (bounds.start, bounds.end);
            return Err(Error::OutOfRange { topic, partition, offset, start, end });
        }
        let commit = (self.group.clone(), place, offset);
        self.log.ask(|of| of.commits.push(commit)).await
    }

    /// The time with any partition.
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Holds a partition back, or lets it go.
    pub fn hold(&self, topic: TopicId, partition: u32, held: bool) {
        let place = (topic, partition);
        self.held.send_if_modified(
            |places| {
                if held { places.insert(place) } else { places.remove(&place) }
            },
        );
    }
}

impl Membership {
    /// Takes all topics for the group or, if one is taken, none.
    fn take(log: &Arc<Shared>, group: &str, topics: BTreeSet<TopicId>) -> Result<Self> {
        let mut live = log.live.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = topics.iter().find(|topic| live.contains(&(group.to_owned(), **topic)));
        if let Some(&topic) = taken {
            return Err(Error::GroupBusy { group: group.to_owned(), topic });
        }
        live.extend(topics.iter().map(|topic| (group.to_owned(), *topic)));
        Ok(Self { log: log.clone(), group: group.into(), topics })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut live = self.log.live.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in &self.topics {
            live.remove(&(self.group.to_string(), *topic));
        }
    }
}
