//! `loa audit`: whether what was written down is still what was written, and a copy of it.

use std::io::Write;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::cli::BadInput;
use crate::cli::place::Place;
use crate::config::Config;
use crate::domain::audit::{Act, Actor, Entry, HASH_BYTES, Verdict, hex};
use crate::node::{self, stores};
use crate::trail::verify::{Expected, verify};

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find any change, deletion or reordering; exit code 1 if there is one
    #[command(after_help = "Example:\n  loa audit verify --data-dir data\n  \
        loa audit verify --config loa.toml")]
    Verify(VerifyArgs),
    /// Write every entry as a line of JSON, with its number and hash
    #[command(after_help = "Example:\n  loa audit export --data-dir data > audit.jsonl")]
    Export(Place),
}

/// Where, and what is known from elsewhere.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// A head written down earlier, NUMBER:HASH as this command prints it: finds an end cut off
    #[arg(long, value_name = "NUMBER:HASH")]
    expect: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Verify(args) => verified(args).await,
        Command::Export(place) => export(&place).await,
    }
}

/// The file that the audit is in, where it is not on a cluster's Redis.
const FILE: &str = "audit.db";

async fn verified(args: VerifyArgs) -> Result<bool> {
    let config = args.place.with_file(FILE)?;
    let expected = args.expect.as_deref().map(expected).transpose()?;
    let audit = stores::audit(&config).await?;
    let public = node::audit_key(&config).await?;
    let report = verify(&audit, &public, expected).await?;
    let whole = report.is_whole();
    if args.json {
        let document = json!({
            "whole": whole, "entries": report.entries, "checkpoints": report.checkpoints,
            "head": format!("{}:{}", report.seq, report.head), "findings": report.findings,
        });
        say!("{document}");
        return Ok(whole);
    }
    for finding in &report.findings {
        say!("{finding}");
    }
    let verdict = if whole { "whole" } else { "NOT WHOLE" };
    say!(
        "{verdict}: {} entries, {} signed checkpoints, head {}:{}",
        report.entries,
        report.checkpoints,
        report.seq,
        report.head
    );
    Ok(whole)
}

fn expected(text: &str) -> Result<Expected> {
    let wrong = || BadInput(format!("--expect: `{text}` is not NUMBER:HASH"));
    let (seq, digits) = text.split_once(':').ok_or_else(wrong)?;
    let seq = seq.parse().map_err(|_| wrong())?;
    let mut hash = [0; HASH_BYTES];
    if digits.len() != 2 * HASH_BYTES || !digits.is_ascii() {
        return Err(wrong().into());
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        let pair = &digits[2 * index..2 * index + 2];
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(Expected { seq, hash })
}

async fn export(place: &Place) -> Result<bool> {
    let audit = stores::audit(&place.with_file(FILE)?).await?;
    let mut out = std::io::stdout().lock();
    let mut last = 0;
    loop {
        let page = audit.links(last).await?;
        let Some(end) = page.last() else { break };
        last = end.seq;
        for link in page {
            let hash = hex(&link.hash);
            writeln!(out, r#"{{"seq":{},"hash":"{hash}","entry":{}}}"#, link.seq, link.text)
                .context("standard output")?;
        }
    }
    Ok(true)
}

/// Writes down what was done at the command line, also while nodes run.
pub async fn note(config: &Config, by: &str, (act, object): (Act, String)) -> Result<()> {
    let audit = stores::audit(config).await?;
    let actor = Actor::Operator { name: by.to_owned() };
    let (id, at) = (Uuid::new_v4(), Timestamp::now());
    let entry = Entry { id, at, actor, act, object, verdict: Verdict::Done, reason: None };
    audit.append(entry).await.context("the audit")?;
    Ok(())
}
