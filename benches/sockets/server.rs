//! Who serves, and how a server is asked, whatever it is.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::idle;
use crate::ours::{self, Home, How};
use crate::peers::Peer;
use crate::talker::Talker;
use crate::tongue::{PLAIN, Tongue};

/// After an alert, until everything it brings is done: it counts as CPU of the messages.
pub const SETTLE: Duration = Duration::from_millis(1_500);

/// Who serves.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A loop of writes.
    Limit,
    /// The gateway.
    Ours,
    /// The gateway under its own TLS.
    Tls,
    /// Somebody else's.
    Peer(Peer),
}

/// The cores that a server may use. Its clients have the second.
#[derive(Clone, Copy)]
pub enum Cores {
    /// The first alone.
    First,
    /// The second too.
    Both,
}

impl Cores {
    /// As `taskset` has it.
    pub fn list(self) -> &'static str {
        match self {
            Self::First => "0",
            Self::Both => "0,1",
        }
    }
}

/// Where a server runs, and keeps what it keeps.
#[derive(Clone, Copy)]
pub struct Room<'a> {
    /// Its cores.
    pub cores: Cores,
    /// Its directory.
    pub dir: &'a Path,
}

/// A server that is alerted. What it is asked, it is asked in this order.
pub trait Server {
    /// Where it listens; asked once.
    fn address(&mut self) -> Result<String>;

    /// Its memory, in KB.
    fn memory_kb(&mut self) -> Result<f64>;

    /// The same, once it has read all that it reads but once.
    fn warm_kb(&mut self) -> Result<f64> {
        self.memory_kb()
    }

    /// Begins so many alerts to all, one right after the other.
    fn alert(&mut self, count: usize) -> Result<()>;

    /// What they took, when everybody has got them and what else they bring is done.
    fn went(&mut self) -> Result<Went>;
}

/// What some alerts took a server.
pub struct Went {
    /// When the first began, as [`crate::client::nanos`] counts.
    pub began: u128,
    /// Seconds of CPU.
    pub cpu: f64,
}

impl Kind {
    /// What it is called, here and on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours => "ours",
            Self::Tls => "tls",
            Self::Peer(peer) => peer.name(),
        }
    }

    /// Who is called so.
    pub fn of(name: &str) -> Result<Self> {
        let own = [Self::Limit, Self::Ours, Self::Tls];
        let mut all = own.into_iter().chain(Peer::ALL.map(Self::Peer));
        all.find(|kind| kind.name() == name).with_context(|| format!("`{name}`"))
    }

    /// What its clients have to know.
    pub fn tongue(self) -> &'static Tongue {
        match self {
            Self::Limit => &PLAIN,
            Self::Ours | Self::Tls => &ours::TONGUE,
            Self::Peer(peer) => peer.tongue(),
        }
    }

    /// Starts it, for so many sockets.
    pub fn start(self, sockets: usize, room: Room<'_>) -> Result<Box<dyn Server>> {
        let Room { cores, dir } = room;
        let home = |how| Home { sockets, dir: dir.to_owned(), port: 0, how };
        Ok(match self {
            Self::Limit => Box::new(Talker::this(cores.list(), &["limit"])?),
            Self::Ours => Box::new(Talker::ours(&home(How::Plain), cores)?),
            Self::Tls => {
                idle::certify(dir)?;
                Box::new(Talker::ours(&home(How::Tls), cores)?)
            }
            Self::Peer(peer) => peer.start(room)?,
        })
    }
}

/// Waits until an alert's work is over.
pub fn settle() {
    std::thread::sleep(SETTLE);
}

/// Memory of a process that is its own, in KB.
pub fn anon_kb(process: &str) -> Result<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(process).join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kb = line.context("RssAnon")?.trim_end_matches("kB").trim();
    Ok(kb.parse()?)
}
