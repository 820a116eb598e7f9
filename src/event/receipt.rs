//! Topic `loa.receipts`: what apps tell us back, for the ledger.
//!
//! Key: the device's number, so that one device's stages stay in order.

use crate::domain::receipt::Receipt;
use crate::event::envelope::{Attributes, Contract, Encoded, Error};

/// A receipt's type and schema.
pub const CONTRACT: Contract =
    Contract { event_type: "vn.loa.receipt.v1", schema: "urn:loa:schema:receipt.v1" };

/// Writes a receipt. Its id is what makes a repeat the same: publication, device and stage.
pub fn encode(receipt: &Receipt) -> Encoded {
    let Receipt { publication, device, stage, .. } = receipt;
    let attributes = Attributes {
        id: format!("{publication}/{}/{}", device.0, stage.as_str()),
        source: "/loa/gateway".to_owned(),
        subject: publication.to_string(),
        time: Some(receipt.at),
    };
    CONTRACT.seal(device.0.to_string(), attributes, receipt)
}

/// Reads a receipt.
pub fn decode(headers: &[(String, String)], payload: &[u8]) -> Result<Receipt, Error> {
    CONTRACT.open(headers, payload)
}
