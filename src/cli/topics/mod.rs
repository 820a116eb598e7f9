//! `loa topics`: the log's topics, and a cluster's against their definitions.

mod asyncapi;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bus::kafka::topics::{Admin, Change};
use crate::bus::{self, Error, Shape, TopicId};
use crate::cli::BadInput;
use crate::config;

/// What to do with the topics.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every topic with its definition
    #[command(after_help = "Example:\n  loa topics list\n\nWith --config also the topics of \
        bus.kafka.agency_topics, each one agency's own.")]
    List(CheckArgs),
    /// Print how the cluster differs from the definitions; 1 if it does
    #[command(after_help = "Example:\n  loa topics check --config loa.toml")]
    Check(CheckArgs),
    /// Make missing topics, grow partitions, set what differs; refuses what may lose records
    #[command(after_help = "Example:\n  loa topics apply --config loa.toml")]
    Apply(ApplyArgs),
    /// Print the topics and their events as an AsyncAPI 3.0 document (JSON)
    #[command(after_help = "Example:\n  loa topics asyncapi > asyncapi.json\n\nWith --config \
        each topic of bus.kafka.agency_topics is a channel of its own; without, one channel with \
        the agency as its parameter stands for them.")]
    Asyncapi(AsyncapiArgs),
}

/// How to print.
#[derive(Debug, Args)]
pub struct Output {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Between two tries while brokers start.
const AGAIN: Duration = Duration::from_secs(1);

/// Which cluster.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Whose topics.
#[derive(Debug, Args)]
pub struct AsyncapiArgs {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Which cluster, and how far to go.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    cluster: CheckArgs,
    /// Also what may lose records: a shorter retention, fewer copies in sync
    #[arg(long)]
    force: bool,
    /// How long brokers that are still starting are asked again
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// Runs the command.
pub async fn run(command: Command, out: &mut impl Write) -> Result<bool> {
    match command {
        Command::List(args) => list(&args.output, &own(args.config.as_deref())?, out),
        Command::Asyncapi(args) => {
            let own = args.config.as_deref().map(|file| own(Some(file))).transpose()?;
            writeln!(out, "{:#}", asyncapi::document(own.as_deref()))?;
            Ok(true)
        }
        Command::Check(args) => {
            let changes = admin(&args)?.diff().await?;
            print(&args.output, &changes, (changes.is_empty(), false), out)?;
            Ok(changes.is_empty())
        }
        Command::Apply(args) => apply(&args, out).await,
    }
}

async fn apply(args: &ApplyArgs, out: &mut impl Write) -> Result<bool> {
    let admin = admin(&args.cluster)?;
    let until = Instant::now() + Duration::from_secs(args.wait);
    let (changes, is_allowed) = loop {
        match attempt(&admin, args.force).await {
            Ok(attempt) => break attempt,
            Err(error) if Instant::now() < until => {
                tracing::warn!(%error, "the brokers are not ready and are asked again");
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let output = &args.cluster.output;
    if !is_allowed {
        print(output, &changes, (false, false), out)?;
        tracing::error!("nothing was changed: what is marked LOSSY may lose records (--force)");
        return Ok(false);
    }
    let done = changes.iter().all(Change::is_ours);
    print(output, &changes, (done, true), out)?;
    Ok(done)
}

/// What differs, and whether it may be changed: then it was.
async fn attempt(admin: &Admin, is_forced: bool) -> bus::Result<(Vec<Change>, bool)> {
    let changes = admin.diff().await?;
    let is_allowed = is_forced || !changes.iter().any(Change::is_lossy);
    if is_allowed {
        admin.apply(&changes).await?;
    }
    Ok((changes, is_allowed))
}

fn admin(args: &CheckArgs) -> Result<Admin> {
    let config = config::load(args.config.as_deref(), &[])?;
    let Shape::Kafka(kafka) = &config.bus.shape else {
        let why = "bus.kind: is \"embedded\", which makes its topics itself";
        return Err(BadInput(why.to_owned()).into());
    };
    Admin::new(kafka).map_err(|error| match error {
        Error::Settings(why) => BadInput(why).into(),
        other => other.into(),
    })
}

fn print(
    output: &Output,
    changes: &[Change],
    (ok, applied): (bool, bool),
    out: &mut impl Write,
) -> Result<()> {
    if output.json {
        let describe = |change: &Change| {
            let (topic, lossy) = (&change.topic, change.is_lossy());
            json!({"topic": topic, "change": change.to_string(), "lossy": lossy})
        };
        let changes: Vec<Value> = changes.iter().map(describe).collect();
        writeln!(out, "{}", json!({"ok": ok, "applied": applied, "changes": changes}))?;
        return Ok(());
    }
    changes.iter().try_for_each(|change| writeln!(out, "{change}"))?;
    let said = match (changes.is_empty(), applied) {
        (true, _) => "every topic is as defined",
        (false, true) if ok => "done",
        (false, true) => "done, but for what is marked !",
        (false, false) => "the cluster differs",
    };
    writeln!(out, "{said}")?;
    Ok(())
}

/// The agencies' own topics that a settings file names; without one there are none.
fn own(file: Option<&Path>) -> Result<Vec<TopicId>> {
    if file.is_none() {
        return Ok(Vec::new());
    }
    Ok(match &config::load(file, &[])?.bus.shape {
        Shape::Kafka(kafka) => kafka.agency_topics().collect(),
        Shape::Embedded => Vec::new(),
    })
}

fn list(output: &Output, own: &[TopicId], out: &mut impl Write) -> Result<bool> {
    let all = || TopicId::all().chain(own.iter().copied());
    if output.json {
        let topics: Vec<Value> = all()
            .map(|topic| json!({"topic": topic.name(), "definition": topic.definition()}))
            .collect();
        writeln!(out, "{}", json!({ "topics": topics }))?;
        return Ok(true);
    }
    for topic in all() {
        let of = topic.definition();
        writeln!(
            out,
            "{topic}: {}\n  key: {}\n  order: {}\n  {} -> {}\n  partitions {}, replication {}, \
             in sync {}, kept {} h",
            of.carries,
            of.key,
            of.order,
            of.writers.join(", "),
            of.readers.join(", "),
            of.partitions,
            of.replication,
            of.min_in_sync,
            of.retention_hours,
        )?;
    }
    Ok(true)
}
