//! `loa channels`: whether the providers would take our pushes.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::BadInput;
use crate::clock::Clock;
use crate::config;

/// What to do with the channels.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask each provider, for each app, whether it would take a push; nothing reaches a phone
    #[command(after_help = "Example:\n  loa channels check --config loa.toml")]
    Check(CheckArgs),
}

/// Which settings.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(Command::Check(args): &Command, out: &mut impl Write) -> Result<bool> {
    let settings = config::load(args.config.as_deref(), &[])?.channel;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let senders = settings.open(&Clock::System, &stop);
    if senders.is_empty() {
        return Err(BadInput("no push channel is configured".to_owned()).into());
    }
    let mut found = Vec::new();
    for sender in senders {
        let sender = sender.map_err(|error| BadInput(error.to_string()))?;
        let checks = sender.check().await;
        found.extend(checks.into_iter().map(|one| (sender.channel(), one.what, one.problem)));
    }
    let ok = found.iter().all(|(_, _, problem)| problem.is_none());
    if args.json {
        let describe = |(channel, what, problem)| {
            let (what, problem): (String, Option<String>) = (what, problem);
            json!({"channel": channel, "what": what, "problem": problem})
        };
        let channels: Vec<_> = found.into_iter().map(describe).collect();
        writeln!(out, "{}", json!({"ok": ok, "channels": channels}))?;
    } else {
        for (channel, what, problem) in found {
            writeln!(out, "{channel} {what}: {}", problem.as_deref().unwrap_or("ok"))?;
        }
    }
    Ok(ok)
}
