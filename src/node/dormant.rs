//! Devices that were not seen for long are dropped, with their address, their places and what they
//! answered. An app is seen when it opens, and when it reports a push: one that is dropped has had
//! neither for more than a year, and registers anew when it comes back.

use std::convert::Infallible;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::retention::before;
use crate::domain::ids::DeviceNum;
use crate::lifecycle::Lifecycle;
use crate::metrics;
use crate::node::Parts;

/// How often the registry is looked through.
const LOOK: Duration = Duration::from_secs(24 * 3600);
/// After a failure.
const LATER: Duration = Duration::from_secs(600);
/// Devices looked at in one step.
const PAGE: usize = 500;
/// Between two steps: ten million devices in a good hour, beside everything else.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts it.
pub fn start(parts: Parts, period: SignedDuration, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("dormant devices", async move {
        tokio::select! {
            () = serve(&parts, period) => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), Infallible>(())
    });
}

async fn serve(parts: &Parts, period: SignedDuration) {
    loop {
        let since = before(parts.clock.now(), period);
        let wait = match drop_unseen(parts, since, PAUSE).await {
            Ok(devices) => {
                if devices > 0 {
                    tracing::info!(devices, "dropped devices that were not seen for long");
                }
                LOOK
            }
            Err(error) => {
                tracing::warn!(error, "devices that are not seen could not be dropped yet");
                LATER
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Drops every device not seen since an instant, and answers how many. Interrupted, it leaves the
/// rest for the next time.
pub async fn drop_unseen(parts: &Parts, since: Timestamp, pause: Duration) -> Result<u64, String> {
    let (mut after, mut dropped) = (DeviceNum(0), 0);
    loop {
        let page = parts.registry.unseen(after, PAGE, since).await;
        let page = page.map_err(|error| error.to_string())?;
        for (num, id) in &page.devices {
            let answers = parts.answers.erase(Some(*num), None).await;
            answers.map_err(|error| error.to_string())?;
            parts.registry.remove(id).await.map_err(|error| error.to_string())?;
            metrics::retention("devices", 1);
            dropped += 1;
        }
        match page.last {
            Some(last) => after = last,
            None => break,
        }
        tokio::time::sleep(pause).await;
    }
    if dropped > 0 {
        parts.registry.scrub().await.map_err(|error| error.to_string())?;
    }
    Ok(dropped)
}
