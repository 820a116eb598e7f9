//! Topic `loa.audit`: who did what to what, and whether it was let.
//!
//! Key: the object, so that its history stays in order. Entries hold ids, never the words of a
//! publication, a push address or a secret.

pub use crate::domain::audit::{Act, Actor, Entry, Verdict};
use crate::event::envelope::{Attributes, Contract, Encoded, Error};

/// An audit entry's type and schema.
pub const CONTRACT: Contract =
    Contract { event_type: "vn.loa.audit.v1", schema: "urn:loa:schema:audit.v1" };

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
