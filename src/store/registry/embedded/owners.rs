//! Whose a device is, in the registry's file.

use std::sync::Arc;

use crate::domain::device::Device;
use crate::domain::ids::{DeviceId, DeviceNum, SubjectId};
use crate::store::registry::Error;
use crate::store::registry::embedded::{Embedded, read};
use crate::store::registry::owners::Owned;

impl Embedded {
    /// Gives a device to whom `whose` says.
    pub async fn give(
        &self,
        id: DeviceId,
        whose: impl Fn(Option<&SubjectId>) -> Option<SubjectId> + Send + 'static,
    ) -> Result<Arc<Device>, Error> {
        self.write(move |writing| writing.give(id, whose)).await
    }

    /// A citizen's devices.
    pub async fn of_subject(&self, subject: SubjectId) -> Result<Vec<Arc<Device>>, Error> {
        self.look(move |source| read::of_subject(source, &subject)).await
    }

    /// Looks through the next devices for those of citizens.
    pub async fn owned(&self, after: DeviceNum, limit: usize) -> Result<Owned, Error> {
        let page = self.look(move |source| read::devices(source, after, limit)).await?;
        let last = page.last().map(|device| device.num);
        let devices = page.into_iter().filter(|device| device.subject.is_some()).collect();
        Ok(Owned { last, devices })
    }
}
