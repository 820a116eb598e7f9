//! What a certificate says of itself: from when until when it holds.

use jiff::Timestamp;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use crate::domain::fingerprint::Fingerprint;

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
    let (_, read) = parse_x509_certificate(certificate).ok()?;
    let at = |time: ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    let validity = read.validity();
    Some(Validity { begins: at(validity.not_before)?, ends: at(validity.not_after)? })
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
