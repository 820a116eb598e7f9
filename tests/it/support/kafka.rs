//! Real Kafka: brokers in KRaft mode, from the jars that `deploy/setup.sh test` puts below the
//! target directory. Most tests share one broker, each with topics of its own.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use loa::bus::kafka::Settings;
use loa::bus::kafka::topics::Admin;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::port::free_port;

/// A cluster's name in KRaft's form.
const CLUSTER: &str = "4L6g3nShT-eMCtK--X86sw";
/// How long a broker may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(90);
/// Ends a broker when the pipe to this process closes, however that comes about.
const KEEPER: &str = "\"$@\" & child=$!; echo $child; read _; kill -9 $child; wait; \
                      [ -z \"$CLEAN\" ] || rm -rf \"$CLEAN\"";

/// A cluster for tests.
pub struct Kafka {
    /// Where its brokers listen.
    pub brokers: Vec<String>,
    /// Copies of each partition.
    replication: u16,
    nodes: Mutex<Vec<Node>>,
    _dir: Option<TempDir>,
}

/// The wires to a broker: of each the port where it is reached, and the one it leads to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// The clients' wire.
    pub clients: (u16, u16),
    /// The other brokers' wire.
    pub brokers: (u16, u16),
    /// The wire to its controller, for votes and heartbeats.
    pub votes: (u16, u16),
}

/// One broker.
struct Node {
    port: u16,
    properties: PathBuf,
    running: Option<Running>,
}

struct Running {
    keeper: Child,
    pid: String,
    _pipe: ChildStdin,
}

impl Kafka {
    /// The broker that tests share: `LOA_TEST_KAFKA` (its address), or one of this process.
    pub async fn shared() -> &'static Kafka {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        let start = || async {
            if let Ok(given) = std::env::var("LOA_TEST_KAFKA") {
                let brokers = given.split(',').map(str::to_owned).collect();
                return Kafka { brokers, replication: 1, nodes: Mutex::default(), _dir: None };
            }
            let work = || {
                let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
                // Removed by the keeper, since nothing here is dropped at the end.
                Kafka::over(dir.keep(), 1, &[], true, &[])
            };
            tokio::task::spawn_blocking(work).await.expect("no panic")
        };
        SHARED.get_or_init(start).await
    }

    /// A cluster of its own, with further lines in each broker's settings; `{port}` and
    /// `{controller}` in them stand for the broker's two ports.
    pub async fn start(brokers: u16, settings: &[(&str, String)]) -> Kafka {
        let settings: Vec<(String, String)> =
            settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let work = move || {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
            let mut kafka = Kafka::over(dir.path().to_owned(), brokers, &settings, false, &[]);
            kafka._dir = Some(dir);
            kafka
        };
        tokio::task::spawn_blocking(work).await.expect("no panic")
    }

    /// A cluster in a directory that somebody else removes. Clients reach each broker over a wire
    /// of the test's, the other brokers over another, and their votes over a third.
    pub async fn behind(dir: PathBuf, wires: Vec<Ends>) -> Kafka {
        let work = move || {
            let listeners = "PLAIN://127.0.0.1:{port},WIRE://127.0.0.1:{end},\
                             CONTROLLER://127.0.0.1:{controller}";
            let advertised = "PLAIN://127.0.0.1:{between},WIRE://127.0.0.1:{wire},\
                              CONTROLLER://127.0.0.1:{votes}";
            let settings = [
                ("listeners", listeners),
                ("advertised.listeners", advertised),
                (
                    "listener.security.protocol.map",
                    "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,WIRE:PLAINTEXT",
                ),
            ];
            let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let count = wires.len() as u16;
            let mut kafka = Kafka::over(dir, count, &settings, false, &wires);
            let wires = wires.iter().map(|ends| format!("127.0.0.1:{}", ends.clients.0));
            kafka.brokers = wires.collect();
            kafka
        };
        tokio::task::spawn_blocking(work).await.expect("no panic")
    }

    fn over(
        dir: PathBuf,
        count: u16,
        settings: &[(String, String)],
        shared: bool,
        wires: &[Ends],
    ) -> Kafka {
        let own = |ends: &Ends| (ends.brokers.1, ends.votes.1);
        let own = |index| wires.get(index).map_or_else(|| (free_port(), free_port()), own);
        let ports: Vec<(u16, u16)> = (0..usize::from(count)).map(own).collect();
        let votes = |index: usize| wires.get(index).map_or(ports[index].1, |ends| ends.votes.0);
        let voter = |id: u16| format!("{id}@127.0.0.1:{}", votes(usize::from(id) - 1));
        let quorum: Vec<String> = (1..=count).map(voter).collect();
        let mut nodes = Vec::new();
        for (id, &(port, controller)) in (1..=count).zip(&ports) {
            let place = (id, port, controller, count);
            let mut lines = properties(&dir, place, &quorum.join(","));
            lines.retain(|(key, _)| settings.iter().all(|(other, _)| other != key));
            lines.extend(settings.iter().cloned());
            let text: String =
                lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
            let text = text.replace("{port}", &port.to_string());
            let text = text.replace("{controller}", &controller.to_string());
            let ends = wires.get(usize::from(id) - 1).copied().unwrap_or_default();
            let text = text.replace("{wire}", &ends.clients.0.to_string());
            let text = text.replace("{end}", &ends.clients.1.to_string());
            let text = text.replace("{between}", &ends.brokers.0.to_string());
            let text = text.replace("{votes}", &ends.votes.0.to_string());
            let properties = dir.join(format!("{id}.properties"));
            std::fs::write(&properties, text).expect("written");
            format(&properties);
            let clean = shared.then_some(dir.as_path());
            let running = Some(run(&properties, clean));
            nodes.push(Node { port, properties, running });
        }
        nodes.iter().for_each(|node| wait_for(node.port));
        let brokers = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        Kafka { brokers, replication: count, nodes: Mutex::new(nodes), _dir: None }
    }

    /// The settings of a node with topics of its own, which are made.
    pub async fn topics(&self) -> Settings {
        let prefix = uuid::Uuid::new_v4().simple().to_string();
        let settings = self.settings(&format!("t{}.", &prefix[..12]));
        self.apply(&settings).await;
        settings
    }

    /// The settings of a node whose topics are not made yet.
    pub fn settings(&self, prefix: &str) -> Settings {
        Settings {
            brokers: self.brokers.clone(),
            topic_prefix: prefix.to_owned(),
            replication: Some(self.replication),
            session_seconds: 6,
            ..Settings::default()
        }
    }

    /// Makes the topics of settings, as `loa topics apply` does.
    pub async fn apply(&self, settings: &Settings) {
        let admin = Admin::new(settings).expect("an admin");
        let deadline = Instant::now() + PATIENCE;
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        loop {
            let done = match admin.diff().await {
                Ok(changes) if changes.is_empty() => return,
                Ok(changes) => admin.apply(&changes).await,
                Err(error) => Err(error),
            };
            // A broker that has just started may know no other yet.
            assert!(Instant::now() < deadline, "topics could not be made: {done:?}");
            pace.tick().await;
        }
    }

    /// kill -9 of a broker (the first is 0).
    pub fn kill(&self, index: usize) {
        let mut nodes = self.nodes.lock().expect("no panic");
        nodes[index].running.take().expect("it runs").end();
    }

    /// Whether a broker that was not killed runs: one whose disk takes nothing ends by itself.
    pub fn runs(&self, index: usize) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid(index)));
        status.is_ok_and(|text| !text.contains("State:\tZ"))
    }

    /// No file of a broker takes anything more until it is killed: what a full disk is for it, by
    /// the kernel's limit for a process's files instead of a file system that needs root.
    pub fn fill_disk(&self, index: usize) {
        let pid = self.pid(index);
        let limited = Command::new("prlimit").args(["--pid", &pid, "--fsize=0:unlimited"]).status();
        assert!(limited.expect("prlimit (Debian: util-linux)").success());
    }

    /// The process of a broker that was not killed.
    pub fn pid(&self, index: usize) -> String {
        let nodes = self.nodes.lock().expect("no panic");
        nodes[index].running.as_ref().expect("it was not killed").pid.clone()
    }

    /// Starts a killed broker again and waits until it listens.
    pub async fn restart(&self, index: usize) {
        let port = {
            let mut nodes = self.nodes.lock().expect("no panic");
            let node = &mut nodes[index];
            node.running = Some(run(&node.properties, None));
            node.port
        };
        tokio::task::spawn_blocking(move || wait_for(port)).await.expect("no panic");
    }
}

impl Running {
    fn end(mut self) {
        // One that ended by itself is waited for all the same.
        let _ = Command::new("kill").args(["-9", &self.pid]).stderr(Stdio::null()).status();
        drop(self._pipe);
        self.keeper.wait().expect("the keeper ends");
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let mut nodes = self.nodes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        nodes.iter_mut().filter_map(|node| node.running.take()).for_each(Running::end);
    }
}

/// A broker's settings: broker and controller in one process, small, on loopback.
fn properties(
    dir: &Path,
    (id, port, controller, count): (u16, u16, u16, u16),
    quorum: &str,
) -> Vec<(String, String)> {
    let data = dir.join(format!("data-{id}")).display().to_string();
    let in_sync = count.saturating_sub(1).max(1).to_string();
    let count = count.to_string();
    let plain = format!("PLAIN://127.0.0.1:{port}");
    let listeners = format!("{plain},CONTROLLER://127.0.0.1:{controller}");
    [
        ("process.roles", "broker,controller"),
        ("node.id", &id.to_string()),
        ("controller.quorum.voters", quorum),
        ("listeners", &listeners),
        ("advertised.listeners", &plain),
        ("listener.security.protocol.map", "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("inter.broker.listener.name", "PLAIN"),
        ("controller.listener.names", "CONTROLLER"),
        ("log.dirs", &data),
        ("auto.create.topics.enable", "false"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("offsets.topic.num.partitions", "4"),
        ("offsets.topic.replication.factor", &count),
        ("transaction.state.log.replication.factor", &count),
        ("transaction.state.log.min.isr", &in_sync),
        ("transaction.state.log.num.partitions", "1"),
        ("share.coordinator.state.topic.replication.factor", &count),
        ("share.coordinator.state.topic.min.isr", &in_sync),
        ("log.cleaner.dedupe.buffer.size", "16777216"),
        // Hundreds of partitions, each with little in it.
        ("log.index.size.max.bytes", "65536"),
        ("num.network.threads", "2"),
        ("num.io.threads", "4"),
        ("broker.session.timeout.ms", "3000"),
        ("broker.heartbeat.interval.ms", "500"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn libraries() -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let libs = target.join("kafka/libs");
    assert!(libs.is_dir(), "{} is missing: run deploy/setup.sh test", libs.display());
    libs.join("*").display().to_string()
}

fn format(properties: &Path) {
    let users = ["SCRAM-SHA-256", "SCRAM-SHA-512"]
        .map(|way| format!("{way}=[name=loa,password=loa-secret]"));
    let done = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-cp", &libraries(), "kafka.tools.StorageTool"])
        .args(["format", "--ignore-formatted", "-t", CLUSTER])
        .args(users.iter().flat_map(|user| ["--add-scram", user]))
        .arg("-c")
        .arg(properties)
        .output()
        .expect("java is needed for this test");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn run(properties: &Path, clean: Option<&Path>) -> Running {
    let log = std::fs::File::create(properties.with_extension("log")).expect("a log");
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER, "sh", "java", "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC"])
        .args(["-XX:TieredStopAtLevel=1", "-cp", &libraries(), "kafka.Kafka"])
        .arg(properties)
        .env("CLEAN", clean.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("a shell");
    let mut pid = String::new();
    let mut said = BufReader::new(keeper.stdout.take().expect("a pipe"));
    said.read_line(&mut pid).expect("a line");
    // Read to the end, or the broker would wait for the pipe.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    let pipe = keeper.stdin.take().expect("a pipe");
    Running { keeper, pid: pid.trim().to_owned(), _pipe: pipe }
}

fn wait_for(port: u16) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "no broker on port {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
