//! The drafts store on Redis, shared by all nodes: what one person writes on one node another
//! decides on the next.
//!
//! All of it lies under one tag, so that a version is compared and replaced by one script, whoever
//! asks from where. A counter rises with each change and is told to all nodes. Lists are sorted by
//! it: all drafts, an agency's, those of a state, and both.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{Error, Filter, OPEN_MAX, PAGE_MAX, Result};
use crate::domain::draft::{Draft, State};
use crate::domain::ids::{DraftId, PublicationId};
use crate::store::Failure;
use crate::store::redis::{Call, Keys, MARK_MS, Redis, Script};

/// Drafts deleted by one script.
const FORGET_PIECE: usize = 100;

/// The store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    keys: Keys,
    write: Script,
    remove: Script,
    forget: Script,
    newest: watch::Receiver<u64>,
}

impl Store {
    /// Opens the store.
    pub async fn open(redis: &Redis) -> Result<Store> {
        let keys = redis.keys("drafts");
        let newest = redis.follow(&keys.key("number")).await?;
        Ok(Store(Arc::new(Inner {
            redis: redis.clone(),
            keys,
            write: Script::new(include_str!("redis/write.lua")),
            remove: Script::new(include_str!("redis/remove.lua")),
            forget: Script::new(include_str!("redis/forget.lua")),
            newest,
        })))
    }

    /// Stores a new draft.
    pub async fn create(&self, draft: Draft, raw: Option<Bytes>) -> Result<()> {
        self.write(None, draft, raw).await
    }

    /// Replaces a draft.
    pub async fn change(&self, from: u64, draft: Draft) -> Result<()> {
        self.write(Some(from), draft, None).await
    }

    async fn write(&self, from: Option<u64>, draft: Draft, raw: Option<Bytes>) -> Result<()> {
        let Inner { keys, write, .. } = &*self.0;
        let (agency, state) = (draft.agency.as_str(), draft.state);
        let due = draft.is_due();
        let closed = matches!(state, State::Rejected | State::Published | State::Overridden);
        let closed = Some(draft.updated_at.as_millisecond().to_string()).filter(|_| closed && !due);
        let publication = draft.publication.map_or_else(String::new, |id| id.to_string());
        let call = write.call().key(keys.key("number")).arg(keys.stem()).arg(draft.id.to_string());
        let call = call.arg(from.map_or_else(String::new, |from| from.to_string()));
        let call = call.arg(draft.version.to_string()).arg(agency).arg(state.as_str());
        let call = call.arg(u8::from(super::is_open(state))).arg(u8::from(due)).arg(publication);
        let call = call.arg(closed.unwrap_or_default());
        let call = call.arg(serde_json::to_string(&draft).map_err(Failure::new)?);
        let call = call.arg(u8::from(raw.is_some())).arg(raw.as_deref().unwrap_or_default());
        let verdict = self.done(&call.arg(OPEN_MAX)).await?;
        match verdict.first().map(String::as_str) {
            Some("many") => Err(Error::TooMany(draft.agency)),
            _ => self.judge(&verdict, draft.id, from.unwrap_or_default()),
        }
    }

    /// One draft.
    pub async fn get(&self, id: DraftId) -> Result<Option<Draft>> {
        Ok(self.read(&[id.to_string()]).await?.pop().flatten())
    }

    /// The XML a draft came as.
    pub async fn raw(&self, id: DraftId) -> Result<Option<Bytes>> {
        let mut get = redis::cmd("HGET");
        get.arg(self.0.keys.pair("d", id)).arg("raw");
        let raw: Option<Vec<u8>> = self.0.redis.ask(&get).await?;
        Ok(raw.map(Bytes::from))
    }

    /// The draft that became a publication.
    pub async fn of_publication(&self, id: PublicationId) -> Result<Option<Draft>> {
        let mut get = redis::cmd("GET");
        get.arg(self.0.keys.pair("of", id));
        let Some(draft) = self.0.redis.ask::<Option<String>>(&get).await? else {
            return Ok(None);
        };
        let draft = self.read(&[draft]).await?.pop().flatten();
        Ok(draft.filter(|draft| draft.publication == Some(id)))
    }

    /// Drafts, the newest change first.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Draft>> {
        let keys = &self.0.keys;
        let list = match (&filter.agency, filter.state) {
            (None, None) => keys.key("all"),
            (Some(agency), None) => keys.pair("agency", agency),
            (None, Some(state)) => keys.pair("state", state),
            (Some(agency), Some(state)) => keys.pair("both", format_args!("{state}:{agency}")),
        };
        let Some(last) = filter.limit.min(PAGE_MAX).checked_sub(1) else { return Ok(Vec::new()) };
        let mut range = redis::cmd("ZREVRANGE");
        let ids: Vec<String> = self.0.redis.ask(range.arg(list).arg(0).arg(last)).await?;
        Ok(self.read(&ids).await?.into_iter().flatten().collect())
    }

    /// Throws a draft away.
    pub async fn remove(&self, id: DraftId, from: u64) -> Result<()> {
        let Inner { keys, remove, .. } = &*self.0;
        let mark = keys.mark();
        let call = remove.call().key(keys.key("number")).key(mark).arg(keys.stem());
        let call = call.arg(MARK_MS).arg(id.to_string()).arg(from.to_string());
        let verdict = self.done(&call).await?;
        self.judge(&verdict, id, from)
    }

    /// What was decided and not published.
    pub async fn due(&self) -> Result<Vec<Draft>> {
        let mut range = redis::cmd("ZRANGE");
        range.arg(self.0.keys.key("due")).arg(0).arg(PAGE_MAX - 1);
        let ids: Vec<String> = self.0.redis.ask(&range).await?;
        Ok(self.read(&ids).await?.into_iter().flatten().collect())
    }

    /// Drafts changed after a number. One that changes while it is read comes again with its new
    /// number: the list's number is the one that counts.
    pub async fn changed(&self, after: u64) -> Result<Vec<(u64, Draft)>> {
        let mut range = redis::cmd("ZRANGEBYSCORE");
        range.arg(self.0.keys.key("all")).arg(format!("({after}")).arg("+inf").arg("WITHSCORES");
        range.arg("LIMIT").arg(0).arg(PAGE_MAX);
        let found: Vec<(String, u64)> = self.0.redis.ask(&range).await?;
        let (ids, numbers): (Vec<String>, Vec<u64>) = found.into_iter().unzip();
        let drafts = self.read(&ids).await?;
        let numbered = numbers.into_iter().zip(drafts);
        Ok(numbered.filter_map(|(number, draft)| Some((number, draft?))).collect())
    }

    /// A number that rises with every durable change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.newest.clone()
    }

    /// Deletes what is closed and old.
    pub async fn forget(&self, changed_before: Timestamp) -> Result<u64> {
        let Inner { redis, keys, forget, .. } = &*self.0;
        let call = forget.call().key(keys.key("closed")).arg(keys.stem());
        let call = call.arg(changed_before.as_millisecond()).arg(FORGET_PIECE);
        let mut forgotten = 0;
        loop {
            let deleted: usize = redis.run(&call).await?;
            forgotten += deleted as u64;
            if deleted < FORGET_PIECE {
                return Ok(forgotten);
            }
        }
    }

    /// Runs what changes a draft; this node knows the new number before it answers.
    async fn done(&self, call: &Call<'_>) -> Result<Vec<String>> {
        let Inner { redis, keys, .. } = &*self.0;
        let verdict: Vec<String> = redis.run_lasting(keys, call).await?;
        if let [word, number] = &verdict[..]
            && word == "done"
        {
            redis.note(&keys.key("number"), number.parse().map_err(Failure::new)?);
        }
        Ok(verdict)
    }

    fn judge(&self, verdict: &[String], id: DraftId, given: u64) -> Result<()> {
        let words: Vec<&str> = verdict.iter().map(String::as_str).collect();
        match words[..] {
            ["done", _] => Ok(()),
            ["unknown"] => Err(Error::Unknown(id)),
            ["stale", now] => {
                Err(Error::Stale { id, given, now: now.parse().map_err(Failure::new)? })
            }
            _ => Err(Error::Storage(Failure::new(format!("draft {id} is there already")))),
        }
    }

    /// Drafts by their ids, in order; none for one that is gone.
    async fn read(&self, ids: &[String]) -> Result<Vec<Option<Draft>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = redis::pipe();
        for id in ids {
            all.cmd("HGET").arg(self.0.keys.pair("d", id)).arg("body");
        }
        let bodies: Vec<Option<String>> = self.0.redis.ask_all(&all).await?;
        let drafts = bodies.into_iter().map(|body| {
            body.map(|body| serde_json::from_str(&body).map_err(Failure::new)).transpose()
        });
        Ok(drafts.collect::<Result<_, _>>()?)
    }
}
