//! The real binary in a process of its own, to be killed and started again over one directory.
//! The simulated providers run in the test's process and outlive it.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
use super::port::free_address;

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
        let config = write_settings(dir.path(), &providers, (address, settings));
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
            submission_keys: Default::default(),
            cap_signing: Default::default(),
            second_person: false,
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
        }
    }
}

impl Process {
    /// kill -9.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }
}

/// Writes the settings of a node that pushes to simulated providers, with further lines.
pub fn write_settings(
    dir: &Path,
    providers: &Providers,
    (address, settings): (SocketAddr, &str),
) -> PathBuf {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
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
         credential_requests_per_second = 1000000\ncredential_request_burst = 1000000\n\
         [channel.apns]\nproduction = \"{apns}\"\nsandbox = \"{apns}\"\n\
         [channel.apns.credentials]\nteam_id = \"{team}\"\n\
         key_id = \"{key_id}\"\nkey_file = {key:?}\n\
         [[channel.apns.apps]]\nbundle_id = \"{topic}\"\n\
         critical_entitlement = true\n\
         [channel.apns.http2]\nca_file = {ca:?}\n\
         [channel.fcm]\nendpoint = \"{fcm}\"\nservice_account_file = {account:?}\n\
         [channel.fcm.http2]\nca_file = {ca:?}\n{settings}",
        data = dir.join("data"),
        apns = providers.apns_url,
        fcm = providers.fcm_url,
        topic = providers.topic,
        team = providers.apns_key.team_id,
        key_id = providers.apns_key.key_id,
    );
    write("loa.toml", &text)
}
