//! The agencies store on Redis, under one tag: an agency is a field of a hash, its keys are the
//! fields of another. Every question is answered by the server, so what one node or the command
//! line changes holds on all of them at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::{ApiKey, Error, Holder, KEYS_MAX, KeyInfo, LAST_USED_EVERY, Result, key};
use crate::domain::agency::Agency;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::AgencyId;
use crate::domain::person::Right;
use crate::store::Failure;
use crate::store::redis::{Keys, Redis, Script};

/// The store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    keys: Keys,
    key: Script,
    revoke: Script,
    find: Script,
    used: Script,
}

/// A key as it is stored: the instants in milliseconds, empty for never.
#[derive(Debug, Deserialize)]
struct Row {
    digest: String,
    created: String,
    expires: String,
    revoked: String,
    /// The client certificate that it is bound to; empty for none.
    #[serde(default)]
    certificate: String,
}

impl Store {
    /// Opens the store.
    pub fn open(redis: &Redis) -> Store {
        Store(Arc::new(Inner {
            redis: redis.clone(),
            keys: redis.keys("agencies"),
            key: Script::new(include_str!("redis/key.lua")),
            revoke: Script::new(include_str!("redis/revoke.lua")),
            find: Script::new(include_str!("redis/find.lua")),
            used: Script::new(include_str!("redis/used.lua")),
        }))
    }

    /// Adds or replaces an agency.
    pub async fn put(&self, agency: Agency) -> Result<()> {
        let body = serde_json::to_string(&agency).map_err(Failure::new)?;
        let mut set = redis::cmd("HSET");
        set.arg(self.agencies()).arg(agency.id.as_str()).arg(body);
        self.0.redis.ask::<()>(&set).await?;
        Ok(self.0.redis.settle(&self.0.keys).await?)
    }

    /// Every agency.
    pub async fn list(&self) -> Result<Vec<Agency>> {
        let mut all = redis::cmd("HVALS");
        all.arg(self.agencies());
        let bodies: Vec<String> = self.0.redis.ask(&all).await?;
        let agencies = bodies.iter().map(|body| parse(body));
        let mut agencies = agencies.collect::<Result<Vec<_>, _>>()?;
        agencies.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(agencies)
    }

    /// One agency.
    pub async fn get(&self, id: &AgencyId) -> Result<Option<Agency>> {
        let mut get = redis::cmd("HGET");
        get.arg(self.agencies()).arg(id.as_str());
        let body: Option<String> = self.0.redis.ask(&get).await?;
        Ok(body.as_deref().map(parse).transpose()?)
    }

    /// Makes a key; its name has been looked at.
    pub async fn add_key(
        &self,
        id: &AgencyId,
        name: &str,
        (now, expires): (Timestamp, Option<Timestamp>),
        certificate: Option<Fingerprint>,
    ) -> Result<ApiKey> {
        let made = ApiKey::generate();
        let digest = key::digest(made.expose()).expect("a generated key has the form of a key");
        let call = self.0.key.call().key(self.agencies()).key(self.keys_of(id)).key(self.owners());
        let call = call.arg(id.as_str()).arg(name).arg(URL_SAFE_NO_PAD.encode(digest));
        let call = call.arg(now.as_millisecond().to_string());
        let expires = expires.map_or_else(String::new, |at| at.as_millisecond().to_string());
        let bound = certificate.map_or_else(String::new, String::from);
        let call = call.arg(expires).arg(KEYS_MAX).arg(bound);
        match self.0.redis.run_lasting(&self.0.keys, &call).await? {
            0u8 => Ok(made),
            1 => Err(Error::UnknownAgency(id.clone())),
            2 => Err(Error::NameTaken { agency: id.clone(), name: name.to_owned() }),
            _ => Err(Error::TooManyKeys(id.clone())),
        }
    }

    /// An agency's keys.
    pub async fn keys(&self, id: &AgencyId) -> Result<Vec<KeyInfo>> {
        let mut both = redis::pipe();
        both.cmd("HGETALL").arg(self.keys_of(id)).cmd("HGETALL").arg(self.uses_of(id));
        let (keys, uses): (HashMap<String, String>, HashMap<String, i64>) =
            self.0.redis.ask_all(&both).await?;
        let mut infos = Vec::with_capacity(keys.len());
        for (name, text) in keys {
            let row: Row = serde_json::from_str(&text).map_err(Failure::new)?;
            let lacks = || Failure::new("a key lacks the instant when it was made");
            infos.push(KeyInfo {
                created: instant(&row.created)?.ok_or_else(lacks)?,
                expires: instant(&row.expires)?,
                last_used: uses.get(&name).copied().map(from_ms).transpose()?,
                revoked: instant(&row.revoked)?,
                certificate: bound(&row.certificate)?,
                name,
            });
        }
        infos.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(infos)
    }

    /// What a key may: its own rights, `write` when it was given none, nothing when it is unknown.
    pub async fn key_rights(&self, id: &AgencyId, name: &str) -> Result<BTreeSet<Right>> {
        let mut both = redis::pipe();
        both.cmd("HEXISTS").arg(self.keys_of(id)).arg(name);
        both.cmd("HGET").arg(self.rights_of(id)).arg(name);
        let (known, rights): (bool, Option<String>) = self.0.redis.ask_all(&both).await?;
        match rights {
            _ if !known => Ok(BTreeSet::new()),
            None => Ok(BTreeSet::from([Right::Write])),
            Some(text) => Ok(serde_json::from_str(&text).map_err(Failure::new)?),
        }
    }

    /// Gives a key its rights. A key that is there stays (it is only ever revoked), so nothing can
    /// come between the look and the write.
    pub async fn set_key_rights(
        &self,
        id: &AgencyId,
        name: &str,
        rights: BTreeSet<Right>,
    ) -> Result<bool> {
        let mut known = redis::cmd("HEXISTS");
        known.arg(self.keys_of(id)).arg(name);
        if !self.0.redis.ask::<bool>(&known).await? {
            return Ok(false);
        }
        let text = serde_json::to_string(&rights).map_err(Failure::new)?;
        let mut set = redis::cmd("HSET");
        set.arg(self.rights_of(id)).arg(name).arg(text);
        self.0.redis.ask::<()>(&set).await?;
        self.0.redis.settle(&self.0.keys).await?;
        Ok(true)
    }

    /// Whose key it is.
    pub async fn authenticate(&self, key: &str, now: Timestamp) -> Result<Option<Holder>> {
        let Some(digest) = key::digest(key) else { return Ok(None) };
        let digest = URL_SAFE_NO_PAD.encode(digest);
        let call = self.0.find.call().key(self.owners()).key(self.agencies());
        let call = call.arg(self.0.keys.stem()).arg(&digest);
        let found: Vec<String> = self.0.redis.run(&call).await?;
        let [body, text, name, used] = &found[..] else { return Ok(None) };
        if body.is_empty() || text.is_empty() {
            return Ok(None);
        }
        let row: Row = serde_json::from_str(text).map_err(Failure::new)?;
        let same = bool::from(row.digest.as_bytes().ct_eq(digest.as_bytes()));
        let expired = instant(&row.expires)?.is_some_and(|expires| now >= expires);
        if !same || expired || !row.revoked.is_empty() {
            return Ok(None);
        }
        let agency = parse(body)?;
        let stale = instant(used)?.is_none_or(|last| now.duration_since(last) >= LAST_USED_EVERY);
        if stale {
            self.touch(&agency.id, name, now);
        }
        let certificate = bound(&row.certificate)?;
        Ok(Some(Holder { agency, key_name: name.clone(), certificate }))
    }

    /// Writes a key's last use behind the answer; a failure is no reason to refuse anybody.
    fn touch(&self, id: &AgencyId, name: &str, now: Timestamp) {
        let (store, uses, name) = (self.clone(), self.uses_of(id), name.to_owned());
        tokio::spawn(async move {
            let call = store.0.used.call().key(uses).arg(name).arg(now.as_millisecond());
            if let Err(error) = store.0.redis.run::<()>(&call).await {
                tracing::warn!(%error, "the last use of an API key could not be written");
            }
        });
    }

    /// Revokes a key.
    pub async fn revoke(&self, id: &AgencyId, name: &str, now: Timestamp) -> Result<bool> {
        let call = self.0.revoke.call().key(self.keys_of(id)).arg(name);
        // Names the call, so that one whose answer was lost is answered alike.
        let token: u64 = rand::random();
        let call = call.arg(now.as_millisecond().to_string()).arg(token.to_string());
        Ok(self.0.redis.run_lasting(&self.0.keys, &call).await?)
    }

    fn agencies(&self) -> String {
        self.0.keys.key("all")
    }

    fn owners(&self) -> String {
        self.0.keys.key("owners")
    }

    fn keys_of(&self, id: &AgencyId) -> String {
        self.0.keys.pair("keys", id)
    }

    fn rights_of(&self, id: &AgencyId) -> String {
        self.0.keys.pair("rights", id)
    }

    fn uses_of(&self, id: &AgencyId) -> String {
        self.0.keys.pair("used", id)
    }
}

fn parse(body: &str) -> Result<Agency, Failure> {
    serde_json::from_str(body).map_err(Failure::new)
}

/// A binding that cannot be read opens nothing: it fails, and is not passed over.
fn bound(text: &str) -> Result<Option<Fingerprint>, Failure> {
    match text {
        "" => Ok(None),
        text => Ok(Some(text.parse().map_err(Failure::new)?)),
    }
}

fn instant(ms: &str) -> Result<Option<Timestamp>, Failure> {
    match ms {
        "" => Ok(None),
        ms => Ok(Some(from_ms(ms.parse().map_err(Failure::new)?)?)),
    }
}

fn from_ms(ms: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_millisecond(ms).map_err(Failure::new)
}
