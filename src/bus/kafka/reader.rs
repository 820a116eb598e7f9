//! Readers of one partition.

use tokio_util::sync::CancellationToken;

use super::tail::Source;
use crate::bus::{Delivery, Error, Position, Result};

/// Reads one partition from an offset on.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    next: Position,
    closed: CancellationToken,
}

impl Reader {
    pub(super) fn new(source: Source, next: Position, closed: CancellationToken) -> Self {
        Self { source, next, closed }
    }

    /// The next records.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let taken = tokio::select! {
            biased;
            () = self.closed.cancelled() => return Err(Error::Closed),
            taken = self.source.intake.take(max) => taken?,
        };
        if !taken.resume.is_empty() {
            self.source.resume();
        }
        if let Some(last) = taken.deliveries.last() {
            self.next = last.position.next();
        }
        Ok(taken.deliveries)
    }

    /// The offset of the next record.
    pub fn offset(&self) -> u64 {
        self.next.offset
    }
}
