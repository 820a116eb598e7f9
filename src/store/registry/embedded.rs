//! In progress.
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::watch;

use super::*;

#[derive(Clone, Debug)]
pub struct Embedded(watch::Receiver<Seq>);
fn soon<T>() -> Result<T, Error> {
    Err(Failure::new("in progress").into())
}
#[allow(missing_docs, unused_variables)]
impl Embedded {
    pub async fn open(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        soon()
    }
    pub fn shards(&self) -> u16 {
        4
    }
    pub async fn register(&self, new: NewDevice) -> Result<Arc<Device>, Error> {
        soon()
    }
    pub async fn update(&self, id: DeviceId, profile: Profile) -> Result<Arc<Device>, Error> {
        soon()
    }
    pub async fn claim(
        &self,
        id: DeviceId,
        subject: Option<SubjectId>,
    ) -> Result<Arc<Device>, Error> {
        soon()
    }
    pub async fn remove(&self, id: DeviceId) -> Result<bool, Error> {
        soon()
    }
    pub async fn get(&self, id: DeviceId) -> Result<Option<Stored>, Error> {
        soon()
    }
    pub async fn of_subject(&self, subject: SubjectId) -> Result<Vec<Arc<Device>>, Error> {
        soon()
    }
    pub async fn deactivate_address(
        &self,
        num: DeviceNum,
        address: PushAddress,
        not_after: Option<Timestamp>,
    ) -> Result<bool, Error> {
        soon()
    }
    pub async fn scan(&self, range: Range, limit: usize) -> Result<Vec<Member>, Error> {
        soon()
    }
    pub async fn members(&self, seqs: Vec<Seq>) -> Result<Vec<Member>, Error> {
        soon()
    }
    pub async fn memberships_of(&self, num: DeviceNum) -> Result<Vec<Membership>, Error> {
        soon()
    }
    pub fn last_seq(&self) -> Seq {
        *self.0.borrow()
    }
    pub async fn changes(&self, after: Seq, limit: usize) -> Result<Vec<Member>, Error> {
        soon()
    }
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.0.clone()
    }
    pub async fn estimate(&self, audience: &Audience) -> Result<Estimate, Error> {
        soon()
    }
    pub fn ranges(&self, audience: &AreaAudience, channel: Channel) -> Vec<(UnitCode, u16)> {
        vec![]
    }
    pub async fn bulk_load<I: IntoIterator<Item = NewDevice> + Send + 'static>(
        &self,
        devices: I,
    ) -> Result<u64, Error> {
        soon()
    }
    pub async fn forget_departed(&self, before: Timestamp) -> Result<u64, Error> {
        soon()
    }
    pub async fn late_cursor(&self) -> Result<Seq, Error> {
        soon()
    }
    pub async fn set_late_cursor(&self, seq: Seq) -> Result<(), Error> {
        soon()
    }
}
