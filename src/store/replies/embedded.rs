//! The replies store in one SQLite file. (In progress.)

use super::*;

/// The store.
#[derive(Clone, Debug)]
pub struct Store;

#[allow(unused_variables, missing_docs)]
impl Store {
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Store> {
        Err(Error::Closed)
    }
    pub async fn begin(&self, scope: &str, key: &str, digest: [u8; 32]) -> Result<Begun> {
        Err(Error::Closed)
    }
    pub async fn finish(&self, lease: Lease, reply: Reply) -> Result<()> {
        Err(Error::Closed)
    }
    pub async fn abandon(&self, lease: Lease) -> Result<()> {
        Err(Error::Closed)
    }
    pub async fn forget(&self) -> Result<u64> {
        Err(Error::Closed)
    }
}
