//! Topic `loa.publications.<lane>`: what was accepted, for the router and the gateways.
//!
//! Key: the chain of an alert, so that an update never overtakes what it updates; the subject of a
//! status change, so that one citizen's steps stay in order; a notice's own id.
//!
//! Version 2 is a publication for one citizen alone, sealed under that citizen's key; its key on
//! the log is the handle of that, which follows from nothing of the citizen's. Whoever has the key
//! finds version 1 inside.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::audience::Audience;
use crate::domain::ids::{AgencyId, PublicationId};
use crate::domain::publication::{Content, Publication};
use crate::domain::sealed::Sealed;
use crate::event::envelope::{Attributes, Contract, Encoded, Error, header, value};

/// A publication's type and schema.
pub const CONTRACT: Contract =
    Contract { event_type: "vn.loa.publication.v1", schema: "urn:loa:schema:publication.v1" };

/// A sealed publication's type and schema.
pub const SEALED: Contract =
    Contract { event_type: "vn.loa.publication.v2", schema: "urn:loa:schema:publication.v2" };

/// What a record carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Carried {
    /// A publication that all may read.
    Open(Box<Publication>),
    /// One citizen's.
    Sealed(Sealed),
}

/// A sealed publication's payload.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    id: Uuid,
    handle: Uuid,
    sealed: String,
}

/// The id whose order matters.
pub fn key(publication: &Publication) -> String {
    match (&publication.content, &publication.audience) {
        (Content::Alert(_), _) => publication.chain.to_string(),
        (Content::StatusChange(change), _) => change.owner.subject().to_string(),
        (Content::Notice(_), Audience::Subject { subject, .. }) => subject.to_string(),
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

/// Writes a sealed publication: who published it, and when it was accepted, may be seen.
pub fn encode_sealed(sealed: &Sealed, agency: &AgencyId, accepted_at: Timestamp) -> Encoded {
    let attributes = Attributes {
        id: sealed.id.to_string(),
        source: format!("/agencies/{agency}"),
        subject: sealed.id.to_string(),
        time: Some(accepted_at),
    };
    let handle = Uuid::from_bytes(sealed.handle);
    let bytes = STANDARD_NO_PAD.encode(&sealed.bytes);
    let payload = Payload { id: sealed.id.0, handle, sealed: bytes };
    SEALED.seal(handle.to_string(), attributes, &payload)
}

/// Reads a sealed publication, without its citizen's key.
pub fn decode_sealed(headers: &[(String, String)], payload: &[u8]) -> Result<Sealed, Error> {
    let Payload { id, handle, sealed } = SEALED.open(headers, payload)?;
    let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|error| Error::Payload {
        event: SEALED.event_type.to_owned(),
        detail: format!("sealed: {error}"),
    })?;
    Ok(Sealed { id: PublicationId(id), handle: handle.into_bytes(), bytes })
}

/// Reads a record of either version.
pub fn read(headers: &[(String, String)], payload: &[u8]) -> Result<Carried, Error> {
    if value(headers, header::TYPE).is_ok_and(|given| given == SEALED.event_type) {
        return decode_sealed(headers, payload).map(Carried::Sealed);
    }
    decode(headers, payload).map(Box::new).map(Carried::Open)
}
