//! The way to one connection. A websocket's frames are written to its socket at once, by whoever
//! offers them; only what the socket does not take waits here, bounded in frames and bytes. An
//! event stream takes its frames from the queue. When the queue is full the connection is closed
//! as slow, and nobody else notices.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::ids::{DeviceNum, PublicationId, UnitCode};
use crate::gateway::close::Close;
use crate::gateway::frame::Frame;
use crate::gateway::sockets::{Line, PIECE_BYTES};

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
    frames_max: u32,
    bytes_max: u32,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    way: Way,
    /// What the way has not taken; an idle connection keeps nothing for it.
    waiting: Option<Box<Waiting>>,
    close: Option<Close>,
}

/// Where frames go.
#[derive(Debug)]
enum Way {
    /// To whoever takes them, and is woken by the next one.
    Taken(Option<Waker>),
    /// To the websocket's own socket.
    Socket(Line),
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    /// So many of the first frames are being written in one piece; 0 before that.
    together: usize,
    /// Bytes of them that the socket has taken.
    begun: usize,
    /// Since when the socket has not taken the rest.
    stuck: Option<Instant>,
}

impl Outbox {
    /// An empty queue with its limits.
    pub fn new(frames_max: usize, bytes_max: usize) -> Self {
        let bounded = |max| u32::try_from(max).unwrap_or(u32::MAX);
        let queue = Queue { way: Way::Taken(None), waiting: None, close: None };
        Self {
            frames_max: bounded(frames_max),
            bytes_max: bounded(bytes_max),
            queue: Mutex::new(queue),
        }
    }

    /// Writes a frame, or queues it. If there is no room the connection closes as slow; what was
    /// queued is dropped, since the client resumes from its own position.
    pub fn push(&self, outgoing: Outgoing) {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return;
        }
        if queue.waiting.is_none() && matches!(queue.way, Way::Socket(_)) {
            return queue.write_alone(outgoing);
        }
        let waiting = queue.waiting.get_or_insert_default();
        if !self.has_room(waiting, &outgoing) {
            drop(queue);
            return self.close(Close::Slow);
        }
        waiting.add(outgoing);
        queue.wake();
    }

    /// As [`Outbox::push`] one after the other, with those that are small in one write.
    pub fn push_all(&self, all: Vec<Outgoing>) {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return;
        }
        let mut writes = queue.waiting.is_none() && matches!(queue.way, Way::Socket(_));
        for outgoing in all {
            if writes && queue.is_piece_with(&outgoing) {
                queue.write();
                writes = queue.waiting.is_none();
            }
            let waiting = queue.waiting.get_or_insert_default();
            // As alone: what nothing waits before is begun, however large it is.
            let is_first = writes && waiting.frames.is_empty();
            if !is_first && !self.has_room(waiting, &outgoing) {
                drop(queue);
                return self.close(Close::Slow);
            }
            waiting.add(outgoing);
        }
        if writes {
            queue.write();
        } else {
            queue.wake();
        }
    }

    fn has_room(&self, waiting: &Waiting, outgoing: &Outgoing) -> bool {
        waiting.frames.len() < self.frames_max as usize
            && waiting.bytes + outgoing.frame.bytes() <= self.bytes_max as usize
    }

    /// Closes the connection; the first reason holds.
    pub fn close(&self, close: Close) {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return;
        }
        queue.close = Some(close);
        // What has begun must end, or the close frame could not be told from it.
        queue.waiting = queue.waiting.take().filter(|waiting| waiting.begun > 0);
        if let Some(waiting) = &mut queue.waiting {
            waiting.frames.truncate(waiting.together);
            waiting.bytes = waiting.frames.iter().map(|begun| begun.frame.bytes()).sum();
        }
        match &queue.way {
            Way::Socket(line) => line.closing(),
            Way::Taken(_) => queue.wake(),
        }
    }

    /// Gives it a socket: what waits is written to it, and all that follows.
    pub fn attach(&self, line: Line) {
        let mut queue = self.lock();
        queue.way = Way::Socket(line);
        queue.write();
    }

    /// Takes the socket away, and drops what waits for it.
    pub fn detach(&self) -> Option<Line> {
        let mut queue = self.lock();
        queue.waiting = None;
        match std::mem::replace(&mut queue.way, Way::Taken(None)) {
            Way::Socket(line) => Some(line),
            Way::Taken(_) => None,
        }
    }

    /// Does something with the socket, if there is one. Nobody writes to it meanwhile.
    pub fn on_line<T>(&self, work: impl FnOnce(&mut Line) -> T) -> Option<T> {
        match &mut self.lock().way {
            Way::Socket(line) => Some(work(line)),
            Way::Taken(_) => None,
        }
    }

    /// The socket can take more.
    pub fn flush(&self) {
        self.lock().write();
    }

    /// The last frame of a connection that is closed.
    pub fn farewell(&self, frame: Arc<Frame>) {
        let mut queue = self.lock();
        queue.waiting.get_or_insert_default().frames.push_back(Outgoing::plain(frame));
        queue.write();
    }

    /// Since when the socket has taken nothing although something waits.
    pub fn stuck(&self) -> Option<Instant> {
        self.lock().waiting.as_ref()?.stuck
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_none()
    }

    /// Why it is closed, if it is.
    pub fn why(&self) -> Option<Close> {
        self.lock().close
    }

    /// The next frame, or why to close. Cancel-safe; one at a time may wait.
    pub async fn next(&self) -> Result<Outgoing, Close> {
        poll_fn(|context| {
            let mut queue = self.lock();
            if let Some(next) = queue.next() {
                return Poll::Ready(next);
            }
            queue.way = Way::Taken(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// The next frame or why to close, if there is either now.
    pub fn try_next(&self) -> Option<Result<Outgoing, Close>> {
        self.lock().next()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing can panic half way through a critical section here.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn next(&mut self) -> Option<Result<Outgoing, Close>> {
        if let Some(close) = self.close {
            return Some(Err(close));
        }
        let waiting = self.waiting.as_mut()?;
        let outgoing = waiting.frames.pop_front()?;
        waiting.bytes -= outgoing.frame.bytes();
        if waiting.frames.is_empty() {
            self.waiting = None;
        }
        Some(Ok(outgoing))
    }

    /// Whether what waits fills a piece, so that one more goes into the next.
    fn is_piece_with(&self, more: &Outgoing) -> bool {
        let waiting = self.waiting.as_ref();
        waiting.is_some_and(|waiting| waiting.bytes + more.frame.bytes() > PIECE_BYTES)
    }

    /// Wakes whoever takes frames.
    fn wake(&mut self) {
        if let Way::Taken(waker) = &mut self.way
            && let Some(waker) = waker.take()
        {
            waker.wake();
        }
    }

    /// Writes a frame before which nothing waits: an idle connection needs no buffer for it.
    fn write_alone(&mut self, outgoing: Outgoing) {
        let Way::Socket(line) = &mut self.way else { return };
        let wire = outgoing.frame.wire();
        match line.write(wire) {
            Ok(begun) if begun < wire.len() => {
                line.stuck();
                let (bytes, stuck) = (wire.len(), Some(Instant::now()));
                let frames = VecDeque::from([outgoing]);
                let waiting = Waiting { frames, bytes, together: 1, begun, stuck };
                self.waiting = Some(Box::new(waiting));
            }
            Ok(_) => line.has_written(outgoing),
            // The client is gone; whoever reads the socket finds that out and ends it.
            Err(_) => {}
        }
    }

    /// Writes what waits until the socket takes no more.
    fn write(&mut self) {
        let Way::Socket(line) = &mut self.way else { return };
        let Some(waiting) = &mut self.waiting else {
            let _ = line.flush(); // as below
            return;
        };
        // Of a client that is gone nothing waits any more; whoever reads the socket ends it.
        if waiting.write(line).unwrap_or(true) {
            self.waiting = None;
        }
    }
}

impl Waiting {
    fn add(&mut self, outgoing: Outgoing) {
        self.bytes += outgoing.frame.bytes();
        self.frames.push_back(outgoing);
    }

    /// Whether the socket has taken everything.
    fn write(&mut self, line: &mut Line) -> io::Result<bool> {
        while !self.frames.is_empty() {
            let piece = self.piece();
            let taken = line.write(&piece[self.begun..])?;
            self.begun += taken;
            if self.begun < piece.len() {
                if self.stuck.is_none() {
                    line.stuck();
                }
                if taken > 0 || self.stuck.is_none() {
                    self.stuck = Some(Instant::now());
                }
                return Ok(false);
            }
            self.bytes -= piece.len().min(self.bytes);
            (self.begun, self.stuck) = (0, None);
            for written in self.frames.drain(..std::mem::take(&mut self.together)) {
                line.has_written(written);
            }
        }
        Ok(true)
    }

    /// What is to be written next: the first frame, and those behind it that are small.
    fn piece(&mut self) -> Bytes {
        if self.together == 0 {
            let mut room = PIECE_BYTES;
            let fits = |outgoing: &&Outgoing| {
                let left = room.checked_sub(outgoing.frame.bytes());
                room = left.unwrap_or_default();
                left.is_some()
            };
            self.together = self.frames.iter().take_while(fits).count().max(1);
        }
        let frames: Vec<&Bytes> =
            self.frames.iter().take(self.together).map(|outgoing| outgoing.frame.wire()).collect();
        if let [one] = frames[..] {
            return one.clone();
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        frames.iter().for_each(|frame| piece.extend_from_slice(frame));
        piece.freeze()
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
    async fn those_that_come_together_come_out_in_order_and_within_the_same_limits() {
        let outbox = Outbox::new(3, 1 << 20);
        outbox.push(outgoing("a"));
        outbox.push_all(vec![outgoing("b"), outgoing("c")]);
        for wanted in ["a", "b", "c"] {
            let frame = outbox.next().await.expect("open").frame;
            assert!(frame.text().contains(&format!("\"{wanted}\"")), "{frame:?}");
        }
        outbox.push_all(vec![outgoing("d"), outgoing("e"), outgoing("f"), outgoing("g")]);
        assert_eq!(outbox.next().await.expect_err("full"), Close::Slow);
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
