//! The node's own keys: made at the first start, kept in the data directory for its owner only.
//! Stream tickets, repeated registrations and citizens' pseudonyms are made with keys derived from
//! it, so losing it means that citizens log in again, and nothing worse.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::channel::webpush;
use crate::channel::webpush::vapid::Key;
use crate::trail::seal::{SEED_BYTES, Seal};

const BYTES: usize = 32;

/// The key of a data directory.
pub fn of(dir: &Path) -> io::Result<[u8; BYTES]> {
    let kept = kept(dir, "node.key", || Ok(rand::random::<[u8; BYTES]>().into()))?;
    kept.try_into().map_err(|_| io::Error::other("node.key is damaged"))
}

/// The VAPID key of the settings, or else of the data directory, where one is made at the first
/// start. Every browser subscribed with it: losing it means that all of them subscribe anew.
pub fn vapid(settings: &webpush::Settings, dir: &Path) -> anyhow::Result<Key> {
    let text = match settings.key()? {
        Some(key) => key.expose().to_owned(),
        None => {
            let make = || Key::generate().map(String::into_bytes).map_err(io::Error::other);
            String::from_utf8(kept(dir, "vapid.key", make)?)?
        }
    };
    Key::parse(&text).context("channel.webpush.key")
}

/// The key that signs the audit's checkpoints.
pub fn seal(dir: &Path) -> anyhow::Result<Seal> {
    let make = || Ok(rand::random::<[u8; SEED_BYTES]>().into());
    Seal::new(&kept(dir, "audit.key", make)?).context("audit.key")
}

/// What a file of the data directory holds; made when it is not there, for its owner only.
fn kept(dir: &Path, name: &str, make: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    let path = dir.join(name);
    match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let made = make()?;
    // Whole or not at all: a key cut short by a crash would be another key.
    let fresh = dir.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&made)?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    Ok(made)
}

/// A key for one purpose.
pub fn derived(key: &[u8], purpose: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_made_once_and_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let first = super::of(dir.path()).expect("made");
        assert_eq!(super::of(dir.path()).expect("read"), first);
        let mode = std::fs::metadata(dir.path().join("node.key")).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert_ne!(super::derived(&first, "a"), super::derived(&first, "b"));
    }

    #[test]
    fn the_vapid_key_is_kept_and_one_in_the_settings_wins() {
        let dir = tempfile::tempdir().expect("a directory");
        let none = super::webpush::Settings::default();
        let public =
            |settings| super::vapid(settings, dir.path()).map(|key| key.public().to_owned());
        let made = public(&none).expect("made");
        assert_eq!(public(&none).expect("read"), made);
        let text = super::Key::generate().expect("a key");
        let key = Some(crate::config::secret::Secret::new(text));
        let other = super::webpush::Settings { key, ..none.clone() };
        assert_ne!(public(&other).expect("set"), made);
        std::fs::write(dir.path().join("vapid.key"), "short").expect("written");
        assert!(public(&none).is_err(), "a damaged key is not replaced");
    }
}
