//! The key of the audit's checkpoints: Ed25519, made at the first start and kept in the data
//! directory. Verifying needs only its public half.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::domain::audit::HASH_BYTES;

/// Bytes of the key.
pub const SEED_BYTES: usize = 32;

/// The bytes are no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit's key is damaged: {SEED_BYTES} bytes are expected")]
pub struct BadKey;

/// Signs and verifies checkpoints.
pub struct Seal(Ed25519KeyPair);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(redacted)")
    }
}

impl Seal {
    /// The key of 32 random bytes.
    pub fn new(seed: &[u8]) -> Result<Self, BadKey> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| BadKey)
    }

    /// The public half.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// Signs the end of a chain.
    pub fn sign(&self, seq: u64, hash: &[u8; HASH_BYTES]) -> Vec<u8> {
        self.0.sign(&message(seq, hash)).as_ref().to_vec()
    }
}

/// Whether a signature over the end of a chain is the key's.
pub fn is_signed(public: &[u8], (seq, hash): (u64, &[u8; HASH_BYTES]), signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(&message(seq, hash), signature).is_ok()
}

fn message(seq: u64, hash: &[u8; HASH_BYTES]) -> Vec<u8> {
    [b"loa audit checkpoint\0".as_slice(), &seq.to_be_bytes(), hash].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_number_and_hash_alone() {
        let seal = Seal::new(&[7; SEED_BYTES]).expect("a key");
        let (hash, other) = ([1; HASH_BYTES], [2; HASH_BYTES]);
        let signature = seal.sign(3, &hash);
        assert!(is_signed(&seal.public(), (3, &hash), &signature));
        assert!(!is_signed(&seal.public(), (4, &hash), &signature));
        assert!(!is_signed(&seal.public(), (3, &other), &signature));
        let stranger = Seal::new(&[8; SEED_BYTES]).expect("a key");
        assert!(!is_signed(&stranger.public(), (3, &hash), &signature));
        assert!(Seal::new(&[7; 5]).is_err());
    }
}
