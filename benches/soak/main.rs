//! Nothing grows quietly: a node under alerts, updates, cancels, news, status changes, devices that
//! come and go, streams that open and close, and faults by turns, for half an hour, and then
//! `soak.svg` of what it needed: `cargo bench --bench soak`. The node, its providers and this
//! driver are processes of their own (this program again). `LOA_SOAK_MINUTES=2` is a try, too short
//! for a judgement on what is kept for minutes; `LOA_SOAK_DEVICES` says how many devices there are
//! at the beginning.

mod churn;
mod client;
mod course;
mod crowd;
mod desk;
#[path = "../city/known.rs"]
mod known;
mod node;
mod pipe;
mod plan;
mod pushed;
mod readers;
#[allow(dead_code)] // each bench says what it has to say
#[path = "../city/report.rs"]
mod report;
mod sample;
#[allow(dead_code)] // the tests damage what is only read here
#[path = "../../tests/it/bus/files.rs"]
mod segments;
mod tally;
mod target;
mod trouble;
mod verdict;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use loa::geofence::{BUILTIN_CITY, City};
use loa::lifecycle::threads;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use churn::Churn;
use crowd::Crowd;
use desk::Desk;
use node::{Orders, Ready};
use pipe::Pipe;
use plan::Plan;
use pushed::Pushed;
use readers::Readers;
use report::{Row, Table};
use sample::{Disk, Sample, Watched, files, in_use};
use target::Town;
use trouble::{Trouble, Victims};
use verdict::{Course, Road, Stored, compacted, delivered};

// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Until the streams of the beginning are open.
const OPENING: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    threads::runtime()?.block_on(async {
        match pipe::job().as_deref() {
            None => drive(Plan::of_environment()?).await,
            Some(node::JOB) => node::serve().await,
            Some(pushed::JOB) => pushed::serve().await,
            Some(other) => bail!("no such job: {other}"),
        }
    })
}

/// Everything that is at work.
struct Work {
    desk: Desk,
    crowd: Crowd,
    pushed: Arc<Pushed>,
    /// The load.
    tasks: Vec<JoinHandle<Result<()>>>,
    /// Ends the load.
    stop: CancellationToken,
    samples: JoinHandle<Result<Vec<Sample>>>,
    /// Ends the looking.
    blind: CancellationToken,
}

async fn drive(plan: Plan) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (pushed, known) = Pushed::start().await?;
    let people = plan.people(&City::builtin(BUILTIN_CITY)?, &known.webpush);
    let mut node = Pipe::start(node::JOB, &Orders { dir: dir.path().to_owned(), known })?;
    let ready: Ready = node.answer().await?;
    let watched = (node.id()?, dir.path());
    let mut work = Work::start(plan, people, (pushed, ready), watched).await?;
    eprintln!("{plan:?} under load, then {:?} at rest", plan.rest());
    let stored = async || -> Result<Stored> {
        Ok(Stored { disk: Disk::of(&files(dir.path())?), in_use: in_use(dir.path())? })
    };
    work.pass(plan.third()).await?;
    let warm = stored().await?;
    work.pass(2 * plan.third()).await?;
    let loaded = stored().await?;
    work.stop.cancel();
    let Work { desk, crowd, pushed, tasks, samples, blind, .. } = work;
    for task in tasks {
        task.await??;
    }
    tokio::time::sleep(plan.rest()).await;
    let after = stored().await?;
    blind.cancel();
    let course = Course { plan, samples: samples.await?? };
    let (by_push, by_stream) = (pushed.totals().await?, crowd.totals());
    crowd.end();
    let mut table = Table::default();
    course.judge(&mut table)?;
    compacted(&mut table, warm, loaded, after);
    let roads = [
        Road { name: "pushes", totals: &by_push, expected: |one| one.pushed },
        Road { name: "stream frames", totals: &by_stream, expected: |one| one.streamed },
    ];
    let expected = desk.expected();
    let is_whole = roads.map(|road| delivered(&mut table, &expected, &road));
    let (broken, reason) = crowd.failed();
    let failed = desk.failed();
    table.add(Row::new("soak: publications", expected.len() as f64, ""));
    table.add(Row::new("soak: streams opened", crowd.opened() as f64, ""));
    table.add(Row::new("soak: streams that failed", broken as f64, "").at_most(0.0));
    table.add(Row::new("soak: publications that failed", failed.len() as f64, "").at_most(0.0));
    course.draw(&mut table)?;
    table.finish()?;
    node.end().await?;
    ensure!(reason.is_none(), "a stream failed: {}", reason.unwrap_or_default());
    failed.iter().for_each(|failed| eprintln!("  a publication failed: {failed}"));
    ensure!(failed.is_empty(), "{} publications failed", failed.len());
    ensure!(is_whole.iter().all(|whole| *whole), "not everybody got everything once");
    Ok(())
}

impl Work {
    async fn start(
        plan: Plan,
        people: loa::simulator::citizens::Population,
        (pushed, ready): (Pushed, Ready),
        (process, dir): (u32, &Path),
    ) -> Result<Self> {
        let (pushed, stop, blind) =
            (Arc::new(pushed), CancellationToken::new(), CancellationToken::new());
        let town = Arc::new(Town::new(City::builtin(BUILTIN_CITY)?, &people, plan));
        let node = ready.address;
        let devices = town.with_streams();
        let crowd = Crowd::start(node, people.clone(), (devices.clone(), plan.stable()));
        tokio::time::sleep(OPENING).await;
        let (deletions, deleting) = mpsc::channel(1);
        let (present, trouble) = watch::channel(Trouble::None);
        let desk =
            Desk::new(plan, (node, &ready.key), town.clone(), (pushed.clone(), crowd.clone()));
        let readers = Readers { node, people: people.clone(), devices, desk: desk.clone() };
        let churn = Churn::new(plan, node, (people, town)).await?;
        let victims = Victims { node, pushed: pushed.clone(), crowd: crowd.clone(), deletions };
        let watched =
            Watched { process, dir: dir.to_owned(), pushed: pushed.clone(), crowd: crowd.clone() };
        let (file, seeing) = (report::folder()?.join("soak.jsonl"), blind.clone());
        let samples =
            tokio::spawn(async move { watched.look(plan, trouble, (&file, seeing)).await });
        let tasks = vec![
            tokio::spawn(desk.clone().work(stop.clone())),
            tokio::spawn(readers.work(stop.clone())),
            tokio::spawn(churn.work(stop.clone(), deleting)),
            tokio::spawn(trouble::work(plan, victims, present, stop.clone())),
        ];
        Ok(Self { desk, crowd, pushed, tasks, stop, samples, blind })
    }

    /// Lets some of the load's time pass; nothing of it may end meanwhile.
    async fn pass(&mut self, time: Duration) -> Result<()> {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Some(at) = self.tasks.iter().position(JoinHandle::is_finished) {
                self.tasks.swap_remove(at).await?.context("a part of the load ended early")?;
                bail!("a part of the load ended early");
            }
            if self.samples.is_finished() {
                (&mut self.samples).await?.context("the looking ended early")?;
                bail!("the looking ended early");
            }
        }
        Ok(())
    }
}
