//! What is found on the disk at the start: where the log ends, what it says of its partitions and
//! groups, and where records lie.
//!
//! Only the last segment is looked through. There a frame that is not whole, and has none that is
//! whole after it, was being written when the process or the machine ended: nobody was told that it
//! is durable, and it is cut off. One that is followed by a whole frame was synchronised, and is
//! damage: the log is not opened, and the error names file and place. (A last frame that was
//! acknowledged and damaged later looks as one that was being written.)

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::batch::{Records, sum};
use super::frame::{self, ALIGNED, Entry, Head};
use super::index::Index;
use super::layout::{Found, Layout};
use super::segment::{self, HEAD_BYTES, Segment};
use super::sidecar;
use super::store::Window;
use crate::bus::Result;

/// What a directory has.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// In their order; the indices are empty.
    pub segments: Vec<Segment>,
    pub found: Found,
    /// The number of the next frame.
    pub next_frame: u64,
    /// Where it goes in the last segment.
    pub end: u64,
}

/// Finds where the log ends. Segments that have nothing are removed: such as were made in advance,
/// were given up before anything in them was acknowledged, or are rewritten already.
pub(super) fn recover(dir: &Path) -> Result<Recovered> {
    let mut segments = Vec::new();
    for path in segment::list(dir)? {
        let segment = Segment::open(&path)?;
        let first = Window::new(&segment, segment.size).head(HEAD_BYTES)?;
        let first =
            segment.rewritten.as_ref().map_or(first.map(|of| of.number), |of| Some(of.start));
        let before: Option<&Segment> = segments.last();
        let rewritten = before.and_then(|before| before.rewritten.as_ref());
        match first.zip(rewritten).is_some_and(|(first, of)| first < of.end) {
            true => sidecar::remove(&segment)?,
            false => segments.push(segment),
        }
    }
    let mut recovered = Recovered::default();
    while let Some(last) = segments.pop() {
        if last.rewritten.is_some() {
            return Err(last.damaged(last.size, "the segment after it is missing"));
        }
        let mut tail = Tail { segment: &last, bytes: Vec::new() };
        if tail.read(&mut recovered)? {
            segments.push(last);
            break;
        }
        sidecar::remove(&last)?;
    }
    recovered.segments = segments;
    Ok(recovered)
}

/// The last segment, in memory.
struct Tail<'a> {
    segment: &'a Segment,
    bytes: Vec<u8>,
}

impl Tail<'_> {
    /// Takes in its frames, and clears what is after them; whether there are any.
    fn read(&mut self, into: &mut Recovered) -> Result<bool> {
        self.bytes.resize(self.segment.size as usize, 0);
        segment::read(&self.segment.file, &mut self.bytes, 0)
            .map_err(|error| self.segment.failed(&error))?;
        let (mut at, mut last, mut next) = (HEAD_BYTES, HEAD_BYTES, None);
        while let Some(head) = self.whole(at).filter(|head| next.is_none_or(|n| n == head.number)) {
            let entries = head.table(&self.bytes[at as usize + head.table_at()..]);
            for entry in entries.map_err(|what| self.segment.damaged(at, what))? {
                let entry = entry.map_err(|what| self.segment.damaged(at, what))?;
                let fits = apply(&mut into.found, entry);
                fits.map_err(|what| self.segment.damaged(at, what))?;
            }
            next = Some(head.number + 1);
            (last, at) = (at, at + head.len());
        }
        self.keep(last..at)?;
        let rest = &self.bytes[at as usize..];
        if rest.iter().any(|byte| *byte != 0) {
            if self.is_followed(at, next.unwrap_or_default()) {
                let what = "a frame is damaged, and frames after it are whole";
                return Err(self.segment.damaged(at, what));
            }
            let file = self.segment.path.display().to_string();
            tracing::warn!(file, at, "a commit that was never acknowledged is cut off the log");
            self.segment.clear(at)?;
        }
        into.end = at;
        into.next_frame = next.unwrap_or_default();
        Ok(next.is_some())
    }

    /// Leaves the last frame on the disk for good before anybody reads it: it may never have been
    /// synchronised, or that may have failed, and the kernel takes what it has for written.
    fn keep(&self, last: Range<u64>) -> Result<()> {
        let bytes = &self.bytes[last.start as usize..last.end as usize];
        let file = &self.segment.file;
        let kept = file.write_all_at(bytes, last.start).and_then(|()| file.sync_data());
        kept.map_err(|error| self.segment.failed(&error))
    }

    /// The frame at a place, if all of it is as it was written.
    fn whole(&self, at: u64) -> Option<Head> {
        let bytes = self.bytes.get(at as usize..)?;
        let head = Head::read(bytes, self.segment.salt)?;
        let bytes = bytes.get(..head.len() as usize)?;
        let mut body = head.bodies_at();
        for entry in head.table(bytes.get(head.table_at()..)?).ok()? {
            if let Entry::Batch { bytes: length, sum: expected, .. } = entry.ok()? {
                let batch = bytes.get(body..body.checked_add(length)?)?;
                if sum(batch) != Some(expected) || Records::open(batch).is_err() {
                    return None;
                }
                body += length;
            }
        }
        Some(head)
    }

    /// Whether a whole frame of a later commit lies after a place.
    fn is_followed(&self, at: u64, next: u64) -> bool {
        let places = (at..self.segment.size).step_by(ALIGNED as usize).skip(1);
        let mut begins = places.filter(|at| frame::begins(&self.bytes[*at as usize..]));
        begins.any(|at| self.whole(at).is_some_and(|head| head.number > next))
    }
}

/// What an entry changes.
fn apply(found: &mut Found, entry: Entry<'_>) -> Result<(), &'static str> {
    let place = |topic: &str, partition| (topic.to_owned(), partition);
    match entry {
        Entry::Place { topic, partition, start, end } => {
            found.places.insert(place(topic, partition), start..end);
        }
        Entry::Batch { topic, partition, first, count, .. } => {
            let of = found.places.get_mut(&place(topic, partition));
            let of = of.ok_or("a partition is not known before it")?;
            if of.end != first {
                return Err("its records do not follow those before");
            }
            of.end += u64::from(count);
        }
        Entry::Start { topic, partition, start } => {
            let of = found.places.get_mut(&place(topic, partition));
            of.ok_or("a partition is not known before it")?.start = start;
        }
        Entry::Next { group, topic, partition, next, at_ms } => {
            found.groups.insert((group.to_owned(), topic.to_owned(), partition), (next, at_ms));
        }
    }
    Ok(())
}

/// Finds where records lie, in every segment: each ends where the next one begins.
pub(super) fn index(recovered: Recovered, layout: &Layout) -> Result<Vec<Arc<Segment>>> {
    let mut until = recovered.next_frame;
    let mut indexed = Vec::new();
    for segment in recovered.segments.into_iter().rev() {
        let is_last = indexed.is_empty();
        let index = match sidecar::load(&segment, layout) {
            Some(index) if !is_last && index.frames.end == until => index,
            _ => {
                let index = look_through(&segment, layout, until)?;
                if !is_last && index.frames.end == until {
                    sidecar::save(&segment, layout, &index)?;
                }
                index
            }
        };
        if index.frames.is_empty() {
            // Given up before anything in it was acknowledged.
            sidecar::remove(&segment)?;
            continue;
        }
        if index.frames.end != until {
            let what = "frames are missing at its end, or a segment after it";
            return Err(segment.damaged(index.end, what));
        }
        until = index.frames.start;
        *segment.index_mut() = index;
        indexed.push(Arc::new(segment));
    }
    indexed.reverse();
    Ok(indexed)
}

/// Looks through a segment's frames up to a number.
pub(super) fn look_through(segment: &Segment, layout: &Layout, until: u64) -> Result<Index> {
    let mut window = Window::new(segment, segment.size);
    let mut index = Index { end: HEAD_BYTES, ..Index::default() };
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut next = None;
    while let Some(head) = window.head(index.end)? {
        let at = index.end;
        let follows = next.is_none_or(|next| match segment.rewritten {
            Some(_) => next <= head.number,
            None => next == head.number,
        });
        if head.number >= until || !follows {
            break;
        }
        // A table that is damaged is where the search ends; what should follow is then missing.
        let Ok(entries) = window.table(at, &head)? else { break };
        for entry in entries {
            let entry = entry.map_err(|what| segment.damaged(at, what))?;
            if let Entry::Batch { topic, partition, first, count, bytes, .. } = entry {
                let first_of = match names.get(topic) {
                    Some(first) => *first,
                    None => {
                        let first = layout.named(topic, 0);
                        let first = first.ok_or_else(|| segment.damaged(at, "a strange topic"))?;
                        *names.entry(topic.to_owned()).or_insert(first)
                    }
                };
                let place = first_of + partition as usize;
                index.add(place, first..first + u64::from(count), bytes as u64, (at, head.at_ms));
            }
        }
        let start = next.map_or(head.number, |_| index.frames.start);
        index.frames = start..head.number + 1;
        next = Some(head.number + 1);
        index.end += head.len();
    }
    if let Some(frames) = &segment.rewritten {
        // It stands for frames of which it has nothing left.
        let is_whole = window.head(index.end)?.is_none() && index.end == segment.size;
        index.frames = if is_whole { frames.clone() } else { frames.start..index.frames.end };
    }
    Ok(index)
}
