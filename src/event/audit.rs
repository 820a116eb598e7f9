//! Topic `loa.audit`: who did what to what, and whether it was let.
//!
//! Key: the object, so that its history stays in order. Entries hold ids, never the words of a
//! publication, a push address or a secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::envelope::{Attributes, Contract, Encoded, Error};

/// An audit entry's type and schema.
pub const CONTRACT: Contract =
    Contract { event_type: "vn.loa.audit.v1", schema: "urn:loa:schema:audit.v1" };

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub act: Act,
    /// To what: a publication's, agency's or key's id, or the name of a topic or city.
    pub object: String,
    /// Whether it was let.
    pub verdict: Verdict,
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// An agency, with one of its keys.
    Agency {
        /// The agency's id.
        id: String,
        /// The name of the key; never the key.
        key: String,
    },
    /// Somebody at the command line of the node.
    Operator {
        /// The name they gave.
        name: String,
    },
    /// Loa itself.
    System,
}

/// What is worth an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A publication was submitted.
    Publish,
    /// An agency was created or its jurisdiction changed.
    ChangeAgency,
    /// An API key was made.
    CreateKey,
    /// An API key was revoked.
    RevokeKey,
    /// Boundaries were imported.
    ImportGeofences,
    /// Dead letters were sent on their way again.
    RedriveDeadLetters,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// Done.
    Done,
    /// Refused.
    Refused {
        /// The problem's stable code.
        code: String,
    },
}

/// Writes an entry.
pub fn encode(entry: &Entry) -> Encoded {
    let attributes = Attributes {
        id: entry.id.to_string(),
        source: "/loa/audit".to_owned(),
        subject: entry.object.clone(),
        time: Some(entry.at),
    };
    CONTRACT.seal(entry.object.clone(), attributes, entry)
}

/// Reads an entry.
pub fn decode(headers: &[(String, String)], payload: &[u8]) -> Result<Entry, Error> {
    CONTRACT.open(headers, payload)
}
