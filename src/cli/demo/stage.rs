//! The demo's stage: node, providers, population, sockets, and an agency that may publish.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::client::Server;
use crate::cli::demo::Args;
use crate::cli::demo::people::{self, Login};
use crate::cli::demo::summary::Summary;
use crate::clock::Clock;
use crate::config;
use crate::domain::agency::{Agency, Jurisdiction};
use crate::domain::audience::Audience;
use crate::domain::channel::Channel;
use crate::domain::funnel::Funnel;
use crate::domain::ids::PublicationId;
use crate::geofence::import;
use crate::ingest::drills::appoint;
use crate::node::{Node, Outside};
use crate::simulator::citizens::{Mix, Population, Tally, Uplink, answer_pushes, hold_sockets};
use crate::simulator::providers::{Options, Providers};
use crate::store::ledger::Ledger;
use crate::telemetry;

/// Makes the population; another seed gives another city.
const SEED: u64 = 1022;
/// Pushes that may wait for the simulated phones.
const PHONES_WAITING: usize = 1 << 18;
/// Phones that are canaries of their units.
const CANARIES: usize = 5;
/// Sockets must be open by then.
const SOCKETS_PATIENCE: Duration = Duration::from_secs(120);

/// Everything that runs.
#[derive(Debug)]
pub struct Stage {
    node: Node,
    providers: Providers,
    population: Population,
    tally: Tally,
    server: Server,
    logins: Vec<Login>,
    stop: CancellationToken,
}

impl Stage {
    /// Sets the stage; when it returns every socket is open.
    pub async fn set(args: &Args, dir: PathBuf) -> Result<Self> {
        if let Some(file) = &args.boundaries {
            import::import(file, &dir, Timestamp::now())?;
        }
        let flags = [
            ("node.data_dir", dir.display().to_string()),
            ("node.listen", args.listen.clone()),
            ("log.filter", if args.json { "error" } else { "warn" }.to_owned()),
            // One machine plays the whole city: its address is everybody's.
            ("http.requests_per_second", "1000000".to_owned()),
            ("http.request_burst", "1000000".to_owned()),
            ("http.credential_requests_per_second", "1000000".to_owned()),
            ("http.credential_request_burst", "1000000".to_owned()),
            ("http.citizen_requests_per_second", "1000000".to_owned()),
            ("http.citizen_request_burst", "1000000".to_owned()),
            ("gateway.streams_per_address", "1000000".to_owned()),
            ("gateway.new_streams_per_second", "1000000".to_owned()),
            ("gateway.new_streams_burst", "1000000".to_owned()),
        ];
        let mut config = config::load(None, &flags)?;
        telemetry::install(&config.log)?;
        let providers = Providers::start(Options::default()).await.context("the simulator")?;
        config.channel = providers.channel_settings();
        let outside = Outside { clock: Clock::System, listener: None, simulated: true };
        let node = Node::start(&config, outside).await?;
        let sockets = args.websockets_per_mille;
        let (apns, browsers) = ((1000 - sockets) * 4 / 9, (1000 - sockets) / 12);
        let mix = Mix { apns, fcm: 1000 - sockets - browsers - apns, ..Mix::default() };
        let population = Population::new(&node.parts.city, args.citizens, (SEED, mix))
            .with_webpush(browsers, &providers.webpush_url);
        let key = agency(&node).await?;
        let logins = people::settle(&node).await?;
        let server = Server { server: format!("http://{}", node.address), key };
        let stop = CancellationToken::new();
        let tally = Tally::default();
        let stage = Self { node, providers, population, tally, server, logins, stop };
        stage.people(args.json).await?;
        stage.canaries().await?;
        Ok(stage)
    }

    async fn people(&self, quiet: bool) -> Result<()> {
        let began = Instant::now();
        let everyone = self.population.clone();
        let devices = (0..everyone.size()).map(move |index| everyone.device(index));
        let loaded = self.node.parts.registry.bulk_load(devices).await?;
        let uplink = Uplink::open(self.node.address, &self.population);
        let pushes = self.providers.deliveries(PHONES_WAITING);
        let answers = (self.tally.clone(), uplink);
        tokio::spawn(answer_pushes(pushes, self.population.clone(), answers));
        let sockets = self
            .population
            .citizens()
            .filter(|citizen| citizen.channel == Channel::Websocket)
            .count();
        let (open, mut opened) = watch::channel(0);
        let counters = (self.tally.clone(), open);
        let (address, population) = (self.node.address, self.population.clone());
        tokio::spawn(hold_sockets(address, population, counters, self.stop.clone()));
        let all_open = opened.wait_for(|open| *open >= sockets);
        tokio::time::timeout(SOCKETS_PATIENCE, all_open)
            .await
            .map_err(|_| anyhow!("not all of {sockets} sockets opened in time"))??;
        if !quiet {
            let seconds = began.elapsed().as_secs_f64();
            println!(
                "{loaded} devices registered, {sockets} websockets open, {seconds:.1} s; \
                 node at http://{}; boundaries {}",
                self.node.address,
                self.node.parts.city.boundaries().as_str()
            );
            self.invite();
        }
        Ok(())
    }

    /// Makes a few phones canaries of their units, so that link tests have somebody to reach.
    async fn canaries(&self) -> Result<()> {
        let phones = self.population.citizens().enumerate();
        let phones = phones.filter(|(_, citizen)| citizen.channel == Channel::Apns);
        for (index, _) in phones.take(CANARIES) {
            let device = self.population.device(index as u32);
            let Some(place) = device.profile.places.first() else { continue };
            let parts = &self.node.parts;
            let canary = appoint(&parts.registry, &place.unit, device.id).await;
            let canary = canary.map_err(|problem| anyhow!(problem.detail))?;
            parts.drills.put(canary).await?;
        }
        Ok(())
    }

    /// Publishes CAP XML over HTTP.
    pub async fn publish(&self, xml: String) -> Result<PublicationId> {
        let body = Some(("application/cap+xml", Bytes::from(xml)));
        let answer = self.server.ask(Method::POST, "/v1/alerts", body).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let id = answer["id"].as_str().context("the answer has no id")?;
        Ok(id.parse()?)
    }

    /// How many devices of the population are in a publication's audience, counted without the
    /// node's registry.
    pub async fn expected(&self, id: PublicationId) -> Result<u64> {
        let stored = self.node.parts.alerts.get(id).await?.context("the publication is stored")?;
        let Audience::Area(area) = &stored.publication.audience else { return Ok(0) };
        let inside =
            |index: &u32| area.owner(&self.population.device(*index).profile.places).is_some();
        Ok((0..self.population.size()).filter(inside).count() as u64)
    }

    /// The node's ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.node.parts.ledger
    }

    /// What the citizens saw.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Says where a newcomer can look around, and as whom.
    pub fn invite(&self) {
        let node = self.node.address;
        println!("\nconsole   http://{node}/console");
        for Login { id, role, password } in &self.logins {
            println!("          log in as {id} ({role}), password {password}");
        }
        println!("citizens  http://{node}/\nAPI       http://{node}, key {}", self.server.key);
    }

    /// What became of a publication, from the node's funnel and from the citizens' side.
    pub fn summary(
        &self,
        name: &str,
        id: PublicationId,
        (expected, funnel): (u64, Funnel),
        began: Instant,
    ) -> Summary {
        let seen = self.tally.summary(id, began);
        let names = Arc::clone(&self.node.parts.city);
        Summary::of(name, (expected, funnel), seen, &names)
    }

    /// Ends everything.
    pub async fn strike(self) -> Result<()> {
        self.stop.cancel();
        self.node.stop().await?;
        self.providers.stop().await;
        Ok(())
    }
}

async fn agency(node: &Node) -> Result<String> {
    let agency = Agency {
        id: "demo".parse()?,
        name: "Loa demo".to_owned(),
        jurisdiction: Jurisdiction::unlimited(),
        operator: true,
        submission_keys: Default::default(),
        cap_signing: Default::default(),
        second_person: false,
    };
    let id = agency.id.clone();
    node.parts.agencies.put(agency).await?;
    let name = format!("demo-{}", Timestamp::now().as_millisecond());
    let key = node.parts.agencies.add_key(&id, &name, Timestamp::now(), None).await?;
    Ok(key.expose().to_owned())
}
