//! A round of offers: publications, to every stream they may concern. The shards of the index are
//! what writers share: each takes the next one that nobody has, so that a stream has one writer and
//! its order, and a machine's cores all write.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::gateway::entry::Entry;
use crate::gateway::hub::conn::Conn;
use crate::gateway::hub::{Hub, index::Index};

/// Offers before other work of the same thread has its turn.
const OFFERS_MAX: usize = 128;
/// Streams in a shard for which another writer is worth being woken: half a millisecond of writes.
/// Shards are alike, since streams fall to them in turn.
const CROWD: usize = 64;

/// Publications on their way to the streams.
#[derive(Debug)]
pub(super) struct Round {
    hub: Hub,
    entries: Vec<Arc<Entry>>,
    now: Timestamp,
    /// The next shard that nobody has; who begins has the first.
    next: AtomicUsize,
}

impl Round {
    /// Publications, none of which takes the place of another.
    pub(super) fn new(hub: Hub, entries: Vec<Arc<Entry>>, now: Timestamp) -> Self {
        Self { hub, entries, now, next: AtomicUsize::new(1) }
    }

    /// Offers them to everybody, with so many writers at most, and ends when all are done. Dropped
    /// before, no writer goes on for long.
    pub(super) async fn go(self, writers: usize) {
        if self.entries.is_empty() {
            return;
        }
        let round = Arc::new(self);
        let first = round.concerned(0);
        let mut others = JoinSet::new();
        if first.len() >= CROWD {
            for _ in 1..writers.min(Index::SHARDS) {
                others.spawn(Arc::clone(&round).take_shards());
            }
        }
        round.offer(first).await;
        round.take_shards().await;
        join(others).await;
    }

    /// Offers to the shards that nobody has, until there are no more.
    async fn take_shards(self: Arc<Self>) {
        loop {
            let shard = self.next.fetch_add(1, Ordering::Relaxed);
            if shard >= Index::SHARDS {
                return;
            }
            self.offer(self.concerned(shard)).await;
        }
    }

    /// The connections of one shard that any of the entries may concern, with which: those of one
    /// connection together and in order.
    fn concerned(&self, shard: usize) -> Vec<(Arc<Conn>, usize)> {
        let of = |(number, entry): (usize, &Arc<Entry>)| {
            let concerned = self.hub.inner.index.concerned(shard, entry);
            concerned.into_iter().map(move |conn| (conn, number))
        };
        let mut all: Vec<_> = self.entries.iter().enumerate().flat_map(of).collect();
        if self.entries.len() > 1 {
            all.sort_unstable_by_key(|(conn, number)| (Arc::as_ptr(conn), *number));
        }
        all
    }

    /// Offers what concerns them to the connections of a shard.
    async fn offer(&self, concerned: Vec<(Arc<Conn>, usize)>) {
        let (mut queued, mut concerned) = (0, concerned.into_iter());
        while concerned.len() > 0 {
            // First all are judged and then all are written to: what a stream is judged by lies
            // cold in memory, and one's is fetched while the last one's is looked at, which no
            // longer happens with a system call in between.
            let some = concerned.by_ref().take(OFFERS_MAX);
            let taken = some.filter_map(|(conn, entry)| {
                let outgoing = conn.offer(&self.entries[entry], self.now)?;
                Some((conn, outgoing))
            });
            let mut taken = taken.collect::<Vec<_>>().into_iter().peekable();
            while let Some((conn, outgoing)) = taken.next() {
                queued += 1;
                if taken.peek().is_none_or(|(next, _)| !Arc::ptr_eq(next, &conn)) {
                    conn.outbox().push(outgoing);
                    continue;
                }
                let mut together = vec![outgoing];
                while let Some((_, more)) = taken.next_if(|(next, _)| Arc::ptr_eq(next, &conn)) {
                    queued += 1;
                    together.push(more);
                }
                conn.outbox().push_all(together);
            }
            tokio::task::yield_now().await;
        }
        self.hub.inner.counters.queued.fetch_add(queued, Ordering::Relaxed);
    }
}

/// Waits for other writers. A panic in one goes on here, as if there had been no other. None is
/// aborted but by a runtime that ends.
async fn join(mut others: JoinSet<()>) {
    while let Some(done) = others.join_next().await {
        if let Err(error) = done
            && let Ok(panic) = error.try_into_panic()
        {
            resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "a bug in a writer")]
    async fn a_panic_of_another_writer_is_one_of_the_round() {
        let mut others = JoinSet::new();
        others.spawn(async {});
        others.spawn(async { panic!("a bug in a writer") });
        join(others).await;
    }
}
