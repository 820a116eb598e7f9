//! The node's own keys: made at the first start, kept in the data directory for its owner only.
//! Stream tickets, repeated registrations and citizens' first pseudonyms are made with keys derived
//! from it, so losing it means that citizens log in again, and nothing worse.
//!
//! Nodes of one cluster must have the same keys, so theirs are in Redis: the first node to start
//! puts its own there (those of its data directory, if it has served alone before), and everybody
//! uses what is there. Who can read that Redis can read every device anyway.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::channel::webpush;
use crate::channel::webpush::vapid::Key;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::redis::{Redis, Script};
use crate::store::vault::Vault;
use crate::trail::seal::{SEED_BYTES, Seal};

const BYTES: usize = 32;
/// The vault's keys: their file, and their name in Redis.
const VAULT: &str = "vault.key";
/// Days that an upgrade may leave things unsealed: a night gone wrong and the week to mend it.
const UNSEALED_DAYS_MAX: u8 = 7;

/// What the node's parts make their keys from.
pub struct Secrets {
    /// The node's key.
    pub node: [u8; BYTES],
    /// The VAPID key, where browsers are pushed to.
    vapid: Option<String>,
}

impl Secrets {
    /// The keys of the settings, of the cluster, or else of the data directory.
    pub async fn load(config: &Config, redis: Option<&Redis>) -> anyhow::Result<Self> {
        let (dir, webpush) = (&config.node.data_dir, config.channel.webpush.as_ref());
        let set = webpush.map(webpush::Settings::key).transpose()?.flatten();
        let set = set.map(|key| key.expose().to_owned());
        let Some(redis) = redis else {
            let vapid = match set {
                None if webpush.is_some() => Some(kept_vapid(dir)?),
                set => set,
            };
            return Ok(Self { node: node(dir, None).await?, vapid });
        };
        let vapid = match set {
            None if webpush.is_some() => {
                Some(String::from_utf8(agreed(redis, dir, "vapid.key", fresh_vapid).await?)?)
            }
            set => set,
        };
        Ok(Self { node: node(dir, Some(redis)).await?, vapid })
    }

    /// The VAPID key.
    pub fn vapid(&self) -> anyhow::Result<Option<Key>> {
        let key = self.vapid.as_deref().map(Key::parse);
        key.transpose().context("channel.webpush.key")
    }
}

fn random() -> io::Result<Vec<u8>> {
    Ok(rand::random::<[u8; BYTES]>().into())
}

fn fresh_vapid() -> io::Result<Vec<u8>> {
    Key::generate().map(String::into_bytes).map_err(io::Error::other)
}

/// The key of all nodes: the first one to ask decides.
pub async fn agreed(
    redis: &Redis,
    dir: &Path,
    name: &str,
    make: fn() -> io::Result<Vec<u8>>,
) -> anyhow::Result<Vec<u8>> {
    let mine = match std::fs::read(dir.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make()?,
        read => read.with_context(|| name.to_owned())?,
    };
    let script = Script::new(AGREE);
    let key = redis.keys("node").key(name);
    Ok(redis.run(&script.call().key(key).arg(&mine[..])).await?)
}

const AGREE: &str = "redis.call('SETNX', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])";

/// The node's key: of the cluster, or else of the data directory.
pub async fn node(dir: &Path, redis: Option<&Redis>) -> anyhow::Result<[u8; BYTES]> {
    let Some(redis) = redis else { return of(dir).context("the node's key") };
    let node = agreed(redis, dir, "node.key", random).await?;
    node.try_into().map_err(|_| anyhow!("node.key in Redis is damaged"))
}

/// The key of a data directory.
fn of(dir: &Path) -> io::Result<[u8; BYTES]> {
    let kept = kept(dir, "node.key", random)?;
    kept.try_into().map_err(|_| io::Error::other("node.key is damaged"))
}

/// The VAPID key of the data directory, made at the first start. Every browser subscribed with it:
/// losing it means that all of them subscribe anew.
fn kept_vapid(dir: &Path) -> anyhow::Result<String> {
    Ok(String::from_utf8(kept(dir, "vapid.key", fresh_vapid)?)?)
}

/// The key that signs the audit's checkpoints: of the settings, of the cluster, or else of the
/// data directory. Nodes that append to one audit sign with one key.
pub async fn seal(config: &Config, redis: Option<&Redis>) -> anyhow::Result<Seal> {
    let dir = &config.node.data_dir;
    let make = || Ok(rand::random::<[u8; SEED_BYTES]>().into());
    match (&config.node.audit_key_file, redis) {
        (Some(path), _) => {
            let seed = std::fs::read(path)
                .with_context(|| format!("node.audit_key_file: {}", path.display()))?;
            Seal::new(&seed).context("node.audit_key_file")
        }
        (None, Some(redis)) => {
            Seal::new(&agreed(redis, dir, "audit.key", make).await?).context("audit.key in Redis")
        }
        (None, None) => Seal::new(&kept(dir, "audit.key", make)?).context("audit.key"),
    }
}

/// What seals what is kept of people: of the settings, of the cluster, or else of the data
/// directory.
pub async fn vault(config: &Config, redis: Option<&Redis>, clock: &Clock) -> anyhow::Result<Vault> {
    let make = || Ok(Vault::fresh().into_bytes());
    let text = match (config.vault.text().context("vault")?, redis) {
        (Some(text), _) => text.expose().to_owned(),
        (None, Some(redis)) => {
            let kept = agreed(redis, &config.node.data_dir, VAULT, make).await?;
            String::from_utf8(kept).context(VAULT)?
        }
        (None, None) => {
            std::fs::create_dir_all(&config.node.data_dir)?;
            String::from_utf8(kept(&config.node.data_dir, VAULT, make)?).context(VAULT)?
        }
    };
    let vault = Vault::parse(&text).context(VAULT)?;
    let Some(until) = config.vault.unsealed_until else { return Ok(vault) };
    let days = u64::from(UNSEALED_DAYS_MAX);
    anyhow::ensure!(
        until <= clock.now() + Duration::from_secs(days * 24 * 60 * 60),
        "vault.unsealed_until: {until} is more than {days} days ahead"
    );
    Ok(vault.unsealed_until(until, clock.clone()))
}

/// What a file of the data directory holds; made when it is not there, for its owner only.
pub fn kept(
    dir: &Path,
    name: &str,
    make: impl FnOnce() -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    match std::fs::read(dir.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let made = make()?;
    write(dir, name, &made)?;
    Ok(made)
}

/// Writes a file of the data directory, for its owner only.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    // Whole or not at all: a key cut short by a crash would be another key.
    let fresh = dir.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, dir.join(name))
}

/// A key for one purpose.
pub fn derived(key: &[u8], purpose: &str) -> [u8; BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes().into()
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

    #[tokio::test]
    async fn the_vapid_key_is_kept_and_one_in_the_settings_wins() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = crate::config::load(None, &[]).expect("the defaults");
        config.node.data_dir = dir.path().to_owned();
        let none = super::webpush::Settings::default();
        let public = async |settings| {
            let config = crate::config::Config {
                channel: crate::channel::Settings { webpush: settings, ..Default::default() },
                ..config.clone()
            };
            let key = super::Secrets::load(&config, None).await?.vapid()?;
            anyhow::Ok(key.map(|key| key.public().to_owned()))
        };
        assert_eq!(public(None).await.expect("no browsers"), None);
        let made = public(Some(none.clone())).await.expect("made");
        assert_eq!(public(Some(none.clone())).await.expect("read"), made);
        let text = super::Key::generate().expect("a key");
        let key = Some(crate::config::secret::Secret::new(text));
        let other = super::webpush::Settings { key, ..none.clone() };
        assert_ne!(public(Some(other)).await.expect("set"), made);
        std::fs::write(dir.path().join("vapid.key"), "short").expect("written");
        assert!(public(Some(none)).await.is_err(), "a damaged key is not replaced");
    }
}
