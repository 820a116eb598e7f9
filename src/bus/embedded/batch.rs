//! Records of one partition that were committed together, as they are stored.
//!
//! A batch is, byte after byte:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | the version of this form: 1 |
//! | 4 | the CRC-32 (IEEE) of all that follows, least byte first |
//! | to the end | the records in order of their offsets, each a length and so many bytes |
//!
//! and a record within it:
//!
//! | bytes | what |
//! | --- | --- |
//! | a text | the key |
//! | a number | how many headers there are |
//! | two texts each | a header's name and its value |
//! | to the end | the payload |
//!
//! A text is its length and so many bytes of UTF-8. Numbers and lengths are LEB128: seven bits a
//! byte, the least first, the highest bit set on all bytes but the last. Offset, count and instant
//! stand in its frame's table ([`super::frame`]).
//!
//! What was read is believed in nothing: any damage is found and named, by the checksum or by the
//! bounds, and none can make a reader panic or take more memory than the batch has bytes.

use flate2::Crc;

use crate::bus::Record;

/// Bytes that a batch takes at most, unless it is a single record: who reads one record reads its
/// whole batch.
const BYTES_MAX: usize = 128 * 1024;
/// Records of one batch at most.
const RECORDS_MAX: u32 = 4096;
/// The version of the form above.
const VERSION: u8 = 1;
/// Version and checksum.
const HEAD_BYTES: usize = 5;
/// Bits of a number in each of its bytes.
const BITS: u32 = 7;

/// What is wrong with a batch, in a few words.
pub(super) type Damage = &'static str;

/// Records of one partition on their way to the disk.
#[derive(Debug)]
pub(super) struct Batch {
    pub first: u64,
    pub count: u32,
    bytes: Vec<u8>,
}

impl Batch {
    /// A batch without records, in memory that was used before, or none.
    pub fn empty(first: u64, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.push(VERSION);
        bytes.resize(HEAD_BYTES, 0);
        Self { first, count: 0, bytes }
    }

    /// Writes one more record down, if it still fits. The first does.
    pub fn put(&mut self, record: &Record) -> bool {
        let length = length(record);
        let fits = self.fits(number_bytes(length) + length);
        if fits {
            encode(record, length, &mut self.bytes);
            self.count += 1;
        }
        fits
    }

    fn fits(&self, bytes: usize) -> bool {
        self.count == 0 || self.count < RECORDS_MAX && self.bytes.len() + bytes <= BYTES_MAX
    }

    /// The offset after its last record.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Its bytes are whole from now on: their checksum is set, and answered.
    pub fn seal(&mut self) -> u32 {
        let sum = checksum(&self.bytes[HEAD_BYTES..]);
        self.bytes[1..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        sum
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives its memory back.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The bytes of a record as written down, without the length before them.
fn length(record: &Record) -> usize {
    let text = |text: &str| number_bytes(text.len()) + text.len();
    let headers: usize = record.headers.iter().map(|(name, value)| text(name) + text(value)).sum();
    text(&record.key) + number_bytes(record.headers.len()) + headers + record.payload.len()
}

/// Writes a record down, its length first.
fn encode(record: &Record, length: usize, into: &mut Vec<u8>) {
    into.reserve(number_bytes(length) + length);
    put_number(length, into);
    put_text(&record.key, into);
    put_number(record.headers.len(), into);
    for (name, value) in &record.headers {
        put_text(name, into);
        put_text(value, into);
    }
    into.extend_from_slice(&record.payload);
}

/// The checksum that a batch's own bytes name, if they have one.
pub(super) fn sum(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(1..)?.first_chunk()?))
}

/// A batch's records, not looked into yet: cheap to pass over.
#[derive(Debug)]
pub(super) struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    /// Of a batch's bytes, once they are seen to be whole.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Damage> {
        let (head, records) = bytes.split_at_checked(HEAD_BYTES).ok_or("it is cut short")?;
        if head[0] != VERSION {
            return Err("its form is of another version");
        }
        if head[1..] != checksum(records).to_le_bytes() {
            return Err("its checksum is another");
        }
        Ok(Self(records))
    }

    fn next_record(&mut self) -> Result<&'a [u8], Damage> {
        let length = take_number(&mut self.0)?;
        take(&mut self.0, length)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<&'a [u8], Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.next_record();
        if record.is_err() {
            // Nothing after it can be found.
            self.0 = &[];
        }
        Some(record)
    }
}

/// A record as stored, its payload where it lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub key: String,
    pub headers: Vec<(String, String)>,
    pub payload: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Reads one of [`Records`].
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, Damage> {
        let key = take_text(&mut bytes)?.to_owned();
        let count = take_number(&mut bytes)?;
        // Each has two lengths at least; a count that lies must not make room for itself.
        let mut headers = Vec::with_capacity(count.min(bytes.len() / 2));
        for _ in 0..count {
            let name = take_text(&mut bytes)?.to_owned();
            headers.push((name, take_text(&mut bytes)?.to_owned()));
        }
        Ok(Self { key, headers, payload: bytes })
    }
}

pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// How many bytes a number takes.
fn number_bytes(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()).div_ceil(BITS).max(1) as usize
}

pub(super) fn put_number(mut number: usize, into: &mut Vec<u8>) {
    while number >= 1 << BITS {
        into.push(number as u8 | 1 << BITS);
        number >>= BITS;
    }
    into.push(number as u8);
}

pub(super) fn put_text(text: &str, into: &mut Vec<u8>) {
    put_number(text.len(), into);
    into.extend_from_slice(text.as_bytes());
}

pub(super) fn take_number(bytes: &mut &[u8]) -> Result<usize, Damage> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(BITS as usize) {
        let byte = take(bytes, 1)?[0];
        let bits = usize::from(byte & !(1 << BITS));
        if bits > usize::MAX >> shift {
            break;
        }
        number |= bits << shift;
        if byte < 1 << BITS {
            return Ok(number);
        }
    }
    Err("a number is too large")
}

pub(super) fn take_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, Damage> {
    let length = take_number(bytes)?;
    std::str::from_utf8(take(bytes, length)?).map_err(|_| "a text is no UTF-8")
}

pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Damage> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or("it is cut short")?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests;
