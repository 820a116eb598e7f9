//! One alert to every open websocket, ours beside the least that the kernel allows and beside
//! uWebSockets: `cargo bench --bench sockets`. Each server and its clients are processes of their
//! own (this program again), the server on the first core and the clients on the second. All
//! servers write the same frame. `LOA_BENCH_FULL=1` adds 100,000 sockets over several pairs of
//! processes, since one may open 20,000 descriptors. `LOA_UWS` names the folder of the npm package
//! `uwebsockets`; without it there is no such row.

mod client;
mod limit;
mod ours;
mod pair;
#[path = "../city/report.rs"]
mod report;

use anyhow::{Result, bail};

use pair::{Kind, Round};
use report::{Row, Table, median};

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
        ["ours", sockets] => ours::serve(sockets.parse()?),
        ["client", address, sockets, slow, hello] => {
            client::hold(address, sockets.parse()?, slow.parse()?, *hello == "hello")
        }
        [] => bench(),
        other => bail!("no job `{other:?}`"),
    }
}

fn bench() -> Result<()> {
    let mut table = Table::default();
    let uws = std::env::var_os("LOA_UWS").is_some();
    let mut a_message = Vec::new();
    for sockets in SIZES {
        let limit = figures(Kind::Limit, (sockets, 1), 0)?;
        let ours = figures(Kind::Ours, (sockets, 1), 0)?;
        let name = format!("streams: {sockets}");
        let row = Row::new(format!("{name}, last socket, of bare epoll"), ours.last_ms, "ms");
        table.add(row.limit(limit.last_ms).at_most(1.2));
        let row = Row::new(format!("{name}, CPU a message, of bare epoll"), ours.cpu_us, "us");
        table.add(row.limit(limit.cpu_us));
        if uws {
            let peer = figures(Kind::Uws, (sockets, 1), 0)?;
            let row = Row::new(format!("{name}, last socket, of uWebSockets"), ours.last_ms, "ms");
            table.add(row.peer(peer.last_ms).at_most(0.85));
            let row = Row::new(format!("{name}, memory of uWebSockets"), peer.memory_kb, "KB");
            table.add(row);
        }
        table.add(Row::new(format!("{name}, memory each"), ours.memory_kb, "KB").at_most(1.0));
        let row = Row::new(format!("{name}, registry's pages for each"), ours.caches_kb, "KB");
        table.add(row);
        let row = Row::new(format!("{name}, opened a second"), ours.opened, "/s");
        table.add(row.at_least(10_000.0));
        a_message.push(ours.cpu_us);
    }
    let sockets = SIZES[SIZES.len() - 1];
    let slow = figures(Kind::Ours, (sockets, 1), sockets / 100)?;
    let even = figures(Kind::Ours, (sockets, 1), 0)?;
    let row = Row::new("streams: 1 % read nothing, last of the others", slow.last_ms, "ms");
    table.add(row.peer(even.last_ms).at_most(1.05));
    let row = Row::new("streams: a burst of ten, all of it at the last", even.burst_ms, "ms");
    table.add(row.peer(BURST as f64 * even.last_ms));
    if std::env::var_os("LOA_BENCH_FULL").is_some_and(|value| value == "1") {
        let (limit, ours) = (figures(Kind::Limit, FULL, 0)?, figures(Kind::Ours, FULL, 0)?);
        let name = format!("streams: {}", FULL.0 * FULL.1);
        let row = Row::new(format!("{name}, last socket, of bare epoll"), ours.last_ms, "ms");
        table.add(row.limit(limit.last_ms).at_most(1.2));
        a_message.push(ours.cpu_us);
    }
    let (before, last) = (a_message[a_message.len() - 2], a_message[a_message.len() - 1]);
    let row = Row::new("streams: CPU a message, largest of the next smaller", last, "us");
    table.add(row.peer(before).at_most(1.15));
    table.finish()
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

fn figures(kind: Kind, (sockets, pairs): (usize, usize), slow: usize) -> Result<Figures> {
    let mut all = pair::open(kind, (sockets, pairs), slow)?;
    let (memory_kb, caches_kb, opened) = (all.memory_kb()?, all.caches_kb(), all.opened());
    // The first touches everything once; those who read nothing are to be full.
    for _ in 0..if slow > 0 { FILLING } else { 2 } {
        all.alert(1)?;
    }
    let (mut last_ms, mut cpu_us) = (Vec::new(), Vec::new());
    for _ in 0..ALERTS {
        let Round { last_ms: last, cpu_us: cpu } = all.alert(1)?;
        last_ms.push(last);
        cpu_us.push(cpu);
    }
    let burst_ms = all.alert(BURST)?.last_ms;
    let (last_ms, cpu_us) = (median(&mut last_ms), median(&mut cpu_us));
    eprintln!("  {kind:?} {sockets} × {pairs}: {last_ms:.1} ms, {cpu_us:.2} us, {memory_kb:.2} KB");
    Ok(Figures { last_ms, cpu_us, memory_kb, caches_kb, opened, burst_ms })
}
