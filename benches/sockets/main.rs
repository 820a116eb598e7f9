//! One alert to every open websocket, ours beside the least that the kernel allows and beside
//! uWebSockets, NATS and Centrifugo: `cargo bench --bench sockets`. Each server and its clients are
//! processes of their own, the server on the first core and the clients, which are this program
//! again, on the second. All servers write an alert as long, each in the frame of its protocol.
//! Then once more with both cores for every server. `-- peers` runs the first alone, `-- cores` the
//! second, `-- reconnect` how fast 10,000 come back after a restart, `-- tls` what idle ones weigh
//! under TLS, `-- disturbed` what slow readers and a burst do. `LOA_BENCH_FULL=1` adds 100,000
//! sockets over several pairs of processes, since one may open 20,000 descriptors; `-- growth` runs
//! that alone. `LOA_UWS` names the folder of the npm package `uwebsockets`, `LOA_NATS` and
//! `LOA_CENTRIFUGO` the programs; who is not here is named.

mod alerts;
mod client;
mod idle;
mod limit;
mod ours;
mod pair;
mod peers;
mod reconnect;
#[allow(dead_code)] // each bench says what it has to say
#[path = "../city/report.rs"]
mod report;
mod returning;
mod server;
mod talker;
mod tongue;

use std::path::Path;

use anyhow::{Result, bail};

use ours::{Home, How};
use peers::Peer;
use report::{Row, Table, median};
use server::{Cores, Kind};

// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 2] = [2_000, 10_000];
/// Sockets and pairs of processes.
const FULL: (usize, usize) = (16_700, 6);
const ALERTS: usize = 15;
const BURST: usize = 10;
/// Alerts that fill the buffers of who does not read: about 2 KB each, for a few hundred KB.
const FILLING: usize = 250;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|one| *one != "--bench").collect();
    match words.as_slice() {
        ["limit"] => limit::serve(),
        ["ours", sockets, dir, port, how] => ours::serve(&Home {
            sockets: sockets.parse()?,
            dir: dir.into(),
            port: port.parse()?,
            how: How::of(how)?,
        }),
        ["idle", address, sockets, trusts] => {
            idle::hold(address, sockets.parse()?, Path::new(trusts))
        }
        ["returning", address, sockets] => returning::hold(address, sockets.parse()?),
        ["client", address, sockets, slow, kind] => {
            client::hold(address, sockets.parse()?, slow.parse()?, Kind::of(kind)?.tongue())
        }
        [] => alone(bench),
        ["peers"] => alone(beside_others),
        ["cores"] => alone(on_both_cores),
        ["growth"] => alone(growth),
        ["reconnect"] => alone(reconnect::run),
        ["tls"] => alone(under_tls),
        ["disturbed"] => alone(disturbed),
        other => bail!("no job `{other:?}`"),
    }
}

/// One part of the bench.
fn alone(part: impl FnOnce(&mut Table) -> Result<()>) -> Result<()> {
    let mut table = Table::default();
    part(&mut table)?;
    table.finish()
}

fn bench(table: &mut Table) -> Result<()> {
    beside_others(table)?;
    on_both_cores(table)?;
    disturbed(table)?;
    under_tls(table)?;
    reconnect::run(table)?;
    if std::env::var_os("LOA_BENCH_FULL").is_some_and(|value| value == "1") {
        growth(table)?;
    }
    Ok(())
}

/// Ours, the bare loop, and every peer that is here, alerted in turn.
fn beside_others(table: &mut Table) -> Result<()> {
    let (peers, servers) = all_servers();
    for sockets in SIZES {
        let all = figures(&servers, (sockets, 1), Cores::First)?;
        let (limit, ours) = (&all[0], &all[1]);
        let name = format!("streams: {sockets}");
        beside_limit(table, &name, ours, limit);
        for (peer, theirs) in peers.iter().zip(&all[2..]) {
            beside_peer(table, &name, ours, (*peer, theirs));
        }
        table.add(Row::new(format!("{name}, memory each"), ours.memory_kb, "KB").at_most(1.0));
        let row = Row::new(format!("{name}, registry's pages for each"), ours.caches_kb, "KB");
        table.add(row);
        let row = Row::new(format!("{name}, opened a second"), ours.opened, "/s");
        table.add(row.at_least(10_000.0));
    }
    Ok(())
}

/// The peers that are here; and the bare loop, ours and theirs, none with a client that does not
/// read.
fn all_servers() -> (Vec<Peer>, Vec<(Kind, usize)>) {
    let peers = Peer::present();
    let mut servers = vec![(Kind::Limit, 0), (Kind::Ours, 0)];
    servers.extend(peers.iter().map(|peer| (Kind::Peer(*peer), 0)));
    (peers, servers)
}

/// The same with the clients' core for the servers too: what a server makes of a second one.
fn on_both_cores(table: &mut Table) -> Result<()> {
    let (peers, servers) = all_servers();
    for sockets in SIZES {
        let all = figures(&servers, (sockets, 1), Cores::Both)?;
        let (limit, ours) = (&all[0], &all[1]);
        let name = format!("streams, both cores: {sockets}");
        let row = Row::new(format!("{name}, last, of a loop on one"), ours.last_ms, "ms");
        table.add(row.limit(limit.last_ms));
        for (peer, theirs) in peers.iter().zip(&all[2..]) {
            beside_peer(table, &name, ours, (*peer, theirs));
        }
    }
    Ok(())
}

/// What some that read nothing are to the others, and a burst to everybody.
fn disturbed(table: &mut Table) -> Result<()> {
    let sockets = SIZES[SIZES.len() - 1];
    let both =
        figures(&[(Kind::Ours, 0), (Kind::Ours, sockets / 100)], (sockets, 1), Cores::First)?;
    let (even, slow) = (&both[0], &both[1]);
    let row = Row::new("streams: 1 % read nothing, last of the others", slow.last_ms, "ms");
    table.add(row.peer(even.last_ms).at_most(1.05));
    let row = Row::new("streams: a burst of ten, all of it at the last", even.burst_ms, "ms");
    table.add(row.peer(BURST as f64 * even.last_ms));
    Ok(())
}

/// What an idle websocket weighs under TLS of the gateway's own.
fn under_tls(table: &mut Table) -> Result<()> {
    for sockets in SIZES {
        let mut all = pair::open(Kind::Tls, (sockets, 1), (0, Cores::First))?;
        let row =
            Row::new(format!("streams: {sockets} under TLS, memory each"), all.memory_kb()?, "KB");
        table.add(row.at_most(9.0));
    }
    Ok(())
}

/// What a message costs when there are ten times as many sockets.
fn growth(table: &mut Table) -> Result<()> {
    let servers = [(Kind::Limit, 0), (Kind::Ours, 0)];
    let few = figures(&servers, (SIZES[SIZES.len() - 1], 1), Cores::First)?;
    let many = figures(&servers, FULL, Cores::First)?;
    let name = format!("streams grown: {}", FULL.0 * FULL.1);
    beside_limit(table, &name, &many[1], &many[0]);
    table.add(Row::new(format!("{name}, memory each"), many[1].memory_kb, "KB").at_most(1.0));
    let row = Row::new(format!("{name}, CPU a message, of 10,000"), many[1].cpu_us, "us");
    table.add(row.peer(few[1].cpu_us).at_most(1.15));
    let row = Row::new(format!("{name}, the same of the bare loop"), many[0].cpu_us, "us");
    table.add(row.peer(few[0].cpu_us));
    Ok(())
}

fn beside_limit(table: &mut Table, name: &str, ours: &Figures, limit: &Figures) {
    let row = Row::new(format!("{name}, last socket, of bare epoll"), ours.last_ms, "ms");
    table.add(row.limit(limit.last_ms).at_most(1.2));
    let row = Row::new(format!("{name}, CPU a message, of bare epoll"), ours.cpu_us, "us");
    table.add(row.limit(limit.cpu_us));
}

fn beside_peer(table: &mut Table, name: &str, ours: &Figures, (peer, theirs): (Peer, &Figures)) {
    let of = peer.name();
    let row = Row::new(format!("{name}, last socket, of {of}"), ours.last_ms, "ms");
    table.add(row.peer(theirs.last_ms).at_most(peer.share()));
    let row = Row::new(format!("{name}, CPU a message, of {of}"), ours.cpu_us, "us");
    table.add(row.peer(theirs.cpu_us));
    table.add(Row::new(format!("{name}, memory of {of}"), theirs.memory_kb, "KB"));
}

/// Medians of one server.
struct Figures {
    last_ms: f64,
    cpu_us: f64,
    memory_kb: f64,
    caches_kb: f64,
    opened: f64,
    burst_ms: f64,
}

/// Of servers that all hold so many sockets, of which some read nothing. They are asked in turn, so
/// that what else the machine does falls on each alike.
fn figures(servers: &[(Kind, usize)], size: (usize, usize), cores: Cores) -> Result<Vec<Figures>> {
    let mut opened = Vec::new();
    // The first touches everything once; those who read nothing are to be full, and then the others
    // are to have been alerted as often.
    let before = if servers.iter().any(|(_, slow)| *slow > 0) { FILLING } else { 1 };
    for (kind, slow) in servers {
        let mut all = pair::open(*kind, size, (*slow, cores))?;
        let memory_kb = all.memory_kb()?;
        all.alert(before)?;
        opened.push((all, memory_kb, Vec::new(), Vec::new()));
    }
    for _ in 0..ALERTS {
        for (all, _, last_ms, cpu_us) in &mut opened {
            let round = all.alert(1)?;
            last_ms.push(round.last_ms);
            cpu_us.push(round.cpu_us);
        }
    }
    let mut figures = Vec::new();
    for ((kind, _), (mut all, memory_kb, mut last_ms, mut cpu_us)) in servers.iter().zip(opened) {
        let burst_ms = all.alert(BURST)?.last_ms;
        let (last_ms, cpu_us) = (median(&mut last_ms), median(&mut cpu_us));
        let (name, (sockets, pairs)) = (kind.name(), size);
        eprintln!(
            "  {name} {sockets} × {pairs}: {last_ms:.1} ms, {cpu_us:.2} us, {memory_kb:.2} KB"
        );
        let (caches_kb, opened) = (all.caches_kb(), all.opened());
        figures.push(Figures { last_ms, cpu_us, memory_kb, caches_kb, opened, burst_ms });
    }
    Ok(figures)
}
