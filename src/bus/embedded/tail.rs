//! The log's end: the segment that is written to, and those that follow it.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use super::frame::{self, Entry, Frame};
use super::group::Body;
use super::layout::Layout;
use super::segment::{self, HEAD_BYTES, Segment};
use super::store::Store;
use crate::bus::{Error, Result};

/// The first segment's bytes: a small log is small.
pub(super) const SIZE_MIN: u64 = 8 * 1024 * 1024;
/// A segment's bytes at most, but for a commit that is larger. Before that it is half of the log:
/// what retention deleted is given back by whole segments.
pub(super) const SIZE_MAX: u64 = 64 * 1024 * 1024;

/// The log's end.
pub(super) struct Tail {
    store: Arc<Store>,
    segment: Arc<Segment>,
    /// Where the next frame goes.
    at: u64,
    next_frame: u64,
    /// What is there of it already.
    ahead: Ahead,
    /// After a synchronisation that failed nobody knows what is on the disk. Nothing more is
    /// written to that segment: it ends before the frame in question, since the next segment
    /// begins with a frame of the same number.
    is_broken: bool,
    /// The next segment, while a thread of its own makes it, and then until it is needed.
    next: Option<Receiver<Result<Segment>>>,
}

/// The first batches of a frame that is not whole: they are where they belong, behind room for the
/// head, without which they are nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Ahead {
    bodies: usize,
    bytes: u64,
}

/// Where a frame lies.
pub(super) struct Placed {
    pub segment: Arc<Segment>,
    pub at: u64,
    pub end: u64,
    pub number: u64,
    /// The segment before it, if the frame is the first of its segment.
    pub sealed: Option<Arc<Segment>>,
}

/// How a frame failed.
pub(super) enum Failed {
    /// It was not written: what is there of it is overwritten by the next one.
    Write(Error),
    /// It was not synchronised.
    Sync(Error),
}

impl Tail {
    pub fn new(store: Arc<Store>, segment: Arc<Segment>, (next_frame, at): (u64, u64)) -> Self {
        let (ahead, is_broken) = (Ahead::default(), false);
        let mut tail = Self { store, segment, at, next_frame, ahead, is_broken, next: None };
        tail.look_ahead();
        tail
    }

    /// Writes those batches of the next frame that are not yet written, of all that it has so far.
    /// Where it fails, or there is no room, they are left to [`Self::write`].
    pub fn write_ahead(&mut self, bodies: &[Body]) {
        let rest = &bodies[self.ahead.bodies..];
        let bytes: u64 = rest.iter().map(|body| body.batch.bytes().len() as u64).sum();
        let at = self.at + frame::HEAD_BYTES as u64 + self.ahead.bytes;
        if self.is_broken || at + bytes > self.segment.size {
            return;
        }
        let mut pieces = pieces(rest.iter().map(|body| body.batch.bytes()));
        if self.segment.write(at, &mut pieces).is_ok() {
            self.ahead = Ahead { bodies: bodies.len(), bytes: self.ahead.bytes + bytes };
        }
    }

    /// Writes a frame, and synchronises it: batches, and what `fill` puts into its table.
    pub fn write(
        &mut self,
        layout: &Layout,
        bodies: &[Body],
        (now_ms, roll): (i64, Option<Segment>),
        (frame, fill): (&mut Frame, &dyn Fn(&mut Frame)),
    ) -> Result<Option<Placed>> {
        let ahead = std::mem::take(&mut self.ahead);
        fill(frame);
        let is_rolled = roll.is_some_and(|roll| self.roll(roll));
        if frame.is_empty() && !is_rolled {
            return Ok(None);
        }
        let is_first = self.is_broken || is_rolled || self.at + frame.len() > self.segment.size;
        if is_first {
            frame.clear();
            state(layout, frame);
            fill(frame);
            return self.write_first(bodies, now_ms, frame).map(Some);
        }
        let (at, number) = (self.at, self.next_frame);
        match write_to(&self.segment, (at, number), frame, (bodies, ahead), now_ms) {
            Ok(()) => {}
            Err(Failed::Write(error)) => return Err(error),
            Err(Failed::Sync(error)) => {
                tracing::error!(%error, "the log goes on in another segment");
                self.is_broken = true;
                return Err(error);
            }
        }
        self.at += frame.len();
        self.next_frame += 1;
        self.look_ahead();
        let segment = self.segment.clone();
        Ok(Some(Placed { segment, at, end: self.at, number, sealed: None }))
    }

    /// The same, at the beginning of the next segment.
    fn write_first(&mut self, bodies: &[Body], now_ms: i64, frame: &mut Frame) -> Result<Placed> {
        let next = self.take_next(HEAD_BYTES + frame.len())?;
        let (at, number) = (HEAD_BYTES, self.next_frame);
        if let Err(Failed::Write(error) | Failed::Sync(error)) =
            write_to(&next, (at, number), frame, (bodies, Ahead::default()), now_ms)
        {
            // Nothing in it was acknowledged.
            refuse(&next);
            return Err(error);
        }
        let next = Arc::new(next);
        self.store.push(next.clone());
        let sealed = Some(std::mem::replace(&mut self.segment, next.clone()));
        self.at = at + frame.len();
        self.next_frame += 1;
        self.is_broken = false;
        Ok(Placed { segment: next, at, end: self.at, number, sealed })
    }

    /// The next segment, which takes so many bytes. It was made beforehand, but after an error or
    /// for a commit that is larger than all others.
    fn take_next(&mut self, bytes: u64) -> Result<Segment> {
        if self.next.is_none() {
            self.make_next(bytes);
        }
        let made = self.next.take().ok_or(Error::Closed)?.recv().map_err(|_| Error::Closed)??;
        if made.size >= bytes {
            return Ok(made);
        }
        refuse(&made);
        self.make_next(bytes);
        self.next.take().ok_or(Error::Closed)?.recv().map_err(|_| Error::Closed)?
    }

    /// Has the log go on in a segment instead of a larger one that is made already, if it can be
    /// done at once: one that is being made is not waited for.
    fn roll(&mut self, roll: Segment) -> bool {
        let other = match self.next.as_ref().map(Receiver::try_recv) {
            Some(Ok(Ok(other))) => Some(other),
            Some(Err(TryRecvError::Empty)) => return refuse(&roll),
            _ => None,
        };
        self.next = None;
        if let Some(other) = other {
            refuse(&other);
        }
        if roll.number < self.segment.number {
            return refuse(&roll);
        }
        let (made, next) = sync_channel(1);
        let _ = made.send(Ok(roll));
        self.next = Some(next);
        true
    }

    /// Has the next segment made when this one is half full.
    fn look_ahead(&mut self) {
        if self.at > self.segment.size / 2 && self.next.is_none() {
            self.make_next(0);
        }
    }

    /// Has the next segment made.
    fn make_next(&mut self, bytes: u64) {
        let size = (self.store.bytes() / 2).clamp(SIZE_MIN, SIZE_MAX).max(bytes);
        let (dir, number) = (self.store.dir.clone(), self.store.next_number());
        let (made, next) = sync_channel(1);
        let make = move || drop(made.send(Segment::make(&dir, number, size)));
        let thread = std::thread::Builder::new().name("loa-log-segment".to_owned());
        match thread.spawn(make) {
            Ok(_) => self.next = Some(next),
            Err(error) => tracing::error!(%error, "no thread for the log's next segment"),
        }
    }
}

impl Drop for Tail {
    /// Nobody makes a file in the directory when it may be another's already.
    fn drop(&mut self) {
        if let Some(Ok(made)) = self.next.take().and_then(|next| next.recv().ok()) {
            refuse(&made);
        }
    }
}

/// Removes a segment that is not used.
fn refuse(segment: &Segment) -> bool {
    if let Err(error) = segment::remove(&segment.path) {
        tracing::warn!(%error, "a segment that is not used is removed by the next start");
    }
    false
}

/// Everything that is known of partitions and groups.
pub(super) fn state(layout: &Layout, frame: &mut Frame) {
    for place in &layout.places {
        let (topic, partition, bounds) = (&*place.topic, place.partition, place.bounds());
        let (start, end) = (bounds.start, bounds.end);
        frame.put(Entry::Place { topic, partition, start, end });
    }
    for (place, group, mark) in layout.groups().all() {
        let place = &layout.places[place];
        let (topic, partition) = (&*place.topic, place.partition);
        frame.put(Entry::Next { group, topic, partition, next: mark.next, at_ms: mark.at_ms });
    }
}

/// Writes a frame to a place, but for those batches that are there already, and synchronises it.
pub(super) fn write_to(
    segment: &Segment,
    (at, number): (u64, u64),
    frame: &mut Frame,
    (bodies, ahead): (&[Body], Ahead),
    now_ms: i64,
) -> Result<(), Failed> {
    let padding = frame.padding();
    let (head, table) = frame.seal(segment.salt, number, now_ms);
    let rest = bodies[ahead.bodies..].iter().map(|body| body.batch.bytes()).chain([table, padding]);
    let written = if ahead.bodies == 0 {
        segment.write(at, &mut pieces([head].into_iter().chain(rest)))
    } else {
        let after = at + frame::HEAD_BYTES as u64 + ahead.bytes;
        let written = segment.write(after, &mut pieces(rest));
        written.and_then(|()| segment.write(at, &mut pieces([head].into_iter())))
    };
    written.map_err(|error| Failed::Write(segment.failed(&error)))?;
    // Whatever the reason: that nothing was published is more than anybody knows.
    let unsure =
        |error| Failed::Sync(Error::Storage(format!("{}: {error}", segment.path.display())));
    segment.file.sync_data().map_err(unsure)
}

fn pieces<'a>(bytes: impl Iterator<Item = &'a [u8]>) -> Vec<IoSlice<'a>> {
    bytes.map(IoSlice::new).collect()
}

#[cfg(test)]
mod tests;
