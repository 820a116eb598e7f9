//! What citizens were called before. A pseudonym follows from a key; when the key is rotated the
//! citizen gets another one, and this store remembers for as long as the old key lives which took
//! the place of which: so whatever still comes under the old one finds them.
//!
//! What is kept of a citizen lies under their present pseudonym alone. It is sealed under a key
//! whose name has nothing to do with what they are called, so a move seals nothing anew, and what
//! is on the log is read as before: for whoever holds the key now.

use super::{Alerts, Result};
use crate::domain::ids::SubjectId;

/// A part of the store that was looked through for pseudonyms. Whatever was there before and stays
/// is met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Pseudonyms under which something is kept, and former ones; one may come twice.
    pub names: Vec<SubjectId>,
    /// Where to go on; none: that was all.
    pub next: Option<String>,
}

impl Alerts {
    /// What a citizen is called: the present pseudonym first, then the former ones.
    pub async fn names(&self, name: &SubjectId) -> Result<Vec<SubjectId>> {
        match self {
            Alerts::Embedded(store) => store.names(name).await,
            Alerts::Redis(store) => store.names(name).await,
        }
    }

    /// Gives everything that is kept under a pseudonym to another one, in one step, and remembers
    /// that it took its place. Where nothing is kept this is done only if the citizen `is_known`
    /// elsewhere. Answers what they are called now if the pseudonym is a former one, by this or an
    /// earlier move. Safe to repeat.
    pub async fn rename(
        &self,
        (from, to): (&SubjectId, &SubjectId),
        is_known: bool,
    ) -> Result<Option<SubjectId>> {
        match self {
            Alerts::Embedded(store) => store.rename((from, to), is_known).await,
            Alerts::Redis(store) => store.rename((from, to), is_known).await,
        }
    }

    /// Erases every citizen with such a pseudonym as [`Alerts::erase`] does; one that is a former
    /// one is forgotten as such.
    pub async fn erase_all(&self, of: impl Fn(&SubjectId) -> bool) -> Result<()> {
        let mut from = None;
        loop {
            let page = match self {
                Alerts::Embedded(store) => store.pseudonyms(from).await?,
                Alerts::Redis(store) => store.pseudonyms(from).await?,
            };
            let mut former = Vec::new();
            for name in page.names.into_iter().filter(&of) {
                match self.names(&name).await?[0] == name {
                    true => self.erase(&name).await?,
                    false => former.push(name),
                }
            }
            match self {
                Alerts::Embedded(store) => store.forget_names(former).await?,
                Alerts::Redis(store) => store.forget_names(former).await?,
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        match self {
            // What a move took away is in the journal until then.
            Alerts::Embedded(store) => store.scrub().await,
            Alerts::Redis(_) => Ok(()),
        }
    }
}
