//! Health, readiness, metrics: of every process, whatever its roles.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::channel::Sender;
use crate::domain::audience::Boundaries;
use crate::http::Router;
use crate::lifecycle::Lifecycle;
use crate::store::vault::Vault;

/// What a process says of itself.
#[derive(Clone, Debug)]
pub struct Probes {
    /// What is ready.
    pub tasks: Lifecycle,
    /// The push channels.
    pub senders: Vec<Arc<Sender>>,
    /// How true the boundaries are.
    pub boundaries: Boundaries,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// The push channels talk to the simulator, not to Apple and Google.
    pub simulated: bool,
    /// What is kept of people is sealed with.
    pub vault: Vault,
}

/// The routes that every process has: orchestrators and Prometheus ask each of them.
pub fn router(probes: Probes) -> Router {
    Router::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .with_state(probes)
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "ops",
    responses((status = 200, description = "The process answers", body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the node serves, and what it should worry about.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReadyAnswer {
    /// Everything is ready.
    pub ready: bool,
    /// The parts that are not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<&'static str>,
    /// How true the boundaries are: `approximate` or `imported`.
    pub boundaries: &'static str,
    /// Pushes go to the simulator, not to Apple and Google.
    pub simulated_providers: bool,
    /// Until then people's addresses are written unsealed, for nodes of an earlier release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub unsealed_until: Option<Timestamp>,
    /// The push channels.
    pub channels: Vec<ChannelAnswer>,
}

/// How a push channel fares.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChannelAnswer {
    /// Its name.
    pub channel: &'static str,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// The provider's reason, while it refuses our credentials or configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misconfigured: Option<String>,
    /// So many addresses are called dead that none is removed: look for a wrong environment,
    /// project or key.
    pub removal_paused: bool,
}

/// Whether the node serves.
#[utoipa::path(get, path = "/readyz", tag = "ops",
    responses(
        (status = 200, description = "Ready", body = ReadyAnswer),
        (status = 503, description = "Not ready: starting or draining", body = ReadyAnswer)
    ))]
pub async fn readyz(State(probes): State<Probes>) -> Response {
    let waiting_for = probes.tasks.not_ready();
    let channels = probes.senders.iter().map(|sender| {
        let health = sender.health();
        ChannelAnswer {
            channel: sender.channel().as_str(),
            consecutive_failures: health.consecutive_failures,
            misconfigured: health.misconfigured.map(|reason| reason.to_string()),
            removal_paused: health.removal_paused,
        }
    });
    let answer = ReadyAnswer {
        ready: waiting_for.is_empty(),
        waiting_for,
        boundaries: probes.boundaries.as_str(),
        simulated_providers: probes.simulated,
        unsealed_until: probes.vault.unsealed(),
        channels: channels.collect(),
    };
    let status = if answer.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(answer)).into_response()
}

/// Every metric, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "ops",
    responses((status = 200, description = "Metrics", body = String,
        content_type = "text/plain; version=0.0.4")))]
pub async fn metrics(State(probes): State<Probes>) -> Response {
    let text = probes.metrics.render();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
