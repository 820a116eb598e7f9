//! `loa demo`: a node in a fresh data directory, simulated providers and citizens over real
//! sockets, and alerts that are watched to the last device.

mod people;
mod screen;
mod stage;
mod summary;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};

use crate::cli::BadInput;
use crate::cli::demo::screen::Screen;
use crate::cli::demo::stage::Stage;
use crate::cli::demo::summary::Summary;
use crate::domain::alert::CapTime;
use crate::simulator::alerts::ALERTS;

/// Minutes east of UTC in which the demo's alerts are written.
const OFFSET_MINUTES: i16 = 420;
/// How long an alert of the demo lasts.
const LIFE: SignedDuration = SignedDuration::from_hours(2);
/// An alert that has not reached everyone by then has failed.
const PATIENCE: Duration = Duration::from_secs(600);

/// How large, and how it is shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  loa demo --citizens 20000 --once --json")]
pub struct Args {
    /// Simulated devices: phones behind the simulated providers, and websocket clients
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    citizens: u32,
    /// Of a thousand devices, how many hold a websocket
    #[arg(long, default_value_t = 100, value_name = "N")]
    websockets_per_mille: u32,
    /// End after the first alert, and fail unless everyone targeted was reached
    #[arg(long)]
    once: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// True boundaries to import first (GeoJSON)
    #[arg(long, value_name = "FILE")]
    boundaries: Option<PathBuf>,
    /// Keep the data here; absent means a directory that is removed at the end
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address of the node's HTTP faces
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: String,
    /// Go on running after the last alert also with --once or --json
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
pub async fn run(args: Args) -> Result<bool> {
    if args.citizens == 0 || args.citizens > 5_000_000 {
        return Err(BadInput("--citizens: 1 to 5,000,000".to_owned()).into());
    }
    if args.websockets_per_mille > 1000 {
        return Err(BadInput("--websockets-per-mille: 0 to 1000".to_owned()).into());
    }
    let (_fresh, dir) = match &args.data_dir {
        Some(dir) => (None, dir.clone()),
        None => {
            let fresh = Fresh::make()?;
            let dir = fresh.0.clone();
            (Some(fresh), dir)
        }
    };
    let stage = Stage::set(&args, dir).await?;
    let screen = Screen::new(args.json);
    let count = if args.once { 1 } else { ALERTS.len() };
    let mut summaries = Vec::with_capacity(count);
    for (number, template) in ALERTS.iter().take(count).enumerate() {
        let now = Timestamp::now();
        let identifier = format!("loa-demo-{}-{}", now.as_millisecond(), number + 1);
        let time = |at: Timestamp| CapTime::new(whole_second(at), OFFSET_MINUTES);
        let xml = template.render(&identifier, time(now), time(now.checked_add(LIFE)?));
        let summary = play(&stage, &screen, (template.name, xml)).await?;
        summaries.push(summary);
    }
    let reached = summaries.iter().all(Summary::everyone_reached);
    if args.json {
        let document = match summaries.as_slice() {
            [only] if args.once => serde_json::to_string(only)?,
            all => serde_json::to_string(all)?,
        };
        println!("{document}");
    } else {
        summaries.iter().for_each(Summary::print);
        let verdict =
            if reached { "everyone targeted was reached" } else { "NOT EVERYONE WAS REACHED" };
        println!("\n{verdict}");
    }
    if args.keep || !(args.once || args.json) {
        println!("the node goes on; Ctrl-C ends it");
        stage.invite();
        tokio::signal::ctrl_c().await.context("signals")?;
    }
    stage.strike().await?;
    Ok(reached)
}

/// CAP times have whole seconds.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

async fn play(stage: &Stage, screen: &Screen, (name, xml): (&str, String)) -> Result<Summary> {
    let began = std::time::Instant::now();
    let id = stage.publish(xml).await.with_context(|| format!("publishing {name}"))?;
    let expected = stage.expected(id).await?;
    let mut scene = screen.scene(name, expected);
    let mut changes = stage.ledger().watch();
    loop {
        changes.borrow_and_update();
        let funnel = stage.ledger().funnel(id).await?;
        scene.show(&funnel);
        let told = funnel.total.received >= expected && stage.tally().devices(id) >= expected;
        if told && funnel.open_dispatches == 0 {
            break;
        }
        if began.elapsed() > PATIENCE {
            break;
        }
        // Changes come in thousands; the screen follows ten times a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
    }
    let funnel = stage.ledger().funnel(id).await?;
    scene.show(&funnel);
    scene.end();
    Ok(stage.summary(name, id, (expected, funnel), began))
}

/// A directory of our own, removed at the end.
#[derive(Debug)]
struct Fresh(PathBuf);

impl Fresh {
    fn make() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("loa-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        if !dir.is_dir() {
            bail!("{} is no directory", dir.display());
        }
        Ok(Self(dir))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(error = %error, "the demo's directory could not be removed");
        }
    }
}
