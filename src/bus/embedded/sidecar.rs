//! A sealed segment's index in a file beside it, so that opening the log need not look through all
//! of it. It is only ever a copy: without it, or if it is another's or damaged, it is made anew.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::batch::{Damage, checksum, put_number, put_text, take, take_number, take_text};
use super::index::{Extent, Index, Mark};
use super::layout::Layout;
use super::segment::{self, Segment};
use crate::bus::Result;

const MAGIC: [u8; 8] = *b"loa-idx1";
/// Magic and checksum.
const HEAD_BYTES: usize = 12;

fn path(segment: &Segment) -> PathBuf {
    segment.path.with_extension("index")
}

/// Writes a sealed segment's index down. It is no loss if it does not reach the disk.
pub(super) fn save(segment: &Segment, layout: &Layout, index: &Index) -> Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.resize(HEAD_BYTES, 0);
    let number = |number: u64, bytes: &mut Vec<u8>| put_number(number as usize, bytes);
    bytes.extend_from_slice(&segment.salt.to_le_bytes());
    for of in [index.frames.start, index.frames.end, index.end, index.extents.len() as u64] {
        number(of, &mut bytes);
    }
    for (place, extent) in &index.extents {
        let place = &layout.places[*place];
        put_text(&place.topic, &mut bytes);
        let Extent { offsets, bytes: size, marks } = extent;
        let numbers = [place.partition.into(), offsets.start, offsets.end, *size];
        numbers.into_iter().for_each(|of| number(of, &mut bytes));
        number(marks.len() as u64, &mut bytes);
        for mark in marks {
            number(mark.first, &mut bytes);
            number(mark.at, &mut bytes);
            bytes.extend_from_slice(&mark.last_ms.to_le_bytes());
        }
    }
    let sum = checksum(&bytes[HEAD_BYTES..]);
    bytes[MAGIC.len()..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    let (path, making) = (path(segment), segment.path.with_extension("making"));
    let written = || {
        let mut file = File::create(&making)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&making, &path)
    };
    written().map_err(|error| {
        let _ = std::fs::remove_file(&making);
        segment::failed(&path, &error)
    })
}

/// Reads a segment's index; none if there is none of it that can be used.
pub(super) fn load(segment: &Segment, layout: &Layout) -> Option<Index> {
    let bytes = std::fs::read(path(segment)).ok()?;
    let (head, bytes) = bytes.split_at_checked(HEAD_BYTES)?;
    let is_whole = head[..8] == MAGIC && head[8..] == checksum(bytes).to_le_bytes();
    let mut bytes = bytes;
    let is_its = take(&mut bytes, 8).ok()? == segment.salt.to_le_bytes();
    (is_whole && is_its).then(|| read(bytes, layout).ok().flatten()).flatten()
}

/// None if it has a partition that the log lacks.
fn read(mut bytes: &[u8], layout: &Layout) -> Result<Option<Index>, Damage> {
    let bytes = &mut bytes;
    let number = |bytes: &mut &[u8]| take_number(bytes).map(|number| number as u64);
    let mut index =
        Index { frames: number(bytes)?..number(bytes)?, end: number(bytes)?, ..Index::default() };
    for _ in 0..number(bytes)? {
        let topic = take_text(bytes)?;
        let partition = take_number(bytes)?;
        let partition = u32::try_from(partition).map_err(|_| "a number is too large")?;
        let Some(place) = layout.named(topic, partition) else { return Ok(None) };
        let offsets = number(bytes)?..number(bytes)?;
        let mut extent = Extent { offsets, bytes: number(bytes)?, marks: Vec::new() };
        for _ in 0..number(bytes)? {
            let (first, at) = (number(bytes)?, number(bytes)?);
            let last_ms = i64::from_le_bytes(*take(bytes, 8)?.first_chunk().expect("eight"));
            extent.marks.push(Mark { first, at, last_ms });
        }
        index.extents.insert(place, extent);
    }
    Ok(Some(index))
}

/// Removes a segment and its index.
pub(super) fn remove(segment: &Segment) -> Result<()> {
    segment::remove(&path(segment))?;
    segment::remove(&segment.path)
}
