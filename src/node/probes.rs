//! What every process says of itself: whether it lives, whether it is ready, and its metrics. An
//! orchestrator asks a router or a fan-out worker as it asks a gateway.

use std::convert::Infallible;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::console::state::{self, Probes};
use crate::lifecycle::Lifecycle;
use crate::{http, metrics};

use super::{Parts, Wired};

/// How often what histograms were told is summed up, so that it does not pile up while nobody asks.
const SUM_UP: Duration = Duration::from_secs(5);

/// The routes.
pub fn router(parts: &Parts, wired: &Wired<'_>, tasks: &Lifecycle) -> http::Router {
    // Several nodes in one process share its recorder: only the first one's is installed.
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    if ::metrics::set_global_recorder(recorder).is_ok() {
        metrics::describe();
        sum_up(handle.clone(), tasks);
    }
    state::router(Probes {
        tasks: tasks.clone(),
        senders: wired.senders.values().cloned().collect(),
        boundaries: parts.city.boundaries(),
        metrics: handle,
        simulated: wired.simulated,
        vault: parts.vault.clone(),
    })
}

fn sum_up(handle: PrometheusHandle, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("metrics", async move {
        let mut pace = tokio::time::interval(SUM_UP);
        loop {
            tokio::select! {
                _ = pace.tick() => handle.run_upkeep(),
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
        }
    });
}
