//! Pseudonyms: what citizens are called here, HMAC-SHA256 of the provider's id under a key of the
//! ring. The id itself is kept nowhere, so nobody can compute a citizen's pseudonym under another
//! key but from a token of theirs.
//!
//! The first key is derived from the node's and stands in no ring, until a first rotation puts it
//! there with its end. What follows from it is the HMAC alone; what follows from a later one begins
//! with the first characters of that key's name, so that at a key's end all of its pseudonyms are
//! known by sight.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::auth::ring::{Key, Keyring, Purpose, SEED_BYTES};
use crate::clock::Clock;
use crate::domain::ids::SubjectId;

/// Characters of an HMAC as base64url.
const MAC_CHARS: usize = 43;
/// Characters of a key's name that pseudonyms begin with.
const NAME_CHARS: usize = 8;

/// The keys that pseudonyms follow from. Clones share them.
#[derive(Clone)]
pub struct Pseudonyms {
    ring: Keyring,
    first: [u8; SEED_BYTES],
    clock: Clock,
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(redacted)")
    }
}

impl Pseudonyms {
    /// Pseudonyms under the keys of a ring, and under `first` while it has none for them.
    pub fn new(ring: Keyring, first: [u8; SEED_BYTES], clock: Clock) -> Self {
        Self { ring, first, clock }
    }

    /// What an issuer's `sub` is called: under the key of now, and then under each older one whose
    /// end lies ahead, the newest first.
    pub fn of(&self, issuer: &str, sub: &str) -> Vec<SubjectId> {
        let (ring, now) = (self.ring.now(), self.clock.now());
        let Some(present) = ring.signer(Purpose::Pseudonyms, now) else {
            return vec![named("", &self.first, (issuer, sub))];
        };
        let older = |key: &&Key| key.from() < present.from() && !key.over(now);
        let older = ring.of(Purpose::Pseudonyms).filter(older);
        let mut keys: Vec<&Key> = std::iter::once(present).chain(older).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.from()));
        keys.iter().map(|key| named(&mark(key), &key.secret(), (issuer, sub))).collect()
    }

    /// Whether somebody may be called otherwise than they were.
    pub fn are_rotating(&self) -> bool {
        self.ring.now().of(Purpose::Pseudonyms).nth(1).is_some()
    }

    /// The keys whose time is over.
    pub fn ended(&self) -> Vec<Ended> {
        let (ring, now) = (self.ring.now(), self.clock.now());
        let over = ring.of(Purpose::Pseudonyms).filter(|key| key.over(now));
        over.map(|key| Ended { kid: key.kid().to_owned(), mark: mark(key) }).collect()
    }
}

/// A key whose time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub kid: String,
    mark: String,
}

impl Ended {
    /// Whether a pseudonym follows from it, by its form.
    pub fn made(&self, name: &SubjectId) -> bool {
        let name = name.as_str();
        name.len() == self.mark.len() + MAC_CHARS && name.starts_with(&self.mark)
    }
}

/// What the pseudonyms of a key begin with: nothing for the first one's.
fn mark(key: &Key) -> String {
    if key.from() == Timestamp::UNIX_EPOCH {
        return String::new();
    }
    format!("{}-", &key.kid()[..NAME_CHARS])
}

/// A pseudonym: base64url(HMAC-SHA256(key, iss | sub)).
fn named(mark: &str, key: &[u8], (issuer, sub): (&str, &str)) -> SubjectId {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(issuer.as_bytes());
    mac.update(b"|");
    mac.update(sub.as_bytes());
    let text = format!("{mark}{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    text.parse().expect("at most 52 characters of base64url are a subject")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::auth::ring::{HANDOVER, Ring};

    const ISSUER: &str = "https://id.example";

    #[test]
    fn a_rotation_gives_other_names_a_minute_later_and_the_old_ones_until_their_end() {
        let start = Timestamp::from_second(1_800_000_000).expect("an instant");
        let (clock, ring) = (Clock::manual(start), Keyring::new(Ring::fresh()));
        let names = Pseudonyms::new(ring.clone(), [7; SEED_BYTES], clock.clone());
        let first = names.of(ISSUER, "079");
        assert_eq!(first, [named("", &[7; SEED_BYTES], (ISSUER, "079"))], "as it always was");
        let rotate = |now| {
            let before = Ring::parse(&ring.now().write()).expect("a ring");
            let kept = SignedDuration::from_hours(1);
            let before = before.with_pseudonyms(&[7; SEED_BYTES]);
            ring.replace(before.rotated(Purpose::Pseudonyms, now, kept).expect("rotated"));
        };
        rotate(start);
        assert!(names.are_rotating());
        assert_eq!(names.of(ISSUER, "079"), first, "not before every node knows the key");
        clock.set(start + HANDOVER);
        let second = names.of(ISSUER, "079");
        assert_eq!(second[1..], first[..]);
        assert!(second[0].as_str().len() < 53 && !second[0].as_str().contains("079"));
        rotate(start + HANDOVER);
        clock.set(start + HANDOVER + HANDOVER);
        let third = names.of(ISSUER, "079");
        assert_eq!(third[1..], second[..]);
        assert!(names.ended().is_empty());
        clock.set(start + HANDOVER + SignedDuration::from_hours(1));
        let left = names.of(ISSUER, "079");
        assert_eq!(left, third[..2], "the first key's time is over");
        let ended = names.ended();
        let made: Vec<bool> = third.iter().map(|name| ended[0].made(name)).collect();
        assert_eq!((ended.len(), made), (1, vec![false, false, true]));
        clock.set(start + HANDOVER + HANDOVER + SignedDuration::from_hours(1));
        let ended = names.ended();
        let made: Vec<bool> = third.iter().map(|name| ended[1].made(name)).collect();
        assert_eq!(made, [false, true, false], "each key knows its own");
    }
}
