//! After a start with another vault key, or the first with one at all: every device whose address
//! is not sealed with the newest is written anew, slowly. What nodes of an older release still
//! write meanwhile is sealed when those devices come by the next time.

use std::convert::Infallible;
use std::time::Duration;

use crate::domain::ids::DeviceNum;
use crate::lifecycle::Lifecycle;
use crate::node::Parts;
use crate::store::registry::{Error, Registry};

/// Devices looked at in one change.
const PAGE: usize = 500;
/// Between two pages: ten million devices in a good hour, beside everything else.
const PAUSE: Duration = Duration::from_millis(200);
/// After a failure.
const LATER: Duration = Duration::from_secs(10);

/// Starts it.
pub fn start(parts: &Parts, tasks: &Lifecycle) {
    let (registry, number) = (parts.registry.clone(), parts.sealed_with);
    let stop = tasks.token().clone();
    tasks.service("reseal", async move {
        tokio::select! {
            () = persist(&registry, number) => stop.cancelled().await,
            () = stop.cancelled() => {}
        }
        Ok::<(), Infallible>(())
    });
}

async fn persist(registry: &Registry, number: u8) {
    while let Err(error) = all(registry, number).await {
        tracing::warn!(%error, "not all addresses are sealed with the newest key yet");
        tokio::time::sleep(LATER).await;
    }
}

async fn all(registry: &Registry, number: u8) -> Result<(), Error> {
    if registry.sealed_with().await? == Some(number) {
        return Ok(());
    }
    let (mut after, mut changed) = (DeviceNum(0), 0);
    loop {
        let done = registry.reseal(after, PAGE).await?;
        changed += done.changed;
        match done.last {
            Some(last) => after = last,
            None => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    registry.set_sealed_with(number).await?;
    tracing::info!(key = number, devices = changed, "all addresses are sealed with the newest key");
    Ok(())
}
