//! Where a segment's records lie: for each partition a mark every 64 KiB, from which a reader goes
//! on from frame to frame. A sealed segment's index lies beside it in a file, which can be made
//! anew from the segment at any time.

use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of a segment between a partition's marks: what a reader passes over at most.
const MARK_EVERY: u64 = 64 * 1024;

/// Where a segment's records lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// The numbers of its frames.
    pub frames: Range<u64>,
    /// Where its frames end in the file.
    pub end: u64,
    /// What it has of each partition, by its place in the layout.
    pub extents: BTreeMap<usize, Extent>,
}

/// What a segment has of one partition: offsets without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub offsets: Range<u64>,
    /// The bytes of its batches.
    pub bytes: u64,
    pub marks: Vec<Mark>,
}

/// The first frame of the partition in a stretch of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The first offset of the stretch.
    pub first: u64,
    /// Where the frame begins.
    pub at: u64,
    /// When the youngest of the stretch was committed.
    pub last_ms: i64,
}

impl Index {
    /// A frame ends there.
    pub fn take(&mut self, number: u64, end: u64) {
        if self.frames.is_empty() {
            self.frames.start = number;
        }
        self.frames.end = number + 1;
        self.end = end;
    }

    /// A batch of a frame lies there.
    pub fn add(&mut self, place: usize, offsets: Range<u64>, bytes: u64, (at, at_ms): (u64, i64)) {
        let extent = self.extents.entry(place).or_default();
        if extent.marks.is_empty() {
            extent.offsets = offsets.clone();
        }
        match extent.marks.last_mut() {
            Some(mark) if at - mark.at <= MARK_EVERY => mark.last_ms = mark.last_ms.max(at_ms),
            _ => extent.marks.push(Mark { first: offsets.start, at, last_ms: at_ms }),
        }
        extent.offsets.end = offsets.end;
        extent.bytes += bytes;
    }

    /// Where to begin to look for an offset of a partition, and up to which offset that holds.
    pub fn find(&self, place: usize, offset: u64) -> Option<(u64, u64)> {
        let extent = self.extents.get(&place).filter(|of| of.offsets.contains(&offset))?;
        let after = extent.marks.partition_point(|mark| mark.first <= offset);
        let until = extent.marks.get(after).map_or(extent.offsets.end, |mark| mark.first);
        Some((extent.marks[after - 1].at, until))
    }

    /// The bytes of batches that retention has not given up, about.
    pub fn live(&self, start: impl Fn(usize) -> u64) -> u64 {
        let live = self.extents.iter().map(|(place, of)| {
            let offsets = &of.offsets;
            let left = offsets.end.saturating_sub(start(*place).max(offsets.start));
            let all = u128::from((offsets.end - offsets.start).max(1));
            let about = (u128::from(of.bytes) * u128::from(left) / all) as u64;
            // Nothing is left only where no record is.
            about.max(u64::from(left > 0))
        });
        live.sum()
    }
}
