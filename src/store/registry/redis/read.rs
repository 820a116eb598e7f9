//! What the registry on Redis is asked: devices, and members in Seq order.

use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::domain::device::Device;
use crate::domain::ids::{DeviceId, DeviceNum, Seq, SubjectId};
use crate::store::Failure;
use crate::store::redis::Call;
use crate::store::registry::placed::Placed;
use crate::store::registry::redis::plan;
use crate::store::registry::redis::record::{self, Person, Record, Row};
use crate::store::registry::redis::{Found, Shared};
use crate::store::registry::{
    Error, Member, Membership, PAGE_MAX, Range, SUBJECT_DEVICES_MAX, Stored,
};

/// Members one call of a script reads: a few milliseconds for which others wait.
const CALL_MAX: usize = 1_000;
/// Records asked for in one piece; all pieces of a page are on their way at once.
const PIECE: usize = 250;
/// Buckets of Seqs one call looks through for the change feed, most of them forgotten.
const BUCKETS_MAX: usize = 2_000;

impl Shared {
    /// A device by its id.
    pub(super) async fn find(&self, id: DeviceId) -> Result<Option<(Found, Person)>, Error> {
        let call = self.look("id").arg(plan::id_bucket(id)).arg(&id.0.as_bytes()[..]);
        let found = self.ask(call).await?.pop();
        let found = found.map(|(_, found)| found);
        Ok(found.and_then(|found| {
            let person = found.record.person.clone()?;
            Some((found, person))
        }))
    }

    /// A device with its memberships: its record has both.
    pub async fn placed(&self, id: DeviceId) -> Result<Option<Placed>, Error> {
        let Some((Found { num, record, .. }, person)) = self.find(id).await? else {
            return Ok(None);
        };
        let secret_hash = person.secret_hash;
        let stored = Stored { device: Arc::new(person.device(num)), secret_hash };
        Ok(Some(Placed { stored, memberships: self.memberships(num, record) }))
    }

    /// A device by its number, or what is left of it.
    pub(super) async fn by_num(&self, num: DeviceNum) -> Result<Option<Found>, Error> {
        let found = self.ask(self.look("num").arg(num.0)).await?.pop();
        Ok(found.map(|(_, found)| found))
    }

    /// The devices of some numbers that are there.
    pub(super) async fn by_nums(
        &self,
        nums: std::ops::RangeInclusive<u64>,
    ) -> Result<Vec<Found>, Error> {
        if nums.is_empty() {
            return Ok(Vec::new());
        }
        let call = nums.fold(self.look("num"), |call, num| call.arg(num));
        Ok(self.ask(call).await?.into_iter().map(|(_, found)| found).collect())
    }

    /// Which of these ids are here.
    pub(super) async fn known(&self, ids: &[DeviceId]) -> Result<usize, Error> {
        let mut call = self.look("id");
        for id in ids {
            call = call.arg(plan::id_bucket(*id)).arg(&id.0.as_bytes()[..]);
        }
        Ok(self.ask(call).await?.len())
    }

    pub async fn of_subject(&self, subject: SubjectId) -> Result<Vec<Arc<Device>>, Error> {
        let bucket = plan::subject_bucket(&subject);
        let found = self.ask(self.look("subject").arg(bucket).arg(subject.as_str())).await?;
        let devices = found.into_iter().filter_map(|(_, found)| {
            let person = found.record.person?;
            Some(Arc::new(person.device(found.num)))
        });
        let mut devices: Vec<_> = devices.collect();
        devices.sort_unstable_by_key(|device| device.num);
        devices.truncate(SUBJECT_DEVICES_MAX);
        Ok(devices)
    }

    pub async fn memberships_of(&self, num: DeviceNum) -> Result<Vec<Membership>, Error> {
        let found = self.by_num(num).await?;
        Ok(found.map_or_else(Vec::new, |found| self.memberships(num, found.record)))
    }

    /// A page of a range: its entries, then their records in a few pieces at once, so that the
    /// server reads one while this node takes another apart.
    pub async fn scan(&self, range: Range, limit: usize) -> Result<Vec<Member>, Error> {
        let Range { unit, channel, shard, after, upto } = &range;
        let inner = &self.0;
        let list = format!("r:{}", plan::range(unit, *channel, *shard));
        let call = inner.scripts.page.call().key(inner.keys.key(list));
        let call = call.arg(bound(*after)).arg(bound(*upto)).arg(limit.clamp(1, CALL_MAX));
        let entries: Vec<u8> = inner.redis.run(&call).await?;
        let entries = entries.chunks(plan::ENTRY_BYTES).map(plan::entry_of);
        let damaged = || Failure::new("an entry of a range is damaged");
        let entries = entries.collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
        let pieces = try_join_all(entries.chunks(PIECE).map(|piece| self.records(piece))).await?;
        let members: Option<Vec<Member>> = pieces.into_iter().flatten().collect();
        match members {
            Some(members) => Ok(members),
            // Forgotten between the two questions, or damaged: one question tells.
            None => self.scan_at_once(range.clone(), limit).await,
        }
    }

    /// The members of some entries, each with its record as it is now; none for one that is not
    /// in it. Commands of the server's own cost it half of what a script does.
    async fn records(&self, entries: &[(Seq, DeviceNum)]) -> Result<Vec<Option<Member>>, Error> {
        let mut all = redis::pipe();
        for (_, num) in entries {
            let (bucket, index) = plan::place_of(*num);
            all.cmd("LINDEX").arg(self.0.keys.pair("d", bucket)).arg(index);
        }
        let records: Vec<Option<Vec<u8>>> = self.0.redis.ask_all(&all).await?;
        let members = entries.iter().zip(records).map(|((seq, num), bytes)| {
            Ok(member(*seq, *num, self.record(*num, &bytes.unwrap_or_default())?))
        });
        members.collect()
    }

    /// A page of a range with its records, in one moment.
    async fn scan_at_once(&self, range: Range, limit: usize) -> Result<Vec<Member>, Error> {
        let Range { unit, channel, shard, after, upto } = range;
        let inner = &self.0;
        let list = format!("r:{}", plan::range(&unit, channel, shard));
        let call = inner.scripts.scan.call().key(inner.keys.key(list)).arg(inner.keys.stem());
        let limit = limit.clamp(1, CALL_MAX);
        let call = call.arg(bound(after)).arg(bound(upto)).arg(limit);
        let answer: Vec<Vec<u8>> = inner.redis.run(&call).await?;
        let (pairs, _) = answer.as_chunks::<2>();
        let members = pairs.iter().map(|[entry, bytes]| {
            let (seq, num) = plan::entry_of(entry)
                .ok_or_else(|| Failure::new("an entry of a range is damaged"))?;
            let record = self.record(num, bytes)?;
            member(seq, num, record)
                .ok_or_else(|| Failure::new(format!("membership {} is damaged", seq.0)).into())
        });
        members.collect()
    }

    pub async fn members(&self, mut seqs: Vec<Seq>) -> Result<Vec<Member>, Error> {
        seqs.truncate(PAGE_MAX);
        seqs.retain(|seq| *seq > Seq(0));
        seqs.sort_unstable();
        seqs.dedup();
        let mut members = Vec::with_capacity(seqs.len());
        for seqs in seqs.chunks(CALL_MAX) {
            let mut call = self.look("seq");
            for seq in seqs {
                call = call.arg(bound(*seq));
            }
            for (key, found) in self.ask(call).await? {
                members.extend(member(Seq(number(&key)?), found.num, found.record));
            }
        }
        Ok(members)
    }

    pub async fn changes(&self, after: Seq, limit: usize) -> Result<Vec<Member>, Error> {
        let inner = &self.0;
        let mut after = bound(after);
        loop {
            let call = inner.scripts.changes.call().key(inner.keys.key("seq"));
            let call = call.arg(inner.keys.stem()).arg(after).arg(limit.clamp(1, CALL_MAX));
            let answer: Vec<Vec<u8>> = inner.redis.run(&call.arg(BUCKETS_MAX)).await?;
            let Some((looked, rest)) = answer.split_first() else { return Ok(Vec::new()) };
            let (triples, _) = rest.as_chunks::<3>();
            let mut members = Vec::with_capacity(triples.len());
            for [seq, num, bytes] in triples {
                let num = DeviceNum(number(num)?);
                members.extend(member(Seq(number(seq)?), num, self.record(num, bytes)?));
            }
            let looked = number(looked)?;
            // Nothing but forgotten ones so far, and there is more.
            if !members.is_empty() || looked <= after || looked >= self.last_seq().await?.0 {
                return Ok(members);
            }
            after = looked;
        }
    }

    fn record(&self, num: DeviceNum, bytes: &[u8]) -> Result<Record, Failure> {
        record::read(num, bytes, self.vault())
    }

    fn look(&self, by: &str) -> Call<'_> {
        let call = self.0.scripts.look.call().key(self.0.keys.key("seq"));
        call.arg(self.0.keys.stem()).arg(by)
    }

    async fn ask(&self, call: Call<'_>) -> Result<Vec<(Vec<u8>, Found)>, Error> {
        let answer: Vec<Vec<u8>> = self.0.redis.run(&call).await?;
        let mut all = Vec::with_capacity(answer.len() / 3);
        let mut pieces = answer.into_iter();
        while let (Some(key), Some(num), Some(bytes)) =
            (pieces.next(), pieces.next(), pieces.next())
        {
            let num = DeviceNum(number(&num)?);
            let record = self.record(num, &bytes)?;
            all.push((key, Found { num, bytes, record }));
        }
        Ok(all)
    }
}

/// A membership of a record with its device.
fn member(seq: Seq, num: DeviceNum, record: Record) -> Option<Member> {
    let Record { person, rows } = record;
    let row = rows.into_iter().find(|row| row.seq == Some(seq))?;
    let Row { place, channel, joined_at, left_at, .. } = row;
    let device = person.map(|person| Arc::new(person.device(num)));
    Some(Member { seq, num, channel, joined_at, left_at, place, device })
}

/// Scripts count in doubles: no Seq is near their limit, but a caller's bound may be.
fn bound(seq: Seq) -> u64 {
    seq.0.min(1 << 52)
}

fn number(text: &[u8]) -> Result<u64, Failure> {
    let text = std::str::from_utf8(text).map_err(Failure::new)?;
    text.parse().map_err(|_| Failure::new(format!("`{text}` is not a number of the registry")))
}
