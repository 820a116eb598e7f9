//! The alerts store on Redis, shared by all nodes.
//!
//! All of it lies under one tag, that is in one slot: a batch of up to [`PAGE_MAX`] publications is
//! reserved as a whole or not at all, and a script can promise that within one slot only. An
//! agency's publications are few beside what is made of them, so one primary bears it.
//!
//! **Identity** is a key that holds the publication's id and digest: the first to set it has it,
//! whichever node asks.
//!
//! **Unlogged.** A reservation is a lease: its node appends it to the log at once. What is still
//! not logged after the lease belongs to a node that died, and the next one to ask for
//! [`Store::unlogged`] takes the lease over. A node that was only slow makes the record come
//! twice, under the same id and with the same content, which every reader of the log bears.
//!
//! **Live** is kept in each node's memory. A counter rises with each change and is told to all
//! nodes; who missed that asks within a second.

mod live;
mod names;
mod row;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::watch;

use super::live::can_live;
use super::personal::{self, Body, Carried, SubjectKey};
use super::{Accepted, Accepting, Dropped, Error, Identity, Over, PAGE_MAX, Result, Stored};
use crate::domain::audience::Audience;
use crate::domain::ids::{ChainId, PublicationId, SubjectId};
use crate::domain::publication::{Content, Publication};
use crate::domain::sealed::Sealed;
use crate::store::Failure;
use crate::store::redis::{Keys, Redis, Script};
use crate::store::vault::Vault;
use live::Shared;
use row::Row;

/// Publications read at once by a listing.
const AT_ONCE: usize = 64;
/// Publications deleted by one script: some milliseconds in which the server does nothing else.
const FORGET_PIECE: usize = 100;
/// A citizen's key that is needed for nothing any more is destroyed after this; whoever asked for
/// it to seal something has stored that by then.
const IDLE_MS: i64 = 3600 * 1000;

/// The store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>, Option<Vault>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    keys: Keys,
    lease: Duration,
    scripts: Scripts,
    live: Shared,
}

#[derive(Debug)]
struct Scripts {
    accept: Script,
    supersede: Script,
    mark: Script,
    unlogged: Script,
    forget: Script,
    areas: Script,
    idle: Script,
    key: Script,
    erase: Script,
    open: Script,
    names: Script,
    rename: Script,
    forget_name: Script,
}

impl Store {
    /// Opens the store.
    pub async fn open(redis: &Redis, lease: Duration) -> Result<Store> {
        let keys = redis.keys("alerts");
        let scripts = Scripts {
            accept: Script::new(include_str!("redis/accept.lua")),
            supersede: Script::new(include_str!("redis/supersede.lua")),
            mark: Script::new(include_str!("redis/mark.lua")),
            unlogged: Script::new(include_str!("redis/unlogged.lua")),
            forget: Script::new(include_str!("redis/forget.lua")),
            areas: Script::new(include_str!("redis/areas.lua")),
            idle: Script::new(include_str!("redis/idle.lua")),
            key: Script::new(include_str!("redis/key.lua")),
            erase: Script::new(include_str!("redis/erase.lua")),
            open: Script::new(include_str!("redis/open.lua")),
            names: Script::new(include_str!("redis/names.lua")),
            rename: Script::new(include_str!("redis/rename.lua")),
            forget_name: Script::new(include_str!("redis/forget_name.lua")),
        };
        let live = Shared::start(redis, &keys).await?;
        let inner = Inner { redis: redis.clone(), keys, lease, scripts, live };
        Ok(Store(Arc::new(inner), None))
    }

    /// The same store, which seals what is one citizen's from now on.
    pub fn sealed(self, vault: Vault) -> Store {
        Store(self.0, Some(vault))
    }

    /// How publications go onto the log.
    pub async fn carried(&self, ids: Vec<PublicationId>) -> Result<Vec<Carried>> {
        let mut all = redis::pipe();
        for id in &ids {
            all.cmd("HGET").arg(self.0.keys.pair("p", text(*id))).arg("body");
        }
        let bodies: Vec<Option<String>> = match ids.is_empty() {
            true => Vec::new(),
            false => self.0.redis.ask_all(&all).await?,
        };
        let all = ids.iter().zip(bodies).map(|(id, body)| Carried::of(*id, body.as_deref()));
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// Whether nothing is sealed yet.
    pub fn is_unsealed(&self) -> bool {
        self.1.as_ref().is_some_and(|vault| !vault.seals())
    }

    /// What a sealed publication says.
    pub async fn open_sealed(&self, sealed: Sealed) -> Result<Option<Publication>> {
        Ok(self.unseal(&sealed).await?)
    }

    /// Destroys a citizen's key and what was said to them alone.
    pub async fn erase(&self, subject: &SubjectId) -> Result<()> {
        let Inner { redis, keys, scripts, .. } = &*self.0;
        let call = scripts.erase.call().key(keys.pair("subject", subject)).arg(keys.stem());
        redis.run_lasting::<()>(keys, &call.arg(subject.as_str())).await?;
        Ok(())
    }

    /// The text that is stored of a publication.
    async fn body(&self, publication: &Publication) -> Result<String, Failure> {
        let vault = self.1.as_ref().filter(|vault| vault.seals());
        let (Some(subject), Some(vault)) = (personal::subject_of(publication), vault) else {
            return serde_json::to_string(publication).map_err(Failure::new);
        };
        let Inner { redis, keys, scripts, .. } = &*self.0;
        let (handle, kept) = SubjectKey::fresh(vault);
        let call = scripts.key.call().key(self.taken()).arg(keys.stem());
        let call = call.arg(personal::digits(&handle)).arg(&kept[..]).arg(subject.as_str());
        let (handle, kept): (String, Vec<u8>) = redis.run_lasting(keys, &call).await?;
        let handle = uuid::Uuid::try_parse(&handle).map_err(Failure::new)?.into_bytes();
        SubjectKey::open(vault, handle, &kept)?.seal(publication)
    }

    /// Reserves and stores publications.
    pub async fn accept_all(&self, accepting: Vec<Accepting>) -> Result<Vec<Accepted>> {
        if accepting.len() > PAGE_MAX {
            return Err(Error::TooMany(accepting.len()));
        }
        let Inner { redis, keys, scripts, .. } = &*self.0;
        let mut call = scripts.accept.call().key(self.counter()).arg(keys.stem());
        for one in &accepting {
            let publication = &one.publication;
            let body = self.body(publication).await?;
            call = call.arg(text(publication.id)).arg(identity_text(&one.identity)?);
            call = call.arg(&one.digest[..]).arg(publication.chain.0.simple().to_string());
            call = call.arg(name_of(publication)?).arg(subject_of(publication));
            call = call.arg(publication.accepted_at.as_millisecond());
            call = call.arg(publication.expires.as_millisecond());
            call = call.arg(u8::from(can_live(publication))).arg(u8::from(one.raw.is_some()));
            call = call.arg(one.raw.as_deref().unwrap_or_default()).arg(body);
        }
        let answers: Vec<redis::Value> = redis.run_lasting(keys, &call).await?;
        let answers = answers.into_iter().map(words).collect::<Result<Vec<String>, _>>()?;
        match answers.first().map(String::as_str) {
            Some("clash") => {
                let index = answers.get(1).and_then(|index| index.parse().ok()).unwrap_or(0);
                return Err(Error::Clash { index, known: id_of(answers.get(2))? });
            }
            Some("taken") => return Err(Error::IdTaken(id_of(answers.get(1))?)),
            _ => {}
        }
        if accepting.iter().any(|one| can_live(&one.publication)) {
            self.0.live.catch_up().await?;
        }
        let mut accepted = Vec::with_capacity(answers.len());
        for known in &answers {
            accepted.push(match known.as_str() {
                "" => Accepted::New,
                _ => {
                    let id = id_of(Some(known))?;
                    Accepted::Same(self.get(id).await?.ok_or(Error::Unknown(id))?)
                }
            });
        }
        Ok(accepted)
    }

    /// Remembers where publications are on the log.
    pub async fn mark_all_logged(&self, logged: Vec<(PublicationId, String)>) -> Result<()> {
        let Inner { redis, keys, scripts, .. } = &*self.0;
        let mut call = scripts.mark.call().key(self.counter()).arg(keys.stem());
        for (id, position) in logged {
            call = call.arg(text(id)).arg(position);
        }
        let unknown: String = redis.run_lasting(keys, &call).await?;
        match unknown.as_str() {
            "" => Ok(()),
            id => Err(Error::Unknown(id_of(Some(&id.to_owned()))?)),
        }
    }

    /// What no node logged within the lease.
    pub async fn unlogged(&self) -> Result<Vec<Publication>> {
        let Inner { redis, keys, scripts, lease, .. } = &*self.0;
        let call = scripts.unlogged.call().key(keys.key("unlogged"));
        let call = call.arg(lease.as_millis() as u64).arg(PAGE_MAX);
        let mut ids: Vec<String> = redis.run(&call).await?;
        ids.sort_unstable();
        let stored = self.read(ids).await?;
        Ok(stored.iter().map(|stored| (*stored.publication).clone()).collect())
    }

    /// A publication by its id.
    pub async fn get(&self, id: PublicationId) -> Result<Option<Arc<Stored>>> {
        Ok(self.read_one(&text(id)).await?)
    }

    /// The alert that a CAP reference names.
    pub async fn by_identity(
        &self,
        sender: &str,
        identifier: &str,
        sent: Timestamp,
    ) -> Result<Option<Arc<Stored>>> {
        let (sender, identifier) = (sender.to_owned(), identifier.to_owned());
        let identity = identity_text(&Identity::Alert { sender, identifier, sent })?;
        let mut get = redis::cmd("GETRANGE");
        // The id; the digest stands behind it.
        get.arg(self.0.keys.pair("i", identity)).arg(0).arg(31);
        let id: String = self.0.redis.ask(&get).await?;
        match id.as_str() {
            "" => Ok(None),
            id => Ok(self.read_one(id).await?),
        }
    }

    /// The alerts with a sender and identifier.
    pub async fn by_identifier(&self, sender: &str, identifier: &str) -> Result<Vec<Arc<Stored>>> {
        let name = serde_json::to_string(&(sender, identifier)).map_err(Failure::new)?;
        self.oldest(self.0.keys.pair("name", name)).await
    }

    /// A chain's publications.
    pub async fn chain(&self, chain: ChainId) -> Result<Vec<Arc<Stored>>> {
        self.oldest(self.0.keys.pair("chain", chain.0.simple())).await
    }

    /// Remembers what was replaced or withdrawn.
    pub async fn supersede(&self, ids: &[PublicationId], by: PublicationId) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let Inner { redis, keys, scripts, live, .. } = &*self.0;
        let call = scripts.supersede.call().key(self.counter()).arg(keys.stem()).arg(text(by));
        let call = ids.iter().fold(call, |call, id| call.arg(text(*id)));
        redis.run_lasting::<()>(keys, &call).await?;
        Ok(live.catch_up().await?)
    }

    /// What says something now.
    pub fn live(&self, now: Timestamp) -> Vec<Arc<Publication>> {
        self.0.live.memory().list(now)
    }

    /// Rises when that changes.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.live.memory().watch()
    }

    /// Area publications, newest first.
    pub async fn recent(
        &self,
        before: Option<PublicationId>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        self.newest(self.0.keys.key("area"), before, limit).await
    }

    /// A citizen's publications, newest first.
    pub async fn for_subject(
        &self,
        subject: &SubjectId,
        before: Option<PublicationId>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        let own = self.newest(self.0.keys.pair("subject", subject), before, limit).await?;
        if !own.is_empty() {
            return Ok(own);
        }
        // There is nothing left under a former pseudonym.
        match &self.names(subject).await?[0] {
            present if present == subject => Ok(own),
            present => self.newest(self.0.keys.pair("subject", present), before, limit).await,
        }
    }

    /// Deletes what is long over, and keys of citizens of whom nothing is left.
    pub async fn forget(&self, over: Over) -> Result<Dropped> {
        let Inner { redis, keys, scripts, .. } = &*self.0;
        let mut dropped = Dropped::default();
        let call = scripts.forget.call().key(keys.key("expiry")).arg(keys.stem());
        let call = call.arg(over.personal.as_millisecond()).arg(FORGET_PIECE);
        while dropped.personal < PAGE_MAX as u64 {
            let (looked, deleted): (usize, u64) = redis.run(&call).await?;
            dropped.personal += deleted;
            if looked < FORGET_PIECE {
                break;
            }
        }
        dropped.areas = self.forget_areas(over.areas).await?;
        let call = scripts.idle.call().key(keys.key("idle")).arg(keys.stem());
        let idle_since = over.personal.as_millisecond().saturating_sub(IDLE_MS);
        dropped.keys = redis.run(&call.arg(idle_since).arg(FORGET_PIECE)).await?;
        Ok(dropped)
    }

    /// What expired before an instant was accepted before it: the list is looked through so far.
    async fn forget_areas(&self, before: Timestamp) -> Result<u64> {
        let Inner { redis, keys, scripts, .. } = &*self.0;
        let end = format!("({}", text(PublicationId::first_of(before.as_millisecond())));
        let (mut begin, mut forgotten) = ("-".to_owned(), 0);
        loop {
            let call = scripts.areas.call().key(keys.key("area")).arg(keys.stem());
            let call = call.arg(&begin).arg(&end).arg(before.as_millisecond()).arg(FORGET_PIECE);
            let (last, deleted): (String, u64) = redis.run(&call).await?;
            forgotten += deleted;
            if last.is_empty() {
                return Ok(forgotten);
            }
            begin = format!("({last}");
        }
    }

    fn counter(&self) -> String {
        live::counter(&self.0.keys)
    }

    /// What a list names, oldest first.
    async fn oldest(&self, key: String) -> Result<Vec<Arc<Stored>>> {
        let mut range = redis::cmd("ZRANGEBYLEX");
        range.arg(key).arg("-").arg("+").arg("LIMIT").arg(0).arg(PAGE_MAX);
        let ids = self.0.redis.ask(&range).await?;
        self.read(ids).await
    }

    /// What a list names before an id, newest first.
    async fn newest(
        &self,
        key: String,
        before: Option<PublicationId>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        let from = before.map_or_else(|| "+".to_owned(), |id| format!("({}", text(id)));
        let mut range = redis::cmd("ZREVRANGEBYLEX");
        range.arg(key).arg(from).arg("-").arg("LIMIT").arg(0).arg(limit.min(PAGE_MAX));
        let ids = self.0.redis.ask(&range).await?;
        self.read(ids).await
    }

    /// Publications in the order of their ids; what was deleted meanwhile is left out.
    async fn read(&self, ids: Vec<String>) -> Result<Vec<Arc<Stored>>> {
        let get = |id: String| async move { self.read_one(&id).await };
        let rows = stream::iter(ids.into_iter().map(get)).buffered(AT_ONCE);
        let rows: Vec<Option<Arc<Stored>>> = rows.try_collect().await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// A publication by its id's text.
    async fn read_one(&self, id: &str) -> Result<Option<Arc<Stored>>, Failure> {
        let read = Row::read(&self.0.redis, &self.0.keys, id).await?;
        let Some((body, row)) = read else { return Ok(None) };
        let publication = match (body, &row.subject) {
            (Body::Sealed(sealed), _) => self.unseal(&sealed).await?,
            (Body::Open(publication), None) => Some(*publication),
            (Body::Open(publication), Some(subject)) => {
                Some(personal::readdressed(*publication, self.called(subject).await?))
            }
        };
        publication.map(|publication| row.saying(publication)).transpose()
    }

    /// What a sealed publication says; none if its citizen has left.
    async fn unseal(&self, sealed: &Sealed) -> Result<Option<Publication>, Failure> {
        let Inner { redis, keys, scripts, .. } = &*self.0;
        let handle = personal::digits(&sealed.handle);
        let call = scripts.open.call().key(keys.pair("handle", &handle));
        let call = call.key(keys.pair("holder", &handle)).arg(keys.stem());
        let mut answer: Vec<Vec<u8>> = redis.run(&call).await?;
        let kept = answer.remove(0);
        if kept.is_empty() {
            return Ok(None);
        }
        let vault = self.1.as_ref().ok_or_else(|| Failure::new("no vault is at hand"))?;
        let read = SubjectKey::open(vault, sealed.handle, &kept)?.read(sealed)?;
        let names = answer.into_iter().map(String::from_utf8).collect::<Result<_, _>>();
        let names = names::parsed(names.map_err(Failure::new)?)?;
        Ok(read.map(|publication| personal::readdressed(publication, names)))
    }
}

/// An id in keys and lists: 32 digits, so that their order is that of time.
fn text(id: PublicationId) -> String {
    id.0.simple().to_string()
}

fn id_of(text: Option<&String>) -> Result<PublicationId, Failure> {
    let text = text.map(String::as_str).unwrap_or_default();
    text.parse().map_err(Failure::new)
}

/// An answer of the script, a number or a text.
fn words(value: redis::Value) -> Result<String, Failure> {
    match value {
        redis::Value::Int(number) => Ok(number.to_string()),
        other => Ok(redis::from_redis_value(other).map_err(Failure::new)?),
    }
}

/// An identity as a key; JSON keeps two texts apart whatever is in them.
fn identity_text(identity: &Identity) -> Result<String, Failure> {
    let text = match identity {
        Identity::Alert { sender, identifier, sent } => {
            serde_json::to_string(&("alert", sender, identifier, sent.as_millisecond()))
        }
        Identity::Notice { agency, identifier } => {
            serde_json::to_string(&("notice", agency, identifier))
        }
        Identity::StatusChange { agency, kind, reference, step } => {
            serde_json::to_string(&("status-change", agency, (kind, reference), step))
        }
    };
    text.map_err(Failure::new)
}

/// Sender and identifier of an alert; empty for what is none.
fn name_of(publication: &Publication) -> Result<String, Failure> {
    match &publication.content {
        Content::Alert(alert) => {
            serde_json::to_string(&(&alert.sender, &alert.identifier)).map_err(Failure::new)
        }
        _ => Ok(String::new()),
    }
}

fn subject_of(publication: &Publication) -> &str {
    match &publication.audience {
        Audience::Subject { subject, .. } => subject.as_str(),
        Audience::Area(_) => "",
    }
}
