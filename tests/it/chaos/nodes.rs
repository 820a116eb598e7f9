//! Loa's processes, each the real binary with its roles, settings from a file and the environment.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::stage::{LOOK, PATIENCE};
use crate::support::http::{Answer, ask};
use crate::support::kept::{Kept, unsignalled};
use crate::support::port::free_address;
use crate::support::wire::lasts;

/// Agencies' faces.
pub const APIS: [&str; 2] = ["api-1", "api-2"];
/// Routers.
pub const ROUTERS: [&str; 2] = ["router-1", "router-2"];
/// Fan-out workers.
pub const WORKERS: [&str; 4] = ["fanout-1", "fanout-2", "fanout-3", "fanout-4"];
/// Gateways.
pub const GATEWAYS: [&str; 2] = ["gateway-1", "gateway-2"];

/// All of them.
pub struct Nodes {
    dir: PathBuf,
    program: PathBuf,
    told: Told,
    all: BTreeMap<String, Process>,
}

struct Process {
    address: SocketAddr,
    program: PathBuf,
    told: Told,
    kept: Option<Kept>,
}

/// Settings of the environment, over those of the file.
pub type Told = Vec<(&'static str, String)>;

impl Nodes {
    /// None runs yet; so many workers, and two of each other role, of one program.
    pub fn new(dir: &Path, workers: usize, program: &Path) -> Self {
        let (dir, program) = (dir.to_owned(), program.to_owned());
        let mut nodes = Self { dir, program, told: Told::new(), all: BTreeMap::new() };
        let workers = &WORKERS[..workers];
        let names = APIS.iter().chain(&ROUTERS).chain(workers).chain(&GATEWAYS);
        names.chain(&["console"]).for_each(|name| nodes.add(name));
        nodes
    }

    /// A further one; its role is its name up to the dash.
    pub fn add(&mut self, name: &str) {
        let (address, program) = (free_address(), self.program.clone());
        let process = Process { address, program, told: self.told.clone(), kept: None };
        self.all.insert(name.to_owned(), process);
    }

    /// The names of all.
    pub fn names(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }

    /// Stops one, waits for its end, and starts another program in its place, with settings.
    pub async fn replace(&mut self, name: &str, (program, told): (&Path, &Told)) {
        self.terminate(name);
        self.ended(name).await;
        let process = self.all.get_mut(name).expect("a process of that name");
        (process.program, process.told) = (program.to_owned(), told.clone());
        self.start(name).await;
    }

    /// Where one listens, now or later.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.all[name].address
    }

    /// Starts all.
    pub async fn start_all(&mut self) {
        let names = self.names();
        // At once: their starts wait for servers more than for this machine.
        for name in &names {
            self.spawn(name);
        }
        for name in &names {
            self.ready(name).await;
        }
    }

    /// Starts one and waits until it is ready.
    pub async fn start(&mut self, name: &str) {
        self.spawn(name);
        self.ready(name).await;
    }

    fn spawn(&mut self, name: &str) {
        let role = name.split('-').next().expect("a role");
        let data = self.dir.join(format!("data-{name}"));
        let log = self.dir.join(format!("{name}.log"));
        let config = self.dir.join("loa.toml");
        let process = self.all.get_mut(name).expect("a process of that name");
        let settings = [
            ("LOA__NODE__DATA_DIR", data.display().to_string()),
            ("LOA__NODE__LISTEN", process.address.to_string()),
            ("LOA__NODE__GRACE_SECONDS", "10".to_owned()),
            ("LOA__BUS__KAFKA__CLIENT_ID", name.to_owned()),
            // Many processes on two cores.
            ("TOKIO_WORKER_THREADS", "2".to_owned()),
        ];
        let settings: Told = settings.into_iter().chain(process.told.clone()).collect();
        let arguments = ["serve", "--config"].map(OsStr::new).into_iter();
        let arguments = arguments.chain([config.as_os_str()]);
        let arguments = arguments.chain(["--roles", role].map(OsStr::new));
        let (env, first) = unsignalled();
        let program = process.program.clone();
        let binary = [program.as_os_str()];
        let arguments = first.into_iter().chain(binary).chain(arguments);
        process.kept = Some(Kept::start(env, arguments, &settings, &log));
    }

    /// Waits until one is ready.
    pub async fn ready(&self, name: &str) {
        let began = Instant::now();
        while !self.is_ready(name).await {
            let late = began.elapsed() > PATIENCE;
            assert!(self.runs(name) && !late, "{name} does not start:\n{}", self.log(name));
            lasts(LOOK).await;
        }
    }

    async fn is_ready(&self, name: &str) -> bool {
        let answer = ask(self.address(name), (Method::GET, "/readyz"), None, None).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    /// Whether a process runs.
    pub fn runs(&self, name: &str) -> bool {
        self.all[name].kept.as_ref().is_some_and(Kept::runs)
    }

    /// kill -9.
    pub fn kill(&mut self, name: &str) {
        let process = self.all.get_mut(name).expect("a process of that name");
        process.kept.take().expect("it runs").kill();
    }

    /// Fills the disk of one, or makes room on it.
    pub fn fill_disk(&self, name: &str, full: bool) {
        self.all[name].kept.as_ref().expect("it runs").fill_disk(full);
    }

    /// Asks one to stop, and leaves it to it.
    pub fn terminate(&self, name: &str) {
        self.all[name].kept.as_ref().expect("it runs").signal("TERM");
    }

    /// Waits until one that was asked to stop has ended.
    pub async fn ended(&mut self, name: &str) {
        let began = Instant::now();
        while self.runs(name) {
            assert!(began.elapsed() < PATIENCE, "{name} does not stop:\n{}", self.log(name));
            lasts(LOOK).await;
        }
        self.kill(name);
    }

    /// Every process that was started and not killed runs: none gave up by itself.
    pub fn assert_all_run(&self) {
        for (name, process) in &self.all {
            let ended = process.kept.as_ref().is_some_and(|kept| !kept.runs());
            assert!(!ended, "{name} ended by itself:\n{}", self.log(name));
        }
    }

    /// The end of what one wrote.
    pub fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.dir.join(format!("{name}.log")));
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Asks one over HTTP.
    pub async fn ask(
        &self,
        name: &str,
        (method, path): (Method, &str),
        key: &str,
        body: Option<(&str, Bytes)>,
    ) -> anyhow::Result<Answer> {
        let credentials = format!("Bearer {key}");
        ask(self.address(name), (method, path), Some(&credentials), body).await
    }
}
