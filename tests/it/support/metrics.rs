//! The metrics of all nodes of this process: they share one recorder, which is installed before the
//! first of them starts.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

fn handle() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).expect("no node runs yet");
        handle
    })
}

/// Installs the recorder; nodes that start later find it there.
pub fn install() {
    handle();
}

/// The value of a series by its whole name with labels; 0 while there is none.
pub fn value(series: &str) -> u64 {
    let text = handle().render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.trim().parse().expect("a number"))
}
