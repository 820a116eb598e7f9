//! Real Redis servers: one that the whole binary shares, each test under a prefix of its own
//! (`LOA_TEST_REDIS` names another one), and servers of a test's own, to be killed and filled.
//! A missing server fails the test; Debian's package is `redis-server`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use loa::store::redis::{Redis, Settings};
use tempfile::TempDir;
use url::Url;

use crate::support::port::free_port;

pub mod many;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Names the server to use instead of one that is started.
const SERVER: &str = "LOA_TEST_REDIS";
/// Names the program that is started instead of `redis-server`, such as `valkey-server`.
const PROGRAM: &str = "LOA_TEST_REDIS_PROGRAM";

fn program() -> String {
    std::env::var(PROGRAM).unwrap_or_else(|_| "redis-server".to_owned())
}

/// Settings of the shared server with a prefix that nobody else has.
pub fn fresh() -> Settings {
    static SHARED: OnceLock<Url> = OnceLock::new();
    let url = SHARED.get_or_init(|| match std::env::var(SERVER) {
        Ok(url) => url.parse().expect("LOA_TEST_REDIS is redis://HOST:PORT"),
        Err(_) => shared(),
    });
    Settings { prefix: prefix(), ..Settings::single(url.clone()) }
}

/// A prefix that nobody else has.
fn prefix() -> String {
    let name = uuid::Uuid::new_v4().simple().to_string();
    format!("t-{}", &name[..12])
}

/// A handle under a prefix of its own.
pub async fn handle() -> Redis {
    Redis::open(&fresh()).await.expect("redis-server answers")
}

/// Starts a server that ends with this process, however that ends: it is killed when the pipe to
/// its keeper closes.
fn shared() -> Url {
    let port = free_port();
    keep(port, |dir| {
        let mut all = arguments(port, dir);
        all.extend(["--save", "", "--appendonly", "no"].map(str::to_owned));
        all
    });
    url(port)
}

fn keep(port: u16, arguments: impl FnOnce(&Path) -> Vec<String>) {
    let dir = tempfile::tempdir().expect("a directory").keep();
    let keeper = "dir=$1; shift; \"$SERVER\" \"$@\" >\"$dir/log\" 2>&1 & server=$!; \
                  cat >/dev/null; kill -9 $server; rm -rf \"$dir\"";
    let mut command = Command::new("sh");
    command.args(["-c", keeper, "keeper"]).arg(&dir).args(arguments(&dir));
    command.env("SERVER", program());
    let child = command.stdin(Stdio::piped()).spawn().expect("sh starts");
    // Its pipe is closed when this process ends, and not before.
    std::mem::forget(child);
    wait_for(port, &format!("see {}", dir.join("log").display()));
}

/// A server of one test's own; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
    more: Vec<String>,
    dir: TempDir,
}

impl Server {
    /// Starts one with further settings, such as `["--appendonly", "yes"]`.
    pub fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (port, more) = (free_port(), more.iter().map(|&one| one.to_owned()).collect());
        let child = spawn(port, &dir, &more);
        wait_for(port, "is redis-server installed?");
        Self { child, port, more, dir }
    }

    /// Kills it as a power cut of the process would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again over what it left; does not wait for it.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.dir, &self.more);
    }

    /// Where it keeps its append-only file.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its address.
    pub fn url(&self) -> Url {
        url(self.port)
    }

    /// Whether it has answered anybody with this error.
    pub fn refused(&self, code: &str) -> bool {
        self.cli(&["INFO", "errorstats"]).contains(&format!("errorstat_{code}:"))
    }

    /// Runs `redis-cli` against it and gives its standard output.
    pub fn cli(&self, arguments: &[&str]) -> String {
        cli(self.port, arguments)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `redis-cli` against a port and gives its standard output.
pub fn cli(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let done = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
    let done = done.expect("redis-cli (Debian: redis-tools) starts");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn spawn(port: u16, dir: &TempDir, more: &Vec<String>) -> Child {
    let mut command = Command::new(program());
    command.args(arguments(port, dir.path())).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server (Debian: redis-server) starts")
}

fn arguments(port: u16, dir: &Path) -> Vec<String> {
    let dir = dir.display().to_string();
    let port = port.to_string();
    let fixed = ["--port", &port, "--bind", "127.0.0.1", "--dir", &dir];
    fixed.map(str::to_owned).into()
}

fn wait_for(port: u16, hint: &str) {
    let began = Instant::now();
    while cli(port, &["PING"]) != "PONG" {
        assert!(began.elapsed() < PATIENCE, "no redis-server answers on port {port}: {hint}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn url(port: u16) -> Url {
    Url::parse(&format!("redis://127.0.0.1:{port}")).expect("an address")
}
