//! The alerts store in one SQLite file. (In progress.)

use super::*;

/// The store.
#[derive(Clone, Debug)]
pub struct Store;

#[allow(unused_variables, missing_docs)]
impl Store {
    pub async fn open(settings: &Settings) -> Result<Store> {
        Err(Error::Closed)
    }
    pub async fn accept_all(&self, accepting: Vec<Accepting>) -> Result<Vec<Accepted>> {
        Err(Error::Closed)
    }
    pub async fn mark_all_logged(&self, logged: Vec<(PublicationId, String)>) -> Result<()> {
        Err(Error::Closed)
    }
    pub async fn unlogged(&self) -> Result<Vec<Publication>> {
        Err(Error::Closed)
    }
    pub async fn get(&self, id: PublicationId) -> Result<Option<Arc<Stored>>> {
        Err(Error::Closed)
    }
    pub async fn by_identity(&self, s: &str, i: &str, t: Timestamp) -> Result<Option<Arc<Stored>>> {
        Err(Error::Closed)
    }
    pub async fn by_identifier(&self, s: &str, i: &str) -> Result<Vec<Arc<Stored>>> {
        Err(Error::Closed)
    }
    pub async fn chain(&self, chain: ChainId) -> Result<Vec<Arc<Stored>>> {
        Err(Error::Closed)
    }
    pub async fn supersede(&self, ids: &[PublicationId], by: PublicationId) -> Result<()> {
        Err(Error::Closed)
    }
    pub fn live(&self, now: Timestamp) -> Vec<Arc<Publication>> {
        Vec::new()
    }
    pub async fn recent(&self, b: Option<PublicationId>, l: usize) -> Result<Vec<Arc<Stored>>> {
        Err(Error::Closed)
    }
    pub async fn for_subject(
        &self,
        s: &SubjectId,
        b: Option<PublicationId>,
        l: usize,
    ) -> Result<Vec<Arc<Stored>>> {
        Err(Error::Closed)
    }
    pub async fn forget(&self, expired_before: Timestamp) -> Result<u64> {
        Err(Error::Closed)
    }
}
