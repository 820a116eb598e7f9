<<<<<<< HEAD
//! The real binary: commands that end, and a node in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::node::PATIENCE;

/// Pause between two looks at a process.
const LOOK: Duration = Duration::from_millis(20);

/// The binary under test, in an environment without settings of whoever runs the tests.
pub fn loa(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loa"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOA_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// What a command that ends left.
#[derive(Debug)]
pub struct Done {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Done {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().expect("not ended by a signal");
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Done {
    Done::of(loa(arguments).output().expect("the binary starts"))
}

/// A node in a process of its own, killed when dropped.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its data directory.
    pub dir: TempDir,
    /// The key of an operator that may do everything.
    pub key: String,
}

impl Served {
    /// Starts a node over a fresh directory.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::over(tempfile::tempdir().expect("a directory"), settings)
    }

    /// Starts `loa serve` over a directory, with a new operator's key, and waits for its address.
    pub fn over(dir: TempDir, settings: &[(&str, &str)]) -> Self {
        let data = path(dir.path());
        let put = ["agencies", "put", "city", "--name", "City", "--operator", "--data-dir", data];
        assert_eq!(run(&put).code, 0);
        let name = uuid::Uuid::new_v4().to_string();
        let key = ["agencies", "key", "city", "--key-name", &name, "--json", "--data-dir", data];
        let key = run(&key);
        let key = key.json()["key"].as_str().expect("a key").to_owned();
        let mut child = loa(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the node starts");
        let mut errors = child.stderr.take().expect("a pipe");
        // Read to the end, or the node would wait for the pipe.
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut said).expect("a line");
        let address = said.trim().strip_prefix("loa listens on http://").map(str::parse);
        let Some(Ok(address)) = address else {
            let _ = child.kill();
            panic!("the node said {said:?}; {}", log.join().unwrap_or_default());
        };
        Self { child, address, dir, key }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("the process lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
        assert!(sent.expect("a shell").success());
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> (ExitStatus, TempDir) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                let dir = tempfile::tempdir().expect("a directory");
                return (status, std::mem::replace(&mut self.dir, dir));
            }
            assert!(Instant::now() < until, "the node does not end");
            std::thread::sleep(LOOK);
=======
//! The real binary in a process of its own, to be killed and started again over one directory.
//! The simulated providers run in the test's process and outlive it.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use loa::clock::Clock;
use loa::config;
use loa::domain::agency::{Agency, Jurisdiction};
use loa::domain::funnel::Funnel;
use loa::domain::ids::PublicationId;
use loa::domain::publication::Publication;
use loa::node;
use loa::simulator::citizens::{Mix, Population};
use loa::simulator::providers::{Options, Providers};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use super::http::{Answer, ask};
use super::node::PATIENCE;

/// Pause between two looks at a node from outside.
const LOOK: Duration = Duration::from_millis(5);

/// A directory with settings, keys and devices, and everything a node in it talks to.
pub struct Site {
    /// Removed at the end.
    pub dir: TempDir,
    /// The settings' file.
    pub config: PathBuf,
    /// Where the node will listen; the same after each restart.
    pub address: SocketAddr,
    /// The key of an agency that may do everything.
    pub key: String,
    /// Who is registered.
    pub population: Population,
    /// The simulated Apple and Google.
    pub providers: Providers,
}

/// A node's process; dropped, it is killed.
pub struct Process {
    child: Child,
    /// Kept open, so that the node may go on writing.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Site {
    /// A directory with a population; `settings` are further lines of the settings' file.
    pub async fn with(size: u32, mix: Mix, settings: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let providers = Providers::start(Options::default()).await.expect("the simulator starts");
        let address = free_address();
        let config = write_settings(&dir, &providers, (address, settings));
        let loaded = config::load(Some(&config), &[]).expect("the test's settings are valid");
        let parts = node::open(&loaded, Clock::System).await.expect("the stores open");
        let population = Population::new(&parts.city, size, (1, mix));
        let everyone = population.clone();
        let devices = (0..size).map(move |index| everyone.device(index));
        parts.registry.bulk_load(devices).await.expect("loaded");
        let agency = Agency {
            id: "test".parse().expect("an id"),
            name: "test".to_owned(),
            jurisdiction: Jurisdiction::unlimited(),
            operator: true,
        };
        let (id, now) = (agency.id.clone(), Clock::System.now());
        parts.agencies.put(agency).await.expect("put");
        let key = parts.agencies.add_key(&id, "key", now, None).await.expect("a key");
        let key = key.expose().to_owned();
        parts.bus.clone().close().await.expect("closed");
        Self { dir, config, address, key, population, providers }
    }

    /// Starts the node and waits until it listens.
    pub async fn start(&self) -> Process {
        let log = OpenOptions::new().create(true).append(true).open(self.dir.path().join("log"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_loa"))
            .args(["serve", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.map_or_else(|_| Stdio::null(), |log: File| Stdio::from(log)))
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let listens = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("loa listens on") {
                    return true;
                }
            }
            false
        };
        let listens = tokio::time::timeout(PATIENCE, listens).await;
        assert!(matches!(listens, Ok(true)), "the node does not start:\n{}", self.log());
        Process { child, _lines: lines }
    }

    /// What the nodes wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Asks the node.
    pub async fn ask(&self, method: Method, path: &str, body: Option<(&str, Bytes)>) -> Answer {
        let credentials = format!("Bearer {}", self.key);
        ask(self.address, (method, path), Some(&credentials), body).await.expect("an answer")
    }

    /// Publishes CAP XML, which must be accepted; tells whether it had been before.
    pub async fn publish(&self, xml: &str) -> (PublicationId, bool) {
        let body = Some(("application/cap+xml", Bytes::from(xml.to_owned())));
        let answer = self.ask(Method::POST, "/v1/alerts", body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        let answer = answer.json();
        let id = answer["id"].as_str().expect("an id").parse().expect("a publication id");
        (id, answer["repeated"].as_bool().expect("a bool"))
    }

    /// Writes a whole publishing request to a connection and reads nothing.
    pub async fn post_and_look_away(&self, xml: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let head = format!(
            "POST /v1/alerts HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/cap+xml\r\ncontent-length: {}\r\n\r\n",
            self.address,
            self.key,
            xml.len()
        );
        stream.write_all(head.as_bytes()).await.expect("written");
        stream.write_all(xml.as_bytes()).await.expect("written");
        stream.flush().await.expect("written");
        stream
    }

    /// How many alerts are active, as the public is told.
    pub async fn active(&self) -> usize {
        let answer = self.ask(Method::GET, "/v1/alerts/active", None).await.json();
        answer["alerts"].as_array().expect("a list").len()
    }

    /// A publication as it was accepted.
    pub async fn publication(&self, id: PublicationId) -> Publication {
        let answer = self.ask(Method::GET, &format!("/v1/alerts/{id}"), None).await.json();
        serde_json::from_value(answer["publication"].clone()).expect("a publication")
    }

    /// The funnel as it is now.
    pub async fn funnel(&self, id: PublicationId) -> Funnel {
        let path = format!("/v1/publications/{id}/funnel");
        let answer = self.ask(Method::GET, &path, None).await;
        serde_json::from_slice(&answer.body).expect("a funnel")
    }

    /// Looks at the funnel until it fulfils a condition; the test fails when it does not.
    pub async fn funnel_where(&self, id: PublicationId, holds: impl Fn(&Funnel) -> bool) -> Funnel {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let funnel = self.funnel(id).await;
            if holds(&funnel) {
                return funnel;
            }
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "not so within {PATIENCE:?}: {funnel:?}\n{}", self.log());
            tokio::time::sleep(LOOK).await;
>>>>>>> promises
        }
    }
}

<<<<<<< HEAD
impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Asks until an answer fulfils a condition.
pub async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pace = tokio::time::interval(LOOK);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not so within {PATIENCE:?}");
        pace.tick().await;
    }
=======
impl Process {
    /// kill -9.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }
}

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.local_addr().expect("bound")
}

fn write_settings(
    dir: &TempDir,
    providers: &Providers,
    (address, settings): (SocketAddr, &str),
) -> PathBuf {
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let ca = write("ca.pem", &providers.ca_pem);
    let key = write("apns.p8", providers.apns_key.pem.expose());
    let account = write("account.json", providers.fcm_service_account_json.expose());
    let text = format!(
        "[node]\ndata_dir = {data:?}\nlisten = \"{address}\"\n\
         [log]\nfilter = \"warn,loa::route=info,loa::ingest=info,loa::node=info\"\n\
         [http]\nrequests_per_second = 1000000\nrequest_burst = 1000000\n\
         [channel.apns]\nproduction = \"{apns}\"\nsandbox = \"{apns}\"\nteam_id = \"{team}\"\n\
         key_id = \"{key_id}\"\nkey_file = {key:?}\ncritical_entitlement = true\n\
         [channel.apns.http2]\nca_file = {ca:?}\n\
         [channel.fcm]\nendpoint = \"{fcm}\"\nservice_account_file = {account:?}\n\
         [channel.fcm.http2]\nca_file = {ca:?}\n{settings}",
        data = dir.path().join("data"),
        apns = providers.apns_url,
        fcm = providers.fcm_url,
        team = providers.apns_key.team_id,
        key_id = providers.apns_key.key_id,
    );
    write("loa.toml", &text)
>>>>>>> promises
}
