//! Topic `loa.submissions`: what agencies write with any Kafka client, for ingest.
//!
//! Three types, one for each kind of publication. An alert comes as CAP XML or as JSON, told by
//! `content-type`; the XML stays bytes here, and [`crate::event::cap`] reads it, so that a broken
//! alert is answered with the rule it breaks and not as an unreadable record.
//!
//! `ce_source` names the agency (`/agencies/ID`); `ce_id` is its own id of the submission and makes
//! a repeat the same. Key: the agency, so that what one agency says stays in order.

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::alert::Alert;
use crate::domain::ids::AgencyId;
use crate::domain::notice::Notice;
use crate::domain::status_change::StatusChange;
use crate::event::envelope::{
    Attributes, Contract, Encoded, Error, JSON, check_attributes, check_content_type, header,
    media_type, optional, value,
};

/// A submitted alert's type and schema.
pub const ALERT: Contract =
    Contract { event_type: "vn.loa.submission.alert.v1", schema: "urn:loa:schema:alert.v1" };
/// A submitted status change's type and schema.
pub const STATUS_CHANGE: Contract = Contract {
    event_type: "vn.loa.submission.status-change.v1",
    schema: "urn:loa:schema:status-change.v1",
};
/// A submitted notice's type and schema.
pub const NOTICE: Contract =
    Contract { event_type: "vn.loa.submission.notice.v1", schema: "urn:loa:schema:notice.v1" };
/// The media type of CAP XML (CAP 1.2 section 1, as registered with IANA).
pub const CAP_XML: &str = "application/cap+xml";
/// What stands before the agency's id in `ce_source`.
const AGENCY_PREFIX: &str = "/agencies/";
/// Longest `ce_id` taken from an agency, in bytes.
const ID_MAX: usize = 128;

/// What an agency submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The agency's own id of this submission, 1 to 128 bytes; the same id is the same submission.
    pub id: String,
    /// Who says so. That it may say so is checked by ingest.
    pub agency: AgencyId,
    /// When it was submitted, if the agency says.
    pub at: Option<Timestamp>,
    /// What it says.
    pub said: Said,
}

/// The kinds and forms of a submission.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// An alert in CAP XML, as it came.
    AlertXml(Bytes),
    /// An alert in JSON.
    Alert(Box<Alert>),
    /// One step of one citizen's report or dossier.
    StatusChange(Box<StatusChange>),
    /// News or a survey.
    Notice(Box<Notice>),
}

/// Writes a submission.
pub fn encode(submission: &Submission) -> Encoded {
    let attributes = Attributes {
        id: submission.id.clone(),
        source: format!("{AGENCY_PREFIX}{}", submission.agency),
        subject: submission.agency.to_string(),
        time: submission.at,
    };
    let key = submission.agency.to_string();
    match &submission.said {
        Said::AlertXml(xml) => {
            Encoded { key, headers: ALERT.headers(attributes, CAP_XML), payload: xml.clone() }
        }
        Said::Alert(alert) => ALERT.seal(key, attributes, alert),
        Said::StatusChange(change) => STATUS_CHANGE.seal(key, attributes, change),
        Said::Notice(notice) => NOTICE.seal(key, attributes, notice),
    }
}

/// Reads a submission.
pub fn decode(headers: &[(String, String)], payload: &[u8]) -> Result<Submission, Error> {
    check_attributes(headers)?;
    let id = value(headers, header::ID)?;
    if id.len() > ID_MAX {
        return Err(Error::header(header::ID, id, format!("at most {ID_MAX} bytes")));
    }
    let source = value(headers, header::SOURCE)?;
    let agency = source
        .strip_prefix(AGENCY_PREFIX)
        .and_then(|agency| agency.parse().ok())
        .ok_or_else(|| Error::header(header::SOURCE, source, "must be `/agencies/ID`"))?;
    let at = match optional(headers, header::TIME)? {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| Error::header(header::TIME, text, "must be an RFC 3339 time"))?,
        ),
    };
    Ok(Submission { id: id.to_owned(), agency, at, said: read(headers, payload)? })
}

fn read(headers: &[(String, String)], payload: &[u8]) -> Result<Said, Error> {
    let contract = contract(headers)?;
    contract.check(headers)?;
    let given = value(headers, header::CONTENT_TYPE)?;
    if contract == ALERT && media_type(given).eq_ignore_ascii_case(CAP_XML) {
        return Ok(Said::AlertXml(Bytes::copy_from_slice(payload)));
    }
    check_content_type(headers, JSON).map_err(|_| {
        let or_xml = if contract == ALERT { format!(" or `{CAP_XML}`") } else { String::new() };
        Error::header(header::CONTENT_TYPE, given, format!("must be `{JSON}`{or_xml}"))
    })?;
    Ok(match contract {
        STATUS_CHANGE => Said::StatusChange(Box::new(contract.read(payload)?)),
        NOTICE => Said::Notice(Box::new(contract.read(payload)?)),
        _ => Said::Alert(Box::new(contract.read(payload)?)),
    })
}

/// The contract whose type, apart from the version, the record names.
fn contract(headers: &[(String, String)]) -> Result<Contract, Error> {
    let given = value(headers, header::TYPE)?;
    let stem = |name: &str| name.rsplit_once(".v").map(|(stem, _)| stem.to_owned());
    [ALERT, STATUS_CHANGE, NOTICE]
        .into_iter()
        .find(|contract| stem(contract.event_type) == stem(given))
        .ok_or_else(|| {
            let allowed = [ALERT, STATUS_CHANGE, NOTICE].map(|contract| contract.event_type);
            Error::header(header::TYPE, given, format!("must be one of {}", allowed.join(", ")))
        })
}
