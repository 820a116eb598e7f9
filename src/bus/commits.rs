//! Offsets that are committed together: waiting for a broker's answer after every record would hold
//! a reader to a few hundred records a second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::bus::{Committer, Position, Result, TopicId};

/// Records done before a commit is due. A crash repeats at most so many, each of which its handler
/// bears.
const RECORDS_MAX: usize = 256;
/// How long a record that is done waits for the others while work goes on.
const TIME_MAX: Duration = Duration::from_millis(200);

/// What a reader has done and not committed yet. It works on its records one after another, calls
/// [`Commits::done`] after each one's effect, and [`Commits::land`] before it waits for more.
#[derive(Debug)]
pub struct Commits {
    committer: Committer,
    /// Where the group goes on, by topic and partition.
    due: BTreeMap<(TopicId, u32), Position>,
    records: usize,
    since: Option<Instant>,
}

impl Commits {
    /// Nothing done yet.
    pub fn new(committer: Committer) -> Self {
        Self { committer, due: BTreeMap::new(), records: 0, since: None }
    }

    /// A record's effect is durable. Commits when enough of them, or the oldest for long enough,
    /// have waited.
    pub async fn done(&mut self, position: Position) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.due.insert((position.topic, position.partition), position.next());
        self.records += 1;
        if self.records >= RECORDS_MAX || since.elapsed() >= TIME_MAX {
            self.land().await?;
        }
        Ok(())
    }

    /// Commits what waits. A dropped call leaves it committed or not.
    pub async fn land(&mut self) -> Result<()> {
        (self.records, self.since) = (0, None);
        let due = std::mem::take(&mut self.due);
        try_join_all(due.into_values().map(|next| self.committer.commit(next))).await?;
        Ok(())
    }
}
