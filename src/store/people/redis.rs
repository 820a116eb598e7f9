//! The people store on Redis, shared by all nodes: a session that one opened is good on each, and
//! whoever is switched off on one is out on all at their next request.
//!
//! All of it lies under one tag: a city's people are [`PEOPLE_MAX`] at most, and a script may look
//! at a person and their sessions at once. Sessions end by the nodes' clocks; the server only
//! drops failed logins by itself, when nobody asks for them any more.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Account, Error, NewSession, PEOPLE_MAX, REQUESTS_MAX, Request, RequestState, Result,
    SEEN_EVERY, SESSIONS_MAX, Session,
};
use crate::domain::ids::PersonId;
use crate::domain::person::Person;
use crate::store::Failure;
use crate::store::redis::{Keys, MARK_MS, Redis, Script};

/// Sessions dropped by one script.
const FORGET_PIECE: usize = 500;

/// Says whose an account is. KEYS: all accounts. ARGV: the account and the person.
const LINK: &str = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return 1";

/// The store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    keys: Keys,
    scripts: Scripts,
}

#[derive(Debug)]
struct Scripts {
    put: Script,
    link: Script,
    unlink: Script,
    open: Script,
    session: Script,
    seen: Script,
    close: Script,
    forgive: Script,
    request: Script,
    decide: Script,
    forget: Script,
}

impl Store {
    /// Opens the store.
    pub fn open(redis: &Redis) -> Store {
        let scripts = Scripts {
            put: Script::new(include_str!("redis/put.lua")),
            link: Script::new(LINK),
            unlink: Script::new(include_str!("redis/unlink.lua")),
            open: Script::new(include_str!("redis/open.lua")),
            session: Script::new(include_str!("redis/session.lua")),
            seen: Script::new(include_str!("redis/seen.lua")),
            close: Script::new(include_str!("redis/close.lua")),
            forgive: Script::new(include_str!("redis/forgive.lua")),
            request: Script::new(include_str!("redis/request.lua")),
            decide: Script::new(include_str!("redis/decide.lua")),
            forget: Script::new(include_str!("redis/forget.lua")),
        };
        Store(Arc::new(Inner { redis: redis.clone(), keys: redis.keys("people"), scripts }))
    }

    /// Adds or replaces a person.
    pub async fn put(&self, person: Person, password: Option<String>) -> Result<()> {
        let Inner { redis, keys, scripts } = &*self.0;
        let ends = !person.active || password.is_some();
        let body = serde_json::to_string(&person).map_err(Failure::new)?;
        let call = scripts.put.call().key(keys.key("all")).key(keys.key("passwords"));
        let call = call.arg(keys.stem()).arg(person.id.as_str()).arg(body);
        let call = call.arg(password.unwrap_or_default()).arg(u8::from(ends)).arg(PEOPLE_MAX);
        match redis.run_lasting::<u8>(keys, &call).await? {
            0 => Err(Error::TooManyPeople),
            _ => Ok(()),
        }
    }

    /// Everybody.
    pub async fn list(&self) -> Result<Vec<Person>> {
        let mut all = redis::cmd("HVALS");
        all.arg(self.0.keys.key("all"));
        let bodies: Vec<String> = self.0.redis.ask(&all).await?;
        let people = bodies.iter().map(|body| serde_json::from_str(body).map_err(Failure::new));
        let mut people = people.collect::<Result<Vec<Person>, _>>()?;
        people.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(people)
    }

    /// One person and the hash of their password.
    pub async fn credentials(&self, id: &PersonId) -> Result<Option<(Person, Option<String>)>> {
        let mut both = redis::pipe();
        both.cmd("HGET").arg(self.0.keys.key("all")).arg(id.as_str());
        both.cmd("HGET").arg(self.0.keys.key("passwords")).arg(id.as_str());
        let (body, password): (Option<String>, Option<String>) =
            self.0.redis.ask_all(&both).await?;
        let Some(body) = body else { return Ok(None) };
        Ok(Some((serde_json::from_str(&body).map_err(Failure::new)?, password)))
    }

    /// Says whose an account is.
    pub async fn link(&self, account: Account, person: &PersonId) -> Result<()> {
        let Inner { redis, keys, scripts } = &*self.0;
        let call = scripts.link.call().key(keys.key("accounts"));
        Ok(redis.run_lasting(keys, &call.arg(account.as_str()).arg(person.as_str())).await?)
    }

    /// Takes every account from a person, and ends their sessions.
    pub async fn unlink(&self, person: &PersonId) -> Result<u64> {
        let Inner { redis, keys, scripts } = &*self.0;
        let call = scripts.unlink.call().key(keys.key("accounts")).key(keys.pair("of", person));
        let call = call.key(keys.key("ends")).arg(keys.stem()).arg(person.as_str());
        Ok(redis.run_lasting(keys, &call).await?)
    }

    /// Whose an account is.
    pub async fn linked(&self, account: &Account) -> Result<Option<PersonId>> {
        let mut get = redis::cmd("HGET");
        get.arg(self.0.keys.key("accounts")).arg(account.as_str());
        let found: Option<String> = self.0.redis.ask(&get).await?;
        Ok(found.map(|id| id.parse().map_err(Failure::new)).transpose()?)
    }

    /// Opens a session.
    pub async fn open_session(&self, session: NewSession) -> Result<()> {
        let Inner { redis, keys, scripts } = &*self.0;
        let (token, person) = (URL_SAFE_NO_PAD.encode(session.token_hash), session.person);
        let call = scripts.open.call().key(keys.pair("s", &token)).key(keys.pair("of", &person));
        let call = call.key(keys.key("ends")).arg(keys.stem()).arg(token).arg(person.as_str());
        let (opened, ends) = (session.opened_at.as_millisecond(), session.ends_at);
        let call = call.arg(opened).arg(ends.as_millisecond()).arg(SESSIONS_MAX);
        Ok(redis.run_lasting(keys, &call).await?)
    }

    /// The session of a token's hash.
    pub async fn session(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Option<Session>> {
        let Inner { redis, keys, scripts } = &*self.0;
        let row = keys.pair("s", URL_SAFE_NO_PAD.encode(token_hash));
        let call = scripts.session.call().key(&row).key(keys.key("all"));
        let found: Vec<String> = redis.run(&call).await?;
        let [body, seen, ends] = &found[..] else { return Ok(None) };
        let found = Session {
            person: serde_json::from_str(body).map_err(Failure::new)?,
            seen_at: instant(seen)?,
            ends_at: instant(ends)?,
        };
        if !found.holds(now, idle_since) {
            return Ok(None);
        }
        if now.duration_since(found.seen_at) >= SEEN_EVERY {
            redis.run::<()>(&scripts.seen.call().key(row).arg(now.as_millisecond())).await?;
        }
        Ok(Some(found))
    }

    /// Ends a session.
    pub async fn close_session(&self, token_hash: [u8; 32]) -> Result<bool> {
        let Inner { redis, keys, scripts } = &*self.0;
        let token = URL_SAFE_NO_PAD.encode(token_hash);
        let call = scripts.close.call().key(keys.pair("s", &token)).key(keys.key("ends"));
        let call = call.key(self.0.keys.mark()).arg(keys.stem()).arg(token).arg(MARK_MS);
        Ok(redis.run_lasting(keys, &call).await?)
    }

    /// Remembers a failed login.
    pub async fn login_failed(&self, key: &str, now: Timestamp, since: Timestamp) -> Result<()> {
        let (failures, at) = (self.failures_of(key), now.as_millisecond());
        let window = at.saturating_sub(since.as_millisecond()).max(1);
        let mut all = redis::pipe();
        let failure = format!("{at}:{:016x}", rand::random::<u64>());
        all.cmd("ZADD").arg(&failures).arg(at).arg(failure);
        all.cmd("ZREMRANGEBYSCORE").arg(&failures).arg("-inf");
        all.arg(format!("({}", since.as_millisecond()));
        all.cmd("PEXPIRE").arg(&failures).arg(window);
        self.0.redis.ask_all::<()>(&all).await?;
        Ok(())
    }

    /// Failed logins under a key.
    pub async fn failures(&self, key: &str, since: Timestamp) -> Result<(u32, Option<Timestamp>)> {
        let (failures, since) = (self.failures_of(key), since.as_millisecond());
        let mut both = redis::pipe();
        both.cmd("ZCOUNT").arg(&failures).arg(since).arg("+inf");
        both.cmd("ZRANGEBYSCORE").arg(&failures).arg(since).arg("+inf");
        both.arg("LIMIT").arg(0).arg(1);
        let (count, oldest): (u32, Vec<String>) = self.0.redis.ask_all(&both).await?;
        let oldest = oldest.first().and_then(|failure| failure.split(':').next());
        Ok((count, oldest.map(instant).transpose()?))
    }

    /// Forgets failed logins of a key.
    pub async fn login_succeeded(&self, key: &str, at: Option<Timestamp>) -> Result<()> {
        let failures = self.failures_of(key);
        let Some(at) = at else {
            let mut forget = redis::cmd("DEL");
            return Ok(self.0.redis.ask(forget.arg(failures)).await?);
        };
        let call = self.0.scripts.forgive.call().key(failures).key(self.0.keys.mark());
        let call = call.arg(at.as_millisecond()).arg(MARK_MS);
        Ok(self.0.redis.run(&call).await?)
    }

    /// Adds or replaces a request.
    pub async fn put_request(&self, request: Request) -> Result<()> {
        let body = serde_json::to_string(&request).map_err(Failure::new)?;
        let waits = request.state == RequestState::Waiting;
        let call = self.requests_call(&self.0.scripts.request).arg(request.id.to_string());
        let call = call.arg(body).arg(request.asked_at.as_millisecond());
        let call = call.arg(u8::from(waits)).arg(REQUESTS_MAX);
        match self.0.redis.run_lasting::<u8>(&self.0.keys, &call).await? {
            0 => Err(Error::TooManyRequests),
            _ => Ok(()),
        }
    }

    /// Decides a request that waits.
    pub async fn decide_request(
        &self,
        id: Uuid,
        (state, by, at): (RequestState, String, Timestamp),
    ) -> Result<Option<Request>> {
        loop {
            let mut get = redis::cmd("HGET");
            get.arg(self.0.keys.key("requests")).arg(id.to_string());
            let Some(was) = self.0.redis.ask::<Option<String>>(&get).await? else {
                return Ok(None);
            };
            let mut request: Request = serde_json::from_str(&was).map_err(Failure::new)?;
            if request.state != RequestState::Waiting {
                return Ok(None);
            }
            request.state = state;
            (request.decided_by, request.decided_at) = (Some(by.clone()), Some(at));
            let body = serde_json::to_string(&request).map_err(Failure::new)?;
            let call = self.requests_call(&self.0.scripts.decide).arg(id.to_string());
            let call = call.arg(was).arg(body).arg(request.asked_at.as_millisecond());
            match self.0.redis.run_lasting::<u8>(&self.0.keys, &call).await? {
                0 => return Ok(None),
                1 => return Ok(Some(request)),
                // Asked for anew in between: what is there now is decided.
                _ => {}
            }
        }
    }

    /// The newest requests.
    pub async fn requests(&self) -> Result<Vec<Request>> {
        let Inner { redis, keys, .. } = &*self.0;
        let mut both = redis::pipe();
        for list in ["waiting", "decided"] {
            both.cmd("ZREVRANGE").arg(keys.key(list)).arg(0).arg(REQUESTS_MAX - 1);
        }
        let (mut ids, decided): (Vec<String>, Vec<String>) = redis.ask_all(&both).await?;
        ids.extend(decided);
        ids.truncate(REQUESTS_MAX);
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = redis::cmd("HMGET");
        get.arg(keys.key("requests")).arg(ids);
        let bodies: Vec<Option<String>> = redis.ask(&get).await?;
        let requests = bodies.iter().flatten();
        Ok(requests
            .map(|body| serde_json::from_str(body).map_err(Failure::new))
            .collect::<Result<_, _>>()?)
    }

    /// Drops sessions that are long over.
    pub async fn forget(&self, ended_before: Timestamp) -> Result<u64> {
        let Inner { redis, keys, scripts } = &*self.0;
        let call = scripts.forget.call().key(keys.key("ends")).arg(keys.stem());
        let call = call.arg(ended_before.as_millisecond()).arg(FORGET_PIECE);
        let mut forgotten = 0;
        loop {
            let dropped: usize = redis.run(&call).await?;
            forgotten += dropped as u64;
            if dropped < FORGET_PIECE {
                return Ok(forgotten);
            }
        }
    }

    fn requests_call<'a>(&self, script: &'a Script) -> crate::store::redis::Call<'a> {
        let keys = &self.0.keys;
        let call = script.call().key(keys.key("requests"));
        call.key(keys.key("waiting")).key(keys.key("decided"))
    }

    /// A key of one call, which is asked again under the same.
    /// What is typed into a login goes into no key: it is kept as a digest.
    fn failures_of(&self, key: &str) -> String {
        self.0.keys.pair("f", URL_SAFE_NO_PAD.encode(Sha256::digest(key)))
    }
}

fn instant(ms: &str) -> Result<Timestamp, Failure> {
    Timestamp::from_millisecond(ms.parse().map_err(Failure::new)?).map_err(Failure::new)
}
