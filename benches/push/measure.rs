//! Runs the clients, one after the other, and reads what they and valgrind say.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::stream::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::AT_ONCE;
use crate::report::{Row, Table, cpu_seconds, median, quantile};

/// Pushes of one timed run.
const PUSHES: u64 = 200_000;
/// Pushes one after the other.
const LONE: u64 = 5_000;
/// Timed runs; their median counts.
const RUNS: usize = 3;
/// Pushes of the two runs under callgrind. As many as to drown what differs from start to start:
/// the gathering of randomness, some million instructions more or less.
const COUNTED: [u64; 2] = [2_000, 20_000];
/// At most so many times the instructions of bare `h2`.
const TARGET: f64 = 1.25;
/// Latencies kept; more would be the memory that is measured.
const KEPT: usize = 10_000;

/// Where the peer listens, and the root to trust.
pub struct Peer {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// A PEM file.
    pub ca: PathBuf,
}

/// What a client measured of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figures {
    seconds: f64,
    cpu_seconds: f64,
    p50_ms: f64,
    rss_mib: f64,
}

/// Takes all answers, and measures meanwhile.
pub async fn measured(
    count: u64,
    sending: impl Stream<Item = Result<Duration>>,
) -> Result<Figures> {
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    let mut latencies = Vec::with_capacity(KEPT);
    let mut answers = 0;
    let mut sending = std::pin::pin!(sending);
    while let Some(answer) = sending.next().await {
        let latency = answer?;
        answers += 1;
        if latencies.len() < KEPT {
            latencies.push(latency.as_secs_f64() * 1e3);
        }
    }
    ensure!(answers == count, "{answers} answers of {count}");
    Ok(Figures {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds()? - cpu,
        p50_ms: quantile(&mut latencies, 0.5),
        rss_mib: peak_rss_mib()?,
    })
}

/// Everything.
pub fn run(table: &mut Table) -> Result<()> {
    let (peer, _ca, mut process) = start_peer()?;
    let result = figures(table, &peer);
    process.kill()?;
    process.wait()?;
    result
}

fn figures(table: &mut Table, peer: &Peer) -> Result<()> {
    let rate = |client| -> Result<(f64, f64)> {
        let (mut a_cpu_second, mut a_second) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let figures = client_run(peer, client, PUSHES)?;
            a_cpu_second.push(PUSHES as f64 / figures.cpu_seconds);
            a_second.push(PUSHES as f64 / figures.seconds);
        }
        Ok((median(&mut a_cpu_second), median(&mut a_second)))
    };
    let ((ours, ours_wall), (bare, bare_wall)) = (rate("ours")?, rate("bare")?);
    let in_flight = format!("{AT_ONCE} in flight, peer: bare h2");
    table.add(
        Row::new(format!("push: a CPU-second of the client, {in_flight}"), ours, "pushes")
            .peer(bare)
            .at_least(1.0 / TARGET),
    );
    table
        .add(Row::new(format!("push: a second, {in_flight}"), ours_wall, "pushes").peer(bare_wall));
    h2load(table, peer, ours)?;
    let lone = client_run(peer, "lone", LONE)?;
    table.add(Row::new("push: a lone push, p50", lone.p50_ms, "ms").at_most(1.0));
    memory(table, peer)?;
    instructions(table, peer)
}

fn memory(table: &mut Table, peer: &Peer) -> Result<()> {
    let full = std::env::var_os("LOA_BENCH_FULL").is_some_and(|value| value == "1");
    let base = client_run(peer, "ours", 10_000)?.rss_mib;
    let most = if full { 10_000_000 } else { 1_000_000 };
    for count in [100_000, 1_000_000, most].into_iter().take(if full { 3 } else { 2 }) {
        let rss = client_run(peer, "ours", count)?.rss_mib;
        let name = format!("push: peak memory of {count} pushes, peer: of 10000");
        table.add(Row::new(name, rss, "MiB").peer(base).at_most(1.1));
    }
    Ok(())
}

fn instructions(table: &mut Table, peer: &Peer) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("push: INSTRUCTIONS ARE NOT COUNTED: valgrind is not installed");
        return Ok(());
    }
    let a_push = |client| -> Result<f64> {
        let [few, many] = COUNTED;
        let more = counted(peer, client, many)?.saturating_sub(counted(peer, client, few)?);
        Ok(more as f64 / (many - few) as f64)
    };
    let (ours, bare) = (a_push("ours")?, a_push("bare")?);
    let name = "push: instructions a push, peer: bare h2";
    table.add(Row::new(name, ours, "instr").peer(bare).at_most(TARGET));
    Ok(())
}

/// Instructions of a whole run.
fn counted(peer: &Peer, client: &str, count: u64) -> Result<u64> {
    let out = NamedTempFile::new()?;
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.path().display()))
        .arg(std::env::current_exe()?)
        .args(words(peer, client, count))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "under valgrind: {text}");
    let collected = text.lines().find_map(|line| line.split("Collected : ").nth(1));
    Ok(collected.context("callgrind says how many")?.trim().parse()?)
}

/// The ceiling: a load generator in C that sends the same bytes again and again.
fn h2load(table: &mut Table, peer: &Peer, ours: f64) -> Result<()> {
    if Command::new("h2load").arg("--version").output().is_err() {
        eprintln!("push: NO CEILING: h2load is not installed (Debian: nghttp2-client)");
        return Ok(());
    }
    let mut data = NamedTempFile::new()?;
    data.write_all(&[b'a'; 420])?;
    let before = children_cpu_seconds()?;
    let status = Command::new("h2load")
        .args(["-c1", "-t1", "-n200000", "-m1000", "-d"])
        .arg(data.path())
        .args(["-H", "apns-push-type: alert", "-H", "apns-priority: 10"])
        .args(["-H", "apns-topic: vn.loa.app", "-H", "apns-expiration: 1800000000"])
        .args(["-H", "apns-id: 7e57c0de-0000-4000-8000-000000000000"])
        .args(["-H", &format!("authorization: bearer {}", "a".repeat(190))])
        .arg(format!("https://127.0.0.1:{}/3/device/{}", peer.port, "a".repeat(64)))
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "h2load: {status}");
    let ceiling = PUSHES as f64 / (children_cpu_seconds()? - before);
    let name = "push: a CPU-second of the client, limit: h2load";
    table.add(Row::new(name, ours, "pushes").limit(ceiling));
    Ok(())
}

fn client_run(peer: &Peer, client: &str, count: u64) -> Result<Figures> {
    let output =
        Command::new(std::env::current_exe()?).args(words(peer, client, count)).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{client}: {text}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn words(peer: &Peer, client: &str, count: u64) -> [String; 5] {
    let (port, ca) = (peer.port.to_string(), peer.ca.display().to_string());
    ["send".to_owned(), client.to_owned(), count.to_string(), port, ca]
}

fn start_peer() -> Result<(Peer, NamedTempFile, Child)> {
    let mut process =
        Command::new(std::env::current_exe()?).arg("peer").stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(process.stdout.take().context("piped")?).lines();
    let port = lines.next().context("a port")??.parse()?;
    let mut ca = NamedTempFile::new()?;
    for line in lines {
        let line = line?;
        if line == "END" {
            break;
        }
        writeln!(ca, "{line}")?;
    }
    Ok((Peer { port, ca: ca.path().to_owned() }, ca, process))
}

fn peak_rss_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// CPU seconds of children that ended, to a hundredth.
fn children_cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("a name in brackets")?;
    // cutime and cstime: the 16th and 17th field, the third follows the name.
    let ticks: f64 = fields.split_whitespace().skip(13).take(2).flat_map(str::parse::<f64>).sum();
    Ok(ticks / 100.0)
}
