//! What is measured every few seconds: the node's process as the kernel sees it, its data directory
//! file by file, and what reached people since the last look.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use loa::bus::{Position, TopicId};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use crate::crowd::Crowd;
use crate::plan::Plan;
use crate::pushed::Pushed;
use crate::segments;
use crate::tally::Window;
use crate::trouble::Trouble;

/// Between two looks, of the soak and of a short try.
const EVERY: Duration = Duration::from_secs(5);
const EVERY_LEAST: Duration = Duration::from_secs(1);
/// Looks in a turn at least.
const IN_A_TURN: u32 = 4;
/// After a turn with trouble, what came of it arrives for so much of the next turn.
const AFTERMATH: f64 = 0.4;

/// One look.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Seconds since the load began.
    pub at: f64,
    /// What went wrong then.
    pub trouble: &'static str,
    /// Nothing went wrong then, nor shortly before.
    pub is_calm: bool,
    /// The process.
    pub process: Process,
    /// Bytes of each file of the data directory.
    pub files: BTreeMap<String, u64>,
    /// Pushes since the last look.
    pub pushed: Window,
    /// Frames since the last look.
    pub streamed: Window,
}

/// The node as the kernel sees it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Process {
    /// Memory in mebibytes: all of it, and what is not of a file.
    pub rss: f64,
    /// What is not of a file.
    pub anonymous: f64,
    /// Open descriptors.
    pub descriptors: f64,
    /// Threads.
    pub threads: f64,
}

impl Process {
    fn of(id: u32) -> Result<Self> {
        let home = PathBuf::from(format!("/proc/{id}"));
        let status = std::fs::read_to_string(home.join("status"))?;
        let number = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a line")?;
            Ok(line.trim_start_matches(':').trim_end_matches("kB").trim().parse()?)
        };
        Ok(Self {
            rss: number("VmRSS")? / 1024.0,
            anonymous: number("RssAnon")? / 1024.0,
            descriptors: std::fs::read_dir(home.join("fd"))?.count() as f64,
            threads: number("Threads")?,
        })
    }
}

/// What is looked at.
pub struct Watched {
    /// The node's process.
    pub process: u32,
    /// Its data directory.
    pub dir: PathBuf,
    /// Its providers.
    pub pushed: Arc<Pushed>,
    /// Those with a stream.
    pub crowd: Crowd,
}

impl Watched {
    /// Looks until it is told to stop; each look is also a line of a file.
    pub async fn look(
        &self,
        plan: Plan,
        trouble: watch::Receiver<Trouble>,
        (file, stop): (&Path, CancellationToken),
    ) -> Result<Vec<Sample>> {
        let mut lines = std::fs::File::create(file).with_context(|| file.display().to_string())?;
        let (began, mut all) = (Instant::now(), Vec::new());
        let mut due = interval((plan.turn() / IN_A_TURN).clamp(EVERY_LEAST, EVERY));
        let mut since = (Trouble::None, began);
        loop {
            tokio::select! {
                _ = due.tick() => {}
                () = stop.cancelled() => return Ok(all),
            }
            let present = *trouble.borrow();
            if present != since.0 {
                since = (present, Instant::now());
            }
            let is_settled = since.1.elapsed() > plan.turn().mul_f64(AFTERMATH);
            let sample = Sample {
                at: began.elapsed().as_secs_f64(),
                trouble: present.name(),
                is_calm: present == Trouble::None && is_settled,
                process: Process::of(self.process)?,
                files: files(&self.dir)?,
                pushed: self.pushed.window().await?,
                streamed: self.crowd.window(),
            };
            writeln!(lines, "{}", serde_json::to_string(&sample)?)?;
            all.push(sample);
        }
    }
}

/// Bytes by file; the log's segments are one.
pub fn files(dir: &Path) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::from([(LOG.to_owned(), segments::bytes(dir))]);
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // A journal may go meanwhile.
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_file() {
            all.insert(entry.file_name().to_string_lossy().into_owned(), meta.len());
        }
    }
    Ok(all)
}

/// The log's segments.
const LOG: &str = "log";
/// The audit's part of it.
const AUDIT: Position = Position { topic: TopicId::Audit, partition: 0, offset: 0 };
/// What is kept for good and grows with what is done: it is measured apart.
const FOR_GOOD: &str = "audit.db";
/// What ends the name of a journal, and of what is kept in memory of one.
const JOURNALS: [&str; 2] = ["-wal", "-shm"];

/// Of the data directory, in mebibytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk {
    /// Tables and the log, without those of the audit.
    pub data: f64,
    /// Journals, which are written from their start again when they are full.
    pub journals: f64,
    /// The audit.
    pub audit: f64,
}

impl Disk {
    /// Of these files.
    pub fn of(files: &BTreeMap<String, u64>) -> Self {
        let mut disk = Self::default();
        for (name, bytes) in files {
            let mebibytes = *bytes as f64 / f64::from(1 << 20);
            let part = match name.as_str() {
                name if JOURNALS.iter().any(|end| name.ends_with(end)) => &mut disk.journals,
                FOR_GOOD => &mut disk.audit,
                _ => &mut disk.data,
            };
            *part += mebibytes;
        }
        disk
    }
}

/// Pages of tables and frames of the log that are in use, in mebibytes, and the bytes of the
/// audit's records on the log.
pub fn in_use(dir: &Path) -> Result<(f64, f64)> {
    let mut used = 0.0;
    for name in files(dir)?.into_keys().filter(|name| name.ends_with(".db")) {
        let file = rusqlite::Connection::open(dir.join(&name))?;
        let number =
            |pragma: &str| file.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let pages = number("page_count")? - number("freelist_count")?;
        if name != FOR_GOOD {
            used += (pages * number("page_size")?) as f64;
        }
    }
    for segment in segments::segments(dir) {
        let frames = segments::frames(&segment);
        used += frames.iter().map(|frame| frame.len as f64).sum::<f64>();
    }
    let audit = segments::of(dir, AUDIT).iter().map(|(_, batch)| batch.bytes as f64).sum::<f64>();
    let mebibyte = f64::from(1 << 20);
    Ok((used / mebibyte, audit / mebibyte))
}
