//! What Apple's push certificates say of themselves: the app they are for.

/// `userId` (0.9.2342.19200300.100.1.1, RFC 4519) as it stands in a certificate's subject; Apple
/// writes the bundle id there.
const USER_ID: [u8; 12] = [0x06, 0x0a, 0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01];
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// The bundle id of a certificate in DER; `None` where it names none.
pub fn bundle_id(certificate: &[u8]) -> Option<&str> {
    let at = certificate.windows(USER_ID.len()).position(|window| window == USER_ID)?;
    // Tag, a length below 128 (a bundle id has at most 155 bytes, then two bytes), value.
    let (&tag, rest) = certificate[at + USER_ID.len()..].split_first()?;
    if ![UTF8_STRING, PRINTABLE_STRING].contains(&tag) {
        return None;
    }
    let (length, value) = match rest {
        [0x81, length, value @ ..] => (*length, value),
        [length @ 0..=0x7f, value @ ..] => (*length, value),
        _ => return None,
    };
    std::str::from_utf8(value.get(..usize::from(length))?).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(bundle_id: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Apple Push Services: x");
        if let Some(id) = bundle_id {
            let user_id = DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]);
            params.distinguished_name.push(user_id, id);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_app_is_read_and_damage_is_none() {
        let long = "vn.".repeat(50);
        for id in ["vn.gov.hcmc.app", long.as_str()] {
            assert_eq!(bundle_id(&certificate(Some(id))), Some(id));
        }
        assert_eq!(bundle_id(&certificate(None)), None);
        let whole = certificate(Some("vn.gov.hcmc.app"));
        for length in 0..whole.len() {
            let cut = bundle_id(&whole[..length]);
            assert!(cut.is_none() || cut == Some("vn.gov.hcmc.app"), "{length}");
        }
    }
}
