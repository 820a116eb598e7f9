//! Whose a device is: a citizen claims it, releases it, or is called by another pseudonym.

use std::sync::Arc;

use crate::domain::audience::Audience;
use crate::domain::device::Device;
use crate::domain::ids::{DeviceId, DeviceNum, SubjectId};
use crate::store::registry::{Error, Estimate, Registry};

/// A part of the registry that was looked through for devices of citizens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owned {
    /// The last device looked at; go on after it. None: there are no more.
    pub last: Option<DeviceNum>,
    /// Those that are a citizen's.
    pub devices: Vec<Arc<Device>>,
}

impl Registry {
    /// Gives a device to a citizen, or takes it from one.
    pub async fn claim(
        &self,
        id: &DeviceId,
        subject: Option<SubjectId>,
    ) -> Result<Arc<Device>, Error> {
        self.give(id, move |_| subject.clone()).await
    }

    /// Gives a citizen's device to another pseudonym of theirs, or to nobody. One that is not
    /// theirs any more stays as it is.
    pub async fn hand_over(
        &self,
        id: &DeviceId,
        (from, to): (&SubjectId, Option<&SubjectId>),
    ) -> Result<(), Error> {
        let (from, to) = (from.clone(), to.cloned());
        let given = self.give(
            id,
            move |owner| {
                if owner == Some(&from) { to.clone() } else { owner.cloned() }
            },
        );
        match given.await {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives a device to whom `whose` says, which is told whose it is.
    async fn give(
        &self,
        id: &DeviceId,
        whose: impl Fn(Option<&SubjectId>) -> Option<SubjectId> + Send + Sync + 'static,
    ) -> Result<Arc<Device>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.give(*id, whose).await,
            Self::Redis(shared) => shared.give(*id, whose).await,
        }
    }

    /// A citizen's devices, at most [`super::SUBJECT_DEVICES_MAX`], in the order of their numbers.
    pub async fn of_subject(&self, subject: &SubjectId) -> Result<Vec<Arc<Device>>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.of_subject(subject.clone()).await,
            Self::Redis(shared) => shared.of_subject(subject.clone()).await,
        }
    }

    /// The devices of a citizen under whichever of their pseudonyms, in the order of their numbers.
    pub async fn of_names(
        &self,
        names: impl IntoIterator<Item = &SubjectId>,
    ) -> Result<Vec<Arc<Device>>, Error> {
        let mut devices = Vec::new();
        for name in names {
            devices.extend(self.of_subject(name).await?);
        }
        devices.sort_unstable_by_key(|device| device.num);
        // One that is handed over meanwhile is seen twice.
        devices.dedup_by_key(|device| device.num);
        Ok(devices)
    }

    /// How many devices the citizen has that an audience is.
    pub(super) async fn estimate_citizen(&self, audience: &Audience) -> Result<Estimate, Error> {
        let mut estimate = Estimate::default();
        for device in self.of_names(audience.names()).await? {
            *estimate.channels.entry(device.profile.address.channel()).or_default() += 1;
            estimate.total += 1;
        }
        Ok(estimate)
    }

    /// Looks through the next `limit` devices for those of citizens.
    pub async fn owned(&self, after: DeviceNum, limit: usize) -> Result<Owned, Error> {
        match self {
            Self::Embedded(embedded) => embedded.owned(after, limit).await,
            Self::Redis(shared) => shared.owned(after, limit).await,
        }
    }
}
