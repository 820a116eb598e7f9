//! What was measured: rows, the table on standard output, and `summary.json`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

/// How often a thread is woken to see how long that takes.
const WAKES: usize = 500;

/// One measured figure.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    bench: String,
    figure: f64,
    unit: &'static str,
    /// The same work on the bare hardware, in the same run.
    limit: Option<f64>,
    /// The same work by somebody else, or by us under other conditions, in the same run.
    peer: Option<f64>,
    /// The figure over its limit, or else over its peer; the other way round where it is to be
    /// so many times faster.
    ratio: Option<f64>,
    /// What the ratio, or without one the figure, must not pass.
    target: Option<f64>,
    met: Option<bool>,
}

impl Row {
    /// A figure.
    pub fn new(bench: impl Into<String>, figure: f64, unit: &'static str) -> Self {
        Self { bench: bench.into(), figure, unit, ..Self::default() }
    }

    /// Against the hardware.
    pub fn limit(self, limit: f64) -> Self {
        Self { limit: Some(limit), ratio: Some(self.figure / limit), ..self }
    }

    /// Against another.
    pub fn peer(self, peer: f64) -> Self {
        Self { peer: Some(peer), ratio: Some(self.figure / peer), ..self }
    }

    /// Against another who takes longer: how many times as long.
    pub fn times_faster(self, peer: f64) -> Self {
        Self { peer: Some(peer), ratio: Some(peer / self.figure), ..self }
    }

    /// Must be so or less.
    pub fn at_most(self, target: f64) -> Self {
        let met = self.judged() <= target;
        Self { target: Some(target), met: Some(met), ..self }
    }

    /// Must be so or more.
    pub fn at_least(self, target: f64) -> Self {
        let met = self.judged() >= target;
        Self { target: Some(target), met: Some(met), ..self }
    }

    fn judged(&self) -> f64 {
        self.ratio.unwrap_or(self.figure)
    }
}

/// All rows of a run.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    /// Pictures, by the name of their file.
    pictures: Vec<(&'static str, String)>,
}

impl Table {
    /// Adds a row, and says so while the run goes on.
    pub fn add(&mut self, row: Row) {
        eprintln!("{}", line(&row));
        self.rows.push(row);
    }

    /// Adds a picture, to be written beside the table.
    pub fn picture(&mut self, name: &'static str, svg: String) {
        self.pictures.push((name, svg));
    }

    /// Prints the table and writes `summary.json`.
    pub fn finish(self) -> Result<()> {
        println!(
            "\n{:<52} {:>10} {:<9} {:>10} {:>10} {:>7} {:>7}  met",
            "bench", "figure", "unit", "limit", "peer", "ratio", "target"
        );
        self.rows.iter().for_each(|row| println!("{}", line(row)));
        println!("machine: {}", machine());
        let dir = folder()?;
        let path = dir.join("summary.json");
        let text = serde_json::to_string_pretty(&self.beside_others(&path)?)?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("written to {}", path.display());
        for (name, svg) in &self.pictures {
            let path = dir.join(name);
            std::fs::write(&path, svg).with_context(|| path.display().to_string())?;
            println!("drawn in {}", path.display());
        }
        Ok(())
    }

    /// These rows after those that the file holds of other groups (what a name begins with).
    fn beside_others(&self, path: &Path) -> Result<Vec<Value>> {
        let earlier = std::fs::read(path).unwrap_or_else(|_| b"[]".to_vec());
        let mut rows: Vec<Value> = serde_json::from_slice(&earlier).unwrap_or_default();
        let is_new = |row: &Value| {
            let name = row["bench"].as_str().unwrap_or_default();
            self.rows.iter().any(|new| group(&new.bench) == group(name))
        };
        rows.retain(|row| !is_new(row));
        for row in &self.rows {
            rows.push(serde_json::to_value(row)?);
        }
        Ok(rows)
    }
}

fn group(bench: &str) -> &str {
    bench.split(':').next().unwrap_or(bench)
}

fn line(row: &Row) -> String {
    let or_dash = |value: Option<f64>| value.map_or("-".to_owned(), short);
    let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
    format!(
        "{:<52} {:>10} {:<9} {:>10} {:>10} {:>7} {:>7}  {met}",
        row.bench,
        short(row.figure),
        row.unit,
        or_dash(row.limit),
        or_dash(row.peer),
        or_dash(row.ratio),
        or_dash(row.target)
    )
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = read("/proc/cpuinfo");
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let mut wakes = wakes();
    let (middle, slow) = (median(&mut wakes), quantile(&mut wakes, 0.9));
    let name = name.unwrap_or("unknown processor");
    format!("{cores} cores, {name}, load {load}, a thread wakes in {middle:.0} us (p90 {slow:.0})")
}

/// How long a thread that waits takes to run once it is woken, while who woke it goes on: µs of
/// each of [`WAKES`] times.
fn wakes() -> Vec<f64> {
    let start = Instant::now();
    let woken = Arc::new(AtomicU64::new(0));
    let sleeper = std::thread::spawn({
        let woken = woken.clone();
        move || {
            for _ in 0..WAKES {
                std::thread::park();
                woken.store(start.elapsed().as_nanos() as u64, Ordering::Release);
            }
        }
    });
    let mut wakes = Vec::with_capacity(WAKES);
    for _ in 0..WAKES {
        // Long enough for a core to fall asleep.
        std::thread::sleep(Duration::from_micros(500));
        let asked = start.elapsed().as_nanos() as u64;
        sleeper.thread().unpark();
        while woken.load(Ordering::Acquire) < asked && !sleeper.is_finished() {
            std::hint::spin_loop();
        }
        wakes.push(woken.load(Ordering::Acquire).saturating_sub(asked) as f64 / 1e3);
    }
    // It has nothing left to panic of.
    let _ = sleeper.join();
    wakes
}

/// Where all that is written goes, in Cargo's target directory.
pub fn folder() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// The value below which a share of the values lies.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (share * values.len() as f64).ceil() as usize;
    values.get(index.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The middle value.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// CPU seconds of this process's live threads, to the nanosecond.
pub fn cpu_seconds() -> Result<f64> {
    cpu_seconds_of("self")
}

/// Seconds of processor time of another process so far, by its id.
pub fn cpu_seconds_of(process: &str) -> Result<f64> {
    let mut nanos = 0.0;
    for task in std::fs::read_dir(Path::new("/proc").join(process).join("task"))? {
        // A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next().context("a number")?.parse::<f64>()?;
    }
    Ok(nanos / 1e9)
}
