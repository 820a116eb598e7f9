//! Progress as bytes, the same in every implementation.
//!
//! Who waits for another try: when a provider is down a dispatch may have thousands of them, and
//! they are saved again and again. A count, then per member 22 bytes in little endian: Seq,
//! attempts, the instant in milliseconds, and the index of its reason, whose highest bit says that
//! an attempt may have arrived; then the reasons, each once, a line each.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use roaring::RoaringTreemap;

use crate::domain::channel::Channel;
use crate::domain::ids::{Seq, UnitCode};
use crate::domain::outcome::Arrival;
use crate::store::Failure;
use crate::store::ledger::{Error, State, Waiting};

const MEMBER_BYTES: usize = 22;
const MAY_HAVE_ARRIVED: u16 = 1 << 15;

/// Those who wait, as bytes.
pub fn encode_retries(retries: &[Waiting]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + retries.len() * MEMBER_BYTES + 64);
    out.extend((retries.len() as u32).to_le_bytes());
    let mut known: HashMap<&str, u16> = HashMap::new();
    let mut reasons: Vec<String> = Vec::new();
    for waiting in retries {
        let index = *known.entry(&waiting.reason).or_insert_with(|| {
            reasons.push(waiting.reason.replace('\n', " "));
            (reasons.len() - 1).min(usize::from(MAY_HAVE_ARRIVED - 1)) as u16
        });
        let doubt = if waiting.arrival == Arrival::Possible { MAY_HAVE_ARRIVED } else { 0 };
        out.extend(waiting.seq.0.to_le_bytes());
        out.extend(waiting.attempt.to_le_bytes());
        out.extend(waiting.not_before.as_millisecond().to_le_bytes());
        out.extend((index | doubt).to_le_bytes());
    }
    out.extend(reasons.join("\n").as_bytes());
    out
}

/// Those who wait, from the bytes `encode_retries` wrote.
pub fn decode_retries(bytes: &[u8]) -> Result<Vec<Waiting>, Error> {
    read_retries(bytes).ok_or_else(|| Failure::new("the stored retries are damaged").into())
}

fn read_retries(bytes: &[u8]) -> Option<Vec<Waiting>> {
    let (count, rest) = bytes.split_first_chunk()?;
    let length = (u32::from_le_bytes(*count) as usize).checked_mul(MEMBER_BYTES)?;
    let (members, reasons) = rest.split_at_checked(length)?;
    let reasons: Vec<&str> = std::str::from_utf8(reasons).ok()?.split('\n').collect();
    let read = |member: &[u8]| {
        let (seq, rest) = member.split_first_chunk()?;
        let (attempt, rest) = rest.split_first_chunk()?;
        let (not_before, rest) = rest.split_first_chunk()?;
        let index = u16::from_le_bytes(rest.try_into().ok()?);
        Some(Waiting {
            seq: Seq(u64::from_le_bytes(*seq)),
            attempt: u32::from_le_bytes(*attempt),
            not_before: Timestamp::from_millisecond(i64::from_le_bytes(*not_before)).ok()?,
            arrival: match index & MAY_HAVE_ARRIVED {
                0 => Arrival::Excluded,
                _ => Arrival::Possible,
            },
            reason: Cow::Owned((*reasons.get(usize::from(index & !MAY_HAVE_ARRIVED))?).to_owned()),
        })
    };
    members.chunks_exact(MEMBER_BYTES).map(read).collect()
}

/// A bitmap as bytes, in the portable form of the Roaring specification.
pub fn encode_bitmap(bitmap: &RoaringTreemap) -> Vec<u8> {
    let mut out = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut out).expect("writing to memory does not fail");
    out
}

/// A bitmap from its bytes.
pub fn decode_bitmap(bytes: &[u8]) -> Result<RoaringTreemap, Error> {
    Ok(RoaringTreemap::deserialize_from(bytes).map_err(Failure::new)?)
}

/// A state as it is stored.
pub fn state_code(state: State) -> u8 {
    match state {
        State::Open => 0,
        State::Done => 1,
        State::Superseded => 2,
        State::Expired => 3,
    }
}

/// A state from its code.
pub fn state(code: u8) -> Result<State, Error> {
    match code {
        0 => Ok(State::Open),
        1 => Ok(State::Done),
        2 => Ok(State::Superseded),
        3 => Ok(State::Expired),
        other => Err(Failure::new(format!("state {other} is unknown")).into()),
    }
}

/// A channel from its name.
pub fn channel(name: &str) -> Result<Channel, Error> {
    let known = Channel::ALL.into_iter().find(|channel| channel.as_str() == name);
    known.ok_or_else(|| Failure::new(format!("channel `{name}` is unknown")).into())
}

/// A unit's text; empty for none.
pub fn unit_text(unit: Option<&UnitCode>) -> &str {
    unit.map_or("", UnitCode::as_str)
}

/// A unit from its text.
pub fn unit(text: &str) -> Result<Option<UnitCode>, Error> {
    match text {
        "" => Ok(None),
        text => Ok(Some(text.parse().map_err(Failure::new)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(seq: u64, reason: &'static str) -> Waiting {
        let not_before = Timestamp::from_millisecond(1_785_000_000_123).expect("an instant");
        let arrival = if seq.is_multiple_of(2) { Arrival::Possible } else { Arrival::Excluded };
        Waiting { seq: Seq(seq), attempt: 3, not_before, arrival, reason: reason.into() }
    }

    #[test]
    fn those_who_wait_come_back_as_they_were() {
        for retries in [
            vec![],
            vec![waiting(1, "")],
            vec![
                waiting(u64::MAX, "TooManyRequests"),
                waiting(2, "timeout"),
                waiting(3, "timeout"),
            ],
        ] {
            assert_eq!(decode_retries(&encode_retries(&retries)).expect("intact"), retries);
        }
    }

    #[test]
    fn damage_is_noticed_and_never_panics() {
        let bytes = encode_retries(&[waiting(1, "timeout"), waiting(2, "reset")]);
        for length in 0..4 + 2 * MEMBER_BYTES {
            assert!(decode_retries(&bytes[..length]).is_err(), "{length}");
        }
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0xff;
            let _ = decode_retries(&damaged);
        }
    }
}
