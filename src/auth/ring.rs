//! The ring of keys that are rotated: Ed25519 keys that prove where a record of the log and an
//! alert come from, and secrets that citizens' pseudonyms follow from. All nodes share one ring,
//! and look again every few seconds whether it changed.
//!
//! Each purpose has keys of its own: `records` (ingest signs what it puts on the log, routers and
//! gateways verify it), `alerts` (what citizens verify, published as a JWK set) and `pseudonyms`
//! ([`crate::auth::pseudonym`]). A new key verifies at once and signs a little later, when every
//! node knows it; the one before verifies until what it signed is gone.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Bytes of a key's seed.
pub const SEED_BYTES: usize = 32;
/// Keys of a ring; a rotation a week would stay below for months.
const KEYS_MAX: usize = 64;
/// From its making to its first signature: every node has looked at the ring several times.
pub const HANDOVER: SignedDuration = SignedDuration::from_secs(60);
/// The same after a leak, when each second counts: every node has looked at least twice.
pub const HASTE: SignedDuration = SignedDuration::from_secs(15);

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Alerts, for everybody to verify.
    Alerts,
    /// Publications on the log, for routers and gateways to verify.
    Records,
    /// Citizens' pseudonyms. Signs nothing; a ring has none before the first rotation.
    Pseudonyms,
}

impl Purpose {
    /// What every ring has keys for.
    pub const SIGNING: [Purpose; 2] = [Purpose::Alerts, Purpose::Records];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Alerts => "alerts",
            Purpose::Records => "records",
            Purpose::Pseudonyms => "pseudonyms",
        }
    }
}

/// Why a ring cannot be used or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What is kept is no ring.
    #[error("the signing keys are damaged: {0}")]
    Damaged(String),
    /// No key of this name.
    #[error("no signing key `{0}`")]
    Unknown(String),
    /// Too many keys.
    #[error("the ring holds {KEYS_MAX} keys; revoke one that is no longer needed")]
    Full,
    /// Citizens who have not come since would be strangers.
    #[error("key `{0}` is for pseudonyms: rotate those, and it ends when all have come")]
    Pseudonyms(String),
}

/// As a key is kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    purpose: Purpose,
    seed: String,
    from: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// A key of the ring.
pub struct Key {
    kept: Kept,
    pair: Ed25519KeyPair,
    kid: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Key {
    fn of(kept: Kept) -> Result<Self, Error> {
        let damaged = |what: &str| Error::Damaged(what.to_owned());
        let seed = URL_SAFE_NO_PAD.decode(&kept.seed).map_err(|_| damaged("a seed"))?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| damaged("a seed"))?;
        let kid = thumbprint(pair.public_key().as_ref());
        Ok(Self { kept, pair, kid })
    }

    /// Its name: the thumbprint of its public half (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.kept.purpose
    }

    /// The secret itself: what pseudonyms follow from.
    pub(super) fn secret(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(&self.kept.seed).expect("it was read as base64url")
    }

    /// When it signs first.
    pub fn from(&self) -> Timestamp {
        self.kept.from
    }

    /// After this it verifies nothing; none for the newest of its purpose.
    pub fn until(&self) -> Option<Timestamp> {
        self.kept.until
    }

    /// Signs a text.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }

    /// Whether a signature over a text is its own.
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let public = self.pair.public_key().as_ref();
        UnparsedPublicKey::new(&ED25519, public).verify(text, signature).is_ok()
    }

    /// Its public half (RFC 8037).
    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({
            "kty": "OKP", "crv": "Ed25519", "x": x,
            "kid": self.kid, "alg": "EdDSA", "use": "sig",
        })
    }

    /// Whether its time is over.
    pub fn over(&self, now: Timestamp) -> bool {
        self.kept.until.is_some_and(|until| until <= now)
    }
}

/// The thumbprint of an Ed25519 public key: SHA-256 over its required members, sorted.
fn thumbprint(public: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(members))
}

/// Every signing key.
#[derive(Debug)]
pub struct Ring {
    keys: Vec<Key>,
}

impl Ring {
    /// A first ring, with a key of each purpose that signs at once.
    pub fn fresh() -> Self {
        let key = |purpose| made(purpose, Timestamp::UNIX_EPOCH);
        Self { keys: Purpose::SIGNING.map(key).into() }
    }

    /// With a first key for pseudonyms, if it has none: the one that they followed from before
    /// there was any in the ring.
    pub fn with_pseudonyms(mut self, secret: &[u8; SEED_BYTES]) -> Self {
        if self.of(Purpose::Pseudonyms).next().is_none() {
            let seed = URL_SAFE_NO_PAD.encode(secret);
            let (purpose, from) = (Purpose::Pseudonyms, Timestamp::UNIX_EPOCH);
            self.keys.push(kept(Kept { purpose, seed, from, until: None }));
        }
        self
    }

    /// Reads a ring as it is kept.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let kept: Vec<Kept> =
            serde_json::from_slice(bytes).map_err(|error| Error::Damaged(error.to_string()))?;
        if kept.len() > KEYS_MAX {
            return Err(Error::Damaged(format!("it holds more than {KEYS_MAX} keys")));
        }
        let ring = Self { keys: kept.into_iter().map(Key::of).collect::<Result<_, _>>()? };
        let lacks = |purpose: &Purpose| !ring.keys.iter().any(|key| key.purpose() == *purpose);
        match Purpose::SIGNING.iter().find(|purpose| lacks(purpose)) {
            Some(purpose) => Err(Error::Damaged(format!("no key for {}", purpose.as_str()))),
            None => Ok(ring),
        }
    }

    /// As it is kept. It holds secrets.
    pub fn write(&self) -> Vec<u8> {
        let kept: Vec<&Kept> = self.keys.iter().map(|key| &key.kept).collect();
        serde_json::to_vec(&kept).expect("keys are plain data")
    }

    /// Every key, the oldest first.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The keys of a purpose, the oldest first.
    pub fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Key> + Clone {
        self.keys.iter().filter(move |key| key.purpose() == purpose)
    }

    /// The key that signs now: the newest whose time has begun.
    pub fn signer(&self, purpose: Purpose, now: Timestamp) -> Option<&Key> {
        let mine = self.of(purpose).filter(|key| !key.over(now));
        let begun = mine.clone().filter(|key| key.from() <= now);
        // A clock that was put back finds no key begun: the oldest is known to everybody.
        begun.max_by_key(|key| key.from()).or_else(|| mine.min_by_key(|key| key.from()))
    }

    /// The key of this name, if it verifies now.
    pub fn verifier(&self, purpose: Purpose, kid: &str, now: Timestamp) -> Option<&Key> {
        let named = self.of(purpose).find(|key| key.kid == kid);
        named.filter(|key| !key.over(now))
    }

    /// The keys that citizens verify alerts with, as a JWK set (RFC 7517).
    pub fn jwks(&self, now: Timestamp) -> Value {
        let mine = self.of(Purpose::Alerts);
        let keys: Vec<Value> = mine.filter(|key| !key.over(now)).map(Key::jwk).collect();
        json!({ "keys": keys })
    }

    /// With a new key of a purpose; those before verify for `kept` more, and those whose time is
    /// over are gone, but for pseudonyms' ([`Ring::without`]).
    pub fn rotated(
        mut self,
        purpose: Purpose,
        now: Timestamp,
        kept: SignedDuration,
    ) -> Result<Self, Error> {
        self.keys.retain(|key| !key.over(now) || key.purpose() == Purpose::Pseudonyms);
        if self.keys.len() >= KEYS_MAX {
            return Err(Error::Full);
        }
        let from = later(now, HANDOVER);
        for key in self.keys.iter_mut().filter(|key| key.purpose() == purpose) {
            key.kept.until.get_or_insert(later(from, kept));
        }
        self.keys.push(made(purpose, from));
        Ok(self)
    }

    /// Without pseudonyms' keys whose time is over, once nothing lies under theirs any more.
    pub fn without(mut self, kids: &[String]) -> Self {
        self.keys.retain(|key| !kids.contains(&key.kid));
        self
    }

    /// Without a key that leaked: it verifies for a moment more, until every node has the key that
    /// takes its place.
    pub fn revoked(mut self, kid: &str, now: Timestamp) -> Result<Self, Error> {
        let at = self.keys.iter().position(|key| key.kid == kid);
        let at = at.ok_or_else(|| Error::Unknown(kid.to_owned()))?;
        let purpose = self.keys[at].purpose();
        if purpose == Purpose::Pseudonyms {
            return Err(Error::Pseudonyms(kid.to_owned()));
        }
        let end = later(now, HASTE);
        self.keys[at].kept.until = Some(end);
        let goes_on = |key: &Key| {
            key.purpose() == purpose && key.kid != kid && key.from() <= end && !key.over(end)
        };
        if !self.keys.iter().any(goes_on) {
            self.keys.push(made(purpose, now));
            // It verifies at once and signs when the other ends.
            let last = self.keys.last_mut().expect("one was just put there");
            last.kept.from = end;
        }
        Ok(self)
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn made(purpose: Purpose, from: Timestamp) -> Key {
    let seed = URL_SAFE_NO_PAD.encode(rand::random::<[u8; SEED_BYTES]>());
    kept(Kept { purpose, seed, from, until: None })
}

fn kept(kept: Kept) -> Key {
    Key::of(kept).expect("32 bytes are a seed")
}

/// The ring as it is now. Clones share it.
#[derive(Clone, Debug)]
pub struct Keyring(Arc<ArcSwap<Ring>>);

impl Keyring {
    /// A handle on a ring.
    pub fn new(ring: Ring) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(ring)))
    }

    /// The ring.
    pub fn now(&self) -> Arc<Ring> {
        self.0.load_full()
    }

    /// Puts a newer ring in its place.
    pub fn replace(&self, ring: Ring) {
        self.0.store(Arc::new(ring));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: SignedDuration = SignedDuration::from_hours(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("an instant")
    }

    fn signer(ring: &Ring, second: i64) -> String {
        ring.signer(Purpose::Alerts, at(second)).expect("a key").kid().to_owned()
    }

    #[test]
    fn a_thumbprint_is_that_of_rfc_8037() {
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let print = thumbprint(&public.expect("base64url"));
        assert_eq!(print, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_ring_reads_back_and_a_damaged_one_is_refused() {
        let ring = Ring::fresh();
        let text = b"words";
        let key = ring.signer(Purpose::Records, at(0)).expect("a key");
        let signature = key.sign(text);
        let again = Ring::parse(&ring.write()).expect("a ring");
        let same = again.verifier(Purpose::Records, key.kid(), at(0)).expect("the key");
        assert!(same.verify(text, &signature) && !same.verify(b"other", &signature));
        assert!(again.verifier(Purpose::Alerts, key.kid(), at(0)).is_none(), "another purpose");
        let shown = format!("{ring:?}");
        assert!(!shown.contains(&key.kept.seed), "{shown}");
        for damaged in ["", "[]", "{}", r#"[{"purpose":"alerts","seed":"AA","from":"1970"}]"#] {
            assert!(Ring::parse(damaged.as_bytes()).is_err(), "{damaged}");
        }
    }

    #[test]
    fn a_rotation_overlaps_at_both_ends() {
        let ring = Ring::fresh();
        let old = signer(&ring, 0);
        let ring = ring.rotated(Purpose::Alerts, at(0), KEPT).expect("rotated");
        let new = ring.keys().last().expect("a key").kid().to_owned();
        assert_eq!(signer(&ring, 59), old, "not before every node knows it");
        assert_eq!(signer(&ring, 60), new);
        let verifies =
            |kid: &str, second| ring.verifier(Purpose::Alerts, kid, at(second)).is_some();
        assert!(verifies(&new, 0) && verifies(&old, 3_600));
        assert!(!verifies(&old, 3_660) && verifies(&new, 3_660));
        let published = ring.jwks(at(0))["keys"].as_array().map_or(0, Vec::len);
        assert_eq!(published, 2);
        assert_eq!(ring.jwks(at(3_660))["keys"][0]["kid"], new);
        let ring = ring.rotated(Purpose::Alerts, at(4_000), KEPT).expect("rotated");
        assert!(ring.keys().iter().all(|key| key.kid() != old), "what is over is gone");
    }

    #[test]
    fn a_revoked_key_ends_in_seconds_and_another_takes_its_place() {
        let ring = Ring::fresh();
        let old = signer(&ring, 0);
        let ring = ring.revoked(&old, at(0)).expect("revoked");
        assert_eq!(signer(&ring, 14), old);
        let new = signer(&ring, 15);
        assert_ne!(new, old);
        assert!(ring.verifier(Purpose::Alerts, &old, at(15)).is_none());
        assert!(ring.verifier(Purpose::Alerts, &new, at(0)).is_some());
        let unknown = ring.revoked("other", at(0)).expect_err("no such key");
        assert_eq!(unknown, Error::Unknown("other".to_owned()));
    }
}
