//! `loa health`: whether a node serves. For probes of containers that have no other HTTP client.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cli::client;

/// Which node.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  loa health --server http://127.0.0.1:8080")]
pub struct Args {
    /// The node's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Seconds to wait for its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    patience: u64,
    /// Print the node's own JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command: true when the node is ready.
pub async fn run(args: &Args, out: &mut impl Write) -> Result<bool> {
    let patience = Duration::from_secs(args.patience);
    let (status, body) = client::get(&args.server, "/readyz", patience).await?;
    let answer: Value =
        serde_json::from_slice(&body).with_context(|| format!("{}: {status}", args.server))?;
    if args.json {
        writeln!(out, "{answer}")?;
    } else if status.is_success() {
        writeln!(out, "ready")?;
    } else {
        let parts = answer["waiting_for"].as_array().into_iter().flatten();
        let parts: Vec<_> = parts.filter_map(Value::as_str).collect();
        writeln!(out, "not ready: waits for {}", parts.join(", "))?;
    }
    Ok(status.is_success())
}
