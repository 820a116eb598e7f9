//! Whose a device is, on Redis.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::device::Device;
use crate::domain::ids::{DeviceId, DeviceNum, SubjectId};
use crate::store::registry::Error;
use crate::store::registry::owners::Owned;
use crate::store::registry::redis::record::Person;
use crate::store::registry::redis::{Shared, plan};

impl Shared {
    /// Gives a device to whom `whose` says.
    pub async fn give(
        &self,
        id: DeviceId,
        whose: impl Fn(Option<&SubjectId>) -> Option<SubjectId> + Send + Sync,
    ) -> Result<Arc<Device>, Error> {
        let given = |old: &Person, now: Timestamp| {
            plan::revised(old, old.profile.clone(), whose(old.subject.as_ref()), now)
        };
        self.revise(id, given).await
    }

    /// Looks through the next devices for those of citizens.
    pub async fn owned(&self, after: DeviceNum, limit: usize) -> Result<Owned, Error> {
        let Some(last) = self.last_of(after, limit).await? else { return Ok(Owned::default()) };
        let found = self.by_nums(after.0 + 1..=last.0).await?;
        let devices = found.into_iter().filter_map(|found| {
            let person = found.record.person.filter(|person| person.subject.is_some())?;
            Some(Arc::new(person.device(found.num)))
        });
        Ok(Owned { last: Some(last), devices: devices.collect() })
    }
}
