//! A server and its clients, each a process of its own, and how they are asked.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::alerts::FRAME_BYTES;
use crate::idle;
use crate::ours::{Home, How};

/// After an alert, until everything it brings is done: it counts as CPU of the messages.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A loop of writes.
    Limit,
    /// The gateway.
    Ours,
    /// The gateway under its own TLS.
    Tls,
    /// uWebSockets.
    Uws,
}

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
    server: Talker,
    _dir: TempDir,
}

/// A process that is spoken to by lines.
pub struct Talker {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Starts the servers and opens the sockets.
pub fn open(kind: Kind, (sockets, pairs): (usize, usize), slow: usize) -> Result<Pairs> {
    let mut all = Pairs {
        pairs: Vec::new(),
        sockets: sockets - slow,
        seen: 0,
        empty_kb: 0.0,
        caches_kb: 0.0,
        seconds: 0.0,
    };
    for _ in 0..pairs {
        let own = std::env::current_exe()?.display().to_string();
        let uws = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/sockets/uws.cjs");
        let (bytes, settle) = (FRAME_BYTES.to_string(), SETTLE.as_millis().to_string());
        let count = sockets.to_string();
        let dir = tempfile::tempdir()?;
        let at = |how| Home { sockets, dir: dir.path().to_owned(), port: 0, how };
        let mut server = match kind {
            Kind::Limit => Talker::start("0", &[&own, "limit"])?,
            Kind::Ours => Talker::ours(&at(How::Plain))?,
            Kind::Tls => {
                idle::certify(dir.path())?;
                Talker::ours(&at(How::Tls))?
            }
            Kind::Uws => Talker::start("0", &["node", uws, &bytes, &settle])?,
        };
        let address = format!("127.0.0.1:{}", server.word("port")?);
        let cold_kb = server.memory_kb("memory")?;
        let is_ours = matches!(kind, Kind::Ours | Kind::Tls);
        let empty_kb = if is_ours { server.memory_kb("warm")? } else { cold_kb };
        all.empty_kb += empty_kb;
        all.caches_kb += empty_kb - cold_kb;
        let hello = if is_ours { "hello" } else { "plain" };
        let (slow, trusts) = (slow.to_string(), dir.path().display().to_string());
        let mut client = match kind {
            Kind::Tls => Talker::start("1", &[&own, "idle", &address, &count, &trusts])?,
            _ => Talker::start("1", &[&own, "client", &address, &count, &slow, hello])?,
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
            sum += pair.server.memory_kb("memory")?;
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
            writeln!(pair.server.input, "alert {count}")?;
        }
        let (mut began, mut cpu, mut last) = (u128::MAX, 0.0, 0);
        for pair in &mut self.pairs {
            let went = pair.server.word("went")?;
            let (at, seconds) = went.split_once(' ').context("two numbers")?;
            began = began.min(at.parse()?);
            cpu += seconds.parse::<f64>()?;
            for number in self.seen + 1..=self.seen + count {
                let got = pair.client.word("got")?;
                let words: Vec<u128> = got.split(' ').map(str::parse).collect::<Result<_, _>>()?;
                let [which, at, bytes] = words[..] else { bail!("`{got}` is not three numbers") };
                ensure!(which == number as u128, "alert {number}: got {got}");
                ensure!(bytes.abs_diff(FRAME_BYTES as u128) <= 64, "a frame of {bytes} bytes");
                last = last.max(at);
            }
        }
        self.seen += count;
        let messages = self.sockets * self.pairs.len() * count;
        let last_ms = (last - began) as f64 / 1e6;
        Ok(Round { last_ms, cpu_us: cpu * 1e6 / messages as f64 })
    }
}

impl Talker {
    /// A server of ours, on its core.
    pub fn ours(home: &Home) -> Result<Self> {
        let (own, dir) = (std::env::current_exe()?, home.dir.display().to_string());
        let (own, sockets, port) =
            (own.display().to_string(), home.sockets.to_string(), home.port.to_string());
        Self::start("0", &[&own, "ours", &sockets, &dir, &port, home.how.word()])
    }

    /// A program, on a core.
    pub fn start(core: &str, words: &[&str]) -> Result<Self> {
        let mut child = Command::new("taskset")
            .args(["-c", core])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("piped")?;
        let output = BufReader::new(child.stdout.take().context("piped")?).lines();
        Ok(Self { child, input, output })
    }

    /// Says a line.
    pub fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }

    /// Kills it, as `kill -9` does, and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    /// What follows a word on the next line.
    pub fn word(&mut self, word: &str) -> Result<String> {
        let line = self.output.next().with_context(|| format!("it ended before `{word}`"))??;
        let rest = line.strip_prefix(word).with_context(|| format!("`{line}`, not `{word}`"))?;
        Ok(rest.trim().to_owned())
    }

    /// Its memory, when it has done what a word asks for.
    fn memory_kb(&mut self, word: &str) -> Result<f64> {
        writeln!(self.input, "{word}")?;
        Ok(self.word("memory")?.parse()?)
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until an alert's work is over.
pub fn settle() {
    std::thread::sleep(SETTLE);
}

/// Memory of this process that is its own, in KB.
pub fn anon_kb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kb = line.context("RssAnon")?.trim_end_matches("kB").trim();
    Ok(kb.parse()?)
}
