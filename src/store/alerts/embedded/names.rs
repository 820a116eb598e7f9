//! What citizens were called before, in the alerts' file.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Store;
use crate::domain::ids::SubjectId;
use crate::store::Failure;
use crate::store::alerts::names::Page;
use crate::store::alerts::{PAGE_MAX, Result};

impl Store {
    /// The present pseudonym, then the former ones.
    pub async fn names(&self, name: &SubjectId) -> Result<Vec<SubjectId>> {
        let name = name.clone();
        let all = move |connection: &Connection| {
            let present = present(connection, &name)?;
            of(connection, present)
        };
        self.database.look(all).await
    }

    /// Gives what is kept under a pseudonym to another one.
    pub async fn rename(
        &self,
        (from, to): (&SubjectId, &SubjectId),
        is_known: bool,
    ) -> Result<Option<SubjectId>> {
        let (from, to) = (from.clone(), to.clone());
        self.database.change(move |connection| rename(connection, (&from, &to), is_known)).await
    }

    /// Forgets what citizens were called before.
    pub async fn forget_names(&self, former: Vec<SubjectId>) -> Result<()> {
        let forget = move |connection: &Connection| {
            let mut delete = connection.prepare_cached("DELETE FROM names WHERE former = ?")?;
            for name in former {
                delete.execute([name.as_str()])?;
            }
            Ok(())
        };
        self.database.change(forget).await
    }

    /// Empties the journal.
    pub async fn scrub(&self) -> Result<()> {
        Ok(self.database.scrub().await?)
    }

    /// The next pseudonyms in their order.
    pub(in crate::store::alerts) async fn pseudonyms(&self, from: Option<String>) -> Result<Page> {
        let after = from.unwrap_or_default();
        let look = move |connection: &Connection| {
            let select = "SELECT subject FROM publications WHERE subject > ?1
                UNION SELECT subject FROM subject_keys WHERE subject > ?1
                UNION SELECT former FROM names WHERE former > ?1 ORDER BY 1 LIMIT ?2";
            let mut select = connection.prepare_cached(select)?;
            let rows = select.query_map(params![after, PAGE_MAX as i64], text)?;
            let names: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
            let names = names.iter().map(|name| name.parse().map_err(Failure::new));
            let names: Vec<SubjectId> = names.collect::<Result<_, Failure>>()?;
            let next = names.last().map(ToString::to_string);
            Ok(Page { names, next })
        };
        self.database.look(look).await
    }
}

/// What a citizen is called now.
pub fn present(connection: &Connection, name: &SubjectId) -> Result<SubjectId, Failure> {
    Ok(successor(connection, name)?.unwrap_or_else(|| name.clone()))
}

/// A present pseudonym, then those that it took the place of.
pub fn of(connection: &Connection, present: SubjectId) -> Result<Vec<SubjectId>, Failure> {
    let mut select = connection.prepare_cached("SELECT former FROM names WHERE present = ?")?;
    let former: Vec<String> =
        select.query_map([present.as_str()], text)?.collect::<rusqlite::Result<_>>()?;
    let former = former.iter().map(|name| name.parse().map_err(Failure::new));
    std::iter::once(Ok(present)).chain(former).collect()
}

fn successor(connection: &Connection, name: &SubjectId) -> Result<Option<SubjectId>, Failure> {
    let mut select = connection.prepare_cached("SELECT present FROM names WHERE former = ?")?;
    let present = select.query_row([name.as_str()], text).optional()?;
    present.map(|present| present.parse()).transpose().map_err(Failure::new)
}

fn rename(
    connection: &Connection,
    (from, to): (&SubjectId, &SubjectId),
    is_known: bool,
) -> Result<Option<SubjectId>, Failure> {
    if let Some(present) = successor(connection, from)? {
        return Ok(Some(present));
    }
    let to = present(connection, to)?;
    let mut moved = 0;
    for update in [
        "UPDATE publications SET subject = ?2 WHERE subject = ?1",
        "UPDATE subject_keys SET subject = ?2 WHERE subject = ?1",
        "UPDATE names SET present = ?2 WHERE present = ?1",
    ] {
        moved += connection.execute(update, [from.as_str(), to.as_str()])?;
    }
    if moved == 0 && !is_known {
        return Ok(None);
    }
    let insert = "INSERT INTO names (former, present) VALUES (?, ?)";
    connection.execute(insert, [from.as_str(), to.as_str()])?;
    Ok(Some(to))
}

fn text(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}
