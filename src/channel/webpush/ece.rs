//! Message encryption for Web Push (RFC 8291) in the `aes128gcm` encoding (RFC 8188), one record a
//! message: salt (16), record size (4), length of the key id (1), our public key (65), ciphertext.
//!
//! Each message has a key pair and a salt of its own, as RFC 8291 section 3.1 has it. One pair for
//! many subscriptions would save only its making, 15 of the 115 µs that a message costs (the
//! exchange is with each browser's key anyway), and lay all its messages open to whoever learns
//! that one key.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use crate::domain::webpush::{AUTH_BYTES, POINT_BYTES, Subscription};

/// Bytes of the salt.
pub const SALT_BYTES: usize = 16;
/// Bytes before the ciphertext.
pub const HEADER_BYTES: usize = SALT_BYTES + 4 + 1 + POINT_BYTES;
/// The whole message (RFC 8030 section 7.2: every push service takes so much), and its record size.
pub const MESSAGE_MAX_BYTES: usize = 4096;
/// What is left for the plaintext.
pub const PLAINTEXT_MAX_BYTES: usize = MESSAGE_MAX_BYTES - HEADER_BYTES - 1 - TAG_BYTES;
const TAG_BYTES: usize = 16;
/// Messages grow to a multiple of this, so that their length tells the push service little.
const PADDED_TO_BYTES: usize = 128;
/// Ends the plaintext of the last record.
const DELIMITER: u8 = 2;

/// The browser's key is no point on the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscription's public key is no point on P-256")]
pub struct BadKey;

/// With what messages to one browser are encrypted.
#[derive(Clone, Copy)]
pub struct Recipient {
    /// Its public key.
    pub p256dh: [u8; POINT_BYTES],
    /// The authentication secret.
    pub auth: [u8; AUTH_BYTES],
}

impl Recipient {
    /// The keys of a subscription; `None` where they break the rules.
    pub fn of(subscription: &Subscription) -> Option<Self> {
        Some(Self { p256dh: subscription.p256dh()?, auth: subscription.auth()? })
    }
}

/// Encrypts a message for one browser.
pub fn seal(plaintext: &[u8], to: &Recipient) -> Result<Vec<u8>, BadKey> {
    let own = PrivateKey::generate(&ECDH_P256).map_err(|_| BadKey)?;
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt);
    let room = PLAINTEXT_MAX_BYTES.saturating_sub(plaintext.len());
    let padding = (plaintext.len().next_multiple_of(PADDED_TO_BYTES) - plaintext.len()).min(room);
    seal_with((plaintext, padding), to, &own, salt)
}

fn seal_with(
    (plaintext, padding): (&[u8], usize),
    to: &Recipient,
    own: &PrivateKey,
    salt: [u8; SALT_BYTES],
) -> Result<Vec<u8>, BadKey> {
    let public = own.compute_public_key().map_err(|_| BadKey)?;
    let public: [u8; POINT_BYTES] = public.as_ref().try_into().map_err(|_| BadKey)?;
    let browser = UnparsedPublicKey::new(&ECDH_P256, to.p256dh);
    let (key, nonce) = agree(own, browser, BadKey, |secret| {
        content_keys(secret, to, &public, salt).map_err(|_| BadKey)
    })?;
    let length = HEADER_BYTES + plaintext.len() + 1 + padding;
    let mut message = Vec::with_capacity(length + TAG_BYTES);
    message.extend(salt);
    message.extend((MESSAGE_MAX_BYTES as u32).to_be_bytes());
    message.push(POINT_BYTES as u8);
    message.extend(public);
    message.extend(plaintext);
    message.push(DELIMITER);
    message.resize(length, 0);
    let record = &mut message[HEADER_BYTES..];
    let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), record).map_err(|_| BadKey)?;
    message.extend(tag.as_ref());
    Ok(message)
}

/// The key and nonce of a message's only record, from the secret both sides share: RFC 8291 section
/// 3.4, then RFC 8188 section 2.2.
pub fn content_keys(
    shared: &[u8],
    to: &Recipient,
    sender: &[u8; POINT_BYTES],
    salt: [u8; SALT_BYTES],
) -> Result<(LessSafeKey, Nonce), Unspecified> {
    let of_both = Salt::new(HKDF_SHA256, &to.auth).extract(shared);
    let input: [u8; 32] = expand(&of_both, &[b"WebPush: info\0", &to.p256dh, sender])?;
    let of_message = Salt::new(HKDF_SHA256, &salt).extract(&input);
    let key: [u8; 16] = expand(&of_message, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = expand(&of_message, &[b"Content-Encoding: nonce\0"])?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    Ok((key, Nonce::assume_unique_for_key(nonce)))
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(key: &Prk, info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    let mut out = [0; N];
    key.expand(info, Length(N))?.fill(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::domain::webpush::decode;

    fn browser() -> Recipient {
        let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZG\
                      H6SRpkNtoIAiw4";
        let auth = decode("BTBZMqHH6r4Tts7J_aSIgg").unwrap();
        Recipient { p256dh: decode(p256dh).unwrap(), auth }
    }

    #[test]
    fn the_example_of_rfc_8291_comes_out_byte_for_byte() {
        let key: [u8; 32] = decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        let own = PrivateKey::from_private_key(&ECDH_P256, &key).unwrap();
        let salt = decode("DGv6ra1nlYgDCS1FRnbzlw").unwrap();
        let text = b"When I grow up, I want to be a watermelon";
        let message = seal_with((text, 0), &browser(), &own, salt).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(message),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLoc\
             InmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLV\
             WGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn nothing_repeats_and_lengths_are_padded_within_the_limit() {
        let message = seal(b"one", &browser()).unwrap();
        let again = seal(b"one", &browser()).unwrap();
        assert_ne!(message[..SALT_BYTES], again[..SALT_BYTES]);
        assert_ne!(message[SALT_BYTES + 5..HEADER_BYTES], again[SALT_BYTES + 5..HEADER_BYTES]);
        let around = HEADER_BYTES + 1 + TAG_BYTES;
        assert_eq!((message.len(), again.len()), (around + 128, around + 128));
        let longest = seal(&[b'x'; PLAINTEXT_MAX_BYTES], &browser()).unwrap();
        assert_eq!((PLAINTEXT_MAX_BYTES, longest.len()), (3993, MESSAGE_MAX_BYTES));
    }

    #[test]
    fn a_key_off_the_curve_is_refused() {
        let mut off = browser();
        off.p256dh[64] ^= 1;
        assert_eq!(seal(b"x", &off).unwrap_err(), BadKey);
    }
}
