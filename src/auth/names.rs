//! Citizens under whichever of their pseudonyms: found, moved to the present one, and erased.
//!
//! When the pseudonyms' key was rotated, only a token of a citizen tells what they are called under
//! the new one ([`crate::auth::pseudonym`]); so the move happens when they come. First the alerts
//! store gives everything of theirs to the new name in one step, and remembers which took the place
//! of which. From then on the old name finds them: agencies may go on writing to it, and a
//! browser's session may go on with it. Then their devices follow, and what they answered. Each
//! step is safe to repeat, and what a crash leaves half done is found under both names until the
//! citizen's next token, or the old key's end, finishes it.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::pseudonym::{Ended, Pseudonyms};
use crate::domain::device::Device;
use crate::domain::ids::{DeviceNum, SubjectId};
use crate::store::alerts::{self, Alerts};
use crate::store::answers::{self, Answers};
use crate::store::registry::{self, Registry};

/// Devices looked at in one step, at a key's end.
const PAGE: usize = 500;

/// Why a citizen could not be found or moved.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The alerts store failed.
    #[error(transparent)]
    Alerts(#[from] alerts::Error),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The answers' store failed.
    #[error(transparent)]
    Answers(#[from] answers::Error),
}

/// Finds citizens. Clones share it.
#[derive(Clone, Debug)]
pub struct Names {
    pseudonyms: Pseudonyms,
    alerts: Alerts,
    registry: Registry,
    answers: Answers,
}

impl Names {
    /// Over the stores that know citizens by a pseudonym.
    pub fn new(
        pseudonyms: Pseudonyms,
        (alerts, registry, answers): (Alerts, Registry, Answers),
    ) -> Self {
        Self { pseudonyms, alerts, registry, answers }
    }

    /// What they follow from.
    pub fn pseudonyms(&self) -> &Pseudonyms {
        &self.pseudonyms
    }

    /// Where devices are.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What a citizen is called who came with a token: what it says under each key, the newest
    /// first. Whatever is kept under an older name is theirs under the present one afterwards.
    pub async fn arrived(&self, names: &[SubjectId]) -> Result<SubjectId, Error> {
        let (newest, older) = names.split_first().expect("there is always one key");
        // Another node may know a newer key already.
        let mut called = self.all(newest).await?;
        for old in older {
            if let Some(present) = self.bring(old, &called).await? {
                called[0] = present;
            }
        }
        Ok(called.swap_remove(0))
    }

    /// What a citizen is called now.
    pub async fn present(&self, name: &SubjectId) -> Result<SubjectId, Error> {
        Ok(self.all(name).await?.swap_remove(0))
    }

    /// What a citizen is called: the present name first, then those that are still good.
    pub async fn all(&self, name: &SubjectId) -> Result<Vec<SubjectId>, Error> {
        match self.pseudonyms.are_rotating() {
            true => Ok(self.alerts.names(name).await?),
            false => Ok(vec![name.clone()]),
        }
    }

    /// A citizen's devices.
    pub async fn devices(&self, name: &SubjectId) -> Result<Vec<Arc<Device>>, Error> {
        Ok(self.registry.of_names(&self.all(name).await?).await?)
    }

    /// Moves a citizen who is called so from an older name, if anything is known of them under it;
    /// answers what they are called then.
    async fn bring(
        &self,
        old: &SubjectId,
        called: &[SubjectId],
    ) -> Result<Option<SubjectId>, Error> {
        let devices = self.registry.of_subject(old).await?;
        let is_known = !devices.is_empty() || self.answers.knows(old).await?;
        let moved = match called.contains(old) {
            true => Some(called[0].clone()),
            false => self.alerts.rename((old, &called[0]), is_known).await?,
        };
        if let Some(present) = moved.as_ref().filter(|_| is_known) {
            self.follow((old, present), &devices).await?;
        }
        Ok(moved)
    }

    /// The devices, and what was answered, follow to the present name.
    async fn follow(
        &self,
        (old, present): (&SubjectId, &SubjectId),
        devices: &[Arc<Device>],
    ) -> Result<(), Error> {
        for device in devices {
            self.hand_over(device, (old, present)).await?;
        }
        let nums: Vec<DeviceNum> = devices.iter().map(|device| device.num).collect();
        Ok(self.answers.rename((old, present), &nums).await?)
    }

    async fn hand_over(
        &self,
        device: &Device,
        (old, present): (&SubjectId, &SubjectId),
    ) -> Result<(), Error> {
        match self.registry.hand_over(&device.id, (old, Some(present))).await {
            Err(registry::Error::SubjectFull(_)) => {
                // They claimed as many anew before this was known to be theirs.
                tracing::warn!(device.id = %device.id, "one device too many is released");
                Ok(self.registry.hand_over(&device.id, (old, None)).await?)
            }
            done => Ok(done?),
        }
    }

    /// Erases what a citizen answered and what was said to them alone, under all their names. Their
    /// devices are removed before.
    pub async fn erase(&self, name: &SubjectId) -> Result<(), Error> {
        let names = self.all(name).await?;
        for name in &names {
            self.answers.erase(None, Some(name.clone())).await?;
        }
        // Last: whoever asks again because something failed before is still known by it.
        Ok(self.alerts.erase(&names[0]).await?)
    }

    /// Keys whose time is over, and under whose names something may still be kept.
    pub fn ended(&self) -> Vec<Ended> {
        self.pseudonyms.ended()
    }

    /// At keys' end: whoever came since is called by their present name alone. Of the others what
    /// was said to them and what they answered is erased, as if they had left, and their devices
    /// are nobody's: these go on being warned for their places. Safe to repeat. Registries are
    /// large: `pause` between two steps leaves room for everything else.
    pub async fn end(&self, keys: &[Ended], pause: Duration) -> Result<(), Error> {
        let over = |name: &SubjectId| keys.iter().any(|key| key.made(name));
        let mut after = DeviceNum(0);
        loop {
            let page = self.registry.owned(after, PAGE).await?;
            for device in &page.devices {
                if let Some(name) = device.subject.as_ref().filter(|name| over(name)) {
                    self.end_of(device, name).await?;
                }
            }
            match page.last {
                Some(last) => after = last,
                None => break,
            }
            tokio::time::sleep(pause).await;
        }
        self.answers.erase_all(over).await?;
        self.alerts.erase_all(over).await?;
        Ok(self.registry.scrub().await?)
    }

    async fn end_of(&self, device: &Arc<Device>, name: &SubjectId) -> Result<(), Error> {
        let present = self.alerts.names(name).await?.swap_remove(0);
        if present != *name {
            return self.follow((name, &present), std::slice::from_ref(device)).await;
        }
        self.answers.erase(Some(device.num), Some(name.clone())).await?;
        Ok(self.registry.hand_over(&device.id, (name, None)).await?)
    }
}
