//! The sender against a bare `h2` client that sends the same shared payload, and against h2load:
//! `cargo bench --bench push`. The peer is a minimal HTTP/2 server over TLS in a process of its own
//! (this program again), and so is each client, on one thread. Instructions are counted by
//! valgrind's callgrind, as the difference of two runs, so that start and handshake drop out.
//! `LOA_BENCH_FULL=1` sends 10 million pushes for the memory figure, not 1 million.

mod bare;
mod measure;
mod ours;
mod peer;
#[allow(dead_code)] // each bench says what it has to say
#[path = "../city/report.rs"]
mod report;

use anyhow::{Result, bail};

use measure::Peer;
use report::Table;

// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests in flight, where the sender was measured fastest.
pub const AT_ONCE: usize = 1000;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|one| *one != "--bench").collect();
    match words.as_slice() {
        ["peer"] => runtime()?.block_on(peer::serve()),
        ["send", client, count, port, ca] => {
            let peer = Peer { port: port.parse()?, ca: ca.into() };
            let count = count.parse()?;
            let figures = match *client {
                "ours" => runtime()?.block_on(ours::send(&peer, count, AT_ONCE))?,
                "bare" => runtime()?.block_on(bare::send(&peer, count, AT_ONCE))?,
                "lone" => runtime()?.block_on(ours::send(&peer, count, 1))?,
                other => bail!("no client `{other}`"),
            };
            println!("{}", serde_json::to_string(&figures)?);
            Ok(())
        }
        _ => {
            let mut table = Table::default();
            measure::run(&mut table)?;
            table.finish()
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
