//! Topic `loa.dispatches.<channel>.<lane>`: what to send where, for the fan-out workers.
//!
//! Key: the dispatch's own id. Dispatches have no order among each other; a repeated one meets its
//! own progress in the ledger.

use crate::domain::dispatch::Dispatch;
use crate::event::envelope::{Attributes, Contract, Encoded, Error};

/// A dispatch's type and schema.
pub const CONTRACT: Contract =
    Contract { event_type: "vn.loa.dispatch.v1", schema: "urn:loa:schema:dispatch.v1" };

/// Writes a dispatch. The same dispatch always gives the same record.
pub fn encode(dispatch: &Dispatch) -> Encoded {
    let id = dispatch.id.0.to_string();
    let attributes = Attributes {
        id: id.clone(),
        source: "/loa/route".to_owned(),
        subject: dispatch.publication.to_string(),
        time: None,
    };
    CONTRACT.seal(id, attributes, dispatch)
}

/// Reads a dispatch.
pub fn decode(headers: &[(String, String)], payload: &[u8]) -> Result<Dispatch, Error> {
    CONTRACT.open(headers, payload)
}
