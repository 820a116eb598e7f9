//! Operators and agencies' people: the node's state, its metrics, the dead letters, sessions, the
//! map, and everything the pages of the console show but the drafts, which are ingest's.
//!
//! `/healthz`, `/readyz` and `/metrics` ([`state`]) are every process's and open to whoever
//! reaches the port; the rest asks for a person's session or an API key.

mod answers;
mod audit;
mod entrance;
mod events;
mod letters;
mod manage;
pub mod providers;
mod publications;
pub mod pulse;
mod rates;
mod rows;
mod session;
pub mod state;
pub mod templates;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, Semaphore};
use utoipa_axum::routes;

use crate::auth::desk::{Caller, Desk};
use crate::bus::Bus;
use crate::channel::Sender;
use crate::clock::Clock;
use crate::console::providers::Configured;
use crate::console::pulse::Pulse;
use crate::console::templates::Templates;
use crate::domain::channel::Channel;
use crate::domain::forecast::Outlook;
use crate::geofence::{City, screen};
use crate::http::{Problem, Router};
use crate::lifecycle::Lifecycle;
use crate::store::alerts::Alerts;
use crate::store::answers::Answers;
use crate::store::drafts::Drafts;
use crate::store::ledger::Ledger;
use crate::store::registry::Registry;
use crate::trail::Trail;

/// What the operators' face needs of the rest of the node.
#[derive(Clone)]
pub struct Console {
    /// The time.
    pub clock: Clock,
    /// The log, for the dead letters.
    pub bus: Bus,
    /// The push channels' health.
    pub senders: Vec<Arc<Sender>>,
    /// What is ready.
    pub tasks: Lifecycle,
    /// The push channels talk to the simulator, not to Apple and Google.
    pub simulated: bool,
    /// Who works at the desk.
    pub desk: Desk,
    /// What they did.
    pub trail: Trail,
    /// Units and boundaries.
    pub city: Arc<City>,
    /// How many devices there are.
    pub registry: Registry,
    /// What was published.
    pub alerts: Alerts,
    /// What became of it.
    pub ledger: Ledger,
    /// How it was decided.
    pub drafts: Drafts,
    /// What citizens answered.
    pub answers: Answers,
    /// For the forecast beside the funnel.
    pub outlook: Arc<Outlook>,
    /// What is told live.
    pub pulse: Pulse,
    /// Consoles that may listen at once.
    pub streams: Arc<Semaphore>,
    /// What is known of each channel's credentials without showing them.
    pub configured: Arc<BTreeMap<Channel, Configured>>,
    /// Templates by hazard.
    pub templates: Arc<Templates>,
    /// The units' shapes for screens, as GeoJSON.
    pub shapes: Arc<RawValue>,
    /// Background tiles for the map.
    pub tile_server: Option<String>,
    /// How people get in.
    pub entrance: Entrance,
    /// One login at a time is let through the limits.
    pub logins: Arc<Mutex<()>>,
    /// Passwords hashed at once: each takes 19 MiB.
    pub hashing: Arc<Semaphore>,
}

pub use entrance::Entrance;
pub use events::STREAMS_MAX;

/// Passwords hashed at once.
pub const HASHING_MAX: usize = 2;

/// The units' shapes for screens.
pub fn shapes(city: &City) -> Arc<RawValue> {
    let shapes = RawValue::from_string(screen::geojson(city));
    shapes.expect("the shapes are written as JSON").into()
}

impl FromRef<Console> for Desk {
    fn from_ref(console: &Console) -> Self {
        console.desk.clone()
    }
}

/// A caller of the city's operators.
#[derive(Debug)]
pub struct AsOperator(pub Caller);

impl FromRequestParts<Console> for AsOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, console).await?;
        caller.need_operator()?;
        Ok(Self(caller))
    }
}

/// The operators' routes.
pub fn router(console: Console) -> Router {
    Router::new()
        .routes(routes!(letters::list))
        .routes(routes!(letters::redrive))
        .routes(routes!(session::login, entrance::ways))
        .routes(routes!(entrance::enter))
        .routes(routes!(entrance::callback))
        .routes(routes!(session::logout))
        .routes(routes!(session::read))
        .routes(routes!(units::list))
        .routes(routes!(templates::list))
        .routes(routes!(publications::list))
        .routes(routes!(publications::read))
        .routes(routes!(publications::report))
        .routes(routes!(answers::read))
        .routes(routes!(answers::export))
        .routes(routes!(events::events))
        .routes(routes!(providers::list))
        .routes(routes!(audit::list))
        .routes(routes!(letters::list_desk))
        .routes(routes!(letters::redrive_desk))
        .merge(manage::router())
        .with_state(console)
}
