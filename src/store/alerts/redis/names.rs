//! What citizens were called before, on Redis: `names` hash, present by former; `former:…` sets,
//! the other way; `holder:…`, who holds the key of a handle, of citizens once called otherwise.

use super::{Failure, Store};
use crate::domain::ids::SubjectId;
use crate::store::alerts::names::Page;
use crate::store::alerts::{PAGE_MAX, Result};

/// What a cursor begins with: former pseudonyms are looked through first, then publications.
const FORMER: &str = "f";
const PUBLICATIONS: &str = "p";
/// Where Redis begins to look through something, and where it ends.
const ENDS: &str = "0";

impl Store {
    /// The present pseudonym, then the former ones.
    pub async fn names(&self, name: &SubjectId) -> Result<Vec<SubjectId>> {
        Ok(self.called(name.as_str()).await?)
    }

    pub(super) async fn called(&self, name: &str) -> std::result::Result<Vec<SubjectId>, Failure> {
        let call = self.0.scripts.names.call().key(self.taken()).arg(self.0.keys.stem());
        parsed(self.0.redis.run(&call.arg(name)).await?)
    }

    /// Gives what is kept under a pseudonym to another one.
    pub async fn rename(
        &self,
        (from, to): (&SubjectId, &SubjectId),
        is_known: bool,
    ) -> Result<Option<SubjectId>> {
        let call = self.0.scripts.rename.call().key(self.taken()).arg(self.0.keys.stem());
        let call = call.arg(from.as_str()).arg(to.as_str()).arg(u8::from(is_known));
        let present: String = self.0.redis.run_lasting(&self.0.keys, &call).await?;
        let present = Some(present).filter(|present| !present.is_empty());
        Ok(present.map(|name| name.parse()).transpose().map_err(Failure::new)?)
    }

    /// Forgets what citizens were called before.
    pub async fn forget_names(&self, former: Vec<SubjectId>) -> Result<()> {
        for name in former {
            let call = self.0.scripts.forget_name.call().key(self.taken());
            let call = call.arg(self.0.keys.stem()).arg(name.as_str());
            self.0.redis.run::<()>(&call).await?;
        }
        Ok(())
    }

    /// The next pseudonyms: the former ones, then those of whoever has publications. A key without
    /// any is destroyed within an hour.
    pub(in crate::store::alerts) async fn pseudonyms(&self, from: Option<String>) -> Result<Page> {
        let from = from.unwrap_or_else(|| format!("{FORMER}{ENDS}"));
        let (list, cursor) = from.split_at(1);
        let key = match list {
            FORMER => self.taken(),
            _ => self.0.keys.key("expiry"),
        };
        let mut scan = redis::cmd(if list == FORMER { "HSCAN" } else { "ZSCAN" });
        scan.arg(key).arg(cursor).arg("COUNT").arg(PAGE_MAX);
        let (next, found): (String, Vec<(String, String)>) = self.0.redis.ask(&scan).await?;
        let found: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
        let names = if list == FORMER { found } else { self.subjects(&found).await? };
        let next = match (list, next.as_str()) {
            (FORMER, ENDS) => Some(format!("{PUBLICATIONS}{ENDS}")),
            (_, ENDS) => None,
            (list, next) => Some(format!("{list}{next}")),
        };
        Ok(Page { names: parsed(names)?, next })
    }

    /// Whose publications are.
    async fn subjects(&self, ids: &[String]) -> Result<Vec<String>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = redis::pipe();
        for id in ids {
            all.cmd("HGET").arg(self.0.keys.pair("p", id)).arg("subject");
        }
        let subjects: Vec<Option<String>> = self.0.redis.ask_all(&all).await?;
        // An area's have none.
        Ok(subjects.into_iter().flatten().filter(|subject| !subject.is_empty()).collect())
    }

    /// Who took whose place.
    pub(super) fn taken(&self) -> String {
        self.0.keys.key("names")
    }
}

/// Pseudonyms as they were read.
pub(super) fn parsed(names: Vec<String>) -> std::result::Result<Vec<SubjectId>, Failure> {
    names.iter().map(|name| name.parse().map_err(Failure::new)).collect()
}
