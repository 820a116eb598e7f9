//! The gateway with everything embedded in a directory, which another may have left behind. Alerts
//! are put straight to its hub, or on the log.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use loa::auth::citizen::Doorkeeper;
use loa::auth::gate::{self, Gate};
use loa::auth::names::Names;
use loa::auth::oidc::session::Sessions;
use loa::auth::pseudonym::Pseudonyms;
use loa::auth::ring::{Keyring, Ring, SEED_BYTES};
use loa::auth::ticket::Tickets;
use loa::bus::Bus;
use loa::clock::Clock;
use loa::domain::device::Place;
use loa::domain::ids::Seq;
use loa::gateway::position::Slot;
use loa::gateway::settings::Settings;
use loa::gateway::{Gateway, Parts};
use loa::geofence::{BUILTIN_CITY, City};
use loa::http::tls::{self, Door};
use loa::http::{limits, serve, shield};
use loa::lifecycle::{Drained, Lifecycle};
use loa::store::alerts::{self, Alerts};
use loa::store::answers::{self, Answers};
use loa::store::ledger::{self, Ledger};
use loa::store::registry::{self, Registry};
use loa::store::replies::{self, Replies};

use crate::alerts::{self as publications, alert};
use crate::client::{nanos, people};
use crate::report::cpu_seconds;
use crate::server::{anon_kb, settle};
use crate::tongue::{Opening, PLAIN, Tongue};

/// What its clients have to know.
pub const TONGUE: Tongue = Tongue { opening: Opening::Hello, ..PLAIN };

const PLENTY: u32 = 1_000_000;
/// How often every device is read, so many at once, before the sockets are opened.
const PASSES: usize = 4;
const AT_ONCE: usize = 16;

/// How long a gateway that stops may take.
const GRACE: Duration = Duration::from_secs(20);

/// What a server is.
pub struct Home {
    /// Devices that are registered, if nobody is.
    pub sockets: usize,
    /// Where everything lies; and the certificate, under TLS.
    pub dir: PathBuf,
    /// Zero for a free one.
    pub port: u16,
    /// What is special.
    pub how: How,
}

/// What is special about a server.
#[derive(Clone, Copy, PartialEq)]
pub enum How {
    /// Nothing.
    Plain,
    /// An alert goes on the log before there is a gateway.
    Late,
    /// It speaks TLS.
    Tls,
}

impl How {
    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Late => "late",
            Self::Tls => "tls",
        }
    }

    /// What the word says.
    pub fn of(word: &str) -> Result<Self> {
        let known = [Self::Plain, Self::Late, Self::Tls].into_iter().find(|how| how.word() == word);
        known.with_context(|| format!("`{word}`"))
    }
}

/// Serves until the standard input ends, or says `stop`.
pub fn serve(home: &Home) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let city = Arc::new(City::builtin(BUILTIN_CITY)?);
    let Open { gateway, stores, port, life } = runtime.block_on(open(home, &city))?;
    println!("port {port}");
    let mut offset = 0;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("warm", _) => runtime.block_on(warm(&stores.registry, home.sockets))?,
            ("memory", _) => {}
            ("log", _) => {
                println!("logged {}", runtime.block_on(stores.log(&city))?);
                continue;
            }
            ("stop", _) => {
                let drained = runtime.block_on(life.drain(GRACE));
                println!("stopped");
                return if drained == Drained::Whole { Ok(()) } else { bail!("{drained:?}") };
            }
            ("alert", count) => {
                let count: u64 = count.parse()?;
                let alerts: Vec<_> = (0..count).map(|_| Arc::new(alert(&city))).collect();
                let (began, before) = (nanos()?, cpu_seconds()?);
                let hub = gateway.hub().clone();
                let mut read: Vec<_> = alerts
                    .into_iter()
                    .map(|alert| {
                        offset += 1;
                        (Slot { index: 0, offset: offset - 1 }, Some(alert))
                    })
                    .collect();
                runtime.block_on(async {
                    // As the feed does with what comes while the first is being written.
                    let rest = read.split_off(1);
                    hub.publish(read).await;
                    hub.publish(rest).await;
                });
                settle();
                println!("went {began} {}", cpu_seconds()? - before);
                continue;
            }
            (other, _) => bail!("`{other}` is nothing to do"),
        }
        println!("memory {}", anon_kb("self")?);
    }
    Ok(())
}

/// A gateway that serves.
struct Open {
    gateway: Gateway,
    stores: Stores,
    port: u16,
    life: Lifecycle,
}

/// What outlives a gateway.
struct Stores {
    bus: Bus,
    registry: Registry,
    alerts: Alerts,
    keys: Keyring,
}

impl Stores {
    async fn open(home: &Home, city: &City) -> Result<Self> {
        let (dir, clock) = (home.dir.as_path(), Clock::System);
        let bus = Bus::open(&loa::bus::Settings::new(dir), clock.clone()).await?;
        let registry = Registry::open(&registry::Settings::at(dir), clock).await?;
        if registry.last_seq().await? == Seq(0) {
            let people = people(home.sockets)?;
            // All in one unit: its frame names one, and is as short as an alert's can be.
            let unit = city.units()[0].code.clone();
            let devices = (0..home.sockets as u32).map(move |index| {
                let mut device = people.device(index);
                device.profile.places = vec![Place { unit: unit.clone(), cell: None }];
                device
            });
            registry.bulk_load(devices).await?;
        }
        let ring = dir.join("ring.json");
        if !ring.exists() {
            std::fs::write(&ring, Ring::fresh().write())?;
        }
        let keys = Keyring::new(Ring::parse(&std::fs::read(&ring)?)?);
        let alerts = Alerts::open(&alerts::Settings { dir: dir.to_owned() }).await?;
        Ok(Self { bus, registry, alerts, keys })
    }

    async fn log(&self, city: &City) -> Result<loa::domain::ids::PublicationId> {
        publications::log(city, &self.alerts, &self.bus, &self.keys).await
    }
}

/// As a node starts: the socket is bound first and served last.
async fn open(home: &Home, city: &Arc<City>) -> Result<Open> {
    let listener = serve::bind(([127, 0, 0, 1], home.port).into())?;
    let port = listener.local_addr()?.port();
    let stores = Stores::open(home, city).await?;
    if home.how == How::Late {
        println!("logged {}", stores.log(city).await?);
    }
    let life = Lifecycle::new();
    let settings = Settings {
        streams_max: PLENTY as usize,
        streams_per_address: PLENTY as usize,
        new_streams_per_second: PLENTY,
        new_streams_burst: PLENTY,
        // The client answers nothing.
        ping_ms: 3_600_000,
        ..Settings::default()
    };
    let parts = parts(home, &stores, city).await?;
    let (gateway, services) = Gateway::open(parts, &settings, &[], &life).await?;
    gateway.start(services);
    while !life.not_ready().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let limits = plenty(home);
    let door = limits.tls.as_ref().map(|tls| Door::open(tls, Timestamp::now())).transpose()?;
    let router = shield::around(gateway.router().split_for_parts().0, &limits, None);
    let stop = life.token().clone();
    let face = serve::Face { listener, router, door, refusals: None };
    life.service("http", async move { serve::serve(face, &limits, stop, GRACE).await });
    Ok(Open { gateway, stores, port, life })
}

async fn parts(home: &Home, stores: &Stores, city: &Arc<City>) -> Result<Parts> {
    let (dir, clock) = (home.dir.as_path(), Clock::System);
    let (keys, registry, alerts) = (&stores.keys, &stores.registry, &stores.alerts);
    let answers = Answers::open(&answers::Settings { dir: dir.to_owned() }).await?;
    let pseudonyms = Pseudonyms::new(keys.clone(), [7; SEED_BYTES], clock.clone());
    let names = Names::new(pseudonyms, (alerts.clone(), registry.clone(), answers.clone()));
    Ok(Parts {
        kinds: Arc::default(),
        together: None,
        gate: Gate::new(keys.clone(), clock.clone(), gate::Settings::default()),
        apns_apps: None,
        doorkeeper: Doorkeeper::new(
            names,
            None,
            (Tickets::new(b"a key"), Sessions::new(b"a key")),
            clock.clone(),
        ),
        bus: stores.bus.clone(),
        registry: registry.clone(),
        alerts: alerts.clone(),
        ledger: Ledger::start(&ledger::Settings { dir: dir.to_owned() }, clock.clone()).await?,
        replies: Replies::open(&replies::Settings::new(dir), clock.clone()).await?,
        answers,
        city: Arc::clone(city),
        node_key: Arc::from(&b"a key"[..]),
        webpush: None,
        clock,
    })
}

/// Limits that nobody reaches.
fn plenty(home: &Home) -> limits::Settings {
    let tls = || tls::Settings {
        certificate_file: Some(home.dir.join("face.pem")),
        key_file: Some(home.dir.join("face.key")),
        ..tls::Settings::default()
    };
    limits::Settings {
        connections_max: PLENTY as usize,
        tls: (home.how == How::Tls).then(tls),
        requests_per_second: PLENTY,
        request_burst: PLENTY,
        credential_requests_per_second: PLENTY,
        credential_request_burst: PLENTY,
        citizen_requests_per_second: PLENTY,
        citizen_request_burst: PLENTY,
        ..limits::Settings::default()
    }
}

/// Reads every device on every connection of the registry, as a day of a node does: its cache of
/// pages, which is bounded and belongs to no stream, is as full as it gets.
async fn warm(registry: &Registry, sockets: usize) -> Result<()> {
    let people = people(sockets)?;
    for _ in 0..PASSES {
        let ids: Vec<_> = (0..sockets as u32).map(|index| people.id(index)).collect();
        for some in ids.chunks(AT_ONCE) {
            let read = some.iter().map(async |id| {
                let stored = registry.get(id).await?.context("every device is registered")?;
                registry.memberships_of(stored.device.num).await.map_err(anyhow::Error::from)
            });
            try_join_all(read).await?;
        }
    }
    Ok(())
}
