//! After a start with another vault key, or the first with one at all: every device whose address
//! is not sealed with the newest is written anew, slowly.
//!
//! While nodes of a release without a vault work beside this one (`vault.unsealed_until`) nothing
//! is sealed, the registry is marked so, and that is told in the log, in `/readyz` and as a metric.
//! Whatever any node wrote unsealed is sealed afterwards: marks are looked at again and again.

use std::convert::Infallible;
use std::time::Duration;

use crate::domain::ids::DeviceNum;
use crate::lifecycle::Lifecycle;
use crate::metrics;
use crate::node::Parts;
use crate::store::registry::{Error, Registry};
use crate::store::vault::Vault;

/// Devices looked at in one change.
const PAGE: usize = 500;
/// Between two pages: ten million devices in a good hour, beside everything else.
const PAUSE: Duration = Duration::from_millis(200);
/// After a failure.
const LATER: Duration = Duration::from_secs(10);
/// Between two looks at the mark: one question.
const LOOK: Duration = Duration::from_secs(30);
/// Looks between two lines of the log that say so: every ten minutes.
const LOOKS_A_LINE: u32 = 20;
/// Other nodes' clocks may be behind by so much, and still write unsealed.
const SKEW: Duration = Duration::from_secs(30);
/// The mark of a registry in which things are written unsealed: no key has this number.
const UNSEALED: u8 = 0;

/// Starts it.
pub fn start(parts: &Parts, tasks: &Lifecycle) {
    let (registry, vault) = (parts.registry.clone(), parts.vault.clone());
    let stop = tasks.token().clone();
    tasks.service("reseal", async move {
        tokio::select! {
            () = serve(&registry, &vault) => {}
            // Whoever seals meanwhile may not have seen what this node wrote last.
            () = stop.cancelled() => if !vault.seals()
                && let Err(error) = registry.set_sealed_with(UNSEALED).await
            {
                tracing::warn!(%error, "what was written unsealed last is not marked so");
            }
        }
        Ok::<(), Infallible>(())
    });
}

async fn serve(registry: &Registry, vault: &Vault) {
    let waited = wait(registry, vault).await;
    metrics::unsealed(false);
    if waited {
        tracing::info!("what is written is sealed from now on");
        tokio::time::sleep(SKEW).await;
    }
    // At the start another key's mark is as good as none; later it is that of a node with another
    // first key, and the two must not seal in turns.
    let (number, mut first) = (vault.newest(), true);
    loop {
        match all(registry, number, first).await {
            Ok(()) => {
                first = false;
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => {
                tracing::warn!(%error, "not all addresses are sealed with the newest key yet");
                tokio::time::sleep(LATER).await;
            }
        }
    }
}

/// Waits while nothing is to be sealed, and says so; whether there was anything to wait for.
async fn wait(registry: &Registry, vault: &Vault) -> bool {
    let mut looks = 0;
    while let Some(until) = vault.unsealed() {
        metrics::unsealed(true);
        if looks % LOOKS_A_LINE == 0 {
            tracing::warn!(%until, "vault.unsealed_until: people's addresses are written unsealed");
        }
        looks += 1;
        // Each time: a node that is not told to wait may have sealed all, and marked it.
        mark(registry).await;
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = sealing(vault) => {}
        }
    }
    if looks > 0 {
        mark(registry).await;
    }
    looks > 0
}

/// Remembers that things are written unsealed.
async fn mark(registry: &Registry) {
    while let Err(error) = registry.set_sealed_with(UNSEALED).await {
        tracing::warn!(%error, "it is not marked yet that addresses are written unsealed");
        tokio::time::sleep(LATER).await;
    }
}

/// Waits for the moment from which on things are sealed.
async fn sealing(vault: &Vault) {
    while !vault.seals() {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Seals everything anew that the mark says is not: at the first look whatever no mark of this key
/// is, later what was written unsealed.
async fn all(registry: &Registry, number: u8, first: bool) -> Result<(), Error> {
    let mark = registry.sealed_with().await?;
    if mark == Some(number) || !first && mark != Some(UNSEALED) {
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
