//! The node's own key: made at the first start, kept in the data directory for its owner only.
//! Stream tickets, repeated registrations and citizens' pseudonyms are made with keys derived from
//! it, so losing it means that citizens log in again, and nothing worse.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const BYTES: usize = 32;

/// The key of a data directory.
pub fn of(dir: &Path) -> io::Result<[u8; BYTES]> {
    let path = dir.join("node.key");
    let mut key = [0; BYTES];
    match File::open(&path) {
        Ok(mut file) => file.read_exact(&mut key)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            rand::fill(&mut key);
            // Whole or not at all: a key cut short by a crash would be another key.
            let fresh = dir.join("node.key.new");
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(&key)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
        }
        Err(error) => return Err(error),
    }
    Ok(key)
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
}
