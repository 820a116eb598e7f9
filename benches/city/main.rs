//! The whole path in one process: a node, simulated providers over real TLS sockets, and the
//! hardware's own limits beside it, in one table and in `bench/summary.json` of the target
//! directory, with growth drawn beside it: `cargo bench --bench city`, with names after `--` to run
//! only those (`hot`, `growth`, `path`, `log`, `sockets`, `cost`, `cluster`, `peers`).
//! `LOA_BENCH_FULL=1` adds one and ten million devices on the path, ten million in the registry
//! and five million on a cluster: an hour, some 4 GB of disk and more memory.
//! `LOA_BENCH_DEVICES=50000` names another number of devices for `peers` and `path`. `cluster`
//! needs what `deploy/setup.sh test` installs, `peers` what it says is missing.
//! `LOA_BENCH_AWAKE=1` keeps all cores awake ([`cores`]).

mod allocator;
mod cluster;
mod cores;
mod cost;
mod disk;
mod growth;
mod hot;
// The broker as the tests start it, of which a benchmark needs a part.
#[allow(dead_code)]
#[path = "../../tests/it/support/kafka.rs"]
mod kafka;
mod known;
mod log;
mod outside;
mod path;
mod peers;
mod plot;
#[allow(dead_code)]
#[path = "../../tests/it/support/port.rs"]
mod port;
mod report;
mod sockets;
mod stage;

use std::future::Future;

use anyhow::{Context, Result};

use report::Table;

// As in the program, and counted.
#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() -> Result<()> {
    if cores::job() {
        cores::keep_awake();
    }
    // Before the others: who starts the providers may have been started for something.
    if outside::job() {
        return runtime()?.block_on(outside::provide());
    }
    if let Some(job) = sockets::job() {
        return runtime()?.block_on(sockets::watch(job));
    }
    if let Some(dir) = growth::job() {
        return runtime()?.block_on(growth::reopen(dir));
    }
    if let Some(job) = path::job() {
        return runtime()?.block_on(path::serve(job));
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|one| !one.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let full = std::env::var_os("LOA_BENCH_FULL").is_some_and(|value| value == "1");
    let only = match std::env::var("LOA_BENCH_DEVICES") {
        Ok(devices) => Some(devices.parse::<u32>().context("LOA_BENCH_DEVICES")?),
        Err(_) => None,
    };
    let _awake = cores::Awake::if_wanted()?;
    let mut table = Table::default();
    if is_wanted("growth") {
        run(growth::run(&mut table, full))?;
    }
    if is_wanted("log") {
        run(log::run(&mut table))?;
    }
    if is_wanted("hot") {
        run(hot::run(&mut table))?;
    }
    if is_wanted("sockets") {
        run(sockets::run(&mut table))?;
    }
    if is_wanted("cost") {
        run(cost::run(&mut table))?;
    }
    if is_wanted("cluster") {
        run(cluster::run(&mut table, full))?;
    }
    if is_wanted("peers") {
        run(peers::run(&mut table, only))?;
    }
    if is_wanted("path") {
        run(path::run(&mut table, full, only))?;
    }
    table.finish()
}

/// Each benchmark has a runtime of its own, so that nothing of the last one lives on in it.
fn run(bench: impl Future<Output = Result<()>>) -> Result<()> {
    runtime()?.block_on(bench)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
