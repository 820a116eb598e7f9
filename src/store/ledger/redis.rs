//! The ledger on Redis, for nodes in any number.
//!
//! **Where what lies.** Each dispatch's row is a hash under a tag of its own, so the saves of one
//! city-wide alert, the load that matters, spread over all primaries of a cluster; everything else
//! of a publication (which dispatches it has, targets, receipts) lies under the publication's tag.
//! A funnel adds up the rows, so what a save replaces needs no second place to be kept in step.
//!
//! **What is atomic.** One script: a row's opening, saving or freezing; the counting of one
//! publication's devices in one chunk of 65,536. A dispatch stands in its publication's list before
//! its row is made, and a publication in the list of all before anything else of it: a crash
//! leaves names without rows, which are passed over, never rows that nobody finds.
//!
//! **What is durable** is what the servers are set to (`store::redis`). A lost second of receipts
//! is counted again from the log: see [`checkpoints`].

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::dispatch::{Dispatch, DispatchId};
use crate::domain::funnel::Funnel;
use crate::domain::ids::{DeviceNum, PublicationId, Seq};
use crate::domain::receipt::{Receipt, Stage};
use crate::store::ledger::mark::Mark;
use crate::store::ledger::{
    AcceptedAt, BATCH_MAX, Counted, Delivered, Error, Progress, Restart, Saved, Targeted,
};
use crate::store::redis::{Keys, Redis};

mod changes;
mod checkpoints;
mod funnel;
mod receipts;
mod rows;

use changes::Changes;
use rows::{Claim, Encoded, Taken};

/// Requests of one call in flight at once: they share the connections' pipelines.
const AT_ONCE: usize = 256;
/// Publications or fences looked up in one go while forgetting.
const FORGET_PAGE: usize = 500;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    clock: Clock,
    /// Of what is no publication's own: the lists of publications and fences, checkpoints.
    common: Keys,
    rows: rows::Scripts,
    receipts: receipts::Scripts,
    checkpoints: checkpoints::Checkpoints,
    changes: Changes,
}

impl Store {
    pub async fn open(redis: &Redis, clock: Clock) -> Result<Self, Error> {
        let common = redis.keys("ledger");
        let changes = Changes::start(redis, common.key("changes")).await?;
        Ok(Self(Arc::new(Inner {
            redis: redis.clone(),
            clock,
            rows: rows::Scripts::default(),
            receipts: receipts::Scripts::default(),
            checkpoints: checkpoints::Checkpoints::new(&common),
            common,
            changes,
        })))
    }

    pub async fn begin(&self, dispatch: &Dispatch) -> Result<Progress, Error> {
        match self.take(dispatch, Claim::Whoever).await? {
            Taken::Mine(progress) => Ok(*progress),
            Taken::Anothers | Taken::Unknown => Err(Error::NotOpened(dispatch.id)),
        }
    }

    pub async fn begin_if_free(&self, dispatch: &Dispatch) -> Result<Option<Progress>, Error> {
        match self.take(dispatch, Claim::IfFree).await? {
            Taken::Mine(progress) => Ok(Some(*progress)),
            Taken::Anothers => Ok(None),
            Taken::Unknown => Err(Error::NotOpened(dispatch.id)),
        }
    }

    async fn take(&self, dispatch: &Dispatch, claim: Claim) -> Result<Taken, Error> {
        let (redis, rows) = (&self.0.redis, &self.0.rows);
        // The router has begun nearly all that workers open.
        match rows.take(redis, dispatch.id, claim).await? {
            Taken::Unknown => {
                self.open_all(std::slice::from_ref(dispatch)).await?;
                rows.take(redis, dispatch.id, claim).await
            }
            taken => Ok(taken),
        }
    }

    pub async fn bound(&self, id: PublicationId, upto: Seq) -> Result<Seq, Error> {
        // Listed before it stands, so that it is forgotten one day.
        self.publication(id).await?;
        let key = self.keys(id).key("bound");
        let mut first = redis::pipe();
        first.cmd("SET").arg(&key).arg(upto.0).arg("NX");
        first.cmd("GET").arg(&key);
        let (_, bound): (Option<String>, u64) = self.0.redis.ask_all(&first).await?;
        Ok(Seq(bound))
    }

    pub async fn open_all(&self, all: &[Dispatch]) -> Result<(), Error> {
        self.list(all).await?;
        let open = |dispatch: &Dispatch| {
            let encoded = Encoded::fresh(dispatch);
            let id = dispatch.id;
            async move { self.0.rows.open(&self.0.redis, id, &encoded?).await }
        };
        let opened = stream::iter(all.iter().map(open)).buffer_unordered(AT_ONCE);
        opened.try_collect::<()>().await?;
        self.0.changes.tell();
        Ok(())
    }

    /// Puts dispatches on their publications' lists, and those on the list of all.
    async fn list(&self, all: &[Dispatch]) -> Result<(), Error> {
        let mut by_publication: BTreeMap<PublicationId, Vec<&[u8]>> = BTreeMap::new();
        for dispatch in all {
            by_publication.entry(dispatch.publication).or_default().push(dispatch.id.0.as_bytes());
        }
        for (id, dispatches) in by_publication {
            self.publication(id).await?;
            for some in dispatches.chunks(AT_ONCE) {
                let mut add = redis::cmd("SADD");
                add.arg(self.keys(id).key("dispatches")).arg(some);
                self.0.redis.ask::<()>(&add).await?;
            }
        }
        Ok(())
    }

    /// Puts a publication on the list of all.
    async fn publication(&self, id: PublicationId) -> Result<(), Error> {
        let mut add = redis::cmd("ZADD");
        add.arg(self.0.common.key("publications")).arg(0).arg(id.0.simple().to_string());
        Ok(self.0.redis.ask(&add).await?)
    }

    fn keys(&self, id: PublicationId) -> Keys {
        self.0.redis.keys(&id.0.simple().to_string())
    }

    pub async fn save(&self, progress: &Progress) -> Result<Saved, Error> {
        let encoded = Encoded::new(progress)?;
        let saved = self.0.rows.save(&self.0.redis, progress, &encoded).await?;
        self.0.changes.tell();
        Ok(saved)
    }

    pub async fn freeze(&self, id: DispatchId) -> Result<Option<Progress>, Error> {
        let (redis, rows) = (&self.0.redis, &self.0.rows);
        if !rows.freeze(redis, id, None).await? {
            // Listed before it stands, so that it is forgotten one day.
            let now_ms = self.0.clock.now().as_millisecond();
            let mut list = redis::cmd("ZADD");
            list.arg(self.0.common.key("fences")).arg(now_ms).arg(id.0.as_bytes().as_slice());
            redis.ask::<()>(&list).await?;
            if !rows.freeze(redis, id, Some(now_ms)).await? {
                return Ok(None);
            }
        }
        self.0.changes.tell();
        self.get(id).await
    }

    pub async fn get(&self, id: DispatchId) -> Result<Option<Progress>, Error> {
        rows::get(&self.0.redis, id).await
    }

    pub async fn of_publication(&self, id: PublicationId) -> Result<Vec<Progress>, Error> {
        let dispatches = self.dispatches(id).await?;
        let get = |id: DispatchId| self.get(id);
        let rows = stream::iter(dispatches.into_iter().map(get)).buffered(AT_ONCE);
        let rows: Vec<Option<Progress>> = rows.try_collect().await?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn dispatches(&self, id: PublicationId) -> Result<Vec<DispatchId>, Error> {
        let mut members = redis::cmd("SMEMBERS");
        members.arg(self.keys(id).key("dispatches"));
        let members: Vec<Vec<u8>> = self.0.redis.ask(&members).await?;
        members.iter().map(|bytes| rows::dispatch_id(bytes)).collect()
    }

    pub async fn put_targeted(
        &self,
        id: PublicationId,
        key: String,
        targeted: Vec<Targeted>,
    ) -> Result<(), Error> {
        self.publication(id).await?;
        funnel::put_targeted(&self.0.redis, &self.keys(id), &key, &targeted).await?;
        self.0.changes.tell();
        Ok(())
    }

    pub async fn record_receipts(
        &self,
        receipts: Vec<Receipt>,
        accepted_at: &AcceptedAt,
    ) -> Result<u64, Error> {
        let marks = receipts.into_iter().map(|receipt| Mark::receipt(receipt, accepted_at));
        self.record(marks.collect()).await
    }

    pub async fn record_deliveries(
        &self,
        delivered: Vec<Delivered>,
        accepted_at: &AcceptedAt,
    ) -> Result<u64, Error> {
        let marks = delivered.into_iter().map(|one| Mark::delivery(one, accepted_at));
        self.record(marks.collect()).await
    }

    async fn record(&self, marks: Vec<Mark>) -> Result<u64, Error> {
        match marks.len() {
            0 => return Ok(0),
            1..=BATCH_MAX => {}
            given => return Err(Error::TooMany(given)),
        }
        let pieces = receipts::pieces(marks);
        let mut publications: Vec<PublicationId> = pieces.iter().map(|piece| piece.0.0).collect();
        publications.dedup();
        for id in publications {
            self.publication(id).await?;
        }
        let count = |((id, chunk), marks): receipts::Piece| {
            let keys = self.keys(id);
            async move { self.0.receipts.record(&self.0.redis, (&keys, chunk), &marks).await }
        };
        let counted = stream::iter(pieces.into_iter().map(count)).buffer_unordered(AT_ONCE);
        let new = counted.try_fold(0, |sum, new: u64| async move { Ok(sum + new) }).await?;
        self.0.changes.tell();
        Ok(new)
    }

    pub async fn funnel(&self, id: PublicationId) -> Result<Funnel, Error> {
        let dispatches = self.dispatches(id).await?;
        funnel::funnel(&self.0.redis, (id, &self.keys(id)), dispatches).await
    }

    pub async fn stage_of(
        &self,
        id: PublicationId,
        device: DeviceNum,
    ) -> Result<Option<Stage>, Error> {
        self.0.receipts.stage_of(&self.0.redis, &self.keys(id), device).await
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.changes.watch()
    }

    pub async fn counted(&self, reader: &str, counted: &Counted) -> Result<(), Error> {
        let now = self.0.clock.now();
        self.0.checkpoints.counted(&self.0.redis, reader, (counted, now)).await
    }

    pub async fn restarted(&self, reader: &str) -> Result<Option<Restart>, Error> {
        self.0.checkpoints.restarted(&self.0.redis, reader).await
    }

    pub async fn settled(&self, reader: &str, restart: &Restart) -> Result<(), Error> {
        self.0.checkpoints.settled(&self.0.redis, reader, restart).await
    }

    pub async fn forget(&self, before: Timestamp) -> Result<u64, Error> {
        self.forget_fences(before.as_millisecond()).await?;
        let end = PublicationId::first_of(before.as_millisecond()).0.simple().to_string();
        let publications = self.0.common.key("publications");
        let mut forgotten = 0;
        loop {
            let mut page = redis::cmd("ZRANGEBYLEX");
            page.arg(&publications).arg("-").arg(format!("({end}"));
            page.arg("LIMIT").arg(0).arg(FORGET_PAGE);
            let page: Vec<String> = self.0.redis.ask(&page).await?;
            if page.is_empty() {
                return Ok(forgotten);
            }
            for name in page {
                let id = name.parse().map_err(crate::store::Failure::new)?;
                self.drop_publication(id).await?;
                let mut remove = redis::cmd("ZREM");
                remove.arg(&publications).arg(name);
                self.0.redis.ask::<()>(&remove).await?;
                forgotten += 1;
            }
        }
    }

    async fn drop_publication(&self, id: PublicationId) -> Result<(), Error> {
        let dispatches = self.dispatches(id).await?;
        let drop = |id: DispatchId| async move {
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(rows::key(&self.0.redis, id));
            self.0.redis.ask::<()>(&unlink).await.map_err(Error::from)
        };
        let dropped = stream::iter(dispatches.into_iter().map(drop)).buffer_unordered(AT_ONCE);
        dropped.try_collect::<()>().await?;
        receipts::drop_publication(&self.0.redis, &self.keys(id)).await?;
        self.0.changes.tell();
        Ok(())
    }

    async fn forget_fences(&self, before_ms: i64) -> Result<(), Error> {
        let fences = self.0.common.key("fences");
        loop {
            let mut page = redis::cmd("ZRANGEBYSCORE");
            page.arg(&fences).arg("-inf").arg(format!("({before_ms}"));
            page.arg("LIMIT").arg(0).arg(FORGET_PAGE);
            let page: Vec<Vec<u8>> = self.0.redis.ask(&page).await?;
            if page.is_empty() {
                return Ok(());
            }
            for bytes in &page {
                self.0.rows.unfence(&self.0.redis, rows::dispatch_id(bytes)?).await?;
            }
            let mut remove = redis::cmd("ZREM");
            remove.arg(&fences).arg(page);
            self.0.redis.ask::<()>(&remove).await?;
        }
    }
}
