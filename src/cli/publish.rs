//! `loa publish`, `loa cancel`, `loa status`: the agency's work from a shell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::cli::BadInput;
use crate::cli::client::Server;
use crate::domain::channel::Channel;
use crate::domain::forecast::{Compared, Fact, Forecast};
use crate::domain::funnel::{Counts, Funnel};

/// What to publish.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  loa publish flood.xml --server http://127.0.0.1:8080 \
    --key loa_… --dry-run")]
pub struct PublishArgs {
    /// CAP XML, or the JSON form of CAP
    file: PathBuf,
    /// Only check, and estimate the audience
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// What to withdraw.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  loa cancel 01988a2e-… --key loa_…")]
pub struct CancelArgs {
    /// The publication's id
    id: String,
    /// Why, for the record
    #[arg(long)]
    note: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// What to look at.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  loa status 01988a2e-… --key loa_…")]
pub struct StatusArgs {
    /// The publication's id
    id: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Publishes a file.
pub async fn publish(args: PublishArgs) -> Result<bool> {
    let body = std::fs::read(&args.file)
        .map_err(|error| BadInput(format!("{}: {error}", args.file.display())))?;
    let kind = kind_of(&args.file, &body);
    let path = if args.dry_run { "/v1/alerts?dry_run=true" } else { "/v1/alerts" };
    let answer = args.server.ask(Method::POST, path, Some((kind, body.into()))).await?;
    print(&answer, args.json)
}

/// Withdraws a publication's chain.
pub async fn cancel(args: CancelArgs) -> Result<bool> {
    let body = serde_json::to_vec(&serde_json::json!({ "note": args.note }))?;
    let path = format!("/v1/alerts/{}/cancel", args.id);
    let body = Some(("application/json", Bytes::from(body)));
    let answer = args.server.ask(Method::POST, &path, body).await?;
    print(&answer, args.json)
}

/// Shows a funnel.
pub async fn status(args: StatusArgs) -> Result<bool> {
    let path = format!("/v1/publications/{}/funnel", args.id);
    let answer = args.server.ask(Method::GET, &path, None).await?;
    if args.json {
        return print(&answer, true);
    }
    let Watched { boundaries, forecast, funnel } =
        serde_json::from_slice(&answer).context("the node's answer")?;
    if boundaries.as_deref() == Some("approximate") {
        say!("boundaries APPROXIMATE: near a border people may be counted in the wrong unit");
    }
    say!("{}", line("all", &funnel.total));
    for (channel, counts) in &funnel.channels {
        say!("{}", line(channel.as_str(), counts));
    }
    for (unit, counts) in &funnel.units {
        say!("{}", line(unit.as_str(), counts));
    }
    if let Some(p99) = funnel.received_ms.quantile_ms(0.99) {
        say!("received within {p99} ms by 99 % of those who answered");
    }
    for (channel, Compared { expected, fact }) in &forecast {
        say!("{}", pace(*channel, expected, fact));
    }
    Ok(true)
}

fn pace(channel: Channel, expected: &Forecast, fact: &Fact) -> String {
    let fact = match fact.last_ms {
        Some(last) => format!("{} accepted, the last after {last} ms", fact.accepted),
        None => "none accepted yet".to_owned(),
    };
    format!(
        "{channel}: {} devices expected within {} ms (limited by {}); {fact}",
        expected.devices,
        expected.last_ms,
        expected.limited_by.as_str()
    )
}

/// The funnel's answer, as far as it is shown.
#[derive(serde::Deserialize)]
struct Watched {
    #[serde(default)]
    boundaries: Option<String>,
    forecast: BTreeMap<Channel, Compared>,
    #[serde(flatten)]
    funnel: Funnel,
}

fn line(name: &str, counts: &Counts) -> String {
    format!(
        "{name:>10}  targeted {:>8}  accepted {:>8}  received {:>8}  shown {:>8}  failed {:>6}",
        counts.targeted,
        counts.accepted,
        counts.received,
        counts.shown,
        counts.failed_total() + counts.dead + counts.expired
    )
}

fn kind_of(file: &Path, body: &[u8]) -> &'static str {
    let is_json = file.extension().is_some_and(|extension| extension == "json")
        || body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if is_json { "application/json" } else { "application/cap+xml" }
}

fn print(answer: &[u8], json: bool) -> Result<bool> {
    let value: Value = serde_json::from_slice(answer).context("the node's answer")?;
    if json {
        say!("{value}");
    } else {
        say!("{}", serde_json::to_string_pretty(&value)?);
    }
    Ok(true)
}
