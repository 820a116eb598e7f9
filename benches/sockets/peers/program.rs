//! A program of somebody else's that serves. It knows nothing of this bench: so this process alerts
//! it, and reads from outside what it takes.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::nanos;
use crate::report::cpu_seconds_of;
use crate::server::{Room, Server, Went, anon_kb, settle};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where Debian has servers; not everybody's path leads there.
const DEBIAN: &str = "/usr/sbin";

/// Which program, and how to get it.
pub struct Program {
    /// The variable that names it where it is not on the path.
    pub variable: &'static str,
    pub name: &'static str,
    /// What makes it say its version.
    pub version: &'static str,
    pub how_to_get: &'static str,
}

/// Who alerts a program.
pub trait Publisher {
    /// So many alerts to all, one right after the other.
    fn publish(&mut self, count: usize) -> Result<()>;
}

/// A program that runs; it is killed when this is dropped.
pub struct Running {
    child: Child,
    port: u16,
}

/// A program and who alerts it.
pub struct Alerted<P> {
    running: Running,
    publisher: P,
    /// When the last alert began, and its CPU until then.
    began: u128,
    before: f64,
}

impl Program {
    /// How to get it, where it is not here.
    pub fn missing(&self) -> Option<&'static str> {
        self.find().is_none().then_some(self.how_to_get)
    }

    /// Starts it, and waits until it listens on the port.
    pub fn start(&self, words: &[&str], port: u16, room: Room<'_>) -> Result<Running> {
        let program = self.find().context(self.how_to_get)?;
        let version = Command::new(&program).arg(self.version).output()?.stdout;
        eprintln!("sockets: {}", String::from_utf8_lossy(&version).trim());
        let log = room.dir.join("log");
        let (said, complained) = (File::create(&log)?, File::options().append(true).open(&log)?);
        let mut command = Command::new("taskset");
        command.args(["-c", room.cores.list()]).arg(program).args(words).stdin(Stdio::null());
        let child = command.stdout(said).stderr(complained).spawn()?;
        let mut running = Running { child, port };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if running.child.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                bail!("{} does not start: {}", self.name, std::fs::read_to_string(log)?);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(running)
    }

    fn find(&self) -> Option<PathBuf> {
        if let Some(named) = std::env::var_os(self.variable) {
            return Some(named.into());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).chain([DEBIAN.into()]);
        folders.find_map(|folder| Some(folder.join(self.name)).filter(|file| file.is_file()))
    }
}

/// A port that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// To be alerted so.
    pub fn alerted_by<P: Publisher>(self, publisher: P) -> Alerted<P> {
        Alerted { running: self, publisher, began: 0, before: 0.0 }
    }

    fn id(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<P: Publisher> Server for Alerted<P> {
    fn address(&mut self) -> Result<String> {
        Ok(self.running.address())
    }

    fn memory_kb(&mut self) -> Result<f64> {
        Ok(anon_kb(&self.running.id())? as f64)
    }

    fn alert(&mut self, count: usize) -> Result<()> {
        self.before = cpu_seconds_of(&self.running.id())?;
        self.began = nanos()?;
        self.publisher.publish(count)
    }

    fn went(&mut self) -> Result<Went> {
        settle();
        let cpu = cpu_seconds_of(&self.running.id())? - self.before;
        Ok(Went { began: self.began, cpu })
    }
}
