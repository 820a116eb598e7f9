//! What one row of a partition's table holds: records that were committed together.
//!
//! A row a record would cost each an insert of its own. A batch is, byte after byte:
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
//! stand in the row's other columns.
//!
//! What was read is believed in nothing: any damage is found and named, by the checksum or by the
//! bounds, and none can make a reader panic or take more memory than the row has bytes.

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

/// Records of one partition on their way to one row.
#[derive(Debug)]
pub(super) struct Batch {
    pub first: u64,
    pub count: u32,
    bytes: Vec<u8>,
}

impl Batch {
    /// A batch of one record, as [`encode`] wrote it down.
    pub fn new(first: u64, record: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + record.len());
        bytes.push(VERSION);
        bytes.resize(HEAD_BYTES, 0);
        bytes.extend_from_slice(record);
        Self { first, count: 1, bytes }
    }

    /// Takes one more record, if it still fits.
    pub fn take(&mut self, record: &[u8]) -> bool {
        let fits = self.count < RECORDS_MAX && self.bytes.len() + record.len() <= BYTES_MAX;
        if fits {
            self.bytes.extend_from_slice(record);
            self.count += 1;
        }
        fits
    }

    /// The offset after its last record.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// The row's bytes, with their checksum.
    pub fn seal(&mut self) -> &[u8] {
        let sum = checksum(&self.bytes[HEAD_BYTES..]);
        self.bytes[1..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        &self.bytes
    }

    /// How many bytes it takes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes a record down, its length first.
pub(super) fn encode(record: &Record, into: &mut Vec<u8>) {
    let text = |text: &str| number_bytes(text.len()) + text.len();
    let headers: usize = record.headers.iter().map(|(name, value)| text(name) + text(value)).sum();
    let count = record.headers.len();
    let length = text(&record.key) + number_bytes(count) + headers + record.payload.len();
    into.reserve(number_bytes(length) + length);
    put_number(length, into);
    put_text(&record.key, into);
    put_number(count, into);
    for (name, value) in &record.headers {
        put_text(name, into);
        put_text(value, into);
    }
    into.extend_from_slice(&record.payload);
}

/// A batch's records, not looked into yet: cheap to pass over.
#[derive(Debug)]
pub(super) struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    /// Of a row's bytes, once they are seen to be whole.
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
        let key = take_text(&mut bytes)?;
        let count = take_number(&mut bytes)?;
        // Each has two lengths at least; a count that lies must not make room for itself.
        let mut headers = Vec::with_capacity(count.min(bytes.len() / 2));
        for _ in 0..count {
            headers.push((take_text(&mut bytes)?, take_text(&mut bytes)?));
        }
        Ok(Self { key, headers, payload: bytes })
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// How many bytes a number takes.
fn number_bytes(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()).div_ceil(BITS).max(1) as usize
}

fn put_number(mut number: usize, into: &mut Vec<u8>) {
    while number >= 1 << BITS {
        into.push(number as u8 | 1 << BITS);
        number >>= BITS;
    }
    into.push(number as u8);
}

fn put_text(text: &str, into: &mut Vec<u8>) {
    put_number(text.len(), into);
    into.extend_from_slice(text.as_bytes());
}

fn take_number(bytes: &mut &[u8]) -> Result<usize, Damage> {
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

fn take_text(bytes: &mut &[u8]) -> Result<String, Damage> {
    let length = take_number(bytes)?;
    let text = std::str::from_utf8(take(bytes, length)?).map_err(|_| "a text is no UTF-8")?;
    Ok(text.to_owned())
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Damage> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or("it is cut short")?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests;
