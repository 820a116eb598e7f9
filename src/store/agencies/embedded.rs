//! The agencies store in one SQLite file. (In progress.)

use super::*;

/// The store.
#[derive(Clone, Debug)]
pub struct Store;

#[allow(unused_variables, missing_docs)]
impl Store {
    pub async fn open(settings: &Settings) -> Result<Store> {
        Err(Error::Closed)
    }
    pub async fn put(&self, agency: Agency) -> Result<()> {
        Err(Error::Closed)
    }
    pub async fn list(&self) -> Result<Vec<Agency>> {
        Err(Error::Closed)
    }
    pub async fn get(&self, id: &AgencyId) -> Result<Option<Agency>> {
        Err(Error::Closed)
    }
    pub async fn add_key(
        &self,
        agency: &AgencyId,
        name: &str,
        now: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<ApiKey> {
        Err(Error::Closed)
    }
    pub async fn keys(&self, agency: &AgencyId) -> Result<Vec<KeyInfo>> {
        Err(Error::Closed)
    }
    pub async fn authenticate(
        &self,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<(Agency, String)>> {
        Err(Error::Closed)
    }
    pub async fn revoke(&self, agency: &AgencyId, name: &str, now: Timestamp) -> Result<bool> {
        Err(Error::Closed)
    }
}
