//! The gateway: the citizens' HTTP face, their websockets and event streams, and what is public.
//!
//! It reads `publications.<lane>` and the registry, and writes receipts to the log and deliveries
//! to the ledger; it knows no other stage. Its promises: no silent gap (5), nothing late and
//! nothing false (4), late joiners are warned (6), bad input is refused by name (8), and a slow
//! reader costs nobody but itself.
//!
//! ```text
//! log ─ hub::tail ─→ book ─→ hub ─→ viewer (is it for them?) ─→ outbox ─→ websocket │ event stream
//! ```

pub mod answers;
pub mod book;
pub mod close;
pub mod deliveries;
pub mod devices;
pub mod entry;
#[cfg(test)]
mod fixture;
pub mod frame;
pub mod hub;
pub mod inbox;
pub mod login;
pub mod me;
pub mod opening;
pub mod outbox;
pub mod past;
pub mod places;
mod plain;
pub mod position;
pub mod public;
pub mod receipts;
pub mod reports;
pub mod rfc6455;
pub mod session;
pub mod settings;
mod shapes;
pub mod sockets;
pub mod sse;
pub mod view;
pub mod viewer;
pub mod watcher;
mod webpush;
pub mod wire;
pub mod ws;

use std::sync::Arc;

use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use utoipa_axum::routes;

use crate::auth::citizen::Doorkeeper;
use crate::auth::gate::Gate;
use crate::auth::names::Names;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::domain::channel::ApnsEnvironment;
use crate::domain::status_kinds::StatusKinds;
use crate::domain::webpush::Offer;
use crate::gateway::deliveries::{Deliveries, Recorder};
use crate::gateway::hub::Hub;
use crate::gateway::hub::tail::{self, Tail};
use crate::gateway::settings::Settings;
use crate::gateway::shapes::Shapes;
use crate::gateway::sockets::{Reader, Sockets};
use crate::geofence::City;
use crate::http::Router;
use crate::http::idempotency::idempotent;
use crate::http::limits::{AddressSlots, ClientAddress};
use crate::http::pace::{Own, Pace, Together};
use crate::http::proxies::{Proxies, Proxy};
use crate::lifecycle::Lifecycle;
use crate::store::alerts::Alerts;
use crate::store::answers::Answers;
use crate::store::ledger::Ledger;
use crate::store::registry::Registry;
use crate::store::replies::Replies;

/// What a gateway is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The log.
    pub bus: Bus,
    /// Who wants to be warned where.
    pub registry: Registry,
    /// What was accepted.
    pub alerts: Alerts,
    /// What is believed of the log, and the keys that citizens verify alerts with.
    pub gate: Gate,
    /// What became of it.
    pub ledger: Ledger,
    /// What was answered to repeated requests.
    pub replies: Replies,
    /// What citizens answered.
    pub answers: Answers,
    /// The units.
    pub city: Arc<City>,
    /// What can move, and the words for it.
    pub kinds: Arc<StatusKinds>,
    /// Checks who a citizen is.
    pub doorkeeper: Doorkeeper,
    /// The node's own key, shared by all gateways: derives the secrets of repeated registrations.
    pub node_key: Arc<[u8]>,
    /// What browsers subscribe with; `None` without Web Push.
    pub webpush: Option<Arc<Offer>>,
    /// The apps on Apple's phones that are served, each with its environment; `None` where this
    /// node does not know them.
    pub apns_apps: Option<Arc<[(String, ApnsEnvironment)]>>,
    /// What nodes count together, in a cluster.
    pub together: Option<Together>,
    /// The time.
    pub clock: Clock,
}

/// A gateway. Clones share it; it is the state of its routes.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Shared, since every request has a gateway of its own.
    parts: Arc<Parts>,
    hub: Hub,
    deliveries: Deliveries,
    sockets: Sockets,
    slots: Arc<AddressSlots>,
    rate: Arc<Own<ClientAddress>>,
    /// How fast an address may try a report's code.
    tries: Arc<Pace<ClientAddress>>,
    trusted: Proxies,
    life: Lifecycle,
    shapes: Arc<Shapes>,
}

/// The tasks of a gateway, not yet running.
#[derive(Debug)]
pub struct Services {
    tail: Tail,
    recorder: Recorder,
    reader: Reader,
}

impl Gateway {
    /// A gateway over its parts; nothing runs before [`Gateway::start`].
    pub async fn open(
        parts: Parts,
        settings: &Settings,
        trusted_proxies: &[Proxy],
        life: &Lifecycle,
    ) -> Result<(Self, Services), tail::Error> {
        let sources = (&parts.bus, &parts.alerts, &parts.gate);
        let (hub, tail) = tail::open(sources, settings, parts.clock.clone()).await?;
        let (deliveries, recorder) = deliveries::open(parts.ledger.clone());
        let (sockets, reader) = sockets::open(hub.clone(), deliveries.clone())?;
        say_descriptor_limit(settings.streams_max);
        let gateway = Self {
            hub,
            deliveries,
            sockets,
            slots: AddressSlots::new(settings.streams_max, settings.streams_per_address),
            tries: Arc::new(Pace::new("reporter", settings.report_rate(), parts.together.clone())),
            rate: Arc::new(Own::new(settings.new_streams_per_second, settings.new_streams_burst)),
            trusted: Proxies::new(trusted_proxies),
            life: life.clone(),
            shapes: Shapes::of(&parts.city),
            parts: Arc::new(parts),
        };
        Ok((gateway, Services { tail, recorder, reader }))
    }

    /// What citizens are called.
    fn names(&self) -> &Names {
        self.parts.doorkeeper.names()
    }

    /// Starts the gateway's services.
    pub fn start(&self, services: Services) {
        let Services { tail, recorder, reader } = services;
        let stop = self.life.token().clone();
        let ready = self.life.part("gateway");
        self.life.service("gateway tail", tail.run(stop.clone(), ready));
        self.life.service("gateway deliveries", recorder.run(stop.clone()));
        self.life.service("gateway sockets", reader.run(self.clone(), stop.clone()));
        self.life.service("gateway places", places::follow(self.clone(), stop));
    }

    /// The streams.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The citizens' and public routes.
    pub fn router(&self) -> Router {
        let replies = self.parts.replies.clone();
        let once = Router::new()
            .routes(routes!(devices::claim))
            .routes(routes!(devices::release))
            .routes(routes!(receipts::post))
            .routes(routes!(answers::post))
            .routes(routes!(sse::ticket))
            .layer(from_fn_with_state(replies, idempotent));
        Router::new()
            .merge(once)
            // Honours Idempotency-Key itself: a device's secret is not kept with the answer.
            .routes(routes!(devices::register))
            .routes(routes!(devices::read, devices::replace, devices::remove))
            .routes(routes!(me::read, me::erase))
            .routes(routes!(inbox::read))
            .routes(routes!(ws::stream))
            .routes(routes!(sse::events))
            .routes(routes!(public::active))
            .routes(routes!(public::feed))
            .routes(routes!(public::cap))
            .routes(routes!(public::units))
            .routes(routes!(shapes::shapes))
            .routes(routes!(public::jwks))
            .routes(routes!(webpush::vapid))
            .routes(routes!(past::config))
            .routes(routes!(login::enter))
            .routes(routes!(login::callback))
            .routes(routes!(login::session))
            .routes(routes!(login::leave))
            .routes(routes!(past::recent))
            .routes(routes!(past::one))
            .routes(routes!(reports::read))
            .routes(routes!(reports::kinds))
            .route("/plain", axum::routing::get(plain::page))
            .with_state(self.clone())
    }
}

impl FromRef<Gateway> for Doorkeeper {
    fn from_ref(gateway: &Gateway) -> Self {
        gateway.parts.doorkeeper.clone()
    }
}

/// Each stream needs a descriptor: says so at the start, not in the first emergency.
fn say_descriptor_limit(streams_max: usize) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    match descriptor_limit(&limits) {
        Some(limit) if limit < streams_max as u64 + 512 => tracing::warn!(
            descriptors = limit,
            streams = streams_max,
            "fewer descriptors than streams: raise the limit of open files or lower streams_max"
        ),
        Some(limit) => tracing::info!(descriptors = limit, streams = streams_max, "stream limits"),
        None => tracing::info!(streams = streams_max, "the descriptor limit is not known here"),
    }
}

/// The soft limit of open files in the form of Linux's `/proc/self/limits`.
fn descriptor_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_descriptor_limit_is_read() {
        let limits = "Max processes   1 2 processes\nMax open files   20000  524288  files\n";
        assert_eq!(super::descriptor_limit(limits), Some(20_000));
        assert_eq!(super::descriptor_limit(""), None);
    }
}
