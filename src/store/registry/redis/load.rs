//! Many new devices at once: all of them are checked before the first is written.

use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::domain::ids::{DeviceNum, SubjectId};
use crate::store::Failure;
use crate::store::registry::redis::plan::Change;
use crate::store::registry::redis::{Found, NUMS, Outcome, Shared, person};
use crate::store::registry::{Error, NewDevice, SUBJECT_DEVICES_MAX, check};

/// Devices in one call of the script, and calls on their way at once.
const PART: usize = NUMS as usize;
const PARTS_MAX: usize = 8;

impl Shared {
    pub async fn bulk_load<I>(&self, devices: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item = NewDevice> + Send + 'static,
    {
        // The devices may come from a file.
        let collect = tokio::task::spawn_blocking(move || collect(devices));
        let devices = collect.await.map_err(Failure::new)??;
        self.check_load(&devices).await?;
        let parts = stream::iter(devices.chunks(PART).map(Ok::<_, Error>));
        let write = |part| self.write_part(part);
        parts.try_for_each_concurrent(PARTS_MAX, write).await?;
        self.0.redis.settle(&self.0.keys).await?;
        Ok(devices.len() as u64)
    }

    async fn check_load(&self, devices: &[NewDevice]) -> Result<(), Error> {
        let ids = devices.chunks(PART).map(|part| part.iter().map(|new| new.id).collect());
        let ids: Vec<Vec<_>> = ids.collect();
        let known = stream::iter(&ids).map(|ids| self.known(ids)).buffer_unordered(PARTS_MAX);
        if known.try_fold(0, |sum, known| async move { Ok(sum + known) }).await? > 0 {
            return Err(Error::Repeated);
        }
        let mut mine: HashMap<&SubjectId, usize> = HashMap::new();
        for subject in devices.iter().filter_map(|new| new.subject.as_ref()) {
            *mine.entry(subject).or_default() += 1;
        }
        for (subject, count) in mine {
            if self.of_subject(subject.clone()).await?.len() + count > SUBJECT_DEVICES_MAX {
                return Err(Error::SubjectFull(subject.clone()));
            }
        }
        Ok(())
    }

    async fn write_part(&self, part: &[NewDevice]) -> Result<(), Error> {
        let now = self.now();
        let take = redis::cmd("INCRBY").arg(self.0.keys.key("num")).arg(NUMS).to_owned();
        let end: u64 = self.0.redis.ask(&take).await?;
        let changes: Vec<_> = (end + 1 - NUMS..)
            .zip(part)
            .map(|(num, new)| {
                let nobody = Found::nobody(DeviceNum(num));
                Change::to(self.vault(), &nobody, Some(person(new, now)), now)
            })
            .collect();
        let outcomes = self.apply_all(&changes, false).await?;
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))) {
            return Ok(());
        }
        // Somebody registered meanwhile, or this part was written and its answer lost.
        for new in part {
            self.register(new.clone()).await.map_err(|error| match error {
                Error::Taken(_) => Error::Repeated,
                other => other,
            })?;
        }
        Ok(())
    }
}

fn collect(devices: impl IntoIterator<Item = NewDevice>) -> Result<Vec<NewDevice>, Error> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for new in devices {
        check(new.id, &new.profile)?;
        if !seen.insert(new.id) {
            return Err(Error::Repeated);
        }
        all.push(new);
    }
    Ok(all)
}
