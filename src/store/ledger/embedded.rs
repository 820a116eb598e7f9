//! In progress.
use tokio::sync::watch;

use super::*;

#[derive(Clone, Debug)]
pub struct Embedded(watch::Receiver<u64>);
fn soon<T>() -> Result<T, Error> {
    Err(Failure::new("in progress").into())
}
#[allow(missing_docs, unused_variables)]
impl Embedded {
    pub async fn start(settings: &Settings) -> Result<Self, Error> {
        soon()
    }
    pub async fn open(&self, dispatch: Dispatch) -> Result<Progress, Error> {
        soon()
    }
    pub async fn save(&self, progress: &Progress) -> Result<Saved, Error> {
        soon()
    }
    pub async fn freeze(&self, id: DispatchId) -> Result<Option<Progress>, Error> {
        soon()
    }
    pub async fn get(&self, id: DispatchId) -> Result<Option<Progress>, Error> {
        soon()
    }
    pub async fn of_publication(&self, id: PublicationId) -> Result<Vec<Progress>, Error> {
        soon()
    }
    pub async fn put_targeted(
        &self,
        id: PublicationId,
        key: String,
        targeted: Vec<Targeted>,
    ) -> Result<(), Error> {
        soon()
    }
    pub async fn record_receipts(
        &self,
        receipts: Vec<Receipt>,
        at: &AcceptedAt,
    ) -> Result<u64, Error> {
        soon()
    }
    pub async fn record_deliveries(
        &self,
        delivered: Vec<Delivered>,
        at: &AcceptedAt,
    ) -> Result<u64, Error> {
        soon()
    }
    pub async fn funnel(&self, id: PublicationId) -> Result<Funnel, Error> {
        soon()
    }
    pub async fn stage_of(
        &self,
        id: PublicationId,
        device: DeviceNum,
    ) -> Result<Option<Stage>, Error> {
        soon()
    }
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.clone()
    }
    pub async fn forget(&self, before: Timestamp) -> Result<u64, Error> {
        soon()
    }
}
