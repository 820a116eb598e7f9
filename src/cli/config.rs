//! `loa config`: the settings, their defaults and their problems.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::config;

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every setting with its default and meaning
    #[command(after_help = "Example:\n  loa config default > loa.toml")]
    Default,
    /// Print what holds, secrets hidden
    #[command(after_help = "Example:\n  loa config show --config loa.toml")]
    Show(FileArgs),
    /// Report every problem at once
    #[command(after_help = "Example:\n  loa config check --config loa.toml")]
    Check(FileArgs),
}

/// Which file.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(command: &Command, out: &mut impl Write) -> Result<bool> {
    match command {
        Command::Default => write!(out, "{}", config::DEFAULT)?,
        Command::Show(args) => {
            let shown = config::show(args.config.as_deref(), &[])?;
            if args.json {
                let table: toml::Table = toml::from_str(&shown)?;
                writeln!(out, "{}", serde_json::to_string(&table)?)?;
            } else {
                write!(out, "{shown}")?;
            }
        }
        Command::Check(args) => {
            let checked = config::load(args.config.as_deref(), &[])?;
            checked.check_files()?;
            let warnings = checked.warnings();
            if args.json {
                writeln!(out, "{}", serde_json::json!({ "ok": true, "warnings": warnings }))?;
            } else {
                warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?;
                writeln!(out, "ok")?;
            }
        }
    }
    Ok(true)
}
