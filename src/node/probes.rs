//! What every process says of itself: whether it lives, whether it is ready, and its metrics. An
//! orchestrator asks a router or a fan-out worker as it asks a gateway.

use metrics_exporter_prometheus::PrometheusBuilder;

use crate::console::state::{self, Probes};
use crate::lifecycle::Lifecycle;
use crate::{http, metrics};

use super::{Parts, Wired};

/// The routes.
pub fn router(parts: &Parts, wired: &Wired<'_>, tasks: &Lifecycle) -> http::Router {
    // Several nodes in one process share its recorder: only the first one's is installed.
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    if ::metrics::set_global_recorder(recorder).is_ok() {
        metrics::describe();
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
