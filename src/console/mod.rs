//! Operators: the node's state, its metrics, and the dead letters.
//!
//! `/healthz`, `/readyz` and `/metrics` are open to whoever reaches the port; the rest asks for the
//! API key of an operator.

mod letters;
mod state;

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa_axum::routes;

use crate::auth::api_key::{AsAgency, Keys};
use crate::bus::Bus;
use crate::channel::Sender;
use crate::clock::Clock;
use crate::domain::audience::Boundaries;
use crate::http::{Code, Problem, Router};
use crate::lifecycle::Lifecycle;
use crate::store::agencies::Agencies;

/// What the operators' face needs of the rest of the node.
#[derive(Clone)]
pub struct Console {
    /// The time.
    pub clock: Clock,
    /// The log, for the dead letters.
    pub bus: Bus,
    /// Who is an operator.
    pub agencies: Agencies,
    /// The push channels' health.
    pub senders: Vec<Arc<Sender>>,
    /// What is ready.
    pub tasks: Lifecycle,
    /// How true the boundaries are.
    pub boundaries: Boundaries,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// The push channels talk to the simulator, not to Apple and Google.
    pub simulated: bool,
}

impl FromRef<Console> for Keys {
    fn from_ref(console: &Console) -> Self {
        Keys { agencies: console.agencies.clone(), clock: console.clock.clone() }
    }
}

/// A caller who holds an operator's key.
#[derive(Debug)]
pub struct AsOperator;

impl FromRequestParts<Console> for AsOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Problem> {
        let caller = AsAgency::from_request_parts(parts, console).await?;
        if caller.agency.operator {
            Ok(Self)
        } else {
            Err(Problem::new(Code::Forbidden, "an operator's key is needed"))
        }
    }
}

/// The operators' routes.
pub fn router(console: Console) -> Router {
    Router::new()
        .routes(routes!(state::healthz))
        .routes(routes!(state::readyz))
        .routes(routes!(state::metrics))
        .routes(routes!(letters::list))
        .routes(routes!(letters::redrive))
        .with_state(console)
}
