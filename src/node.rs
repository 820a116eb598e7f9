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
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::auth::gate::Gate;
use crate::auth::names::Names;
use crate::auth::pseudonym::Pseudonyms;
use crate::auth::ring::Keyring;
use crate::bus::Bus;
use crate::channel::Sender;
use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::console;
use crate::domain::audience::Boundaries;
use crate::domain::channel::Channel;
use crate::domain::forecast::Outlook;
use crate::domain::status_kinds::StatusKinds;
use crate::gateway::Gateway;
use crate::geofence::City;
use crate::http::pace::Together;
use crate::ingest::{self, Ingest};
use crate::lifecycle::{Drained, Lifecycle};
use crate::store::agencies::Agencies;
use crate::store::alerts::Alerts;
use crate::store::answers::Answers;
use crate::store::drafts::Drafts;
use crate::store::drills::Drills;
use crate::store::ledger::Ledger;
use crate::store::people::People;
use crate::store::rates::Rates;
use crate::store::redis::Redis;
use crate::store::registry::Registry;
use crate::store::registry::seen::Seen;
use crate::store::replies::Replies;
use crate::store::vault::Vault;
use crate::trail::{self, Trail};
use crate::{channel, fanout, http, receipt, route, store};

pub mod citizens;
mod desk;
pub mod dormant;
mod face;
pub mod housekeeping;
mod key;
mod openapi;
mod probes;
mod quota;
mod reseal;
mod shown;
pub mod signing;
pub mod stores;

use key::Secrets;

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
    /// Redis, where the stores are there.
    pub redis: Option<Redis>,
    /// The log.
    pub bus: Bus,
    /// Publications.
    pub alerts: Alerts,
    /// Who may publish.
    pub agencies: Agencies,
    /// Devices.
    pub registry: Registry,
    /// Which of them were seen lately.
    pub seen: Seen,
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
    /// What records and alerts are signed with.
    pub keys: Keyring,
    /// What is kept of people is sealed with.
    pub vault: Vault,
    /// What citizens are called.
    pub names: Names,
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
        let secrets = Secrets::load(config, parts.redis.as_ref()).await?;
        let senders = senders(config, &parts.clock, &secrets, &tasks)?;
        announce(config, &parts, address, &senders);
        trail::start(parts.trail.clone(), &tasks);
        let place = signing::Place::of(config, parts.redis.as_ref());
        signing::follow(place.clone(), parts.keys.clone(), &tasks);
        citizens::start(parts.names.clone(), place, &tasks);
        let wired = Wired { senders: &senders, secrets: &secrets, simulated: outside.simulated };
        let router = roles(config, &parts, &wired, &tasks).await?;
        let kept = senders.values().cloned().collect();
        reseal::start(&parts, &tasks);
        housekeeping::start(parts.clone(), kept, config.periods(), &tasks);
        let address_key = key::derived(&secrets.node, "address");
        face::start(config, (&parts, &address_key), (listener, router), &tasks)?;
        let grace = Duration::from_secs(config.node.grace_seconds);
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

/// The public half of the key that signs the audit.
pub async fn audit_key(config: &Config) -> Result<Vec<u8>> {
    let redis = match (&config.node.audit_key_file, &config.store) {
        (None, store::Settings::Redis(settings)) => Some(stores::connect(settings).await?),
        _ => None,
    };
    Ok(key::seal(config, redis.as_ref()).await?.public())
}

/// Opens the log and every store.
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
    let bus = Bus::open(&config.bus, clock.clone()).await.context("the event log")?;
    let stores = stores::open(config, &clock).await?;
    let seal = key::seal(config, stores.redis.as_ref()).await.context("the audit's key")?;
    let place = signing::Place::of(config, stores.redis.as_ref());
    let keys = Keyring::new(place.load().await?);
    let pseudonyms = Pseudonyms::new(keys.clone(), place.first_pseudonyms().await?, clock.clone());
    let known = (stores.alerts.clone(), stores.registry.clone(), stores.answers.clone());
    Ok(Parts {
        names: Names::new(pseudonyms, known),
        keys,
        trail: Trail::new(stores.audit, bus.clone(), clock.clone(), seal),
        people: stores.people,
        answers: stores.answers,
        drafts: stores.drafts,
        drills: stores.drills,
        bus,
        alerts: stores.alerts,
        agencies: stores.agencies,
        registry: stores.registry,
        ledger: stores.ledger,
        replies: stores.replies,
        city: Arc::new(city),
        kinds: Arc::new(kinds),
        seen: Seen::default(),
        redis: stores.redis,
        vault: stores.vault,
        clock,
    })
}

type Senders = BTreeMap<Channel, Arc<Sender>>;

/// What the roles share besides the parts.
struct Wired<'a> {
    senders: &'a Senders,
    secrets: &'a Secrets,
    simulated: bool,
}

fn senders(
    config: &Config,
    clock: &Clock,
    secrets: &Secrets,
    tasks: &Lifecycle,
) -> Result<Senders> {
    let mut senders = Senders::new();
    let end = CancellationToken::new();
    for sender in config.channel.open(clock, &end) {
        let sender = sender?;
        senders.insert(sender.channel(), Arc::new(sender));
    }
    if let Some((webpush, key)) = config.channel.webpush.as_ref().zip(secrets.vapid()?) {
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
        bus = config.bus.kind(),
        stores = if parts.redis.is_some() { "redis" } else { "embedded" },
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
    wired: &Wired<'_>,
    tasks: &Lifecycle,
) -> Result<axum::Router> {
    let on = |role| config.node.roles.contains(&role);
    let mut faces = probes::router(parts, wired, tasks);
    if on(Role::Api) {
        let ingest = ingest(config, parts);
        let finished = ingest.recover().await.map_err(|problem| anyhow!(problem.detail))?;
        if finished > 0 {
            tracing::info!(publications = finished, "finished what a crash left unlogged");
        }
        if matches!(config.store, store::Settings::Redis(_)) {
            housekeeping::finish_for_others(ingest.clone(), tasks);
        }
        ingest::intake::start(ingest.clone(), config.submissions.clone(), tasks).await?;
        // Alone, nobody else can be at it.
        let age = parts.redis.as_ref().map_or(Duration::ZERO, |_| stores::RESERVED);
        let drafts = ingest.finish_drafts(age).await.map_err(|problem| anyhow!(problem.detail))?;
        if drafts > 0 {
            tracing::info!(drafts, "published what was decided before a crash");
        }
        ingest::drills::start(ingest.clone(), config.console.link_test_minutes, tasks);
        faces = faces.merge(ingest::http::router(ingest));
    }
    if on(Role::Router) {
        route::start(route_parts(config, parts), tasks).await?;
        receipt::start(receipt_parts(parts), tasks).await?;
    }
    if on(Role::Fanout) {
        share_quotas(parts, wired.senders, tasks);
        fanout::start(fanout_parts(config, parts, wired.senders), tasks).await?;
    }
    if on(Role::Gateway) {
        let trusted = &config.http.trusted_proxies;
        let parts = citizens::gateway(config, parts, wired.secrets)?;
        let (gateway, services) = Gateway::open(parts, &config.gateway, trusted, tasks).await?;
        gateway.start(services);
        faces = faces.merge(gateway.router());
    }
    if on(Role::Console) {
        let senders = wired.senders.values().cloned().collect();
        let simulated = wired.simulated;
        faces = faces.merge(console::router(desk::console(
            config,
            (parts, &wired.secrets.node),
            (senders, simulated),
            tasks,
        )?));
    }
    let router = openapi::publish(faces);
    let pages = on(Role::Console) || on(Role::Gateway);
    let tiles = config.console.tile_origin();
    Ok(if pages { router.merge(http::pages::router(tiles.as_deref())) } else { router })
}

/// Nodes that share their stores count requests together.
fn together(parts: &Parts) -> Option<Together> {
    parts.redis.as_ref().map(|redis| Together::new(Rates::shared(redis.clone())))
}

/// Nodes that share their stores share the providers' quotas too.
fn share_quotas(parts: &Parts, senders: &Senders, tasks: &Lifecycle) {
    let Some(redis) = &parts.redis else { return };
    let rates = Rates::shared(redis.clone());
    for (channel, sender) in senders {
        if let Some(quota) = sender.share_quota() {
            quota::start(*channel, quota, rates.clone(), tasks);
        }
    }
}

fn ingest(config: &Config, parts: &Parts) -> Ingest {
    Ingest {
        clock: parts.clock.clone(),
        bus: parts.bus.clone(),
        alerts: parts.alerts.clone(),
        agencies: parts.agencies.clone(),
        keys: parts.keys.clone(),
        registry: parts.registry.clone(),
        ledger: parts.ledger.clone(),
        city: Arc::clone(&parts.city),
        matching: config.geofence,
        kinds: Arc::clone(&parts.kinds),
        replies: parts.replies.clone(),
        outlook: outlook(config),
        desk: desk::of(config, parts),
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

fn gate(config: &Config, parts: &Parts) -> Gate {
    Gate::new(parts.keys.clone(), parts.clock.clone(), config.trust.clone())
        .with_agencies(parts.agencies.clone())
}

fn route_parts(config: &Config, parts: &Parts) -> route::Parts {
    route::Parts {
        clock: parts.clock.clone(),
        bus: parts.bus.clone(),
        registry: parts.registry.clone(),
        ledger: parts.ledger.clone(),
        alerts: parts.alerts.clone(),
        gate: gate(config, parts),
        trail: parts.trail.clone(),
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
        seals: gate(config, parts),
        kinds: Arc::clone(&parts.kinds),
        senders: senders.clone(),
    }
}
