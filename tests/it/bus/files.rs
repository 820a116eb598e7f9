//! The embedded log's files as they are documented, read and damaged from outside.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use loa::bus::Position;

/// What stands before a segment's first frame, and before a frame's batches.
pub const SEGMENT_HEAD: usize = 64;
pub const FRAME_HEAD: usize = 40;

/// A frame of a segment.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it begins and how long it is.
    pub at: usize,
    pub len: usize,
    pub number: u64,
    /// Where its table begins.
    pub table: usize,
    pub batches: Vec<Batch>,
}

/// A batch of a frame.
#[derive(Clone, Debug)]
pub struct Batch {
    pub topic: String,
    pub partition: u32,
    pub first: u64,
    pub count: u64,
    /// Where its bytes begin, and how many there are.
    pub at: usize,
    pub bytes: usize,
}

/// The segments' files, the oldest first.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("log")).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect();
    paths.sort();
    paths
}

/// What the log takes of the disk.
pub fn bytes(dir: &Path) -> u64 {
    segments(dir).iter().map(|path| path.metadata().map_or(0, |of| of.len())).sum()
}

/// The frames of a segment.
pub fn frames(path: &Path) -> Vec<Frame> {
    let bytes = std::fs::read(path).expect("readable");
    assert_eq!(bytes[..8], *b"loa-log1");
    let mut frames = Vec::new();
    let mut at = SEGMENT_HEAD;
    while bytes.get(at..at + 4).is_some_and(|magic| magic == b"LoaG") {
        let u32 = |of: usize| u32::from_le_bytes(*bytes[at + of..].first_chunk().expect("4"));
        let (table, bodies) = (u32(8) as usize, u32(12) as usize);
        let number = u64::from_le_bytes(*bytes[at + 24..].first_chunk().expect("8"));
        assert_eq!(bytes[at + 16..at + 24], bytes[16..24], "the segment's salt");
        let len = (FRAME_HEAD + table + bodies).next_multiple_of(8);
        let begins = at + FRAME_HEAD + bodies;
        let batches = batches(&bytes[begins..begins + table], at + FRAME_HEAD);
        frames.push(Frame { at, len, number, table: begins, batches });
        at += len;
    }
    frames
}

/// The batches among a table's entries; their bytes begin at `body`.
fn batches(mut entries: &[u8], mut body: usize) -> Vec<Batch> {
    let bytes = &mut entries;
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let kind = take(bytes, 1)[0];
        let topic = text(bytes);
        let partition = number(bytes) as u32;
        match kind {
            1 => {
                let (first, count, size) = (number(bytes), number(bytes), number(bytes) as usize);
                take(bytes, 4);
                batches.push(Batch { topic, partition, first, count, at: body, bytes: size });
                body += size;
            }
            2 => drop((number(bytes), number(bytes))),
            3 => drop(number(bytes)),
            4 => drop((text(bytes), number(bytes), take(bytes, 8))),
            _ => panic!("an entry of kind {kind}"),
        }
    }
    batches
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn number(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
    }
    panic!("a number without end")
}

fn text(bytes: &mut &[u8]) -> String {
    let length = number(bytes) as usize;
    String::from_utf8(take(bytes, length).to_vec()).expect("UTF-8")
}

/// The batches that the files have of a partition, and the segments they are in.
pub fn of(dir: &Path, at: Position) -> Vec<(PathBuf, Batch)> {
    let is_its = |batch: &Batch| batch.topic == at.topic.name() && batch.partition == at.partition;
    let frames = segments(dir)
        .into_iter()
        .flat_map(|path| frames(&path).into_iter().map(move |frame| (path.clone(), frame)));
    let batches = frames.flat_map(|(path, frame)| {
        frame.batches.into_iter().map(move |batch| (path.clone(), batch))
    });
    batches.filter(|(_, batch)| is_its(batch)).collect()
}

/// Writes over bytes of a file.
pub fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).expect("it opens");
    file.write_all_at(bytes, at as u64).expect("written");
}

/// Turns a bit of a byte of a file, or turns it back.
pub fn turn(path: &Path, at: usize) {
    let byte = std::fs::read(path).expect("readable")[at];
    overwrite(path, at, &[byte ^ 1]);
}

/// Puts the table of each frame before its batches, as it was before version 4 of the log.
pub fn as_in_version_3(path: &Path) {
    let bytes = std::fs::read(path).expect("readable");
    for frame in frames(path) {
        let (head, bodies) = bytes[frame.at..frame.table].split_at(FRAME_HEAD);
        let table = u32::from_le_bytes(*head[8..].first_chunk().expect("4")) as usize;
        let table = &bytes[frame.table..frame.table + table];
        overwrite(path, frame.at, &[b"LoaF", &head[4..], table, bodies].concat());
    }
}
