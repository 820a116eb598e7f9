//! The cluster: servers, wires, processes, people. Scenarios share one, in turn; one that fails
//! takes it down with it, and the next sets up its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use loa::bus::{self, Position};
use loa::clock::Clock;
use loa::config::{self, Config};
use loa::domain::agency::{Agency, Jurisdiction};
use loa::domain::channel::Channel;
use loa::geofence::City;
use loa::node::{self, Parts};
use loa::simulator::citizens::{Mix, Population};
use loa::simulator::faults::{Rule, Service, Then, When};
use loa::simulator::providers::{Options, Providers};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use super::broadcast::Counted;
use super::crowd::Crowd;
use super::nodes::{GATEWAYS, Nodes, Told, WORKERS};
use super::stores::Stores;
use crate::support::kafka::{Ends, Kafka};
use crate::support::kept::sweep;
use crate::support::people::tokens;
use crate::support::port::{free_address, free_port};
use crate::support::process::path;
use crate::support::site::write_settings;
use crate::support::wire::Wire;

/// How long anything may take on a machine that does other things too; no promise.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(50);

/// The program that was built with these tests.
pub const NEW: &str = env!("CARGO_BIN_EXE_loa");

/// How large everything is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Devices.
    pub devices: u32,
    /// Of a thousand devices, those with a socket.
    pub sockets: u32,
    /// Members in a batch.
    pub batch: usize,
    /// Dispatches in work at once, for each channel of a worker.
    pub dispatches: usize,
    /// Parts of each unit and channel.
    pub shards: u16,
    /// What a provider takes for an answer, in the middle of a broadcast.
    pub answer: Duration,
    /// Who registers or moves during a broadcast.
    pub late: u32,
    /// Fan-out processes.
    pub workers: usize,
}

impl Size {
    /// The full size with `LOA_FULL=1`.
    pub fn chosen() -> Self {
        if is_full() {
            return Self {
                devices: 200_000,
                sockets: 10,
                batch: 50,
                dispatches: 8,
                shards: 4,
                answer: Duration::from_millis(100),
                late: 1_000,
                workers: WORKERS.len(),
            };
        }
        Self::small()
    }

    /// A worker that its provider limits, and small dispatches, so that chance is fair to all.
    pub fn scaling() -> Self {
        Self { devices: 6_000, batch: 10, dispatches: 1, shards: 2, workers: 1, ..Self::small() }
    }

    fn small() -> Self {
        Self {
            devices: 5_000,
            sockets: 20,
            batch: 10,
            dispatches: 4,
            shards: 1,
            answer: Duration::from_millis(400),
            late: 100,
            workers: WORKERS.len(),
        }
    }

    /// One broadcast in which everything fails in turn.
    pub fn short() -> Self {
        Self { devices: 4_000, workers: 2, ..Self::small() }
    }

    /// Most devices that may get something again when one worker dies: what it had in work.
    pub fn in_work(&self) -> usize {
        2 * self.dispatches * self.batch
    }
}

/// Whether the full size was asked for.
pub fn is_full() -> bool {
    std::env::var_os("LOA_FULL").is_some_and(|value| value == "1")
}

/// Everything that runs.
pub struct Stage {
    /// Where its files are.
    pub dir: PathBuf,
    /// How large it is.
    pub size: Size,
    /// The brokers.
    pub kafka: Kafka,
    /// The wire to each broker.
    pub wires: Vec<Wire>,
    /// The wire to each broker from the others.
    pub between: Vec<Wire>,
    /// The wire to each broker's controller, for votes and heartbeats.
    pub votes: Vec<Wire>,
    /// The wire from the citizens to each gateway.
    pub citizens: Vec<Wire>,
    /// The wires to Apple and to Google.
    pub outside: Vec<Wire>,
    /// Redis.
    pub stores: Stores,
    /// The simulated providers.
    pub providers: Providers,
    /// Who is registered.
    pub population: Population,
    /// Their push tokens.
    pub tokens: BTreeMap<u32, String>,
    /// The citizens with sockets.
    pub crowd: Crowd,
    /// Pushes as they are taken.
    pub counted: Counted,
    /// The log and the stores, for looking.
    pub parts: Parts,
    /// The key of an agency that may do everything.
    pub key: String,
    /// How often something was published: identifiers.
    pub number: u64,
    /// Loa's processes.
    pub nodes: Nodes,
    /// Records that nobody can read.
    pub poisoned: Vec<Position>,
}

/// Runs a scenario on the cluster that all share.
pub fn scenario(run: impl AsyncFnOnce(&mut Stage)) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static STAGE: Mutex<Option<Stage>> = Mutex::const_new(None);
    let runtime = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"));
    runtime.block_on(async {
        let mut shared = STAGE.lock().await;
        // Put back only by a scenario that succeeds.
        let mut stage = match shared.take() {
            Some(stage) => stage,
            None => Stage::set(Size::chosen()).await,
        };
        stage.rest().await;
        run(&mut stage).await;
        *shared = Some(stage);
    });
}

impl Stage {
    /// Sets up a cluster; its processes end with it.
    pub async fn set(size: Size) -> Self {
        Self::of(size, Path::new(NEW), None).await
    }

    /// Sets up a cluster whose processes are of a program; we look in as a node that seals nothing
    /// before a moment.
    pub async fn of(size: Size, program: &Path, unsealed_until: Option<Timestamp>) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory").keep();
        sweep(&dir);
        let (wires, between, votes) = (three().await, three().await, three().await);
        let kafka = Kafka::behind(dir.clone(), ends(&wires, &between, &votes)).await;
        let stores = Stores::start(&dir).await;
        let providers = Providers::start(Options::default()).await.expect("the simulator starts");
        let mut outside = Vec::new();
        for url in [&providers.apns_url, &providers.fcm_url] {
            outside.push(Wire::to(url.port().expect("a port")).await);
        }
        settings(&dir, &providers, (&kafka, &stores, &size));
        let mut config = rewired(&dir, &outside);
        config.vault.unsealed_until = unsealed_until;
        kafka.apply(kafka_settings(&config)).await;
        let parts = node::open(&config, Clock::System).await.expect("log and stores open");
        let population = population(&size);
        load(&dir, &population, program);
        let key = key(&parts).await;
        let counted = Counted::of(&providers);
        let mut nodes = Nodes::new(&dir, size.workers, program);
        let mut citizens = Vec::new();
        for name in GATEWAYS {
            citizens.push(Wire::to(nodes.address(name).port()).await);
        }
        let crowd = Crowd::new(&population, [0, 1].map(|place| citizens[place].end()));
        let tokens = tokens(&population);
        nodes.start_all().await;
        let stage = Self {
            dir,
            size,
            kafka,
            wires,
            between,
            votes,
            citizens,
            outside,
            stores,
            providers,
            population,
            tokens,
            crowd,
            counted,
            parts,
            key,
            number: 0,
            nodes,
            poisoned: Vec::new(),
        };
        stage.crowd.everyone().await;
        stage
    }

    /// Ends what an earlier scenario began, and waits until everyone's socket is live.
    async fn rest(&mut self) {
        self.providers.faults.clear();
        self.crowd.everyone().await;
    }

    /// Providers that take their time, so that a broadcast has a middle.
    pub fn slow_down(&self) {
        for service in [Service::Apns, Service::Fcm] {
            let slow = Rule::new(When::Always, Then::Slow(self.size.answer));
            self.providers.faults.set(service, vec![slow]);
        }
    }

    /// An identifier that nothing had before.
    pub fn fresh(&mut self, what: &str) -> String {
        self.number += 1;
        format!("{what}-{}", self.number)
    }
}

/// The device that gets the status changes of one citizen, by its place among the sockets.
pub fn subject(place: usize) -> String {
    format!("citizen-{place}")
}

/// Citizens with a subject.
pub const SUBJECTS: usize = 5;

fn population(size: &Size) -> Population {
    let push = 1_000 - size.sockets;
    let (apns, fcm) = (push / 2, push - push / 2);
    let mix = Mix { apns, fcm, second_place: 120, cell: 150, english: 60 };
    let city = City::builtin("hcmc").expect("built in");
    Population::new(&city, size.devices, (1, mix))
}

fn settings(dir: &Path, providers: &Providers, behind: (&Kafka, &Stores, &Size)) {
    let (kafka, stores, size) = behind;
    let Size { batch, dispatches, shards, .. } = size;
    let text = format!(
        "[bus]\nkind = \"kafka\"\n\
         [bus.kafka]\nbrokers = {brokers:?}\nsession_seconds = 6\n\
         [store]\nkind = \"redis\"\n\
         [store.redis]\nurls = [\"redis://127.0.0.1:{store}\"]\n\
         [registry]\nshards = {shards}\n\
         [fanout]\nbatch = {batch}\ndispatches_emergency = {dispatches}\n\
         [gateway]\nstreams_per_address = 1000000\n\
         new_streams_per_second = 1000000\nnew_streams_burst = 1000000\n",
        brokers = kafka.brokers,
        store = stores.wire.port,
    );
    let unused = free_address();
    write_settings(dir, providers, (unused, &text));
}

/// The settings again, with wires between the workers and the providers.
fn rewired(dir: &Path, outside: &[Wire]) -> Config {
    let file = dir.join("loa.toml");
    let mut text = std::fs::read_to_string(&file).expect("written");
    for wire in outside {
        text = text.replace(&format!(":{}", wire.leads_to()), &format!(":{}", wire.port));
    }
    std::fs::write(&file, text).expect("written");
    config::load(Some(&file), &[]).expect("the test's settings are valid")
}

async fn three() -> Vec<Wire> {
    let mut wires = Vec::new();
    for _ in 0..3 {
        wires.push(Wire::to(free_port()).await);
    }
    wires
}

fn ends(wires: &[Wire], between: &[Wire], votes: &[Wire]) -> Vec<Ends> {
    let of = |wire: &Wire| (wire.port, wire.leads_to());
    let all = wires.iter().zip(between).zip(votes);
    all.map(|((clients, brokers), votes)| Ends {
        clients: of(clients),
        brokers: of(brokers),
        votes: of(votes),
    })
    .collect()
}

fn kafka_settings(config: &Config) -> &bus::kafka::Settings {
    let bus::Shape::Kafka(settings) = &config.bus.shape else { panic!("on Kafka") };
    settings
}

/// Registers everyone over the command line; the first sockets' citizens are known by name.
fn load(dir: &Path, population: &Population, program: &Path) {
    let mut names = (0..SUBJECTS).map(subject);
    let mut lines = String::new();
    for citizen in population.citizens() {
        let mut line = json!({
            "id": population.id(citizen.index),
            "secret": population.secret(citizen.index).reveal(),
            "profile": population.device(citizen.index).profile,
        });
        let named = (citizen.channel == Channel::Websocket).then(|| names.next()).flatten();
        if let Some(name) = named {
            line["subject"] = name.into();
        }
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    let loaded = registered(dir, &lines, (program, &Told::new()));
    assert_eq!(loaded, u64::from(population.size()));
}

/// Registers devices over a program's command line, and says how many.
pub fn registered(dir: &Path, lines: &str, (program, told): (&Path, &Told)) -> u64 {
    let file = dir.join("devices.ndjson");
    std::fs::write(&file, lines).expect("written");
    let config = dir.join("loa.toml");
    let mut load = Command::new(program);
    load.args(["devices", "load", path(&file), "--config", path(&config), "--json"]);
    let done = load.envs(told.iter().map(|(name, value)| (name, value))).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::remove_file(&file).expect("removed");
    let answer: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    answer["loaded"].as_u64().expect("a number")
}

async fn key(parts: &Parts) -> String {
    let agency = Agency {
        id: "test".parse().expect("an id"),
        name: "test".to_owned(),
        jurisdiction: Jurisdiction::unlimited(),
        operator: true,
        second_person: false,
        submission_keys: Default::default(),
        cap_signing: Default::default(),
    };
    let id = agency.id.clone();
    parts.agencies.put(agency).await.expect("put");
    let key = parts.agencies.add_key(&id, "key", parts.clock.now(), None).await.expect("a key");
    key.expose().to_owned()
}
