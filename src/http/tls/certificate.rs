//! What a certificate says of itself: from when until when it holds.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::fingerprint::Fingerprint;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, which stands before the version.
const VERSION: u8 = 0xa0;

/// The certificate a client proved to hold; an extension of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Which.
    pub fingerprint: Fingerprint,
    /// Until when it holds. A connection may outlive it, a request may not.
    pub ends: Timestamp,
}

/// From when until when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub begins: Timestamp,
    /// The last.
    pub ends: Timestamp,
}

impl ClientCertificate {
    /// Of a certificate in DER; `None` where its dates cannot be read.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let ends = validity(certificate)?.ends;
        Some(Self { fingerprint: Fingerprint::of(certificate), ends })
    }
}

/// When a certificate in DER holds; `None` where that cannot be read. The rest of it is rustls' to
/// judge.
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let (certificate, _) = within(certificate, SEQUENCE)?;
    let (mut fields, _) = within(certificate, SEQUENCE)?;
    // Version (absent in version 1), serial number, algorithm, issuer (RFC 5280, 4.1).
    if let Some((_, rest)) = within(fields, VERSION) {
        fields = rest;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, fields) = within(fields, tag)?;
    }
    let (both, _) = within(fields, SEQUENCE)?;
    let (begins, rest) = instant(both)?;
    let (ends, _) = instant(rest)?;
    Some(Validity { begins, ends })
}

/// The content of the first element, which must have this tag, and what follows it (X.690, 8.1).
fn within(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found != tag {
        return None;
    }
    rest.split_at_checked(length)
}

/// An instant of a certificate's validity (RFC 5280, 4.1.2.5), and what follows it.
fn instant(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (digits, rest) = within(der, UTC_TIME).or_else(|| within(der, GENERALIZED_TIME))?;
    let text = std::str::from_utf8(digits).ok()?;
    let whole = match text.len() {
        13 if *text >= *"5" => format!("19{text}"),
        13 => format!("20{text}"),
        15 => text.to_owned(),
        _ => return None,
    };
    let at = DateTime::strptime("%Y%m%d%H%M%SZ", &whole).ok()?;
    Some((at.to_zoned(TimeZone::UTC).ok()?.timestamp(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dates_are_read_and_damage_is_none() {
        let key = rcgen::KeyPair::generate().expect("a key");
        // UTCTime of either century, and GeneralizedTime from 2050 on.
        for (year, month, day) in [(1998, 2, 3), (2031, 5, 4), (2090, 12, 31)] {
            let mut params = rcgen::CertificateParams::default();
            params.not_before = rcgen::date_time_ymd(1990, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let der = params.self_signed(&key).expect("signed").der().to_vec();
            let Validity { begins, ends } = validity(&der).expect("dates");
            assert_eq!(begins.to_string(), "1990-01-01T00:00:00Z");
            assert_eq!(ends.to_string(), format!("{year}-{month:02}-{day:02}T00:00:00Z"));
            assert_eq!(ClientCertificate::of(&der).expect("read").ends, ends);
            assert!((0..der.len()).all(|length| validity(&der[..length]).is_none()));
        }
    }
}
