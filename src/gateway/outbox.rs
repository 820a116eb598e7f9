//! A connection's queue: bounded in frames and bytes. When it is full the connection is closed as
//! slow, and nobody else notices.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::domain::ids::{PublicationId, UnitCode};
use crate::gateway::close::Close;
use crate::gateway::frame::Frame;

/// One frame to be written, and what it means to the ledger once it is.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// What to write.
    pub frame: Arc<Frame>,
    /// The publication it delivers, if it delivers one.
    pub delivers: Option<Delivers>,
}

impl Outgoing {
    /// A frame that delivers no publication.
    pub fn plain(frame: Arc<Frame>) -> Self {
        Self { frame, delivers: None }
    }
}

/// What a written frame delivers.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivers {
    /// The publication.
    pub publication: PublicationId,
    /// The unit that owns the delivery; absent for a subject's.
    pub unit: Option<UnitCode>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// The queue between the hub and one connection.
#[derive(Debug)]
pub struct Outbox {
    frames_max: usize,
    bytes_max: usize,
    queue: Mutex<Queue>,
    filled: Notify,
    closed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    close: Option<Close>,
}

impl Outbox {
    /// An empty queue with its limits.
    pub fn new(frames_max: usize, bytes_max: usize) -> Self {
        Self {
            frames_max,
            bytes_max,
            queue: Mutex::default(),
            filled: Notify::new(),
            closed: Notify::new(),
        }
    }

    /// Queues a frame. If there is no room the connection closes as slow; what was queued is
    /// dropped, since the client resumes from its own position.
    pub fn push(&self, outgoing: Outgoing) {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return;
        }
        let bytes = queue.bytes + outgoing.frame.bytes();
        if queue.frames.len() >= self.frames_max || bytes > self.bytes_max {
            drop(queue);
            return self.close(Close::Slow);
        }
        queue.bytes = bytes;
        queue.frames.push_back(outgoing);
        drop(queue);
        self.filled.notify_one();
    }

    /// Closes the connection; the first reason holds.
    pub fn close(&self, close: Close) {
        let mut queue = self.lock();
        if queue.close.is_none() {
            queue.close = Some(close);
            queue.frames.clear();
            queue.bytes = 0;
            drop(queue);
            self.filled.notify_one();
            self.closed.notify_waiters();
        }
    }

    /// The next frame, or why to close. Cancel-safe.
    pub async fn next(&self) -> Result<Outgoing, Close> {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.filled.notified().await;
        }
    }

    /// The next frame or why to close, if there is either now.
    pub fn try_next(&self) -> Option<Result<Outgoing, Close>> {
        let mut queue = self.lock();
        if let Some(close) = queue.close {
            return Some(Err(close));
        }
        let outgoing = queue.frames.pop_front()?;
        queue.bytes -= outgoing.frame.bytes();
        Some(Ok(outgoing))
    }

    /// Waits until the connection is to be closed: for whoever is stuck in a write. Cancel-safe.
    pub async fn closing(&self) -> Close {
        loop {
            let mut notified = std::pin::pin!(self.closed.notified());
            notified.as_mut().enable();
            if let Some(close) = self.lock().close {
                return close;
            }
            notified.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing can panic half way through a critical section here.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::wire::ToClient;

    fn outgoing(position: &str) -> Outgoing {
        Outgoing { frame: Frame::of(&ToClient::Live { position: Some(position) }), delivers: None }
    }

    #[tokio::test]
    async fn frames_come_out_in_order() {
        let outbox = Outbox::new(2, 1 << 20);
        outbox.push(outgoing("a"));
        outbox.push(outgoing("b"));
        for wanted in ["a", "b"] {
            let text = outbox.next().await.expect("open").frame.text();
            assert!(text.as_str().contains(&format!("\"{wanted}\"")), "{text}");
        }
        assert!(outbox.try_next().is_none());
    }

    #[tokio::test]
    async fn a_full_queue_closes_as_slow_by_count_and_by_bytes() {
        let by_count = Outbox::new(1, 1 << 20);
        by_count.push(outgoing("a"));
        by_count.push(outgoing("b"));
        assert_eq!(by_count.next().await.expect_err("full"), Close::Slow);
        let by_bytes = Outbox::new(10, 59);
        by_bytes.push(outgoing("a"));
        by_bytes.push(outgoing("b"));
        assert_eq!(by_bytes.closing().await, Close::Slow);
        by_bytes.close(Close::Shutdown);
        assert_eq!(by_bytes.closing().await, Close::Slow, "the first reason holds");
    }
}
