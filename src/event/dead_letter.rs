//! Topic `loa.dead-letters`: records nobody could read or act on, each with its reason.
//!
//! The payload is the original's, byte for byte, so that a letter is never bigger than its record
//! and any Kafka tool shows what really came. Where it came from and why it is here are extension
//! attributes (`ce_letter…`); the original's headers follow with the prefix `original_`. Key: the
//! original's. `loa dead-letters redrive` builds the original from it again.

use bytes::Bytes;
use jiff::Timestamp;

use crate::event::envelope::{
    Attributes, Contract, Encoded, Error, Headers, header, optional, value,
};

/// A dead letter's type; the schema describes its headers, since the payload may be anything.
pub const CONTRACT: Contract =
    Contract { event_type: "vn.loa.dead-letter.v1", schema: "urn:loa:schema:dead-letter.v1" };
/// Longest detail kept, in characters: enough for a list of broken rules, small beside a record.
pub const DETAIL_MAX: usize = 2000;
/// The media type of an original whose own is unknown.
const OCTETS: &str = "application/octet-stream";
/// What stands before the name of each of the original's headers.
const ORIGINAL: &str = "original_";

/// The extension attributes, each declared once.
mod attribute {
    pub const TOPIC: &str = "ce_lettertopic";
    pub const PARTITION: &str = "ce_letterpartition";
    pub const OFFSET: &str = "ce_letteroffset";
    pub const CODE: &str = "ce_lettercode";
    pub const DETAIL: &str = "ce_letterdetail";
    pub const FIELD: &str = "ce_letterfield";
    pub const TRIES: &str = "ce_lettertries";
}

/// A record that was set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The topic it was read from.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Why it is here.
    pub reason: Reason,
    /// When it was set aside.
    pub at: Timestamp,
    /// How often it was tried, 1 for what could never succeed.
    pub tries: u32,
    /// The original.
    pub original: Encoded,
}

/// Why a record was set aside, in the terms of a problem document.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// A stable word, such as `payload_invalid`.
    pub code: String,
    /// For people; cut to [`DETAIL_MAX`] characters.
    pub detail: String,
    /// The header or field at fault, where one is.
    pub field: Option<String>,
}

impl From<&Error> for Reason {
    fn from(error: &Error) -> Self {
        let field = error.field().map(str::to_owned);
        Self { code: error.code().to_owned(), detail: error.to_string(), field }
    }
}

/// Writes a dead letter. The same record set aside twice carries the same id.
pub fn encode(letter: &DeadLetter) -> Encoded {
    let DeadLetter { topic, partition, offset, original, reason, .. } = letter;
    let attributes = Attributes {
        id: format!("{topic}/{partition}/{offset}"),
        source: "/loa/dead-letters".to_owned(),
        subject: topic.clone(),
        time: Some(letter.at),
    };
    let content_type = optional(&original.headers, header::CONTENT_TYPE).ok().flatten();
    let mut headers = CONTRACT.headers(attributes, content_type.unwrap_or(OCTETS));
    let mut put = |name: &str, value: String| headers.push((name.to_owned(), value));
    put(attribute::TOPIC, topic.clone());
    put(attribute::PARTITION, partition.to_string());
    put(attribute::OFFSET, offset.to_string());
    put(attribute::CODE, reason.code.clone());
    put(attribute::DETAIL, reason.detail.chars().take(DETAIL_MAX).collect());
    if let Some(field) = &reason.field {
        put(attribute::FIELD, field.clone());
    }
    put(attribute::TRIES, letter.tries.to_string());
    for (name, value) in &original.headers {
        put(&format!("{ORIGINAL}{name}"), value.clone());
    }
    Encoded { key: original.key.clone(), headers, payload: original.payload.clone() }
}

/// Reads a dead letter. The key is the record's own: it belongs to the original.
pub fn decode(
    key: &str,
    headers: &[(String, String)],
    payload: &[u8],
) -> Result<DeadLetter, Error> {
    CONTRACT.check(headers)?;
    let text = |name: &str| value(headers, name).map(str::to_owned);
    let originals: Headers = headers
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(ORIGINAL)?.to_owned(), value.clone())))
        .collect();
    Ok(DeadLetter {
        topic: text(attribute::TOPIC)?,
        partition: number(headers, attribute::PARTITION)?,
        offset: number(headers, attribute::OFFSET)?,
        reason: Reason {
            code: text(attribute::CODE)?,
            detail: text(attribute::DETAIL)?,
            field: optional(headers, attribute::FIELD)?.map(str::to_owned),
        },
        at: parsed(headers, header::TIME, "must be an RFC 3339 time")?,
        tries: number(headers, attribute::TRIES)?,
        original: Encoded {
            key: key.to_owned(),
            headers: originals,
            payload: Bytes::copy_from_slice(payload),
        },
    })
}

fn number<T: std::str::FromStr>(headers: &[(String, String)], name: &str) -> Result<T, Error> {
    parsed(headers, name, "must be a whole number in range")
}

fn parsed<T: std::str::FromStr>(
    headers: &[(String, String)],
    name: &str,
    rule: &str,
) -> Result<T, Error> {
    let text = value(headers, name)?;
    text.parse().map_err(|_| Error::header(name, text, rule))
}
