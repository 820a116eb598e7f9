//! A frame: what one commit wrote, so that all of it is on the log or nothing.
//!
//! Numbers of a fixed size have their least byte first. A frame is, byte after byte:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `LoaG` |
//! | 4 | the CRC-32 (IEEE) of the rest of the head, to the instant, and of the table |
//! | 4 | the bytes of the table |
//! | 4 | the bytes of all batches |
//! | 8 | the segment's salt: bytes of another file, and records that imitate a frame, are none |
//! | 8 | its number: one more than that of the frame before it |
//! | 8 | when it was committed, in milliseconds |
//! | so many | the batches ([`super::batch`]), in the table's order |
//! | so many | the table: [`Entry`] after [`Entry`] |
//! | 0 to 7 | zeros, up to a multiple of eight |
//!
//! The table has each batch's checksum, so that a frame is whole when its table is and each batch
//! is, and who reads one batch need not read the others. It comes after them so that they can be
//! written while more calls come. In a frame that begins with `LoaF`, as all did before version 4
//! of the log, it comes before them; such are read, and written no more.

use flate2::Crc;

use super::batch::{
    Batch, Damage, checksum, put_number, put_text, sum, take, take_number, take_text,
};

/// What stands before the batches.
pub(super) const HEAD_BYTES: usize = 40;
/// Frames begin at multiples of it.
pub(super) const ALIGNED: u64 = 8;
/// The most bytes of a table that is believed in: thousands of groups and partitions.
const TABLE_BYTES_MAX: usize = 64 * 1024 * 1024;
const MAGIC: [u8; 4] = *b"LoaG";
/// That of a frame whose table comes first.
const MAGIC_BEFORE: [u8; 4] = *b"LoaF";
/// What the checksum is of begins here.
const SUMMED: usize = 8;

/// Whether a frame may begin there.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC) || bytes.starts_with(&MAGIC_BEFORE)
}

/// One thing that a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// Appended a batch.
    Batch { topic: &'a str, partition: u32, first: u64, count: u32, bytes: usize, sum: u32 },
    /// A partition as it was before this frame: in the first frame of a segment, so that what the
    /// segments before it say of partitions and groups is not needed.
    Place { topic: &'a str, partition: u32, start: u64, end: u64 },
    /// Retention gave up what is below.
    Start { topic: &'a str, partition: u32, start: u64 },
    /// A group goes on there, and said so at an instant.
    Next { group: &'a str, topic: &'a str, partition: u32, next: u64, at_ms: i64 },
}

const BATCH: u8 = 1;
const PLACE: u8 = 2;
const START: u8 = 3;
const NEXT: u8 = 4;

/// A frame on its way to the disk, without the batches' bytes.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    bodies: usize,
}

impl Frame {
    /// One that did nothing yet.
    pub fn new() -> Self {
        Self { bytes: vec![0; HEAD_BYTES], bodies: 0 }
    }

    /// The next one, in the same memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEAD_BYTES);
        self.bodies = 0;
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD_BYTES
    }

    /// Takes an entry.
    pub fn put(&mut self, entry: Entry<'_>) {
        let number = |number: u64, into: &mut Vec<u8>| put_number(number as usize, into);
        let place = |kind: u8, topic: &str, partition: u32, into: &mut Vec<u8>| {
            into.push(kind);
            put_text(topic, into);
            put_number(partition as usize, into);
        };
        let into = &mut self.bytes;
        match entry {
            Entry::Batch { topic, partition, first, count, bytes, sum } => {
                place(BATCH, topic, partition, into);
                number(first, into);
                put_number(count as usize, into);
                put_number(bytes, into);
                into.extend_from_slice(&sum.to_le_bytes());
                self.bodies += bytes;
            }
            Entry::Place { topic, partition, start, end } => {
                place(PLACE, topic, partition, into);
                number(start, into);
                number(end, into);
            }
            Entry::Start { topic, partition, start } => {
                place(START, topic, partition, into);
                number(start, into);
            }
            Entry::Next { group, topic, partition, next, at_ms } => {
                place(NEXT, topic, partition, into);
                put_text(group, into);
                number(next, into);
                into.extend_from_slice(&at_ms.to_le_bytes());
            }
        }
    }

    /// Takes a sealed batch; its bytes follow those of the batches before it.
    pub fn put_batch(&mut self, topic: &str, partition: u32, batch: &Batch) {
        let (first, count, bytes) = (batch.first, batch.count, batch.bytes());
        let sum = sum(bytes).expect("a sealed batch has one");
        self.put(Entry::Batch { topic, partition, first, count, bytes: bytes.len(), sum });
    }

    /// What it takes of the disk.
    pub fn len(&self) -> u64 {
        ((self.bytes.len() + self.bodies) as u64).next_multiple_of(ALIGNED)
    }

    /// The zeros after its batches.
    pub fn padding(&self) -> &'static [u8] {
        &[0; ALIGNED as usize][..self.len() as usize - self.bytes.len() - self.bodies]
    }

    /// What stands before its batches, and the table after them, once all is in it.
    pub fn seal(&mut self, salt: u64, number: u64, at_ms: i64) -> (&[u8], &[u8]) {
        let table = self.bytes.len() - HEAD_BYTES;
        let size = |bytes: usize| u32::try_from(bytes).expect("far below 4 GiB").to_le_bytes();
        self.bytes[..4].copy_from_slice(&MAGIC);
        self.bytes[8..12].copy_from_slice(&size(table));
        self.bytes[12..16].copy_from_slice(&size(self.bodies));
        self.bytes[16..24].copy_from_slice(&salt.to_le_bytes());
        self.bytes[24..32].copy_from_slice(&number.to_le_bytes());
        self.bytes[32..40].copy_from_slice(&at_ms.to_le_bytes());
        let sum = checksum(&self.bytes[SUMMED..]);
        self.bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        self.bytes.split_at(HEAD_BYTES)
    }
}

/// What stands at the beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    sum: u32,
    /// What the checksum is of, but for the table.
    summed: [u8; HEAD_BYTES - SUMMED],
    is_table_first: bool,
    pub table: usize,
    bodies: usize,
    pub number: u64,
    pub at_ms: i64,
}

impl Head {
    /// The head of a frame of a segment; none where there is none.
    pub fn read(bytes: &[u8], salt: u64) -> Option<Self> {
        let bytes: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
        let u32 = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("within it"));
        let u64 = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("within it"));
        let head = Self {
            sum: u32(4),
            summed: *bytes[SUMMED..].first_chunk().expect("the rest of it"),
            is_table_first: bytes.starts_with(&MAGIC_BEFORE),
            table: u32(8) as usize,
            bodies: u32(12) as usize,
            number: u64(24),
            at_ms: u64(32) as i64,
        };
        let ours = begins(bytes) && u64(16) == salt && head.table <= TABLE_BYTES_MAX;
        ours.then_some(head)
    }

    /// Where the first batch begins in the frame.
    pub fn bodies_at(&self) -> usize {
        HEAD_BYTES + if self.is_table_first { self.table } else { 0 }
    }

    /// Where the table begins in the frame.
    pub fn table_at(&self) -> usize {
        HEAD_BYTES + if self.is_table_first { 0 } else { self.bodies }
    }

    /// All of the frame.
    pub fn len(&self) -> u64 {
        ((HEAD_BYTES + self.table + self.bodies) as u64).next_multiple_of(ALIGNED)
    }

    /// The table, of the frame's bytes from where it begins, once it is seen to be whole.
    pub fn table<'a>(&self, bytes: &'a [u8]) -> Result<Entries<'a>, Damage> {
        let table = bytes.get(..self.table).ok_or("it is cut short")?;
        let mut crc = Crc::new();
        crc.update(&self.summed);
        crc.update(table);
        if crc.sum() != self.sum {
            return Err("its checksum is another");
        }
        Ok(Entries(table))
    }
}

/// A table's entries.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    fn entry(&mut self) -> Result<Entry<'a>, Damage> {
        let bytes = &mut self.0;
        let kind = take(bytes, 1)?[0];
        let topic = take_text(bytes)?;
        let small = |bytes: &mut &[u8]| {
            u32::try_from(take_number(bytes)?).map_err(|_| "a number is too large")
        };
        let partition = small(bytes)?;
        let number = |bytes: &mut &[u8]| take_number(bytes).map(|number| number as u64);
        Ok(match kind {
            BATCH => {
                let (first, count, size) = (number(bytes)?, small(bytes)?, take_number(bytes)?);
                first.checked_add(count.into()).ok_or("an offset is too large")?;
                let sum = *take(bytes, 4)?.first_chunk().expect("four bytes");
                let sum = u32::from_le_bytes(sum);
                Entry::Batch { topic, partition, first, count, bytes: size, sum }
            }
            PLACE => Entry::Place { topic, partition, start: number(bytes)?, end: number(bytes)? },
            START => Entry::Start { topic, partition, start: number(bytes)? },
            NEXT => {
                let (group, next) = (take_text(bytes)?, number(bytes)?);
                let at_ms = *take(bytes, 8)?.first_chunk().expect("eight bytes");
                let at_ms = i64::from_le_bytes(at_ms);
                Entry::Next { group, topic, partition, next, at_ms }
            }
            _ => return Err("an entry is of an unknown kind"),
        })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            // Nothing after it can be found.
            self.0 = &[];
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
