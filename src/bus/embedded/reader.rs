//! The embedded log's readers of one partition.

use std::sync::Arc;

use tokio::sync::watch;

use super::Shared;
use super::fetch::Piece;
use crate::bus::{Delivery, Error, Position, Result};

/// Reads one partition from an offset on.
#[derive(Debug)]
pub struct Reader {
    log: Arc<Shared>,
    next: Position,
    changed: watch::Receiver<u64>,
}

impl Reader {
    /// A reader of a partition that exists.
    pub(super) fn new(log: Arc<Shared>, next: Position) -> Self {
        let changed = log.layout.topics[&next.topic].changed.subscribe();
        Self { log, next, changed }
    }

    /// The next records.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        loop {
            // Marked as seen before the bounds are looked at, so that no change is missed.
            self.changed.borrow_and_update();
            if self.log.closed.is_cancelled() {
                return Err(Error::Closed);
            }
            let batch = self.fetch(max).await?;
            if let Some(last) = batch.last() {
                self.next = last.position.next();
                return Ok(batch);
            }
            tokio::select! {
                () = self.log.closed.cancelled() => return Err(Error::Closed),
                changed = self.changed.changed() => changed.map_err(|_| Error::Closed)?,
            }
        }
    }

    /// The offset of the next record.
    pub fn offset(&self) -> u64 {
        self.next.offset
    }

    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>> {
        let Position { topic, partition, offset } = self.next;
        let place = self.log.layout.partition(topic, partition)?;
        let bounds = place.bounds();
        if offset < bounds.start {
            let (start, end) = (bounds.start, bounds.end);
            return Err(Error::OutOfRange { topic, partition, offset, start, end });
        }
        if offset == bounds.end {
            return Ok(Vec::new());
        }
        self.log.pool.read(vec![Piece { from: self.next, end: bounds.end }], max).await
    }
}
