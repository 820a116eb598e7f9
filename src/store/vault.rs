//! What is kept of people is kept sealed: their push addresses under the vault's keys, and what is
//! said to one citizen alone under a key of that citizen, which is itself kept under the vault's
//! and is destroyed when they leave.
//!
//! AES-256-GCM-SIV. Its nonce follows from the name of what is sealed (a device's id, a
//! publication's), so that the same text is sealed to the same bytes: a change that changes nothing
//! is seen to be none, and nothing is kept beside the text but a tag of 16 bytes and a number.
//! To see that one device said the same address twice is all that this gives away. The purpose and
//! the name are bound in: a sealed text moved to another row does not open.
//!
//! In a rolling upgrade from a release without a vault, nodes seal nothing before a moment that
//! the settings name, and open what is sealed and what is not alike.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;

use crate::clock::Clock;
use crate::config::secret::{self, Secret};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Keys of a vault: the one that seals, and older ones until all is sealed anew.
const KEYS_MAX: usize = 16;

/// The keys' setting; absent, keys are made and kept with the node's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `NUMBER:BASE64`, separated by commas or lines: the first seals, all open.
    pub key: Option<Secret>,
    /// A file with them.
    pub key_file: Option<std::path::PathBuf>,
    /// Until then what is written is written as a release without a vault reads it.
    pub unsealed_until: Option<Timestamp>,
}

impl Settings {
    /// The keys' text, if one is set.
    pub fn text(&self) -> Result<Option<Secret>, secret::Error> {
        if self.key.is_none() && self.key_file.is_none() {
            return Ok(None);
        }
        Secret::resolve("key", self.key.as_ref(), self.key_file.as_deref()).map(Some)
    }
}

/// Why a text holds no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// None, or more than anybody needs.
    #[error("1 to {KEYS_MAX} keys, not {0}")]
    Count(usize),
    /// A key is not written as it must be. Which one, counted from 1.
    #[error("key {0} must be NUMBER:BASE64, a number of 1..=255 and 32 bytes")]
    Form(usize),
    /// Two keys have one number.
    #[error("number {0} is there twice")]
    Twice(u8),
}

/// A sealed text does not open: it was damaged or moved, or its key is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed with a key that is not here, or damaged")]
pub struct Unopened;

/// What a text is sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A device's push address; its name is the device's id.
    Address,
    /// A citizen's key; its name is the key's handle.
    SubjectKey,
    /// What is said to one citizen alone; its name is the publication's id.
    Publication,
}

impl Purpose {
    fn word(self) -> &'static [u8] {
        match self {
            Purpose::Address => b"loa-address-v1",
            Purpose::SubjectKey => b"loa-subject-key-v1",
            Purpose::Publication => b"loa-publication-v1",
        }
    }
}

/// The name of what is sealed.
pub type Name = [u8; 16];

/// One key.
pub struct Key(LessSafeKey);

impl Key {
    /// A key of 32 bytes.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes).expect("the length is right");
        Self(LessSafeKey::new(key))
    }

    /// Seals a text, with its tag behind it.
    pub fn seal(&self, (purpose, name): (Purpose, &Name), text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        self.0
            .seal_in_place_append_tag(nonce(name), bound(purpose, name), &mut bytes)
            .expect("no text of ours is longer than the cipher takes");
        bytes
    }

    /// Opens what [`Key::seal`] made for the same purpose and name.
    pub fn open(
        &self,
        (purpose, name): (Purpose, &Name),
        sealed: &[u8],
    ) -> Result<Vec<u8>, Unopened> {
        let mut bytes = sealed.to_vec();
        let text = self.0.open_in_place(nonce(name), bound(purpose, name), &mut bytes);
        let length = text.map_err(|_| Unopened)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

fn nonce(name: &Name) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    // The last bytes of every kind of UUID that we or apps make are random.
    nonce.copy_from_slice(&name[name.len() - NONCE_LEN..]);
    Nonce::assume_unique_for_key(nonce)
}

fn bound(purpose: Purpose, name: &Name) -> Aad<Vec<u8>> {
    Aad::from([purpose.word(), name].concat())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

/// The keys; clones share them.
#[derive(Clone, Debug)]
pub struct Vault {
    keys: Arc<Vec<(u8, Key)>>,
    /// Nothing is sealed before this moment.
    unsealed: Option<(Timestamp, Clock)>,
}

impl Vault {
    /// The keys of a text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lines = text.split(['\n', ',']).map(str::trim).filter(|line| !line.is_empty());
        let mut keys: Vec<(u8, Key)> = Vec::new();
        for (index, line) in lines.enumerate() {
            let (number, key) = read(line).ok_or(Error::Form(index + 1))?;
            if keys.iter().any(|(known, _)| *known == number) {
                return Err(Error::Twice(number));
            }
            keys.push((number, key));
        }
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(Error::Count(keys.len()));
        }
        Ok(Self { keys: Arc::new(keys), unsealed: None })
    }

    /// The same keys, which seal nothing before a moment: nodes of a release without a vault work
    /// beside this one until then, and read what it writes.
    pub fn unsealed_until(self, until: Timestamp, clock: Clock) -> Self {
        Self { unsealed: Some((until, clock)), ..self }
    }

    /// Until when nothing is sealed, if that lies ahead.
    pub fn unsealed(&self) -> Option<Timestamp> {
        let (until, clock) = self.unsealed.as_ref()?;
        Some(*until).filter(|until| clock.now() < *until)
    }

    /// Whether what is written now is to be sealed.
    pub fn seals(&self) -> bool {
        self.unsealed().is_none()
    }

    /// The text of one new key.
    pub fn fresh() -> String {
        format!("1:{}\n", STANDARD.encode(rand::random::<[u8; KEY_BYTES]>()))
    }

    /// The number of the key that seals.
    pub fn newest(&self) -> u8 {
        self.keys[0].0
    }

    /// Seals a text; the key's number stands before it.
    pub fn seal(&self, what: (Purpose, &Name), text: &[u8]) -> Vec<u8> {
        let (number, key) = &self.keys[0];
        let mut sealed = vec![*number];
        sealed.extend(key.seal(what, text));
        sealed
    }

    /// Opens what any of the keys sealed.
    pub fn open(&self, what: (Purpose, &Name), sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (number, sealed) = sealed.split_first().ok_or(Unopened)?;
        let key = self.keys.iter().find(|(known, _)| known == number).ok_or(Unopened)?;
        key.1.open(what, sealed)
    }
}

fn read(line: &str) -> Option<(u8, Key)> {
    let (number, key) = line.split_once(':')?;
    let number = number.trim().parse().ok().filter(|number| *number > 0)?;
    let key: [u8; KEY_BYTES] = STANDARD.decode(key.trim()).ok()?.try_into().ok()?;
    Some((number, Key::new(&key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: u8, byte: u8) -> String {
        format!("{number}:{}", STANDARD.encode([byte; KEY_BYTES]))
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_name_alone() {
        let vault = Vault::parse(&text(1, 7)).expect("a key");
        let (name, other) = ([1; 16], [2; 16]);
        let sealed = vault.seal((Purpose::Address, &name), b"token");
        assert_eq!(sealed, vault.seal((Purpose::Address, &name), b"token"));
        assert!(!sealed.windows(5).any(|part| part == b"token"));
        assert_eq!(vault.open((Purpose::Address, &name), &sealed).expect("ours"), b"token");
        assert_eq!(vault.open((Purpose::Address, &other), &sealed), Err(Unopened));
        assert_eq!(vault.open((Purpose::Publication, &name), &sealed), Err(Unopened));
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert_eq!(vault.open((Purpose::Address, &name), &damaged), Err(Unopened));
        }
        assert_eq!(vault.open((Purpose::Address, &name), &[]), Err(Unopened));
    }

    #[test]
    fn nothing_is_sealed_before_its_moment() {
        let at = Timestamp::from_second;
        let clock = Clock::manual(at(100).expect("a moment"));
        let vault = Vault::parse(&text(1, 7)).expect("a key");
        assert!(vault.seals() && vault.unsealed().is_none());
        let until = at(200).expect("a moment");
        let vault = vault.unsealed_until(until, clock.clone());
        assert_eq!((vault.seals(), vault.unsealed()), (false, Some(until)));
        clock.set(until);
        assert!(vault.seals() && vault.unsealed().is_none());
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let old = Vault::parse(&text(1, 7)).expect("a key");
        let both = Vault::parse(&format!("{}\n{}", text(2, 9), text(1, 7))).expect("two keys");
        let new = Vault::parse(&text(2, 9)).expect("a key");
        let what = (Purpose::Address, &[3; 16]);
        let (before, after) = (old.seal(what, b"a"), both.seal(what, b"a"));
        assert_eq!((before[0], after[0], both.newest()), (1, 2, 2));
        assert!(both.open(what, &before).is_ok() && both.open(what, &after).is_ok());
        assert!(new.open(what, &after).is_ok());
        assert_eq!(new.open(what, &before), Err(Unopened));
    }

    #[test]
    fn a_bad_text_is_refused_by_its_place() {
        let parse = |text: &str| Vault::parse(text).map(|vault| vault.newest());
        assert_eq!(parse(&Vault::fresh()), Ok(1));
        assert_eq!(parse(" \n"), Err(Error::Count(0)));
        assert_eq!(parse("1:short"), Err(Error::Form(1)));
        assert_eq!(parse(&format!("{},0:x", text(1, 1))), Err(Error::Form(2)));
        assert_eq!(parse(&[text(1, 1), text(1, 2)].join(",")), Err(Error::Twice(1)));
        let many: Vec<String> = (1..=17).map(|number| text(number, number)).collect();
        assert_eq!(parse(&many.join(",")), Err(Error::Count(17)));
        assert!(!format!("{:?}", Vault::parse(&text(1, 1))).contains("AQEB"));
    }
}
