//! Retention: what is old enough and read by every group is given up, and its bytes go back.
//!
//! It is exact to the record: `start` rises to the first one that is kept, and nobody reads below
//! it. The writer says so in a frame, after another look at the groups, and only then bytes go
//! back, by whole segments: the oldest are deleted when all their records are given up. A topic
//! that is kept longer than the others, or a group that stays behind, does not hold a segment for
//! the rest of it: what is left of segments that are mostly given up is copied to smaller ones that
//! take their place ([`super::rewrite`]), and the segment that is written to is ended early. So
//! the log takes about twice the bytes of the records it keeps, and a segment or two.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::frame::Entry;
use super::intake::Intake;
use super::layout::Layout;
use super::rewrite;
use super::segment::Segment;
use super::sidecar;
use super::store::{Store, Window};
use super::tail::{SIZE_MAX, SIZE_MIN};
use crate::bus::{Error, Result, Settings};

/// A segment of so few bytes is copied along with its neighbours, so that small ones do not
/// gather.
const SMALL_BYTES: u64 = 4 * 1024 * 1024;
/// Fewer bytes are not worth to copy others for.
const GAIN_BYTES_MIN: u64 = 1024 * 1024;

/// Gives up records, and their bytes back.
#[derive(Debug)]
pub(super) struct Retention {
    layout: Arc<Layout>,
    store: Arc<Store>,
    intake: Arc<Intake>,
    /// A group silent for longer holds nothing back.
    pinned_max: Duration,
    /// Only one works on the segments, and nobody once it is closed.
    is_closed: Mutex<bool>,
}

impl Retention {
    pub fn new(
        layout: Arc<Layout>,
        store: Arc<Store>,
        intake: Arc<Intake>,
        settings: &Settings,
    ) -> Self {
        let pinned_max = Duration::from_secs(u64::from(settings.pinned_hours_max) * 3600);
        Self { layout, store, intake, pinned_max, is_closed: Mutex::new(false) }
    }

    /// Gives up everything that may go at an instant, and answers how many records that were.
    pub fn trim(&self, now: Timestamp) -> Result<u64> {
        let _turn = self.turn()?;
        let now_ms = now.as_millisecond();
        let silent_ms = now_ms.saturating_sub(millis(self.pinned_max));
        let mut cuts = Vec::new();
        for (index, place) in self.layout.places.iter().enumerate() {
            let Some((_, retention)) = place.known else { continue };
            let bounds = place.bounds();
            let horizon_ms = now_ms.saturating_sub(millis(retention));
            match self.first_kept(index, &bounds, horizon_ms) {
                Ok(kept) if kept > bounds.start => cuts.push((index, kept, silent_ms)),
                Ok(_) => {}
                // The others are not kept because of it.
                Err(error) => tracing::error!(%error, "retention cannot look at a partition"),
            }
        }
        let starts = || self.layout.places.iter().map(|place| place.bounds().start).sum::<u64>();
        let before = starts();
        if !cuts.is_empty() {
            let (outcome, ()) = self.intake.enter(|group, _| group.cuts.extend(cuts))?;
            outcome.wait_here().as_ref().map_err(Error::clone)?;
        }
        let trimmed = starts() - before;
        self.give_back()?;
        Ok(trimmed)
    }

    /// Writes down the index of a segment that is full.
    pub fn seal(&self, segment: &Arc<Segment>) -> Result<()> {
        let _turn = self.turn()?;
        if self.store.all().iter().any(|of| Arc::ptr_eq(of, segment)) {
            let index = segment.index().clone();
            if let Err(error) = sidecar::save(segment, &self.layout, &index) {
                tracing::warn!(%error, "an index is not written; the next start makes it");
            }
        }
        Ok(())
    }

    /// Ends it: when this returns nothing is under way.
    pub fn close(&self) {
        *self.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn turn(&self) -> Result<MutexGuard<'_, bool>> {
        let turn = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *turn { Err(Error::Closed) } else { Ok(turn) }
    }

    /// The first offset of a partition that is not old, or its end.
    fn first_kept(&self, place: usize, bounds: &Range<u64>, horizon_ms: i64) -> Result<u64> {
        if bounds.is_empty() {
            return Ok(bounds.end);
        }
        for segment in self.store.all() {
            let index = segment.index();
            let Some(extent) = index.extents.get(&place) else { continue };
            let end = index.end;
            let marks = extent.marks.clone();
            drop(index);
            for mark in marks.iter().filter(|mark| mark.last_ms > horizon_ms) {
                if let Some(kept) = self.first_young(&segment, place, (mark.at, end), horizon_ms)? {
                    return Ok(kept.clamp(bounds.start, bounds.end));
                }
            }
        }
        Ok(bounds.end)
    }

    /// The first offset of a partition that is not old, in a stretch that has one.
    fn first_young(
        &self,
        segment: &Segment,
        place: usize,
        (mut at, end): (u64, u64),
        horizon_ms: i64,
    ) -> Result<Option<u64>> {
        let place = &self.layout.places[place];
        let mut window = Window::new(segment, end);
        while at < end {
            let damaged = |what| segment.damaged(at, what);
            let head = window.head(at)?.ok_or_else(|| damaged("no frame is there"))?;
            if head.at_ms > horizon_ms {
                for entry in window.table(at, &head)?.map_err(damaged)? {
                    if let Entry::Batch { topic, partition, first, .. } = entry.map_err(damaged)?
                        && place.is(topic, partition)
                    {
                        return Ok(Some(first));
                    }
                }
            }
            at += head.len();
        }
        Ok(None)
    }

    /// Gives bytes back: of whole segments, and of those that are mostly given up.
    fn give_back(&self) -> Result<()> {
        self.end_early()?;
        let mut segments = self.store.all();
        segments.pop();
        let old = segments.iter().take_while(|segment| self.live(segment) == 0).count();
        for segment in segments.drain(..old) {
            self.store.replace(std::slice::from_ref(&segment), None);
            sidecar::remove(&segment)?;
        }
        for run in self.runs(&segments) {
            let rewritten = match rewrite::rewrite(&self.store.dir, run, &self.layout) {
                Ok(rewritten) => Arc::new(rewritten),
                Err(error) => {
                    tracing::error!(%error, "segments are not rewritten, and keep their bytes");
                    continue;
                }
            };
            self.store.replace(run, Some(rewritten.clone()));
            let index = rewritten.index().clone();
            for segment in &run[1..] {
                sidecar::remove(segment)?;
            }
            sidecar::save(&rewritten, &self.layout, &index)?;
        }
        Ok(())
    }

    /// Has the log go on in another segment if most of the one that is written to is given up.
    fn end_early(&self) -> Result<()> {
        let Some(last) = self.store.all().pop() else { return Ok(()) };
        let used = last.index().end;
        if used >= GAIN_BYTES_MIN && self.live(&last) < used / 2 {
            let next = Segment::make(&self.store.dir, self.store.next_number(), SIZE_MIN)?;
            let (outcome, ()) = self.intake.enter(|group, _| group.roll = Some(next))?;
            outcome.wait_here().as_ref().map_err(Error::clone)?;
        }
        Ok(())
    }

    /// Neighbours that are mostly given up, or small, and become one.
    fn runs<'a>(&self, segments: &'a [Arc<Segment>]) -> Vec<&'a [Arc<Segment>]> {
        let mut runs = Vec::new();
        let mut rest = segments;
        while !rest.is_empty() {
            let (mut count, mut live, mut size) = (0, 0, 0);
            for segment in rest {
                let of = self.live(segment);
                let is_one = segment.size <= SMALL_BYTES || of < segment.size / 2;
                if !is_one || live + of > SIZE_MAX / 2 {
                    break;
                }
                (count, live, size) = (count + 1, live + of, size + segment.size);
            }
            let (run, after) = rest.split_at(count.max(1));
            if count > 0 && size - live.min(size) >= GAIN_BYTES_MIN.max(size / 2) {
                runs.push(run);
            }
            rest = after;
        }
        runs
    }

    /// The bytes of a segment that are not given up.
    fn live(&self, segment: &Segment) -> u64 {
        segment.index().live(|place| self.layout.places[place].bounds().start)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
