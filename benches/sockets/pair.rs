//! A server and its clients, each a process of its own, and how they are asked.

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;

use crate::alerts::FRAME_BYTES;
use crate::server::{Cores, Kind, Room, Server};
use crate::talker::Talker;

/// What a protocol may put around an alert, or an alert have more or less of.
const AROUND_BYTES: u128 = 64;

/// What one alert, or one burst, took.
pub struct Round {
    /// Until the last socket had the last of it.
    pub last_ms: f64,
    /// CPU of the server for each message.
    pub cpu_us: f64,
}

/// Several pairs that are asked at once.
pub struct Pairs {
    pairs: Vec<Pair>,
    sockets: usize,
    seen: usize,
    empty_kb: f64,
    caches_kb: f64,
    seconds: f64,
}

/// The client ends first: it minds when its sockets close.
struct Pair {
    client: Talker,
    server: Box<dyn Server>,
    _dir: TempDir,
}

/// Starts the servers and opens the sockets, of which some read nothing.
pub fn open(
    kind: Kind,
    (sockets, pairs): (usize, usize),
    (slow, cores): (usize, Cores),
) -> Result<Pairs> {
    let mut all = Pairs {
        pairs: Vec::new(),
        sockets: sockets - slow,
        seen: 0,
        empty_kb: 0.0,
        caches_kb: 0.0,
        seconds: 0.0,
    };
    let (count, slow) = (sockets.to_string(), slow.to_string());
    for _ in 0..pairs {
        let dir = tempfile::tempdir()?;
        let mut server = kind.start(sockets, Room { cores, dir: dir.path() })?;
        let address = server.address()?;
        let cold_kb = server.memory_kb()?;
        let empty_kb = server.warm_kb()?;
        all.empty_kb += empty_kb;
        all.caches_kb += empty_kb - cold_kb;
        let trusts = dir.path().display().to_string();
        let mut client = match kind {
            Kind::Tls => Talker::this("1", &["idle", &address, &count, &trusts])?,
            _ => Talker::this("1", &["client", &address, &count, &slow, kind.name()])?,
        };
        all.seconds += client.word("ready")?.parse::<f64>()?;
        all.pairs.push(Pair { client, server, _dir: dir });
    }
    Ok(all)
}

impl Pairs {
    /// Memory of the servers for each socket.
    pub fn memory_kb(&mut self) -> Result<f64> {
        let mut sum = -self.empty_kb;
        for pair in &mut self.pairs {
            sum += pair.server.memory_kb()?;
        }
        Ok(sum / (self.sockets * self.pairs.len()) as f64)
    }

    /// Memory that the servers took to know the devices, before there was a socket, for each.
    pub fn caches_kb(&self) -> f64 {
        self.caches_kb / (self.sockets * self.pairs.len()) as f64
    }

    /// Sockets opened a second.
    pub fn opened(&self) -> f64 {
        (self.sockets * self.pairs.len()) as f64 / self.seconds
    }

    /// So many alerts to all, one right after the other. It ends when every socket (but for those
    /// that read nothing) has got every one.
    pub fn alert(&mut self, count: usize) -> Result<Round> {
        for pair in &mut self.pairs {
            pair.server.alert(count)?;
        }
        let (mut began, mut cpu, mut last) = (u128::MAX, 0.0, 0);
        for pair in &mut self.pairs {
            for number in self.seen + 1..=self.seen + count {
                let got = pair.client.word("got")?;
                let words: Vec<u128> = got.split(' ').map(str::parse).collect::<Result<_, _>>()?;
                let [which, at, bytes] = words[..] else { bail!("`{got}` is not three numbers") };
                ensure!(which == number as u128, "alert {number}: got {got}");
                let around = bytes.abs_diff(FRAME_BYTES as u128);
                ensure!(around <= AROUND_BYTES, "a frame of {bytes} bytes");
                last = last.max(at);
            }
            // Asked when all is sent: what comes after an alert counts for every server alike.
            let went = pair.server.went()?;
            began = began.min(went.began);
            cpu += went.cpu;
        }
        self.seen += count;
        let messages = self.sockets * self.pairs.len() * count;
        let last_ms = (last - began) as f64 / 1e6;
        Ok(Round { last_ms, cpu_us: cpu * 1e6 / messages as f64 })
    }
}
