//! Records of the log, as any client may write them: CloudEvents in binary mode, and whatever else
//! lies on a topic. A record is written as lines `name: value`, an empty line, and the payload.
//!
//! What is read can be written and read again; what is not is refused by a stable word, and goes to
//! the dead letters and back unchanged.

use std::fmt::Debug;

use bytes::Bytes;
use jiff::Timestamp;
use loa::event::dead_letter::{DETAIL_MAX, DeadLetter, Reason};
use loa::event::envelope::{Encoded, Error};
use loa::event::publication::Carried;
use loa::event::{audit, dead_letter, dispatch, publication, receipt, submission};

/// Every word a refusal may have.
const CODES: [&str; 5] =
    ["header_missing", "header_twice", "header_invalid", "version_unknown", "payload_invalid"];

type Pairs = Vec<(String, String)>;

/// Holds for every record.
pub fn hold(data: &[u8]) {
    let (headers, payload) = record(data);
    let (headers, payload) = (&headers[..], payload);
    again(submission::decode, submission::encode, headers, payload);
    again(dispatch::decode, dispatch::encode, headers, payload);
    again(receipt::decode, receipt::encode, headers, payload);
    again(audit::decode, audit::encode, headers, payload);
    again(letter, dead_letter::encode, headers, payload);
    match publication::read(headers, payload) {
        Ok(Carried::Open(read)) => {
            let written = publication::encode(&read);
            let again = publication::read(&written.headers, &written.payload);
            assert_eq!(again, Ok(Carried::Open(read)));
        }
        Ok(Carried::Sealed(sealed)) => {
            let agency = "agency".parse().expect("an agency's id");
            let written = publication::encode_sealed(&sealed, &agency, Timestamp::UNIX_EPOCH);
            let again = publication::read(&written.headers, &written.payload);
            assert_eq!(again, Ok(Carried::Sealed(sealed)));
        }
        Err(error) => set_aside(&error, headers, payload),
    }
}

/// A dead letter; of its detail, what is kept.
fn letter(headers: &[(String, String)], payload: &[u8]) -> Result<DeadLetter, Error> {
    let mut letter = dead_letter::decode("key", headers, payload)?;
    letter.reason.detail = letter.reason.detail.chars().take(DETAIL_MAX).collect();
    Ok(letter)
}

/// The headers and the payload; text that is none is read as the bus reads it.
fn record(data: &[u8]) -> (Pairs, &[u8]) {
    let mut headers = Pairs::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => headers.push((line, String::new())),
        }
    }
    (headers, rest)
}

fn again<T: PartialEq + Debug>(
    decode: impl Fn(&[(String, String)], &[u8]) -> Result<T, Error>,
    encode: impl Fn(&T) -> Encoded,
    headers: &[(String, String)],
    payload: &[u8],
) {
    match decode(headers, payload) {
        Ok(read) => {
            let written = encode(&read);
            assert_eq!(decode(&written.headers, &written.payload), Ok(read));
        }
        Err(error) => set_aside(&error, headers, payload),
    }
}

/// The letter holds the record as it came, and why it is one.
fn set_aside(error: &Error, headers: &[(String, String)], payload: &[u8]) {
    assert!(CODES.contains(&error.code()), "{error:?}");
    assert_eq!(error.field().is_none(), matches!(error, Error::Payload { .. }), "{error:?}");
    assert!(error.field().is_none_or(|field| !field.is_empty()), "{error:?}");
    let original = Encoded {
        key: "key".to_owned(),
        headers: headers.to_vec(),
        payload: Bytes::copy_from_slice(payload),
    };
    let mut reason = Reason::from(error);
    reason.detail = reason.detail.chars().take(DETAIL_MAX).collect();
    let letter = DeadLetter {
        topic: "loa.submissions".to_owned(),
        partition: 1,
        offset: 2,
        reason,
        at: Timestamp::UNIX_EPOCH,
        tries: 1,
        original,
    };
    let written = dead_letter::encode(&letter);
    let read = dead_letter::decode(&written.key, &written.headers, &written.payload);
    assert_eq!(read, Ok(letter));
}
