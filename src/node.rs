//! The composition root: settings → parts → chosen roles → run → drain. The only file that knows
//! all rooms.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures_util::future::join_all;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::bearer::Verifier;
use crate::auth::citizen::Doorkeeper;
use crate::auth::desk::Desk;
use crate::auth::ticket::Tickets;
use crate::bus::Bus;
use crate::channel::Sender;
use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::console::pulse::{Pulse, Sources};
use crate::console::templates::Templates;
use crate::console::{self, Console};
use crate::domain::audience::Boundaries;
use crate::domain::channel::Channel;
use crate::domain::forecast::Outlook;
use crate::domain::status_kinds::StatusKinds;
use crate::domain::webpush::Offer;
use crate::gateway::Gateway;
use crate::geofence::City;
use crate::ingest::{self, Ingest};
use crate::lifecycle::{Drained, Lifecycle};
use crate::node::shown::configured;
use crate::store::agencies::{self, Agencies};
use crate::store::alerts::{self, Alerts};
use crate::store::answers::{self, Answers};
use crate::store::audit::{self, Audit};
use crate::store::drafts::{self, Drafts};
use crate::store::drills::{self, Drills};
use crate::store::ledger::{self, Ledger};
use crate::store::people::{self, People};
use crate::store::registry::{self, Registry};
use crate::store::replies::{self, Replies};
use crate::trail::{self, Trail};
use crate::{channel, fanout, gateway, http, metrics, receipt, route};

mod housekeeping;
mod key;
mod openapi;
mod shown;

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// Where its faces listen.
    pub address: SocketAddr,
    /// Its tasks.
    pub tasks: Lifecycle,
    /// Its parts, for those who embed it.
    pub parts: Parts,
    grace: Duration,
    /// Held for as long as the node runs: one node per data directory.
    _lock: File,
}

/// What every role works on.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// The log.
    pub bus: Bus,
    /// Publications.
    pub alerts: Alerts,
    /// Who may publish.
    pub agencies: Agencies,
    /// Devices.
    pub registry: Registry,
    /// Cursors and counts.
    pub ledger: Ledger,
    /// Answers to repeated requests.
    pub replies: Replies,
    /// Units and boundaries.
    pub city: Arc<City>,
    /// Kinds of status change.
    pub kinds: Arc<StatusKinds>,
    /// Who works in the agencies.
    pub people: People,
    /// What they edit and decide on.
    pub drafts: Drafts,
    /// What citizens answered.
    pub answers: Answers,
    /// Who did what.
    pub trail: Trail,
    /// Canary devices, and what link tests found.
    pub drills: Drills,
}

/// What a node does not make itself.
#[derive(Debug)]
pub struct Outside {
    /// The time.
    pub clock: Clock,
    /// The bound socket; `None` binds `node.listen`.
    pub listener: Option<TcpListener>,
    /// The push channels talk to the simulator.
    pub simulated: bool,
}

impl Node {
    /// Starts a node: binds, opens every store, finishes what a crash left, starts the roles.
    pub async fn start(config: &Config, outside: Outside) -> Result<Self> {
        let listener = match outside.listener {
            Some(listener) => listener,
            None => http::serve::bind(config.node.listen)
                .with_context(|| format!("node.listen: cannot bind {}", config.node.listen))?,
        };
        let address = listener.local_addr()?;
        let lock = lock(&config.node.data_dir)?;
        let parts = open(config, outside.clock).await?;
        let tasks = Lifecycle::new();
        let ready = tasks.part("node");
        let senders = senders(config, &parts.clock, &tasks)?;
        announce(config, &parts, address, &senders);
        trail::start(parts.trail.clone(), &tasks);
        let router = roles(config, &parts, (&senders, outside.simulated), &tasks).await?;
        let kept = senders.values().cloned().collect();
        housekeeping::start(parts.clone(), kept, config.node.keep_days, &tasks);
        let (limits, stop) = (config.http.clone(), tasks.token().clone());
        let grace = Duration::from_secs(config.node.grace_seconds);
        let app = http::shield::around(router, &limits);
        tasks.service("http", async move {
            http::serve::serve(listener, app, &limits, stop, grace).await
        });
        ready.set(true);
        Ok(Self { address, tasks, parts, grace, _lock: lock })
    }

    /// Runs until the node is asked to stop, or a service fails; then drains.
    pub async fn run(self) -> Result<()> {
        let stopped = self.tasks.stopped().await;
        self.stop().await?;
        stopped.map_err(|error| anyhow!(error))
    }

    /// Stops and drains: streams are told to go elsewhere, batches in flight end, cursors are
    /// stored.
    pub async fn stop(self) -> Result<()> {
        match self.tasks.drain(self.grace + Duration::from_secs(1)).await {
            Drained::Whole => tracing::info!("drained"),
            Drained::Left(tasks) => {
                tracing::warn!(tasks, "the grace period ended before every task did");
            }
        }
        self.parts.bus.close().await.context("closing the log")?;
        Ok(())
    }
}

/// Takes a data directory for this process alone, for as long as the file is held.
pub fn lock(dir: &Path) -> Result<File> {
    std::fs::create_dir_all(dir)
        .with_context(|| format!("node.data_dir: cannot make {}", dir.display()))?;
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.try_lock()
        .with_context(|| format!("node.data_dir: another node runs in {}", dir.display()))?;
    Ok(file)
}

/// The public half of the key that signs a data directory's audit.
pub fn audit_key(dir: &Path) -> Result<Vec<u8>> {
    Ok(key::seal(dir)?.public())
}

/// Opens every store of a data directory.
pub async fn open(config: &Config, clock: Clock) -> Result<Parts> {
    let dir = config.node.data_dir.clone();
    let kinds = match &config.node.status_kinds_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("node.status_kinds_file: {}", path.display()))?;
            StatusKinds::parse(&text).context("node.status_kinds_file")?
        }
        None => StatusKinds::default(),
    };
    let city = City::load(&dir).context("boundaries")?;
    let shards = config.registry.shards;
    let registry = registry::Settings { dir: dir.clone(), shards };
    let bus = Bus::open(&config.bus, clock.clone()).await.context("the event log")?;
    let audit = Audit::open(&audit::Settings { dir: dir.clone() }).await?;
    let seal = key::seal(&dir).context("the audit's key")?;
    Ok(Parts {
        trail: Trail::new(audit, bus.clone(), clock.clone(), seal),
        people: People::open(&people::Settings { dir: dir.clone() }).await?,
        drills: Drills::open(&drills::Settings { dir: dir.clone() }).await?,
        answers: Answers::open(&answers::Settings { dir: dir.clone() }).await?,
        drafts: Drafts::open(&drafts::Settings { dir: dir.clone() }).await?,
        bus,
        alerts: Alerts::open(&alerts::Settings { dir: dir.clone() }).await?,
        agencies: Agencies::open(&agencies::Settings { dir: dir.clone() }).await?,
        registry: Registry::open(&registry, clock.clone()).await?,
        ledger: Ledger::start(&ledger::Settings { dir: dir.clone() }, clock.clone()).await?,
        replies: Replies::open(&replies::Settings::new(dir), clock.clone()).await?,
        city: Arc::new(city),
        kinds: Arc::new(kinds),
        clock,
    })
}

type Senders = BTreeMap<Channel, Arc<Sender>>;

fn senders(config: &Config, clock: &Clock, tasks: &Lifecycle) -> Result<Senders> {
    let mut senders = Senders::new();
    let end = CancellationToken::new();
    for sender in config.channel.open(clock, &end) {
        let sender = sender?;
        senders.insert(sender.channel(), Arc::new(sender));
    }
    if let Some(webpush) = &config.channel.webpush {
        let key = key::vapid(webpush, &config.node.data_dir)?;
        let sender = Sender::webpush(webpush, key, clock.clone(), end.child_token())?;
        senders.insert(Channel::Webpush, Arc::new(sender));
    }
    let (all, stop) = (senders.clone(), tasks.token().clone());
    tasks.service("senders", async move {
        stop.cancelled().await;
        // Answers of what is in flight still come in, so that nothing is sent again for want of
        // one; what waits comes back, and goes out after the next start.
        join_all(all.values().map(|sender| sender.drain())).await;
        end.cancel();
        Ok::<(), Infallible>(())
    });
    Ok(senders)
}

/// One line that says what runs here, and one for each thing an operator should know.
fn announce(config: &Config, parts: &Parts, address: SocketAddr, senders: &Senders) {
    let city = &parts.city;
    let roles: Vec<_> = config.node.roles.iter().map(|role| format!("{role:?}")).collect();
    let channels: Vec<_> = senders.keys().map(|channel| channel.as_str()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        address = %address,
        roles = roles.join(","),
        bus = "embedded",
        stores = "embedded",
        channels = channels.join(","),
        units = city.units().len(),
        boundaries = city.boundaries().as_str(),
        data_dir = %config.node.data_dir.display(),
        "loa starts"
    );
    if city.boundaries() == Boundaries::Approximate {
        tracing::warn!(
            "boundaries are APPROXIMATE: people near a border may be warned wrongly or not at all; \
             import true ones with `loa geofences import FILE`"
        );
    }
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
}

async fn roles(
    config: &Config,
    parts: &Parts,
    (senders, simulated): (&Senders, bool),
    tasks: &Lifecycle,
) -> Result<axum::Router> {
    let on = |role| config.node.roles.contains(&role);
    let mut faces = http::Router::new();
    if on(Role::Api) {
        let ingest = ingest(config, parts);
        let finished = ingest.recover().await.map_err(|problem| anyhow!(problem.detail))?;
        if finished > 0 {
            tracing::info!(publications = finished, "finished what a crash left unlogged");
        }
        let drafts = ingest.finish_drafts().await.map_err(|problem| anyhow!(problem.detail))?;
        if drafts > 0 {
            tracing::info!(drafts, "published what was decided before a crash");
        }
        ingest::drills::start(ingest.clone(), config.console.link_test_minutes, tasks);
        faces = faces.merge(ingest::http::router(ingest));
    }
    if on(Role::Router) {
        route::start(route_parts(parts), tasks).await?;
        receipt::start(receipt_parts(parts), tasks).await?;
    }
    if on(Role::Fanout) {
        fanout::start(fanout_parts(config, parts, senders), tasks).await?;
    }
    if on(Role::Gateway) {
        let trusted = &config.http.trusted_proxies;
        let parts = gateway_parts(config, parts)?;
        let (gateway, services) = Gateway::open(parts, &config.gateway, trusted, tasks).await?;
        gateway.start(services);
        faces = faces.merge(gateway.router());
    }
    if on(Role::Console) {
        let senders = senders.values().cloned().collect();
        faces = faces.merge(console::router(console(config, parts, (senders, simulated), tasks)?));
    }
    let router = openapi::publish(faces);
    let pages = on(Role::Console) || on(Role::Gateway);
    let tiles = config.console.tile_origin();
    Ok(if pages { router.merge(http::pages::router(tiles.as_deref())) } else { router })
}

/// The desk's face, with its pulse beating.
fn console(
    config: &Config,
    parts: &Parts,
    (senders, simulated): (Vec<Arc<Sender>>, bool),
    tasks: &Lifecycle,
) -> Result<Console> {
    let pulse = Pulse::new(Sources {
        clock: parts.clock.clone(),
        alerts: parts.alerts.clone(),
        ledger: parts.ledger.clone(),
        drafts: parts.drafts.clone(),
        drills: parts.drills.clone(),
        senders: senders.clone(),
    });
    pulse.start(tasks);
    Ok(Console {
        clock: parts.clock.clone(),
        bus: parts.bus.clone(),
        senders,
        tasks: tasks.clone(),
        boundaries: parts.city.boundaries(),
        metrics: recorder()?,
        simulated,
        desk: desk(config, parts),
        trail: parts.trail.clone(),
        city: Arc::clone(&parts.city),
        registry: parts.registry.clone(),
        alerts: parts.alerts.clone(),
        ledger: parts.ledger.clone(),
        drafts: parts.drafts.clone(),
        answers: parts.answers.clone(),
        outlook: outlook(config),
        pulse,
        streams: Arc::new(Semaphore::new(console::STREAMS_MAX)),
        configured: Arc::new(configured(&config.channel)),
        templates: Arc::new(templates(config)?),
        shapes: console::shapes(&parts.city),
        tile_server: Some(config.console.tile_server.clone()).filter(|url| !url.is_empty()),
        logins: Arc::default(),
        hashing: Arc::new(Semaphore::new(console::HASHING_MAX)),
    })
}

/// Templates by hazard: the city's own, or the built-in ones.
fn templates(config: &Config) -> Result<Templates> {
    let Some(path) = &config.console.templates_file else { return Ok(Templates::built_in()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("console.templates_file: {}", path.display()))?;
    Templates::parse(&text).context("console.templates_file")
}

/// The process's metrics; several nodes in one process share them.
fn recorder() -> Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    if ::metrics::set_global_recorder(recorder).is_ok() {
        metrics::describe();
    }
    Ok(handle)
}

fn ingest(config: &Config, parts: &Parts) -> Ingest {
    Ingest {
        clock: parts.clock.clone(),
        bus: parts.bus.clone(),
        alerts: parts.alerts.clone(),
        agencies: parts.agencies.clone(),
        registry: parts.registry.clone(),
        ledger: parts.ledger.clone(),
        city: Arc::clone(&parts.city),
        matching: config.geofence,
        kinds: Arc::clone(&parts.kinds),
        replies: parts.replies.clone(),
        outlook: outlook(config),
        desk: desk(config, parts),
        drafts: parts.drafts.clone(),
        trail: parts.trail.clone(),
        drills: parts.drills.clone(),
        link_test: Arc::default(),
        link_test_minutes: config.console.link_test_minutes,
        render: channel::preview::render,
        utc_offset_minutes: config.fanout.utc_offset_minutes as i16,
    }
}

fn outlook(config: &Config) -> Arc<Outlook> {
    let bounds = channel::bounds(&config.channel);
    Arc::new(Outlook { settings: config.forecast.clone(), bounds })
}

fn desk(config: &Config, parts: &Parts) -> Desk {
    Desk {
        agencies: parts.agencies.clone(),
        people: parts.people.clone(),
        clock: parts.clock.clone(),
        settings: config.console.sessions(),
    }
}

fn route_parts(parts: &Parts) -> route::Parts {
    route::Parts {
        clock: parts.clock.clone(),
        bus: parts.bus.clone(),
        registry: parts.registry.clone(),
        ledger: parts.ledger.clone(),
        alerts: parts.alerts.clone(),
    }
}

fn receipt_parts(parts: &Parts) -> receipt::Parts {
    receipt::Parts {
        clock: parts.clock.clone(),
        bus: parts.bus.clone(),
        ledger: parts.ledger.clone(),
        alerts: parts.alerts.clone(),
    }
}

fn fanout_parts(config: &Config, parts: &Parts, senders: &Senders) -> fanout::Parts {
    fanout::Parts {
        settings: config.fanout.clone(),
        clock: parts.clock.clone(),
        bus: parts.bus.clone(),
        registry: parts.registry.clone(),
        ledger: parts.ledger.clone(),
        alerts: parts.alerts.clone(),
        kinds: Arc::clone(&parts.kinds),
        senders: senders.clone(),
    }
}

fn gateway_parts(config: &Config, parts: &Parts) -> Result<gateway::Parts> {
    let key = key::of(&config.node.data_dir).context("the node's key")?;
    let verifier = match &config.auth.citizens {
        Some(provider) => Some(Arc::new(
            Verifier::new(provider, &key::derived(&key, "subject")).context("auth.citizens")?,
        )),
        None => None,
    };
    let apps = config.channel.apns.as_ref().map(|apns| Arc::from(apns.served()));
    let tickets = Tickets::new(&key::derived(&key, "ticket"));
    Ok(gateway::Parts {
        bus: parts.bus.clone(),
        registry: parts.registry.clone(),
        alerts: parts.alerts.clone(),
        ledger: parts.ledger.clone(),
        replies: parts.replies.clone(),
        answers: parts.answers.clone(),
        login: config.auth.citizens_login.clone(),
        city: Arc::clone(&parts.city),
        doorkeeper: Doorkeeper::new(parts.registry.clone(), verifier, tickets, parts.clock.clone()),
        node_key: key::derived(&key, "device").into(),
        webpush: offer(config)?,
        apns_apps: apps,
        clock: parts.clock.clone(),
    })
}

fn offer(config: &Config) -> Result<Option<Arc<Offer>>> {
    let Some(webpush) = &config.channel.webpush else { return Ok(None) };
    let key = key::vapid(webpush, &config.node.data_dir)?;
    let application_server_key = key.public().to_owned();
    Ok(Some(Arc::new(Offer { application_server_key, services: webpush.push_services() })))
}
