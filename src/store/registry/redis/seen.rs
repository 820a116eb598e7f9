//! Who was seen when, on Redis: `v:n/64` hash, the day by the device's place in its bucket. A hash
//! of 64 small numbers is packed without pointers: some six bytes a device.

use jiff::Timestamp;

use crate::domain::ids::DeviceNum;
use crate::store::Failure;
use crate::store::registry::Error;
use crate::store::registry::redis::{Shared, plan};
use crate::store::registry::seen::{Unseen, last_seen};

/// Days are counted from the epoch.
const DAY_SECONDS: i64 = 24 * 3600;

impl Shared {
    /// Writes down that devices were seen.
    pub async fn note_seen(&self, nums: &[DeviceNum], now: Timestamp) -> Result<(), Error> {
        let day = now.as_second().div_euclid(DAY_SECONDS);
        let mut all = redis::pipe();
        for num in nums {
            let (bucket, index) = plan::place_of(*num);
            all.cmd("HSET").arg(self.0.keys.pair("v", bucket)).arg(index).arg(day);
        }
        let _new: Vec<u64> = self.0.redis.ask_all(&all).await?;
        Ok(())
    }

    /// The day a device was seen on.
    pub async fn seen_at(&self, num: DeviceNum) -> Result<Option<Timestamp>, Error> {
        let (bucket, index) = plan::place_of(num);
        let mut get = redis::cmd("HGET");
        get.arg(self.0.keys.pair("v", bucket)).arg(index);
        let day: Option<i64> = self.0.redis.ask(&get).await?;
        let begins = |day: i64| Timestamp::from_second(day * DAY_SECONDS).map_err(Failure::new);
        Ok(day.map(begins).transpose()?)
    }

    /// Looks through the next devices for those not seen since an instant.
    pub async fn unseen(
        &self,
        after: DeviceNum,
        limit: usize,
        since: Timestamp,
    ) -> Result<Unseen, Error> {
        let noting_since = self.noting_since().await?;
        let Some(last) = self.last_of(after, limit).await? else { return Ok(Unseen::default()) };
        let mut unseen = Unseen { last: Some(last), devices: Vec::new() };
        let (mut days, mut gone) = (redis::pipe(), redis::pipe());
        let (mut present, mut left) = (Vec::new(), 0);
        let found = self.by_nums(after.0 + 1..=last.0).await?;
        for one in &found {
            let (bucket, index) = plan::place_of(one.num);
            let key = self.0.keys.pair("v", bucket);
            match &one.record.person {
                Some(person) => {
                    days.cmd("HGET").arg(key).arg(index);
                    present.push((one.num, person));
                }
                None => {
                    gone.cmd("HDEL").arg(key).arg(index);
                    left += 1;
                }
            }
        }
        if left > 0 {
            let _forgotten: Vec<u64> = self.0.redis.ask_all(&gone).await?;
        }
        if present.is_empty() {
            return Ok(unseen);
        }
        let days: Vec<Option<i64>> = self.0.redis.ask_all(&days).await?;
        for ((num, person), day) in present.into_iter().zip(days) {
            // The day's end: nobody is dropped for having been seen in its morning.
            let end = |day: i64| Timestamp::from_second((day + 1) * DAY_SECONDS);
            let noted = day.map(end).transpose().map_err(Failure::new)?;
            if last_seen(noted, person.address_since, noting_since) < since {
                unseen.devices.push((num, person.id));
            }
        }
        Ok(unseen)
    }

    /// Since when it is noted who was seen: since this was asked first.
    async fn noting_since(&self) -> Result<Timestamp, Error> {
        let key = self.0.keys.key("noting-since");
        let now = self.0.clock.now().as_millisecond();
        self.0.redis.ask::<()>(redis::cmd("SETNX").arg(&key).arg(now)).await?;
        let since: i64 = self.0.redis.ask(redis::cmd("GET").arg(&key)).await?;
        Ok(Timestamp::from_millisecond(since).map_err(Failure::new)?)
    }
}
