//! Segments that are mostly given up become one that has what is left of them.
//!
//! It takes the number of the first, and says which frames it stands for: those of the others, if
//! the process is killed before they are removed, are known to be in it and removed at the next
//! start. Frames keep their numbers and instants, and lose what is given up.

use std::path::Path;
use std::sync::Arc;

use super::frame::{Entry, Frame, Head};
use super::index::Index;
use super::layout::Layout;
use super::segment::{HEAD_BYTES, Making, Segment};
use super::store::Window;
use crate::bus::Result;

/// Bytes that are written at once.
const WRITTEN_AT_ONCE: usize = 1024 * 1024;

/// A batch of a frame that is kept.
struct Kept {
    place: usize,
    first: u64,
    count: u32,
    /// Where it lies, and how many bytes it has.
    at: u64,
    bytes: usize,
    sum: u32,
}

/// Writes what is left of neighbours to one segment in the place of the first.
pub(super) fn rewrite(dir: &Path, run: &[Arc<Segment>], layout: &Layout) -> Result<Segment> {
    let frames = run[0].index().frames.start..run[run.len() - 1].index().frames.end;
    let mut making = Making::begin(dir, run[0].number, Some(frames.clone()))?;
    let mut index = Index { frames, end: HEAD_BYTES, ..Index::default() };
    let mut waiting = Vec::new();
    for segment in run {
        let end = segment.index().end;
        let mut window = Window::new(segment, end);
        let mut at = HEAD_BYTES;
        while at < end {
            let damaged = |what| segment.damaged(at, what);
            let head = window.head(at)?.ok_or_else(|| damaged("no frame is there"))?;
            let kept = kept(&mut window, (segment, at, &head), layout)?;
            if !kept.is_empty() {
                copy(&mut window, &kept, layout, (making.salt(), &head, &mut waiting))?;
                for of in &kept {
                    let offsets = of.first..of.first + u64::from(of.count);
                    index.add(of.place, offsets, of.bytes as u64, (index.end, head.at_ms));
                }
                index.end = making.size() + waiting.len() as u64;
            }
            if waiting.len() >= WRITTEN_AT_ONCE {
                making.write(&waiting)?;
                waiting.clear();
            }
            at += head.len();
        }
    }
    making.write(&waiting)?;
    let segment = making.finish(dir)?;
    *segment.index_mut() = index;
    Ok(segment)
}

/// The batches of a frame of which a record is kept.
fn kept(
    window: &mut Window<'_>,
    (segment, at, head): (&Segment, u64, &Head),
    layout: &Layout,
) -> Result<Vec<Kept>> {
    let damaged = |what| segment.damaged(at, what);
    let (mut body, mut kept) = (at + head.bodies_at() as u64, Vec::new());
    for entry in window.table(at, head)?.map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let Entry::Batch { topic, partition, first, count, bytes, sum } = entry else { continue };
        let place = layout.named(topic, partition).ok_or_else(|| damaged("a strange topic"))?;
        if first + u64::from(count) > layout.places[place].bounds().start {
            kept.push(Kept { place, first, count, at: body, bytes, sum });
        }
        body += bytes as u64;
    }
    Ok(kept)
}

/// Writes a frame of what is kept of one. The batches' bytes are taken as they are: who reads them
/// checks them, and a damaged one must not keep the disk from being given back.
fn copy(
    window: &mut Window<'_>,
    kept: &[Kept],
    layout: &Layout,
    (salt, head, into): (u64, &Head, &mut Vec<u8>),
) -> Result<()> {
    let mut frame = Frame::new();
    for of in kept {
        let place = &layout.places[of.place];
        let (topic, partition) = (&*place.topic, place.partition);
        let &Kept { first, count, bytes, sum, .. } = of;
        frame.put(Entry::Batch { topic, partition, first, count, bytes, sum });
    }
    let padding = frame.padding();
    let (head, table) = frame.seal(salt, head.number, head.at_ms);
    into.extend_from_slice(head);
    for of in kept {
        into.extend_from_slice(window.get(of.at, of.bytes)?);
    }
    into.extend_from_slice(table);
    into.extend_from_slice(padding);
    Ok(())
}
