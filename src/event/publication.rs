//! Topic `loa.publications.<lane>`: what was accepted, for the router and the gateways.
//!
//! Key: the chain of an alert, so that an update never overtakes what it updates; the subject of a
//! status change, so that one citizen's steps stay in order; a notice's own id.

use crate::domain::audience::Audience;
use crate::domain::publication::{Content, Publication};
use crate::event::envelope::{Attributes, Contract, Encoded, Error};

/// A publication's type and schema.
pub const CONTRACT: Contract =
    Contract { event_type: "vn.loa.publication.v1", schema: "urn:loa:schema:publication.v1" };

/// The id whose order matters.
pub fn key(publication: &Publication) -> String {
    match (&publication.content, &publication.audience) {
        (Content::Alert(_), _) => publication.chain.to_string(),
        (Content::StatusChange(change), _) => change.owner.subject().to_string(),
        (Content::Notice(_), Audience::Subject { subject }) => subject.to_string(),
        (Content::Notice(_), Audience::Area(_)) => publication.id.to_string(),
    }
}

/// Writes a publication. The same publication always gives the same record.
pub fn encode(publication: &Publication) -> Encoded {
    let attributes = Attributes {
        id: publication.id.to_string(),
        source: format!("/agencies/{}", publication.agency),
        subject: publication.chain.to_string(),
        time: Some(publication.accepted_at),
    };
    CONTRACT.seal(key(publication), attributes, publication)
}

/// Reads a publication.
pub fn decode(headers: &[(String, String)], payload: &[u8]) -> Result<Publication, Error> {
    CONTRACT.open(headers, payload)
}
