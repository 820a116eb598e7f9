//! Quotas that all nodes share: looks what each channel asks for, and takes portions of the quota
//! for it. Only where stores are shared; a node that is alone has its own count (`throttle`).

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::channel::throttle::Shared as Quota;
use crate::domain::allowance::Demand;
use crate::domain::channel::Channel;
use crate::lifecycle::Lifecycle;
use crate::store::Failure;
use crate::store::rates::{Ask, Rates};

/// Between two looks. The first push after a pause waits as long, the others find their portion.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS_A_MINUTE: u32 = 3_000;
/// A portion lasts so many looks at the pace of the last one, or at the quota's.
const LOOKS_AHEAD: u32 = 5;
/// Looks after which portions turn: each is used within two turns, less than the second that the
/// quota's window allows for.
const TURN: u32 = 20;
/// Ordinary lanes may be granted so much more in a second than an even flow is, in hundredths.
const UNEVEN_PERCENT: u32 = 125;

/// Feeds one channel from the shared quota until the node stops.
pub fn start(channel: Channel, quota: Quota, rates: Rates, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("quota", async move {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut count, mut failing) = (0_u32, false);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
            count = count.wrapping_add(1);
            if count.is_multiple_of(TURN) {
                quota.allowance.turn();
            }
            let failed = top_up(channel, &quota, &rates).await.err();
            // Said once; nothing goes out meanwhile, and recipients cannot be read either.
            if let Some(error) = failed.as_ref().filter(|_| !failing) {
                tracing::warn!(channel = channel.as_str(), %error, "no share of the quota");
            }
            failing = failed.is_some();
        }
    });
}

/// Asks for what will be used in the next looks and is not there.
async fn top_up(channel: Channel, quota: &Quota, rates: &Rates) -> Result<(), Failure> {
    let (demand, left) = (quota.allowance.demand(), quota.allowance.left());
    let full = (quota.per_minute / LOOKS_A_MINUTE).max(1) * LOOKS_AHEAD;
    let wanted =
        |asked: u32, left: u32| asked.saturating_mul(LOOKS_AHEAD).min(full).saturating_sub(left);
    let name = channel.as_str();
    let wanted_hot = wanted(demand.hot, left.hot);
    if wanted_hot > 0 {
        let most = quota.per_minute;
        let ask = Ask { most, a_second: most, wanted: wanted_hot };
        let hot = rates.portion(name, ask).await?;
        quota.allowance.grant(Demand { hot, ordinary: 0 });
    }
    let wanted_ordinary = wanted(demand.ordinary, left.ordinary);
    if wanted_ordinary > 0 {
        let most = quota.ordinary;
        let a_second = (most / 60).max(1) * UNEVEN_PERCENT / 100 + 1;
        let ordinary = rates.portion(name, Ask { most, a_second, wanted: wanted_ordinary }).await?;
        quota.allowance.grant(Demand { hot: 0, ordinary });
    }
    Ok(())
}
