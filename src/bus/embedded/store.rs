//! The segments in their order, and how one is looked through.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::batch::Damage;
use super::frame::{self, Entries, Head};
use super::segment::{self, Segment};
use crate::bus::Result;

/// Bytes that are read at once.
const WINDOW: usize = 64 * 1024;

/// The log's segments: the oldest first, the one that is written to last.
#[derive(Debug)]
pub(super) struct Store {
    pub dir: PathBuf,
    segments: RwLock<Vec<Arc<Segment>>>,
    last_number: AtomicU64,
}

impl Store {
    pub fn new(dir: PathBuf, segments: Vec<Arc<Segment>>) -> Self {
        let last_number = AtomicU64::new(segments.last().map_or(0, |segment| segment.number));
        Self { dir, segments: RwLock::new(segments), last_number }
    }

    /// The number of a segment that is about to be made.
    pub fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What they take of the disk.
    pub fn bytes(&self) -> u64 {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.iter().map(|segment| segment.size).sum()
    }

    /// Adds the next one.
    pub fn push(&self, segment: Arc<Segment>) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// Puts one in the place of several, or none.
    pub fn replace(&self, these: &[Arc<Segment>], by: Option<Arc<Segment>>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let is_one = |of: &Arc<Segment>| these.iter().any(|one| Arc::ptr_eq(one, of));
        let at = segments.iter().position(is_one).unwrap_or_default();
        segments.retain(|of| !is_one(of));
        by.into_iter().for_each(|by| segments.insert(at, by));
    }

    /// The segment that has an offset of a partition, where to begin to look in it, and up to which
    /// offset that holds.
    pub fn find(&self, place: usize, offset: u64) -> Option<(Arc<Segment>, u64, u64)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        // Who reads is mostly near the end.
        segments.iter().rev().find_map(|segment| {
            let (at, until) = segment.index().find(place, offset)?;
            Some((segment.clone(), at, until))
        })
    }
}

/// Looks through a segment's bytes, a piece at a time.
pub(super) struct Window<'a> {
    segment: &'a Segment,
    /// Nothing is read from there on.
    end: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub fn new(segment: &'a Segment, end: u64) -> Self {
        Self { segment, end, at: 0, bytes: Vec::new() }
    }

    /// So many bytes of it, or what there is of them.
    pub fn get(&mut self, at: u64, count: usize) -> Result<&[u8]> {
        let count = count.min(self.end.saturating_sub(at) as usize);
        let before = at.wrapping_sub(self.at) as usize;
        if at < self.at || before + count > self.bytes.len() {
            let wanted = count.max(WINDOW).min(self.end.saturating_sub(at) as usize);
            self.bytes.resize(wanted, 0);
            self.at = at;
            let read = segment::read(&self.segment.file, &mut self.bytes, at);
            if let Err(error) = read {
                self.bytes.clear();
                return Err(self.segment.failed(&error));
            }
            return Ok(&self.bytes[..count]);
        }
        Ok(&self.bytes[before..before + count])
    }

    /// The head of the frame at a place, if there is one.
    pub fn head(&mut self, at: u64) -> Result<Option<Head>> {
        let salt = self.segment.salt;
        let end = self.end;
        let head = Head::read(self.get(at, frame::HEAD_BYTES)?, salt);
        Ok(head.filter(|head| head.len() <= end.saturating_sub(at)))
    }

    /// A frame's table.
    pub fn table(&mut self, at: u64, head: &Head) -> Result<Result<Entries<'_>, Damage>> {
        let table = head.table_at();
        if head.len() <= WINDOW as u64 {
            // Its batches are wanted next, and lie before it.
            let frame = self.get(at, head.len() as usize)?;
            return Ok(head.table(frame.get(table..).unwrap_or_default()));
        }
        Ok(head.table(self.get(at + table as u64, head.table)?))
    }
}
