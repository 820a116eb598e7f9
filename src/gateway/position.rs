//! Positions: how far a stream's client is, as an opaque text that it sends back to resume.
//!
//! A position names the log's epoch and, for each partition of each lane, the next offset; it
//! means the same on every gateway. The frame of a publication carries the gateway's position
//! after it, so the same bytes serve everybody. The time it was written tells which places the
//! client had been caught up with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

/// Longest position that is read: 192 partitions at most, ten bytes each, and the epoch.
const TEXT_BYTES_MAX: usize = 3_072;
const VERSION: u8 = 1;

/// Where a publication lies: which partition of which lane, and its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The partition's index among those of all lanes.
    pub index: usize,
    /// The offset in it.
    pub offset: u64,
}

/// How far a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log's epoch: offsets of another epoch mean nothing.
    pub epoch: String,
    /// When it was written, to the millisecond.
    pub at: Timestamp,
    /// The next offset of each partition, in the order of [`Slot::index`].
    pub next: Vec<u64>,
}

/// A text that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position: send back exactly what the stream gave, or nothing")]
pub struct NotAPosition;

impl Position {
    /// Whether what lies at a slot comes before this position. An index this position does not
    /// know of was never given out with it.
    pub fn is_past(&self, slot: Slot) -> bool {
        self.next.get(slot.index).is_some_and(|next| slot.offset < *next)
    }

    /// As it is sent: base64url, without anything a header or a URL would have to escape.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(16 + self.epoch.len() + self.next.len() * 3);
        bytes.push(VERSION);
        put(&mut bytes, self.epoch.len() as u64);
        bytes.extend_from_slice(self.epoch.as_bytes());
        put(&mut bytes, self.at.as_millisecond().max(0) as u64);
        put(&mut bytes, self.next.len() as u64);
        for offset in &self.next {
            put(&mut bytes, *offset);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Position::encode`] wrote.
    pub fn decode(text: &str) -> Result<Self, NotAPosition> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(NotAPosition);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAPosition)?;
        read(&bytes).ok_or(NotAPosition)
    }
}

fn read(bytes: &[u8]) -> Option<Position> {
    let (&VERSION, mut rest) = bytes.split_first()? else { return None };
    let length = usize::try_from(take(&mut rest)?).ok()?;
    let epoch = std::str::from_utf8(rest.get(..length)?).ok()?.to_owned();
    rest = &rest[length..];
    let at = Timestamp::from_millisecond(i64::try_from(take(&mut rest)?).ok()?).ok()?;
    let count = usize::try_from(take(&mut rest)?).ok()?;
    if count > rest.len() {
        return None; // each offset takes a byte at least: never allocate on a client's word
    }
    let next = (0..count).map(|_| take(&mut rest)).collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some(Position { epoch, at, next })
}

/// LEB128.
fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(next: Vec<u64>) -> Position {
        let at = Timestamp::from_millisecond(1_800_000_000_123).expect("an instant");
        Position { epoch: "e7f0".into(), at, next }
    }

    #[test]
    fn a_position_survives_the_client_and_needs_no_escaping() {
        let given = position(vec![0, 127, 128, u64::MAX, 300]);
        let text = given.encode();
        assert_eq!(Position::decode(&text), Ok(given));
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[test]
    fn past_is_told_per_partition() {
        let given = position(vec![3, 0]);
        assert!(given.is_past(Slot { index: 0, offset: 2 }));
        assert!(!given.is_past(Slot { index: 0, offset: 3 }));
        assert!(!given.is_past(Slot { index: 1, offset: 0 }));
        assert!(!given.is_past(Slot { index: 2, offset: 0 }));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[A-Za-z0-9_-]{0,200}") {
            let _ = Position::decode(&text);
        }

        #[test]
        fn cut_positions_are_refused(cut in 0usize..20) {
            let text = position(vec![1, 2, 3]).encode();
            prop_assert_eq!(Position::decode(&text[..cut]), Err(NotAPosition));
        }
    }
}
