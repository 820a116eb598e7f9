//! The answers store on Redis, shared by all nodes: whichever gateway somebody answers at, they
//! count once.
//!
//! **A tag for each publication** has its answers, and their counts, which one script keeps in step
//! with them. **A tag for each device and citizen** has the names of what they answered, so that
//! all of it is found when they go. Names are written before what they name, and taken away after
//! it: a crash leaves names that lead nowhere, which are passed over.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{Count, Own, PAGE_MAX, Respondent, Result, Safety, SafetyCounts, Said};
use crate::domain::ids::{DeviceNum, PublicationId, SubjectId};
use crate::domain::survey::Answer;
use crate::store::Failure;
use crate::store::redis::{Call, Keys, Redis, Script};

mod citizens;
mod row;

use row::{Kind, Name, Row};

/// Names followed at once.
const AT_ONCE: usize = 64;
/// Answers dropped by one script.
const FORGET_PIECE: usize = 500;

/// The store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    answer: Script,
    erase: Script,
    rename: Script,
    forget: Script,
    unname: Script,
}

/// Takes a name away, unless it was written again since: KEYS the list, ARGV the name, the instant.
const UNNAME: &str = "local at = redis.call('ZSCORE', KEYS[1], ARGV[1]) \
    if at and tonumber(at) < tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end";

impl Store {
    /// Opens the store.
    pub fn open(redis: &Redis) -> Store {
        Store(Arc::new(Inner {
            redis: redis.clone(),
            answer: Script::new(include_str!("redis/answer.lua")),
            erase: Script::new(include_str!("redis/erase.lua")),
            rename: Script::new(include_str!("redis/rename.lua")),
            forget: Script::new(include_str!("redis/forget.lua")),
            unname: Script::new(UNNAME),
        }))
    }

    /// Remembers how somebody is.
    pub async fn put_safety(
        &self,
        publication: PublicationId,
        who: Respondent,
        (safety, note, at): (Safety, Option<String>, Timestamp),
    ) -> Result<()> {
        let name = who.device.0.to_string();
        let row = Row::safety(&who, (safety, note, at))?;
        let name = Name { publication, kind: Kind::Safety, name };
        self.put(name, None, row).await
    }

    /// Remembers a survey's answers.
    pub async fn put_survey(
        &self,
        publication: PublicationId,
        who: Respondent,
        (answers, at): (BTreeMap<String, Answer>, Timestamp),
    ) -> Result<()> {
        // Whoever logged in since has answered already, as a device.
        let as_device = format!("device:{}", who.device.0);
        let name = match &who.subject {
            Some(subject) => Name::citizens(subject.as_str()),
            None => as_device.clone(),
        };
        let row = Row::survey(&who, (answers, at))?;
        let name = Name { publication, kind: Kind::Survey, name };
        self.put(name, Some(as_device), row).await
    }

    async fn put(&self, name: Name, other: Option<String>, row: Row) -> Result<()> {
        let Inner { redis, answer, .. } = &*self.0;
        let keys = self.keys_of(name.publication);
        let at = row.at_ms;
        if !row.said.is_empty() {
            let subject = row.subject.as_ref().map(|subject| self.subject_key(subject));
            let publications = redis.keys("answers").key("publications");
            let publication = name.publication.to_string();
            futures_util::try_join!(
                self.name(self.device_key(&row.device), name.to_string(), at),
                async {
                    match subject {
                        Some(subject) => self.name(subject, name.to_string(), at).await,
                        None => Ok(()),
                    }
                },
                self.name(publications, publication, at),
            )?;
        }
        let call = self.rows_call(answer, &keys, name.kind).arg(name.kind.letter()).arg(at);
        let call = call.arg(u8::from(row.has_text())).arg(row.text()?);
        let call = call.arg(&name.name).arg(other.as_ref().unwrap_or(&name.name));
        Ok(redis.run_lasting(&keys, &call).await?)
    }

    async fn name(&self, list: String, name: String, at: i64) -> Result<(), Failure> {
        let mut add = redis::cmd("ZADD");
        self.0.redis.ask(add.arg(list).arg("GT").arg(at).arg(name)).await
    }

    /// How many are safe, and how many need help.
    pub async fn safety(&self, publication: PublicationId) -> Result<SafetyCounts> {
        let mut counts = SafetyCounts::new();
        for (count, number) in self.counts(publication, Kind::Safety).await? {
            let safety = if count.value == "help" { Safety::Help } else { Safety::Safe };
            counts.entry(safety).or_default().insert(count.unit.unwrap_or_default(), number);
        }
        Ok(counts)
    }

    /// How often each option and step was chosen.
    pub async fn tally(&self, publication: PublicationId) -> Result<Vec<Count>> {
        let counts = self.counts(publication, Kind::Survey).await?;
        let mut tally: Vec<Count> = counts
            .into_iter()
            .map(|(row::Counted { question, value, unit }, count)| Count {
                question,
                value,
                unit,
                count,
            })
            .collect();
        tally.sort_by(|one, other| {
            let order = |count: &Count| (count.question.clone(), count.value.clone());
            order(one).cmp(&order(other)).then_with(|| one.unit.cmp(&other.unit))
        });
        Ok(tally)
    }

    async fn counts(&self, of: PublicationId, kind: Kind) -> Result<Vec<(row::Counted, u64)>> {
        let mut all = redis::cmd("HGETALL");
        all.arg(self.keys_of(of).key(kind.counts()));
        let counts: Vec<(String, u64)> = self.0.redis.ask(&all).await?;
        let counts = counts.iter().map(|(field, count)| Ok((row::Counted::parse(field)?, *count)));
        Ok(counts.collect::<Result<_, Failure>>()?)
    }

    /// How many respondents a survey has.
    pub async fn respondents(&self, publication: PublicationId) -> Result<u64> {
        let mut count = redis::cmd("HLEN");
        count.arg(self.keys_of(publication).key(Kind::Survey.rows()));
        Ok(self.0.redis.ask(&count).await?)
    }

    /// The newest free texts and notes.
    pub async fn said(&self, publication: PublicationId) -> Result<Vec<Said>> {
        let keys = self.keys_of(publication);
        let mut range = redis::cmd("ZREVRANGE");
        range.arg(keys.key("said")).arg(0).arg(PAGE_MAX - 1);
        let members: Vec<String> = self.0.redis.ask(&range).await?;
        let names = members.iter().map(|member| Name::in_publication(publication, member));
        let rows = self.rows(names.collect::<Result<Vec<_>, _>>()?).await?;
        let mut said = Vec::new();
        for (name, row) in rows {
            said.extend(row.texts(name.kind)?);
        }
        said.sort_by_key(|said| std::cmp::Reverse(said.at));
        said.truncate(PAGE_MAX);
        Ok(said)
    }

    /// Everything a device answered.
    pub async fn of(&self, device: DeviceNum) -> Result<Vec<Own>> {
        let device = device.0.to_string();
        let names = self.names(self.device_key(&device)).await?;
        let rows = self.rows(names.into_iter().map(|(name, _)| name).collect()).await?;
        let mut own = Vec::new();
        // A citizen's answer may have come from another device since.
        for (name, row) in rows.into_iter().filter(|(_, row)| row.device == device) {
            own.extend(row.own(&name)?);
        }
        own.sort_by_key(|own| std::cmp::Reverse(own.at));
        own.truncate(PAGE_MAX);
        Ok(own)
    }

    /// Forgets what a device said, and a citizen.
    pub async fn erase(&self, device: Option<DeviceNum>, subject: Option<SubjectId>) -> Result<()> {
        let device = device.map(|device| device.0.to_string());
        let subject = subject.map(|subject| subject.to_string());
        let lists = [
            device.as_ref().map(|device| self.device_key(device)),
            subject.as_ref().map(|subject| self.subject_key(subject)),
        ];
        let (device, subject) = (device.unwrap_or_default(), subject.unwrap_or_default());
        for list in lists.into_iter().flatten() {
            let erase =
                self.names(list.clone()).await?.into_iter().map(|(name, at)| {
                    self.erase_one(list.clone(), (name, at), (&device, &subject))
                });
            stream::iter(erase).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn erase_one(
        &self,
        list: String,
        (name, at_ms): (Name, i64),
        (device, subject): (&str, &str),
    ) -> Result<()> {
        let keys = self.keys_of(name.publication);
        let call = self.rows_call(&self.0.erase, &keys, name.kind).arg(name.kind.letter());
        let call = call.arg(&name.name).arg(device).arg(subject);
        let of: Vec<String> = self.0.redis.run_lasting(&keys, &call).await?;
        let (name, before) = (name.to_string(), at_ms.saturating_add(1));
        if let [device, subject] = &of[..] {
            // Where else it was named, nobody may come by.
            for list in [self.device_key(device), self.subject_key(subject)] {
                self.unname(list, name.clone(), before).await?;
            }
        }
        self.unname(list, name, before).await
    }

    /// Drops old answers.
    pub async fn forget(&self, before: Timestamp) -> Result<u64> {
        let publications = self.0.redis.keys("answers").key("publications");
        let mut all = redis::cmd("ZRANGE");
        let ids: Vec<String> = self.0.redis.ask(all.arg(&publications).arg(0).arg(-1)).await?;
        let mut forgotten = 0;
        for id in ids {
            forgotten += self.forget_of(id.parse().map_err(Failure::new)?, before).await?;
            self.unname(publications.clone(), id, before.as_millisecond()).await?;
        }
        Ok(forgotten)
    }

    async fn forget_of(&self, publication: PublicationId, before: Timestamp) -> Result<u64> {
        let keys = self.keys_of(publication);
        let call = self.0.forget.call().key(keys.key("at")).key(keys.key("said"));
        let call = call.key(keys.key(Kind::Safety.rows())).key(keys.key(Kind::Safety.counts()));
        let call = call.key(keys.key(Kind::Survey.rows())).key(keys.key(Kind::Survey.counts()));
        let call = call.arg(before.as_millisecond()).arg(FORGET_PIECE);
        let mut forgotten = 0;
        loop {
            let gone: Vec<String> = self.0.redis.run(&call).await?;
            let mut lists = Vec::new();
            for one in gone.chunks_exact(3) {
                let name = Name::in_publication(publication, &one[0])?.to_string();
                lists.push((self.device_key(&one[1]), name.clone()));
                if !one[2].is_empty() {
                    lists.push((self.subject_key(&one[2]), name));
                }
            }
            let before = before.as_millisecond();
            let unname = lists.into_iter().map(|(list, name)| self.unname(list, name, before));
            stream::iter(unname).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            forgotten += gone.len() as u64 / 3;
            if gone.len() / 3 < FORGET_PIECE {
                return Ok(forgotten);
            }
        }
    }

    async fn unname(&self, list: String, name: String, before_ms: i64) -> Result<()> {
        let call = self.0.unname.call().key(list).arg(name).arg(before_ms);
        Ok(self.0.redis.run(&call).await?)
    }

    /// The names of a list, and when they were written.
    async fn names(&self, list: String) -> Result<Vec<(Name, i64)>> {
        let mut all = redis::cmd("ZRANGE");
        all.arg(list).arg(0).arg(-1).arg("WITHSCORES");
        let names: Vec<(String, i64)> = self.0.redis.ask(&all).await?;
        let names = names.iter().map(|(name, at)| Ok((name.parse()?, *at)));
        Ok(names.collect::<Result<_, Failure>>()?)
    }

    /// Rows by their names; what is gone is left out.
    async fn rows(&self, names: Vec<Name>) -> Result<Vec<(Name, Row)>> {
        let get = |name: Name| async move {
            let mut get = redis::cmd("HGET");
            get.arg(self.keys_of(name.publication).key(name.kind.rows())).arg(&name.name);
            let row: Option<String> = self.0.redis.ask(&get).await?;
            Ok::<_, Failure>(row.map(|row| Row::parse(&row)).transpose()?.map(|row| (name, row)))
        };
        let rows = stream::iter(names.into_iter().map(get)).buffered(AT_ONCE);
        Ok(rows.try_filter_map(async |row| Ok(row)).try_collect().await?)
    }

    fn rows_call<'a>(&self, script: &'a Script, keys: &Keys, kind: Kind) -> Call<'a> {
        let call = script.call().key(keys.key(kind.rows())).key(keys.key(kind.counts()));
        call.key(keys.key("at")).key(keys.key("said"))
    }

    fn keys_of(&self, publication: PublicationId) -> Keys {
        self.0.redis.keys(&format!("answers-{publication}"))
    }

    fn device_key(&self, device: &str) -> String {
        self.0.redis.keys(&format!("answers-d-{device}")).key("of")
    }

    fn subject_key(&self, subject: &str) -> String {
        self.0.redis.keys(&format!("answers-s-{subject}")).key("of")
    }
}
