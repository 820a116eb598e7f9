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

/// Runs a command of whose output nobody reads anything.
pub fn run_unread(arguments: &[&str]) -> Done {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = loa(arguments);
    command.stdout(writer);
    Done::of(command.output().expect("the binary starts"))
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
        }
    }
}

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
}
