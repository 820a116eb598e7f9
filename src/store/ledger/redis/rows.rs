//! The rows of dispatches.

use redis::FromRedisValue;

use crate::domain::dispatch::{Dispatch, DispatchId};
use crate::domain::ids::Seq;
use crate::store::Failure;
use crate::store::ledger::codec::{
    decode_bitmap, decode_retries, encode_bitmap, encode_retries, state, state_code, unit_text,
};
use crate::store::ledger::{Error, Progress, Saved, State};
use crate::store::redis::{Call, Keys, Redis, Script};

/// Saves of a frozen row that may come in between before a worker gives way to the others.
const FROZEN_TRIES: u32 = 8;
/// What a progress is made of, in the order of [`Row`].
const FIELDS: [&str; 10] = [
    "dispatch",
    "state",
    "intent",
    "cursor",
    "frozen",
    "counts",
    "latency",
    "unreached",
    "retries",
    "term",
];

type Row = (
    Option<String>,
    Option<u8>,
    Option<u64>,
    Option<u64>,
    Option<u8>,
    Option<String>,
    Option<String>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<u64>,
);

/// A row's keys.
fn keys(redis: &Redis, id: DispatchId) -> Keys {
    redis.keys(&id.0.simple().to_string())
}

/// A row's key.
pub fn key(redis: &Redis, id: DispatchId) -> String {
    keys(redis, id).key("row")
}

/// An id from its 16 bytes.
pub fn dispatch_id(bytes: &[u8]) -> Result<DispatchId, Error> {
    Ok(DispatchId(uuid::Uuid::from_slice(bytes).map_err(Failure::new)?))
}

/// A progress as it is stored.
pub struct Encoded {
    /// Only of a fresh row: the dispatch, its unit and its channel.
    head: Option<[String; 3]>,
    state: u8,
    intent: u64,
    cursor: u64,
    term: u64,
    counts: String,
    latency: String,
    unreached: Vec<u8>,
    retries: Vec<u8>,
}

impl Encoded {
    /// Encodes what a worker saves.
    pub fn new(progress: &Progress) -> Result<Self, Error> {
        Ok(Self {
            head: None,
            state: state_code(progress.state),
            intent: progress.intent.0,
            cursor: progress.cursor.0,
            term: progress.term,
            counts: serde_json::to_string(&progress.counts).map_err(Failure::new)?,
            latency: serde_json::to_string(&progress.accepted_ms).map_err(Failure::new)?,
            unreached: encode_bitmap(&progress.unreached),
            retries: encode_retries(&progress.retries),
        })
    }

    /// Encodes a dispatch nobody has begun.
    pub fn fresh(dispatch: &Dispatch) -> Result<Self, Error> {
        let text = serde_json::to_string(dispatch).map_err(Failure::new)?;
        let unit = unit_text(dispatch.scope.unit()).to_owned();
        let head = [text, unit, dispatch.channel.as_str().to_owned()];
        Ok(Self { head: Some(head), ..Self::new(&Progress::new(dispatch.clone()))? })
    }

    fn fields<'a>(&self, call: Call<'a>) -> Call<'a> {
        let [dispatch, unit, channel] = self.head.clone().unwrap_or_default();
        let call = call.arg("dispatch").arg(dispatch).arg("unit").arg(unit);
        let call = call.arg("channel").arg(channel).arg("state").arg(self.state);
        let call = call.arg("intent").arg(self.intent).arg("cursor").arg(self.cursor);
        let call = call.arg("counts").arg(&self.counts).arg("latency").arg(&self.latency);
        call.arg("unreached").arg(&self.unreached[..]).arg("retries").arg(&self.retries[..])
    }

    fn values<'a>(&self, call: Call<'a>) -> Call<'a> {
        let call = call.arg(self.state).arg(self.intent).arg(self.cursor);
        let call = call.arg(&self.counts).arg(&self.latency);
        call.arg(&self.unreached[..]).arg(&self.retries[..]).arg(self.term)
    }
}

/// The scripts of rows.
#[derive(Debug)]
pub struct Scripts {
    open: Script,
    take: Script,
    save: Script,
    freeze: Script,
    unfence: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            open: Script::new(include_str!("open.lua")),
            take: Script::new(include_str!("take.lua")),
            save: Script::new(include_str!("save.lua")),
            freeze: Script::new(include_str!("freeze.lua")),
            unfence: Script::new(include_str!("unfence.lua")),
        }
    }
}

/// From whom a dispatch is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// From nobody.
    IfFree,
    /// From whoever has it.
    Whoever,
}

/// What became of a claim.
#[derive(Debug)]
pub enum Taken {
    /// It is over, or the claimant's.
    Mine(Box<Progress>),
    /// Another worker has it and keeps it.
    Anothers,
    /// Nobody has begun it.
    Unknown,
}

/// What the script of a save answers.
enum Answer {
    Unknown,
    Saved,
    Replaced,
    Frozen,
}

impl Scripts {
    /// Begins a dispatch if it is new.
    pub async fn open(&self, redis: &Redis, id: DispatchId, fresh: &Encoded) -> Result<(), Error> {
        let keys = keys(redis, id);
        let call = fresh.fields(self.open.call().key(keys.key("row")));
        let _: u8 = redis.run_lasting(&keys, &call).await?;
        Ok(())
    }

    /// Takes a dispatch over, if it was begun. Only its saves need to last.
    pub async fn take(&self, redis: &Redis, id: DispatchId, claim: Claim) -> Result<Taken, Error> {
        let call = self.take.call().key(key(redis, id)).arg(state_code(State::Open));
        let call = call.arg(u8::from(claim == Claim::IfFree)).arg(&FIELDS[..]);
        let (anothers, row): (bool, Row) = redis.run(&call).await?;
        Ok(match progress(row)? {
            None => Taken::Unknown,
            Some(_) if anothers => Taken::Anothers,
            Some(progress) => Taken::Mine(Box::new(progress)),
        })
    }

    /// Saves what a worker says, unless the dispatch is fenced against it.
    pub async fn save(
        &self,
        redis: &Redis,
        progress: &Progress,
        encoded: &Encoded,
    ) -> Result<Saved, Error> {
        let id = progress.dispatch.id;
        let mut looked_at = None;
        for _ in 0..FROZEN_TRIES {
            match self.try_save(redis, id, (encoded, looked_at)).await? {
                Answer::Saved => return Ok(Saved::Saved),
                Answer::Replaced => return Ok(Saved::Replaced),
                Answer::Unknown => return Err(Error::NotOpened(id)),
                Answer::Frozen => {}
            }
            // Only outcomes of what was on its way may come in now, which is judged here: scripts
            // cannot read a bitmap. The row must be as it was looked at when they are taken.
            let mut look = redis::cmd("HMGET");
            look.arg(key(redis, id)).arg(&["intent", "unreached", "saves"]);
            let (intent, unreached, saves): (u64, Vec<u8>, u64) = redis.ask(&look).await?;
            let nothing_sent = progress.intent <= Seq(intent)
                && decode_bitmap(&unreached)?.is_subset(&progress.unreached);
            if !nothing_sent {
                return Ok(Saved::Frozen);
            }
            looked_at = Some(saves);
        }
        Ok(Saved::Frozen)
    }

    async fn try_save(
        &self,
        redis: &Redis,
        id: DispatchId,
        (encoded, looked_at): (&Encoded, Option<u64>),
    ) -> Result<Answer, Error> {
        let keys = keys(redis, id);
        let looked_at = looked_at.map_or_else(String::new, |saves| saves.to_string());
        let call = encoded.values(self.save.call().key(keys.key("row"))).arg(looked_at);
        Ok(match redis.run_lasting(&keys, &call).await? {
            0u8 => Answer::Unknown,
            1 => Answer::Saved,
            2 => Answer::Replaced,
            _ => Answer::Frozen,
        })
    }

    /// Freezes a dispatch, or puts a fence of an instant where it would be begun; whether it was.
    pub async fn freeze(
        &self,
        redis: &Redis,
        id: DispatchId,
        fence_ms: Option<i64>,
    ) -> Result<bool, Error> {
        let keys = keys(redis, id);
        let fence = fence_ms.map_or_else(String::new, |ms| ms.to_string());
        let call = self.freeze.call().key(keys.key("row")).arg(fence);
        Ok(redis.run_lasting(&keys, &call).await?)
    }

    /// Drops a fence.
    pub async fn unfence(&self, redis: &Redis, id: DispatchId) -> Result<(), Error> {
        Ok(redis.run(&self.unfence.call().key(key(redis, id))).await?)
    }
}

/// A dispatch that was opened.
pub async fn get(redis: &Redis, id: DispatchId) -> Result<Option<Progress>, Error> {
    let mut get = redis::cmd("HMGET");
    get.arg(key(redis, id)).arg(&FIELDS);
    let row: redis::Value = redis.ask(&get).await?;
    progress(Row::from_redis_value(row).map_err(Failure::new)?)
}

fn progress(row: Row) -> Result<Option<Progress>, Error> {
    let (dispatch, code, intent, cursor, frozen, counts, latency, unreached, retries, term) = row;
    let Some(dispatch) = dispatch else { return Ok(None) };
    let damaged = || Failure::new("a row of the ledger lacks a field");
    let json = |text: Option<String>| text.ok_or_else(damaged);
    Ok(Some(Progress {
        dispatch: serde_json::from_str(&dispatch).map_err(Failure::new)?,
        state: state(code.ok_or_else(damaged)?)?,
        intent: Seq(intent.ok_or_else(damaged)?),
        cursor: Seq(cursor.ok_or_else(damaged)?),
        frozen: frozen.ok_or_else(damaged)? != 0,
        counts: serde_json::from_str(&json(counts)?).map_err(Failure::new)?,
        accepted_ms: serde_json::from_str(&json(latency)?).map_err(Failure::new)?,
        unreached: decode_bitmap(&unreached.ok_or_else(damaged)?)?,
        retries: decode_retries(&retries.ok_or_else(damaged)?)?,
        // Rows of older programs have none.
        term: term.unwrap_or_default(),
    }))
}
