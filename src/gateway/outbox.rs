//! The way to one connection. A websocket's frames are written to its socket at once, by whoever
//! offers them; only what the socket does not take waits here, bounded in frames and bytes. An
//! event stream takes its frames from the queue. When the queue is full the connection is closed
//! as slow, and nobody else notices.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::ids::{DeviceNum, PublicationId, UnitCode};
use crate::gateway::close::Close;
use crate::gateway::frame::Frame;
use crate::gateway::sockets::Line;

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
    /// The device it counts for; absent if it has another channel.
    pub device: Option<DeviceNum>,
    /// The unit that owns the delivery; absent for a subject's.
    pub unit: Option<UnitCode>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// The way between the hub and one connection.
#[derive(Debug)]
pub struct Outbox {
    frames_max: usize,
    bytes_max: usize,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    close: Option<Close>,
    /// The socket, if there is one.
    line: Option<Arc<Line>>,
    /// Bytes of the first frame that the socket has taken.
    begun: usize,
    /// Since when the socket has not taken the first frame.
    stuck: Option<Instant>,
}

impl Outbox {
    /// An empty queue with its limits.
    pub fn new(frames_max: usize, bytes_max: usize) -> Self {
        Self { frames_max, bytes_max, queue: Mutex::default(), filled: Notify::new() }
    }

    /// Writes a frame, or queues it. If there is no room the connection closes as slow; what was
    /// queued is dropped, since the client resumes from its own position.
    pub fn push(&self, outgoing: Outgoing) {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return;
        }
        if queue.line.is_some() && queue.frames.is_empty() {
            return queue.write_alone(outgoing);
        }
        let bytes = queue.bytes + outgoing.frame.bytes();
        if queue.frames.len() >= self.frames_max || bytes > self.bytes_max {
            drop(queue);
            return self.close(Close::Slow);
        }
        queue.bytes = bytes;
        queue.frames.push_back(outgoing);
        if queue.line.is_none() {
            drop(queue);
            self.filled.notify_one();
        }
    }

    /// Closes the connection; the first reason holds.
    pub fn close(&self, close: Close) {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return;
        }
        queue.close = Some(close);
        // A frame that has begun must end, or the close frame could not be told from it.
        let begun = usize::from(queue.begun > 0);
        queue.frames.truncate(begun);
        queue.bytes = queue.frames.front().map_or(0, |begun| begun.frame.bytes());
        match &queue.line {
            Some(line) => line.closing(),
            None => self.filled.notify_one(),
        }
    }

    /// Gives it a socket: what waits is written to it, and all that follows.
    pub fn attach(&self, line: Arc<Line>) {
        let mut queue = self.lock();
        if queue.close.is_some() {
            line.closing();
        }
        queue.line = Some(line);
        queue.write();
    }

    /// Takes the socket away.
    pub fn detach(&self) {
        let mut queue = self.lock();
        queue.line = None;
        queue.frames = VecDeque::new();
    }

    /// The socket can take more.
    pub fn flush(&self) {
        self.lock().write();
    }

    /// The last frame of a connection that is closed.
    pub fn farewell(&self, frame: Arc<Frame>) {
        let mut queue = self.lock();
        queue.frames.push_back(Outgoing::plain(frame));
        queue.write();
    }

    /// Since when the socket has taken nothing although something waits.
    pub fn stuck(&self) -> Option<Instant> {
        self.lock().stuck
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().frames.is_empty()
    }

    /// Why it is closed, if it is.
    pub fn why(&self) -> Option<Close> {
        self.lock().close
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

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing can panic half way through a critical section here.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Writes a frame before which nothing waits: an idle connection needs no buffer for it.
    fn write_alone(&mut self, outgoing: Outgoing) {
        let Some(line) = &self.line else { return };
        let wire = outgoing.frame.wire();
        match line.write(wire) {
            Ok(taken) if taken < wire.len() => {
                line.stuck();
                (self.begun, self.stuck) = (taken, Some(Instant::now()));
                self.bytes = wire.len();
                self.frames.push_back(outgoing);
            }
            Ok(_) => line.has_written(outgoing),
            // The client is gone; whoever reads the socket finds that out and ends it.
            Err(_) => {}
        }
    }

    /// Writes what waits until the socket takes no more.
    fn write(&mut self) {
        let Some(line) = self.line.clone() else { return };
        if self.frames.is_empty() && line.flush().is_err() {
            return; // whoever reads the socket finds that out and ends it
        }
        while let Some(first) = self.frames.front() {
            let wire = first.frame.wire();
            let Ok(taken) = line.write(&wire[self.begun..]) else {
                (self.frames, self.bytes, self.begun) = (VecDeque::new(), 0, 0);
                return;
            };
            self.begun += taken;
            if self.begun < wire.len() {
                if self.stuck.is_none() {
                    line.stuck();
                }
                if taken > 0 || self.stuck.is_none() {
                    self.stuck = Some(Instant::now());
                }
                return;
            }
            (self.begun, self.stuck) = (0, None);
            self.bytes -= wire.len().min(self.bytes);
            if let Some(written) = self.frames.pop_front() {
                line.has_written(written);
            }
        }
        // An idle connection keeps no buffer.
        self.frames = VecDeque::new();
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
            let frame = outbox.next().await.expect("open").frame;
            assert!(frame.text().contains(&format!("\"{wanted}\"")), "{frame:?}");
        }
        assert!(outbox.try_next().is_none());
    }

    #[tokio::test]
    async fn a_full_queue_closes_as_slow_by_count_and_by_bytes() {
        let by_count = Outbox::new(1, 1 << 20);
        by_count.push(outgoing("a"));
        by_count.push(outgoing("b"));
        assert_eq!(by_count.next().await.expect_err("full"), Close::Slow);
        let by_bytes = Outbox::new(10, 61);
        by_bytes.push(outgoing("a"));
        by_bytes.push(outgoing("b"));
        assert_eq!(by_bytes.why(), Some(Close::Slow));
        by_bytes.close(Close::Shutdown);
        assert_eq!(by_bytes.why(), Some(Close::Slow), "the first reason holds");
    }
}
