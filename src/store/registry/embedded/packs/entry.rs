//! A member among the others of its pack, as bytes. First a head of fixed places, so that whoever
//! only wants to know who is there reads over the rest (numbers are little-endian):
//!
//! | bytes | what |
//! | --- | --- |
//! | 3 | how many there are after these |
//! | 5 | the membership's Seq |
//! | 5 | the device's number |
//! | 6 | when the membership began, in milliseconds since the epoch, with a sign |
//! | 1 | which of the profile's places the membership is |
//! | 16 | the device's id |
//!
//! Then how much later the address was registered (milliseconds, a zigzag number: near zero it is
//! short, on either side of it), whose the device is (a text; empty: nobody's), and the rest is the
//! profile ([`codec`](crate::store::registry::codec)).

use uuid::Uuid;

use crate::domain::ids::{DeviceId, DeviceNum, Seq};
use crate::store::Failure;
use crate::store::registry::Error;
use crate::store::registry::codec::{Damaged, Reader, address, put_number, put_text};

/// Bytes of an entry's length.
const LENGTH: usize = 3;
/// Bytes of a head after it: Seq, number, instant, place and id.
const HEAD: usize = 5 + 5 + 6 + 1 + 16;
/// Every Seq and every number of a device is below this.
pub const NUMBER_MAX: u64 = 1 << 40;

/// A member of a pack. What it names lies in the pack's bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<'a> {
    /// The membership.
    pub seq: Seq,
    /// The device's number.
    pub num: DeviceNum,
    /// When the membership began.
    pub joined_ms: i64,
    /// When the address was registered.
    pub address_since_ms: i64,
    /// Which of the profile's places the membership is.
    pub place: u8,
    /// The device's id.
    pub id: DeviceId,
    /// Whose it is.
    pub subject: Option<&'a str>,
    /// The profile, as it is stored.
    pub profile: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The push address as it is stored, perhaps sealed; see
    /// `codec::address`.
    #[inline]
    pub fn address(&self) -> Result<&'a [u8], Error> {
        let damaged = |error| Failure::new(format!("device number {}: {error}", self.num.0));
        Ok(address(self.profile).map_err(damaged)?)
    }

    /// Adds it to a pack's bytes.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; LENGTH]);
        out.extend(&self.seq.0.to_le_bytes()[..5]);
        out.extend(&self.num.0.to_le_bytes()[..5]);
        out.extend(&self.joined_ms.to_le_bytes()[..6]);
        out.push(self.place);
        out.extend(self.id.0.as_bytes());
        put_number(out, zigzag(self.address_since_ms.wrapping_sub(self.joined_ms)));
        put_text(out, self.subject.unwrap_or_default());
        out.extend(self.profile);
        let length = (out.len() - start - LENGTH).to_le_bytes();
        out[start..start + LENGTH].copy_from_slice(&length[..LENGTH]);
    }
}

/// A head and what comes after it.
type Parts<'a> = (&'a [u8; HEAD], &'a [u8]);

/// The members of a pack in the order of Seq; ends at the first damage.
pub struct Entries<'a> {
    left: &'a [u8],
    length: usize,
}

impl<'a> Entries<'a> {
    /// Those of a pack's bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { left: bytes, length: bytes.len() }
    }

    /// Where the next one begins.
    pub fn at(&self) -> usize {
        self.length - self.left.len()
    }

    /// The Seq of the next one, without a look at the rest of it.
    pub fn seq(&mut self) -> Option<Result<Seq, Damaged>> {
        let (head, _) = match self.split()? {
            Ok(split) => split,
            Err(damaged) => return Some(Err(damaged)),
        };
        Some(Ok(Seq(number(&head[..5]))))
    }

    /// The next one's head and what comes after it.
    #[inline]
    fn split(&mut self) -> Option<Result<Parts<'a>, Damaged>> {
        if self.left.is_empty() {
            return None;
        }
        let split = self.left.split_at_checked(LENGTH).and_then(|(length, rest)| {
            let (entry, left) = rest.split_at_checked(number(length) as usize)?;
            let (head, rest) = entry.split_first_chunk::<HEAD>()?;
            self.left = left;
            Some((head, rest))
        });
        if split.is_none() {
            self.left = &[];
        }
        Some(split.ok_or(Damaged))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Damaged>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.split()?.and_then(entry))
    }
}

#[inline]
fn entry<'a>((head, rest): Parts<'a>) -> Result<Entry<'a>, Damaged> {
    let mut rest = Reader(rest);
    let joined_ms = (number(&head[10..16]) << 16) as i64 >> 16;
    let address_since_ms = joined_ms.wrapping_add(unzigzag(rest.number()?));
    let subject = Some(rest.text()?).filter(|subject| !subject.is_empty());
    Ok(Entry {
        seq: Seq(number(&head[..5])),
        num: DeviceNum(number(&head[5..10])),
        joined_ms,
        address_since_ms,
        place: head[16],
        id: DeviceId(Uuid::from_slice(&head[17..]).map_err(|_| Damaged)?),
        subject,
        profile: rest.0,
    })
}

/// A number of at most eight bytes.
#[inline]
fn number(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(whole)
}

/// Near zero a small number, on either side of it.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> [Entry<'static>; 3] {
        let first = Entry {
            seq: Seq(7),
            num: DeviceNum(300),
            joined_ms: 1_790_000_000_123,
            address_since_ms: 1_790_000_000_123,
            place: 15,
            id: DeviceId(Uuid::from_u128(0xfeed)),
            subject: None,
            profile: b"profile",
        };
        let second = Entry {
            seq: Seq(NUMBER_MAX - 1),
            num: DeviceNum(NUMBER_MAX - 1),
            joined_ms: -5,
            address_since_ms: 0,
            subject: Some("hoa"),
            ..first
        };
        [first, second, Entry { profile: &[0; 300], address_since_ms: -9, ..second }]
    }

    #[test]
    fn entries_come_back_as_they_were_and_say_where_they_are() {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for entry in entries() {
            starts.push(bytes.len());
            entry.put(&mut bytes);
        }
        let read: Result<Vec<_>, _> = Entries::of(&bytes).collect();
        assert_eq!(read.as_deref(), Ok(&entries()[..]));
        let mut skipped = Entries::of(&bytes);
        for (entry, start) in entries().iter().zip(starts) {
            assert_eq!(skipped.at(), start);
            assert_eq!(skipped.seq(), Some(Ok(entry.seq)));
        }
        assert_eq!((skipped.at(), skipped.seq()), (bytes.len(), None));
    }

    #[test]
    fn what_is_cut_off_is_damaged_and_ends_there() {
        let mut bytes = Vec::new();
        entries().iter().for_each(|entry| entry.put(&mut bytes));
        bytes.truncate(bytes.len() - 1);
        let read: Vec<_> = Entries::of(&bytes).collect();
        assert_eq!(read.len(), 3);
        assert_eq!(read[2], Err(Damaged));
        // A length and no entry behind it; one that is shorter than a head.
        for bytes in [&[3, 0, 0, 1, 0][..], &[2, 0, 0, 1, 0], &[1, 0]] {
            let read: Vec<_> = Entries::of(bytes).collect();
            assert_eq!(read, [Err(Damaged)]);
        }
    }
}
