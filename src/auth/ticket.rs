//! Stream tickets: a browser's EventSource cannot set headers, so it gets a short-lived ticket by
//! POST and puts that into the URL. A ticket opens event streams and nothing else, and is signed
//! rather than stored, so that any gateway with the same key takes it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::domain::ids::{DeviceId, SubjectId};

/// Seconds a ticket lives: long enough for EventSource's own quick reconnects.
pub const TICKET_SECONDS: i64 = 120;
/// Longest ticket that is read.
const TICKET_BYTES_MAX: usize = 512;

/// For whom a ticket is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A device.
    Device(DeviceId),
    /// A citizen without a device.
    Subject(SubjectId),
}

#[derive(Serialize, Deserialize)]
struct Claims {
    holder: Holder,
    expires_s: i64,
}

/// Writes and reads tickets.
#[derive(Clone)]
pub struct Tickets {
    key: Vec<u8>,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets(redacted)")
    }
}

impl Tickets {
    /// Tickets signed with a key that all gateways share.
    pub fn new(key: &[u8]) -> Self {
        Self { key: key.to_vec() }
    }

    /// A ticket for a holder, good for [`TICKET_SECONDS`].
    pub fn issue(&self, holder: Holder, now: Timestamp) -> String {
        let claims = Claims { holder, expires_s: now.as_second() + TICKET_SECONDS };
        let claims = serde_json::to_vec(&claims).expect("claims are plain data");
        let tag = self.mac(&claims).finalize().into_bytes();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&claims), URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whose ticket this is; `None` if it is forged, broken or too old.
    pub fn redeem(&self, ticket: &str, now: Timestamp) -> Option<Holder> {
        let (claims, tag) = ticket.split_once('.').filter(|_| ticket.len() <= TICKET_BYTES_MAX)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        self.mac(&claims).verify_slice(&tag).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        (now.as_second() < claims.expires_s).then_some(claims.holder)
    }

    fn mac(&self, claims: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.key).expect("HMAC takes any key");
        mac.update(b"loa stream ticket\0");
        mac.update(claims);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_its_time_and_its_key_only() {
        let tickets = Tickets::new(b"shared");
        let now = Timestamp::from_second(1_800_000_000).expect("an instant");
        let later = |s| Timestamp::from_second(1_800_000_000 + s).expect("an instant");
        let holder = Holder::Device(DeviceId(uuid::Uuid::from_u128(7)));
        let ticket = tickets.issue(holder.clone(), now);
        assert_eq!(tickets.redeem(&ticket, later(TICKET_SECONDS - 1)), Some(holder));
        assert_eq!(tickets.redeem(&ticket, later(TICKET_SECONDS)), None);
        assert_eq!(Tickets::new(b"other").redeem(&ticket, now), None);
        assert_eq!(tickets.redeem(&ticket.replace('.', "A."), now), None);
        assert_eq!(tickets.redeem("", now), None);
    }
}
