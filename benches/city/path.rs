//! The path: from the 202 to the first, median, 99th and last device, where the time goes, what a
//! device costs, what a second core brings, and what a lone durable publication costs over the
//! disk's own `fdatasync`. The node is a process of its own for each size, and so are its
//! providers.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loa::metrics::Room;
use loa::simulator::citizens::{Mix, Population};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::allocator::Allocated;
use crate::disk::Bare;
use crate::outside::{Outside, SHARES};
use crate::plot;
use crate::report::{Row, Table, median};
use crate::stage::{Heat, Stage};

/// Devices, and how often.
const SIZES: [(u32, usize); 2] = [(10_000, 5), (100_000, 3)];
const FULL: [(u32, usize); 2] = [(1_000_000, 1), (10_000_000, 1)];
/// The size at which one core is compared with two.
const OF_CORES: u32 = 100_000;
/// The devices whose times are told.
const NAMES: [&str; SHARES.len()] = ["first", "median", "p99", "last"];
/// Lone publications.
const LONE: usize = 200;
/// After a lone publication, until the router has taken it.
const SETTLE: Duration = Duration::from_millis(10);
/// Names the broadcasts to the process that is to make them.
const JOB: &str = "LOA_BENCH_BROADCASTS";
/// Ticks of `/proc` a second, for every program that Linux runs.
const TICKS: f64 = 100.0;

/// Broadcasts to everybody, one after the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Broadcasts {
    devices: u32,
    repeats: usize,
}

/// What they came to.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    /// From the 202 to the devices of [`SHARES`], milliseconds: medians of the broadcasts.
    reached_ms: [f64; SHARES.len()],
    /// CPU of the node, microseconds a device.
    cpu_us: f64,
    /// Bytes that the node allocated, a device.
    bytes: f64,
    /// How often it did.
    calls: f64,
    /// By room: steps of a broadcast, and milliseconds a step.
    rooms: BTreeMap<String, (f64, f64)>,
    /// Most memory that the node had, in megabytes.
    peak_mb: f64,
}

/// The broadcasts that this process was started for.
pub fn job() -> Option<String> {
    std::env::var(JOB).ok()
}

/// Makes them, and says on one line what they came to.
pub async fn serve(job: String) -> Result<()> {
    let figures = broadcasts(serde_json::from_str(&job)?).await?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// Runs it.
pub async fn run(table: &mut Table, full: bool, only: Option<u32>) -> Result<()> {
    let sizes = match only {
        Some(devices) => vec![(devices, if devices < OF_CORES { 5 } else { 1 })],
        None => SIZES.into_iter().chain(FULL.into_iter().filter(|_| full)).collect(),
    };
    if only.is_none() {
        lone(table).await?;
    }
    let mut lines = NAMES.map(|name| (name.to_owned(), Vec::new()));
    for (devices, repeats) in sizes {
        let wanted = Broadcasts { devices, repeats };
        let figures = in_a_process(wanted, None).await?;
        of_size(table, devices, &figures);
        for ((_, points), ms) in lines.iter_mut().zip(figures.reached_ms) {
            points.push((f64::from(devices), ms));
        }
        if devices == OF_CORES && std::thread::available_parallelism()?.get() > 1 {
            let alone = in_a_process(wanted, Some(0)).await?;
            of_cores(table, &figures, &alone);
        }
    }
    let title = "From the 202 to the devices";
    table.picture("path.svg", plot::growth(title, "ms", &lines)?);
    Ok(())
}

fn of_size(table: &mut Table, devices: u32, figures: &Figures) {
    let at = format!("path: {} k devices,", devices / 1000);
    for (name, ms) in NAMES.iter().zip(figures.reached_ms) {
        table.add(Row::new(format!("{at} 202 to {name}"), ms, "ms"));
    }
    let rate = f64::from(devices) / figures.reached_ms[SHARES.len() - 1] * 1e3;
    table.add(Row::new(format!("{at} pushes"), rate, "1/s"));
    table.add(Row::new(format!("{at} CPU of the node each"), figures.cpu_us, "us"));
    table.add(Row::new(format!("{at} allocated each"), figures.bytes, "B"));
    table.add(Row::new(format!("{at} allocations each"), figures.calls, "calls"));
    table.add(Row::new(format!("{at} most memory of the node"), figures.peak_mb, "MB"));
    for room in Room::ALL {
        let (steps, ms) = figures.rooms.get(room.as_str()).copied().unwrap_or_default();
        let name = format!("{at} {}, each of {steps:.0}", room.as_str());
        table.add(Row::new(name, ms, "ms"));
    }
}

fn of_cores(table: &mut Table, both: &Figures, one: &Figures) {
    let (last, at) = (SHARES.len() - 1, format!("path: {} k devices,", OF_CORES / 1000));
    let row = Row::new(format!("{at} 202 to last, of one core"), both.reached_ms[last], "ms");
    table.add(row.peer(one.reached_ms[last]));
    let row = Row::new(format!("{at} CPU each, of one core"), both.cpu_us, "us");
    table.add(row.peer(one.cpu_us));
}

/// This program once more, with its providers on one core or on all.
async fn in_a_process(wanted: Broadcasts, core: Option<usize>) -> Result<Figures> {
    let own = std::env::current_exe()?;
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(own);
            command
        }
        None => Command::new(own),
    };
    let command = command.env(JOB, serde_json::to_string(&wanted)?).stderr(Stdio::inherit());
    let done = command.kill_on_drop(true).output().await?;
    ensure!(done.status.success(), "the broadcasts to {} devices failed", wanted.devices);
    Ok(serde_json::from_slice(&done.stdout)?)
}

async fn broadcasts(wanted: Broadcasts) -> Result<Figures> {
    let size = wanted.devices;
    let mut outside = Outside::watched().await?;
    let mut stage = Stage::over(outside.settings()?, None).await?;
    let units = stage.units();
    let mix = Mix { apns: 444, fcm: 556, second_place: 0, ..Mix::default() };
    let people = Population::new(&stage.node.parts.city, size, (2, mix));
    stage.register((0..size).map(move |index| people.device(index))).await?;
    // The first broadcast opens connections and fetches tokens; it is not counted. It goes to few.
    let warm = stage.publish(Heat::Hot, &units[..3]).await?;
    stage.quiet(warm.id).await?;
    let mut found: [Vec<f64>; SHARES.len()] = Default::default();
    let before = Spent::until_now(&mut stage).await?;
    for _ in 0..wanted.repeats {
        let alert = stage.publish(Heat::Hot, &units).await?;
        let reached = outside.reached(alert.id, size as usize).await?;
        for (found, at) in found.iter_mut().zip(reached) {
            found.push(at.duration_since(alert.answered_at).as_secs_f64() * 1e3);
        }
        stage.quiet(alert.id).await?;
    }
    let spent = Spent::until_now(&mut stage).await?;
    let (cpu, allocated) = (spent.cpu - before.cpu, spent.allocated - before.allocated);
    let (repeats, pushes) = (wanted.repeats as f64, f64::from(size) * wanted.repeats as f64);
    let room = |(name, (micros, steps)): (String, (f64, f64))| {
        let earlier = before.rooms.get(&name).copied().unwrap_or_default();
        let (micros, steps) = (micros - earlier.0, steps - earlier.1);
        (name, (steps / repeats, micros / 1e3 / steps.max(1.0)))
    };
    let figures = Figures {
        reached_ms: found.map(|mut found| median(&mut found)),
        cpu_us: cpu * 1e6 / pushes,
        bytes: allocated.bytes as f64 / pushes,
        calls: allocated.calls as f64 / pushes,
        rooms: spent.rooms.into_iter().map(room).collect(),
        peak_mb: peak_mb()?,
    };
    stage.strike().await?;
    outside.end().await?;
    Ok(figures)
}

/// What this process spent so far.
struct Spent {
    cpu: f64,
    allocated: Allocated,
    /// Microseconds and steps, as the node tells them in its metrics.
    rooms: BTreeMap<String, (f64, f64)>,
}

impl Spent {
    async fn until_now(stage: &mut Stage) -> Result<Self> {
        let text = stage.metrics().await?;
        let told = |metric: &str, room: &str| -> f64 {
            let line = format!("{metric}{{room=\"{room}\"}} ");
            let value = text.lines().find_map(|other| other.strip_prefix(&line)?.parse().ok());
            value.unwrap_or_default()
        };
        let room = |room: Room| {
            let name = room.as_str();
            let micros = told("loa_room_microseconds_total", name);
            (name.to_owned(), (micros, told("loa_room_steps_total", name)))
        };
        let rooms = Room::ALL.into_iter().map(room).collect();
        Ok(Self { cpu: cpu_seconds()?, allocated: Allocated::now(), rooms })
    }
}

/// CPU seconds of this process, those of threads that ended included.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name before may hold blanks; after it come the state and ten numbers.
    let (_, rest) = stat.rsplit_once(") ").context("a name in brackets")?;
    let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
}

async fn lone(table: &mut Table) -> Result<()> {
    let mut stage = Stage::set().await?;
    let units = stage.units();
    let mut bare = Bare::preallocate(stage.dir())?;
    let (mut ours, mut disk) = (Vec::new(), Vec::new());
    for number in 0..LONE {
        let alert = stage.publish(Heat::Hot, &units[number % units.len()..][..1]).await?;
        ours.push(alert.took.as_secs_f64() * 1e6);
        tokio::time::sleep(SETTLE).await;
        disk.push(bare.append(&[b'x'; 512])?.as_secs_f64() * 1e6);
    }
    let name = "path: POST of a lone alert to its 202, p50";
    table.add(Row::new(name, median(&mut ours), "us").limit(median(&mut disk)));
    stage.strike().await
}
