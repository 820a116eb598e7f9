//! The envelope that all events share: header names, the check of a record's headers, its payload.
//!
//! Source: CloudEvents 1.0.2, and its Kafka protocol binding 1.0.2 section 3.2 (binary content
//! mode).

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The names of the headers, each declared once. They are case-sensitive.
pub mod header {
    /// The version of CloudEvents; always [`SPEC`](super::SPEC).
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// Unique per source; the same event sent twice carries the same one.
    pub const ID: &str = "ce_id";
    /// Which part of Loa, or which agency, said it: a URI reference.
    pub const SOURCE: &str = "ce_source";
    /// What it is, with its version.
    pub const TYPE: &str = "ce_type";
    /// When it happened, RFC 3339.
    pub const TIME: &str = "ce_time";
    /// What it is about, within the source.
    pub const SUBJECT: &str = "ce_subject";
    /// The schema of the payload: a URI.
    pub const DATA_SCHEMA: &str = "ce_dataschema";
    /// The payload's media type (`datacontenttype`).
    pub const CONTENT_TYPE: &str = "content-type";
}

/// The CloudEvents version that every record names.
pub const SPEC: &str = "1.0";
/// The media type of every payload but a submission's CAP XML and a dead letter's original.
pub const JSON: &str = "application/json";
/// Characters of a foreign header that an error repeats.
const QUOTED_MAX: usize = 80;

/// Headers in the order they were written; Kafka allows a name twice, we refuse that where we look.
pub type Headers = Vec<(String, String)>;

/// A record ready for the log: the same three parts as the bus's.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// The id whose order matters.
    pub key: String,
    /// The event's attributes.
    pub headers: Headers,
    /// The event's data.
    pub payload: Bytes,
}

/// Why a record is not the event it should be. Every variant means: to the dead letters.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A header is missing.
    #[error("header `{0}` is missing")]
    Missing(String),
    /// A header is there twice, so that two readers could understand two things.
    #[error("header `{0}` is given twice")]
    Twice(String),
    /// A header says something else than it must.
    #[error("header `{header}` is `{given}`: {rule}")]
    Header {
        /// Its name.
        header: String,
        /// What it says, cut.
        given: String,
        /// What it must say.
        rule: String,
    },
    /// The right event in a version this node cannot read: an older or newer node wrote it.
    #[error("header `{}` is `{given}`, this node reads `{expected}`", header::TYPE)]
    Version {
        /// The version in the record.
        given: String,
        /// The version we read.
        expected: String,
    },
    /// The payload is not what the type's schema says; the detail names the field and the place.
    #[error("payload of `{event}`: {detail}")]
    Payload {
        /// The event's type.
        event: String,
        /// What is wrong with which field, at which line and column.
        detail: String,
    },
}

impl Error {
    /// A stable word for metrics, dead letters and problem details.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Missing(_) => "header_missing",
            Error::Twice(_) => "header_twice",
            Error::Header { .. } => "header_invalid",
            Error::Version { .. } => "version_unknown",
            Error::Payload { .. } => "payload_invalid",
        }
    }

    /// The header at fault, if one is.
    pub fn field(&self) -> Option<&str> {
        match self {
            Error::Missing(name) | Error::Twice(name) => Some(name),
            Error::Header { header, .. } => Some(header),
            Error::Version { .. } => Some(header::TYPE),
            Error::Payload { .. } => None,
        }
    }

    pub(super) fn header(name: &str, given: &str, rule: impl Into<String>) -> Self {
        Self::Header { header: name.into(), given: quoted(given), rule: rule.into() }
    }
}

/// What stays the same in all events of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contract {
    /// The type with its version, such as `vn.loa.publication.v1`.
    pub event_type: &'static str,
    /// The payload's schema, `urn:loa:schema:NAME` for the file `topics/schemas/NAME.json`.
    pub schema: &'static str,
}

/// What differs from event to event.
pub(super) struct Attributes {
    pub id: String,
    pub source: String,
    pub subject: String,
    pub time: Option<jiff::Timestamp>,
}

impl Contract {
    /// The headers of one event of this type.
    pub(super) fn headers(&self, attributes: Attributes, content_type: &str) -> Headers {
        let mut headers = vec![
            (header::SPEC_VERSION, SPEC.to_owned()),
            (header::ID, attributes.id),
            (header::SOURCE, attributes.source),
            (header::TYPE, self.event_type.to_owned()),
            (header::SUBJECT, attributes.subject),
            (header::DATA_SCHEMA, self.schema.to_owned()),
            (header::CONTENT_TYPE, content_type.to_owned()),
        ];
        if let Some(time) = attributes.time {
            headers.push((header::TIME, time.to_string()));
        }
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Writes one event with a JSON payload.
    pub(super) fn seal<T: Serialize>(
        &self,
        key: String,
        attributes: Attributes,
        data: &T,
    ) -> Encoded {
        let payload = serde_json::to_vec(data)
            .expect("the domain's types have text keys and cannot fail to serialise");
        Encoded { key, headers: self.headers(attributes, JSON), payload: payload.into() }
    }

    /// Checks the headers, then reads a JSON payload.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        headers: &[(String, String)],
        payload: &[u8],
    ) -> Result<T, Error> {
        self.check(headers)?;
        check_content_type(headers, JSON)?;
        self.read(payload)
    }

    /// Reads a JSON payload whose headers were checked.
    pub(super) fn read<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(payload).map_err(|error| Error::Payload {
            event: self.event_type.to_owned(),
            detail: error.to_string(),
        })
    }

    /// Checks every required attribute and that the event is of this type and version.
    pub(super) fn check(&self, headers: &[(String, String)]) -> Result<(), Error> {
        check_attributes(headers)?;
        let given = value(headers, header::TYPE)?;
        if given == self.event_type {
            return Ok(());
        }
        let stem = |name: &'static str| name.rsplit_once(".v").map_or(name, |(stem, _)| stem);
        let wanted = stem(self.event_type);
        match given.rsplit_once(".v") {
            Some((name, version)) if name == wanted && version.parse::<u32>().is_ok() => {
                Err(Error::Version { given: quoted(given), expected: self.event_type.to_owned() })
            }
            _ => Err(Error::header(header::TYPE, given, format!("must be `{}`", self.event_type))),
        }
    }
}

/// Checks the attributes that CloudEvents requires of every event, whatever its type.
pub(super) fn check_attributes(headers: &[(String, String)]) -> Result<(), Error> {
    let spec = value(headers, header::SPEC_VERSION)?;
    if spec != SPEC {
        return Err(Error::header(header::SPEC_VERSION, spec, format!("must be `{SPEC}`")));
    }
    for name in [header::ID, header::SOURCE] {
        if value(headers, name)?.is_empty() {
            return Err(Error::header(name, "", "must not be empty"));
        }
    }
    Ok(())
}

/// Checks the payload's media type; parameters such as `charset` are allowed.
pub(super) fn check_content_type(headers: &[(String, String)], wanted: &str) -> Result<(), Error> {
    let given = value(headers, header::CONTENT_TYPE)?;
    if media_type(given).eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Error::header(header::CONTENT_TYPE, given, format!("must be `{wanted}`")))
}

/// A media type without its parameters.
pub(super) fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// The one value of a header.
pub fn value<'a>(headers: &'a [(String, String)], name: &str) -> Result<&'a str, Error> {
    optional(headers, name)?.ok_or_else(|| Error::Missing(name.to_owned()))
}

/// The one value of a header that may be absent.
pub fn optional<'a>(headers: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Error> {
    let mut found = headers.iter().filter(|(given, _)| given == name);
    let first = found.next().map(|(_, value)| value.as_str());
    if found.next().is_some() {
        return Err(Error::Twice(name.to_owned()));
    }
    Ok(first)
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_MAX).collect()
}
