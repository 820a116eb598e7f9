//! `loa cap check FILE...`: which rules a CAP file breaks, and where.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::BadInput;
use crate::domain::alert::profile;
use crate::event::cap::{Limits, Mode, Severity, Version, Violation, read, read_json};

/// Check CAP files, XML or JSON, against every rule of CAP 1.2.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  loa cap check --lenient warning.xml flood.json")]
pub struct Check {
    /// CAP XML, or the JSON form of an alert (a file that begins with `{`).
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Read as a feed is read: accept what is unambiguous and list each liberty taken.
    #[arg(long)]
    pub lenient: bool,
    /// Also check what Loa asks of agencies beyond CAP: every alert ends, has an area, and so on.
    #[arg(long)]
    pub profile: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// What to do with CAP documents.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check CAP files against every rule
    Check(Check),
}

/// Runs the command.
pub fn run(command: &Command, out: &mut impl Write) -> anyhow::Result<bool> {
    let Command::Check(args) = command;
    check(args, out)
}

/// What was found in one file.
#[derive(Debug, Serialize)]
struct Verdict {
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    violations: Vec<Violation>,
}

/// Checks every file and prints `FILE: ok`, or a line for each broken rule with its place. True if
/// all files are ok; fails only if a file cannot be read or the output not be written.
pub fn check(args: &Check, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut verdicts = Vec::with_capacity(args.files.len());
    for file in &args.files {
        let verdict = check_file(args, file)?;
        if !args.json {
            print(&verdict, args, out)?;
        }
        verdicts.push(verdict);
    }
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &verdicts)?;
        writeln!(out)?;
    }
    Ok(verdicts.iter().all(|verdict| verdict.ok))
}

fn check_file(args: &Check, file: &Path) -> anyhow::Result<Verdict> {
    let name = file.display().to_string();
    let (mode, limits) = if args.lenient {
        (Mode::Lenient, Limits::feeds())
    } else {
        (Mode::Strict, Limits::default())
    };
    // One byte over the limit is enough to be refused for it.
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(limits.bytes as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| BadInput(format!("cannot read {name}: {error}")))?;
    let is_json = bytes.trim_ascii_start().starts_with(b"{");
    let result = if is_json {
        read_json(&bytes).map(|alert| (alert, None, Vec::new()))
    } else {
        read(&bytes, mode, &limits).map(|read| (read.alert, Some(read.version), read.liberties))
    };
    let (version, mut violations) = match result {
        Ok((alert, version, mut violations)) => {
            if args.profile {
                violations.extend(profile::profile(&alert));
            }
            (version, violations)
        }
        Err(violations) => (None, violations),
    };
    violations.sort_by_key(|violation| violation.severity);
    let ok = violations.iter().all(|violation| violation.severity == Severity::Warning);
    Ok(Verdict { file: name, ok, version, violations })
}

/// Warnings are shown where they were asked for: the liberties of a lenient reader, the profile's.
fn print(verdict: &Verdict, args: &Check, out: &mut impl Write) -> anyhow::Result<()> {
    if verdict.ok {
        writeln!(out, "{}: ok", verdict.file)?;
    }
    for violation in &verdict.violations {
        match violation.severity {
            Severity::Error => writeln!(out, "{}: {violation}", verdict.file)?,
            Severity::Warning if args.lenient || args.profile => {
                writeln!(out, "{}: warning: {violation}", verdict.file)?;
            }
            Severity::Warning => {}
        }
    }
    Ok(())
}
