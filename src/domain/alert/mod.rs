//! The CAP 1.2 model, complete: what an alert says, apart from how it is written.
//!
//! Source of every rule: OASIS Common Alerting Protocol 1.2 (1 July 2010). XML lives in
//! [`crate::event::cap`]; the JSON form is this model's serde form.

pub mod profile;
pub mod ring;
pub mod rules;
pub mod time;
pub mod vocabulary;

use serde::{Deserialize, Serialize};

pub use time::CapTime;
pub use vocabulary::{
    Category, Certainty, MsgType, ResponseType, Scope, Severity, Status, Urgency,
};

use crate::domain::geo::{Circle, Ring};

/// A CAP `alert`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Unique per sender; no spaces, commas, `<` or `&`.
    pub identifier: String,
    /// Globally unique name of the originator; the same character rule.
    pub sender: String,
    /// When it was sent, with the zone it was written in.
    pub sent: CapTime,
    /// Actual, Exercise, System, Test or Draft.
    pub status: Status,
    /// Alert, Update, Cancel, Ack or Error.
    pub msg_type: MsgType,
    /// The particular source of this alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Public, Restricted or Private.
    pub scope: Scope,
    /// The rule for limiting distribution of a Restricted alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<String>,
    /// Intended recipients; needed for a Private alert.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Codes for special handling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Purpose or significance, chiefly for Exercise and Error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Earlier messages this one refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// Names of the incidents this alert is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<String>,
    /// One entry a language (or a sequence of the same language).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub infos: Vec<Info>,
    /// The XML signatures as they came (`xmldsig#` elements, verbatim), kept and not yet verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<String>,
}

/// One member of CAP `references`: `sender,identifier,sent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The earlier message's sender.
    pub sender: String,
    /// The earlier message's identifier.
    pub identifier: String,
    /// The earlier message's time, compared as an instant.
    pub sent: CapTime,
}

/// A CAP `info`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// RFC 3066 code; absent in XML means `en-US`.
    #[serde(default = "default_language")]
    pub language: String,
    /// One or more categories.
    pub categories: Vec<Category>,
    /// What kind of event, in words.
    pub event: String,
    /// What the audience should do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_types: Vec<ResponseType>,
    /// How soon to act.
    pub urgency: Urgency,
    /// How grave.
    pub severity: Severity,
    /// How sure.
    pub certainty: Certainty,
    /// The intended audience, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// System-specific codes of the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_codes: Vec<NamedValue>,
    /// When the information takes effect; absent means `sent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<CapTime>,
    /// When the event is expected to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset: Option<CapTime>,
    /// When the information ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<CapTime>,
    /// The originator's name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    /// The headline, at best under 160 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// The hazard, described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What people should do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// An absolute URI with more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// System-specific parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<NamedValue>,
    /// Files that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// Where: the union of all areas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<Area>,
}

/// CAP's default language of an `info` without one.
pub fn default_language() -> String {
    "en-US".to_owned()
}

/// A `valueName` and `value` pair (eventCode, parameter, geocode).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedValue {
    /// Who defined the value, such as `SAME` or `loa:unit`.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A CAP `resource`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// What it is, in words.
    pub description: String,
    /// RFC 2046 type; optional only in CAP 1.0 and 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Where to fetch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The content itself, base64; never forwarded to phones and websockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deref_uri: Option<String>,
    /// SHA-1 of the content, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A CAP `area`: the union of its polygons, circles and geocodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// The area, in words.
    pub description: String,
    /// Closed rings, latitude first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polygons: Vec<Ring>,
    /// Circles, radius in kilometres.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub circles: Vec<Circle>,
    /// Codes of places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub geocodes: Vec<NamedValue>,
    /// Lower limit in feet above mean sea level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_ft: Option<f64>,
    /// Upper limit in feet above mean sea level; only with an altitude.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling_ft: Option<f64>,
}
