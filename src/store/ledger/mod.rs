//! The ledger: the durable record of dispatches and receipts, and the funnel made of it. Written
//! by fan-out workers (progress), gateways and the receipt stage; read by the router when an
//! update or cancel asks who was reached, and by operators.
//!
//! **Who was reached.** A worker saves `intent` (the last [`Seq`] of the batch it is about to
//! send) *before* it sends, so "reached, or possibly reached" is always: Seq ≤ intent and not in
//! `unreached`. A member that waits for another try is in `unreached`; the worker takes it out in
//! a save before it sends again.
//!
//! **Fencing.** After [`Ledger::freeze`] nothing new may be sent: a save that raises `intent`, or
//! takes a member out of `unreached`, answers [`Saved::Frozen`] and changes nothing; the outcomes
//! of what was already on its way are still taken. A dispatch frozen before it was ever opened is
//! frozen when it is opened. Whoever gets `Frozen` sends nothing more. `intent` itself never goes
//! back, so a worker that repeats a batch in smaller pieces forgets nobody.
//!
//! **One worker at a time.** [`Ledger::open`] takes an open dispatch over and raises its `term`. A
//! save of an earlier term, or behind the stored cursor, comes from a worker that another has
//! replaced: it answers [`Saved::Replaced`] and changes nothing, so that the new worker repeats the
//! one batch that the old one may have had on its way, and no more, and counts it once.
//!
//! **Counts never go back.** Receipts and deliveries count a device once per publication and
//! stage, whatever is repeated and in whatever order; a stage implies those before it.
//!
//! **Atomic and durable.** Each call that changes something happens as a whole or not at all, and
//! survives a kill and a power cut once it has returned; calls made at once share one flush. All
//! futures are cancel-safe in that sense: a dropped one leaves the change done or not done. On
//! Redis a batch of receipts is such a whole for each publication and chunk of devices (repeating
//! it counts the rest), and durable is what the servers are set to: [`Ledger::restarted`] tells
//! when they may have lost something.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use roaring::RoaringTreemap;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::channel::Channel;
use crate::domain::dispatch::{Dispatch, DispatchId};
use crate::domain::funnel::{Counts, Funnel, Latency};
use crate::domain::ids::{DeviceNum, PublicationId, Seq, UnitCode};
use crate::domain::outcome::Arrival;
use crate::domain::receipt::{Receipt, Stage};
use crate::store::Failure;
use crate::store::redis::Redis;

mod codec;
mod embedded;
mod mark;
mod redis;
mod sums;

/// Receipts or deliveries one call may bring: bounds how long one call holds up the others.
pub const BATCH_MAX: usize = 10_000;

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The data directory; created if missing.
    pub dir: PathBuf,
}

/// Why the ledger did not do what was asked. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A save for a dispatch that was never opened, or was forgotten.
    #[error("dispatch {} is not in the ledger", .0.0)]
    NotOpened(DispatchId),
    /// More than [`BATCH_MAX`] receipts or deliveries in one call.
    #[error("{0} receipts in one call, at most {BATCH_MAX} are taken")]
    TooMany(usize),
    /// The storage failed.
    #[error("ledger: {0}")]
    Storage(#[from] Failure),
}

/// Where a dispatch stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not finished.
    #[default]
    Open,
    /// Everybody has an outcome.
    Done,
    /// An update or cancel came first.
    Superseded,
    /// Its time ran out.
    Expired,
}

/// One member that waits for another try.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The member.
    pub seq: Seq,
    /// Attempts made.
    pub attempt: u32,
    /// Not to be tried again before; kept to the millisecond.
    pub not_before: Timestamp,
    /// Whether any of those attempts may have reached the device.
    pub arrival: Arrival,
    /// Why the last attempt failed.
    pub reason: Cow<'static, str>,
}

/// How far a dispatch got.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The dispatch as it was first opened: routed again with another `upto`, the first one holds.
    pub dispatch: Dispatch,
    /// Where it stands.
    pub state: State,
    /// The last member of the newest batch, saved before that batch is sent.
    pub intent: Seq,
    /// The last member whose outcome, and that of all before it, is known.
    pub cursor: Seq,
    /// Whether it was frozen; set by [`Ledger::freeze`] alone, a save does not change it.
    pub frozen: bool,
    /// Which taking-over it is worked on under, 0 while nobody does; raised by [`Ledger::open`] and
    /// [`Ledger::open_if_free`] alone.
    pub term: u64,
    /// The worker's counts: what this dispatch adds to the funnel.
    pub counts: Counts,
    /// Milliseconds from acceptance to the provider's answer.
    pub accepted_ms: Latency,
    /// Every member ≤ intent that was not reached.
    pub unreached: RoaringTreemap,
    /// Those of them that wait for another try.
    pub retries: Vec<Waiting>,
}

impl Progress {
    /// A dispatch nobody has begun.
    pub fn new(dispatch: Dispatch) -> Self {
        Self {
            dispatch,
            state: State::Open,
            intent: Seq(0),
            cursor: Seq(0),
            frozen: false,
            term: 0,
            counts: Counts::default(),
            accepted_ms: Latency::default(),
            unreached: RoaringTreemap::new(),
            retries: Vec::new(),
        }
    }

    /// Whether it is open, and in a worker's hands.
    fn is_taken(&self) -> bool {
        self.state == State::Open && self.term > 0
    }

    /// Whether a member of its scope was reached, or may have been.
    pub fn may_have_reached(&self, seq: Seq) -> bool {
        seq <= self.intent && !self.unreached.contains(seq.0)
    }
}

/// What became of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "whoever is not told `Saved` must not send"]
pub enum Saved {
    /// It is durable.
    Saved,
    /// The dispatch is frozen: send nothing more.
    Frozen,
    /// Another worker has taken the dispatch over: send nothing more, it counts from here.
    Replaced,
}

/// How many devices of one unit and channel are targeted; no unit for one citizen's publication.
pub type Targeted = (Option<UnitCode>, Channel, u64);

/// A publication written to the socket of a device whose channel is the websocket. (A device with
/// a push address counts under its push channel, where the worker counts it.)
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// What was written.
    pub publication: PublicationId,
    /// To whom.
    pub device: DeviceNum,
    /// The unit that owns the delivery; absent for a subject's.
    pub unit: Option<UnitCode>,
    /// When.
    pub at: Timestamp,
}

/// When publications were accepted, to count latencies from. Of a publication that is not in it,
/// devices are counted and latencies are not.
pub type AcceptedAt = BTreeMap<PublicationId, Timestamp>;

/// How far a reader of the log has counted: the offset to go on at, by part of the log.
pub type Counted = BTreeMap<String, u64>;

/// The storage was started anew, and may have lost its last writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Restart {
    /// Which servers answer now.
    servers: String,
    /// Where to count again from; a part that is absent, from its beginning.
    pub from: Counted,
}

/// A handle to the ledger; clones share it.
#[derive(Clone, Debug)]
pub enum Ledger {
    /// A file in the data directory.
    Embedded(embedded::Embedded),
    /// On Redis, for nodes in any number.
    Redis(redis::Store),
}

impl Ledger {
    /// Opens the ledger of a data directory, or creates it.
    pub async fn start(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        embedded::Embedded::start(settings, clock).await.map(Self::Embedded)
    }

    /// The ledger of a cluster.
    pub async fn shared(redis: &Redis, clock: Clock) -> Result<Self, Error> {
        redis::Store::open(redis, clock).await.map(Self::Redis)
    }

    /// Takes a dispatch over, begun now if it is new: whoever worked on it before can save nothing
    /// any more. One that is over is only looked at.
    pub async fn open(&self, dispatch: &Dispatch) -> Result<Progress, Error> {
        match self {
            Self::Embedded(store) => store.open(dispatch.clone()).await,
            Self::Redis(store) => store.begin(dispatch).await,
        }
    }

    /// As [`Ledger::open`] if nobody works on the dispatch yet; otherwise `None`, and whoever does
    /// goes on. So a worker that cannot begin at once takes nothing from one that can.
    pub async fn open_if_free(&self, dispatch: &Dispatch) -> Result<Option<Progress>, Error> {
        match self {
            Self::Embedded(store) => store.open_if_free(dispatch.clone()).await,
            Self::Redis(store) => store.begin_if_free(dispatch).await,
        }
    }

    /// Up to which membership the ranges of a publication go: what was said first holds for all of
    /// them, so that whoever joins later is late for every range, however often it is routed.
    pub async fn bound(&self, id: PublicationId, upto: Seq) -> Result<Seq, Error> {
        match self {
            Self::Embedded(store) => store.bound(id, upto).await,
            Self::Redis(store) => store.bound(id, upto).await,
        }
    }

    /// Begins those of many dispatches that are new, a few hundred at a time: each is begun or
    /// not, and all are when it returns.
    pub async fn open_all(&self, dispatches: &[Dispatch]) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.open_all(dispatches).await,
            Self::Redis(store) => store.open_all(dispatches).await,
        }
    }

    /// Saves a worker's progress; durable when it returns. See the module's rule of fencing.
    pub async fn save(&self, progress: &Progress) -> Result<Saved, Error> {
        match self {
            Self::Embedded(store) => store.save(progress).await,
            Self::Redis(store) => store.save(progress).await,
        }
    }

    /// Stops a dispatch for good and answers how far it got; `None` if nobody had begun it, and
    /// then nobody will.
    pub async fn freeze(&self, id: &DispatchId) -> Result<Option<Progress>, Error> {
        match self {
            Self::Embedded(store) => store.freeze(*id).await,
            Self::Redis(store) => store.freeze(*id).await,
        }
    }

    /// The progress of a dispatch, if it was opened.
    pub async fn get(&self, id: &DispatchId) -> Result<Option<Progress>, Error> {
        match self {
            Self::Embedded(store) => store.get(*id).await,
            Self::Redis(store) => store.get(*id).await,
        }
    }

    /// The progress of every opened dispatch of a publication.
    pub async fn of_publication(&self, id: PublicationId) -> Result<Vec<Progress>, Error> {
        match self {
            Self::Embedded(store) => store.of_publication(id).await,
            Self::Redis(store) => store.of_publication(id).await,
        }
    }

    /// How many the router targeted. Repeating it replaces what was said before.
    pub async fn set_targeted(
        &self,
        id: PublicationId,
        targeted: Vec<Targeted>,
    ) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.put_targeted(id, "routed".into(), targeted).await,
            Self::Redis(store) => store.put_targeted(id, "routed".into(), targeted).await,
        }
    }

    /// How many more are targeted since: late joiners. The key names the addition; repeating it
    /// under the same key replaces that addition and adds nothing.
    pub async fn add_targeted(
        &self,
        id: PublicationId,
        key: &str,
        targeted: Vec<Targeted>,
    ) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.put_targeted(id, format!("late/{key}"), targeted).await,
            Self::Redis(store) => store.put_targeted(id, format!("late/{key}"), targeted).await,
        }
    }

    /// Counts receipts, at most [`BATCH_MAX`], and answers how many said something new. A
    /// websocket device's receipt implies its delivery.
    pub async fn record_receipts(
        &self,
        receipts: Vec<Receipt>,
        accepted_at: &AcceptedAt,
    ) -> Result<u64, Error> {
        match self {
            Self::Embedded(store) => store.record_receipts(receipts, accepted_at).await,
            Self::Redis(store) => store.record_receipts(receipts, accepted_at).await,
        }
    }

    /// Counts websocket deliveries, at most [`BATCH_MAX`], each device once as sent and accepted,
    /// and answers how many were new.
    pub async fn record_deliveries(
        &self,
        delivered: Vec<Delivered>,
        accepted_at: &AcceptedAt,
    ) -> Result<u64, Error> {
        match self {
            Self::Embedded(store) => store.record_deliveries(delivered, accepted_at).await,
            Self::Redis(store) => store.record_deliveries(delivered, accepted_at).await,
        }
    }

    /// The funnel as it is now; empty for a publication the ledger knows nothing of.
    pub async fn funnel(&self, id: PublicationId) -> Result<Funnel, Error> {
        match self {
            Self::Embedded(store) => store.funnel(id).await,
            Self::Redis(store) => store.funnel(id).await,
        }
    }

    /// How far a publication got on a device, as far as the app told us.
    pub async fn stage_of(
        &self,
        id: PublicationId,
        device: DeviceNum,
    ) -> Result<Option<Stage>, Error> {
        match self {
            Self::Embedded(store) => store.stage_of(id, device).await,
            Self::Redis(store) => store.stage_of(id, device).await,
        }
    }

    /// A number that rises with every durable change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        match self {
            Self::Embedded(store) => store.watch(),
            Self::Redis(store) => store.watch(),
        }
    }

    /// Remembers how far a reader of the log has counted here. (A file forgets nothing that it
    /// answered, and has no use for it.)
    pub async fn counted(&self, reader: &str, counted: &Counted) -> Result<(), Error> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Redis(store) => store.counted(reader, counted).await,
        }
    }

    /// Whether the storage was started anew since a reader last called [`Ledger::settled`], so
    /// that what it counted last may be lost. Counting it again counts nothing twice.
    pub async fn restarted(&self, reader: &str) -> Result<Option<Restart>, Error> {
        match self {
            Self::Embedded(_) => Ok(None),
            Self::Redis(store) => store.restarted(reader).await,
        }
    }

    /// A reader has counted again what a restart may have lost.
    pub async fn settled(&self, reader: &str, restart: &Restart) -> Result<(), Error> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Redis(store) => store.settled(reader, restart).await,
        }
    }

    /// Drops everything of publications accepted before an instant (by their ids, UUID version 7),
    /// and answers how many that were. It goes publication by publication: cut short, it has
    /// forgotten some of them wholly.
    pub async fn forget(&self, before: Timestamp) -> Result<u64, Error> {
        match self {
            Self::Embedded(store) => store.forget(before).await,
            Self::Redis(store) => store.forget(before).await,
        }
    }
}
