//! The command line: one file per subcommand. Results go to standard output, logs to standard
//! error. Exit codes: 0 done, 1 failed, 2 wrong usage or bad input, 141 nobody read on.

/// Prints a line of a result. Who reads no further is an error, as any other.
macro_rules! say {
    ($($words:tt)*) => {
        std::io::Write::write_fmt(
            &mut std::io::stdout(),
            format_args!("{}\n", format_args!($($words)*)),
        )?
    };
}

pub mod agencies;
pub mod audit;
pub mod cap;
pub mod certificate;
pub mod channels;
pub mod client;
pub mod config;
pub mod demo;
pub mod devices;
pub mod geofences;
pub mod health;
pub mod keys;
pub mod letters;
pub mod people;
mod place;
pub mod plan;
pub mod publish;
pub mod serve;
pub mod topics;

use std::io::{self, ErrorKind, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use jiff::Timestamp;

use crate::lifecycle::threads;

/// Realtime notification and emergency alerts for a whole city.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node: all roles, embedded, when nothing else is said
    Serve(serve::Args),
    /// Run a node with simulated providers and citizens, and play alerts
    Demo(demo::Args),
    /// Publish a CAP alert (XML or JSON)
    Publish(publish::PublishArgs),
    /// Withdraw an alert from everyone who got it
    Cancel(publish::CancelArgs),
    /// Show the funnel of a publication
    Status(publish::StatusArgs),
    /// Check CAP documents
    #[command(subcommand)]
    Cap(cap::Command),
    /// Units and boundaries of the city
    Geofences(geofences::Args),
    /// Agencies and their API keys
    #[command(subcommand)]
    Agencies(agencies::Command),
    /// People of the agencies, who log in to the console
    #[command(subcommand)]
    People(people::Command),
    /// Who did what: verify it, export it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Signing keys of the log's records and of alerts
    #[command(subcommand)]
    Keys(keys::Command),
    /// Devices in bulk
    #[command(subcommand)]
    Devices(devices::Command),
    /// Records that were set aside, with their reasons
    #[command(subcommand)]
    DeadLetters(letters::Command),
    /// Whether a node serves, for probes and people
    Health(health::Args),
    /// How long a city-wide alert takes, and what limits it
    Plan(plan::Args),
    /// Push channels and their credentials
    #[command(subcommand)]
    Channels(channels::Command),
    /// The event log's topics, here and on a cluster
    #[command(subcommand)]
    Topics(topics::Command),
    /// Settings
    #[command(subcommand)]
    Config(config::Command),
}

impl Cli {
    /// Runs the command; false means that it did its work and the answer is no.
    pub fn run(self) -> Result<bool> {
        let out = &mut stdout().lock();
        match self.command {
            Command::Cap(command) => cap::run(&command, out),
            Command::Config(command) => config::run(&command, out),
            Command::Plan(args) => plan::run(&args, out),
            Command::Channels(command) => block_on(channels::run(&command, out)),
            Command::Topics(command) => block_on(topics::run(command, out)),
            Command::Geofences(args) => {
                geofences::run(&args, Timestamp::now(), out).map_err(|error| {
                    match is_unread(&error) {
                        true => error,
                        false => BadInput(format!("{error:#}")).into(),
                    }
                })
            }
            Command::Health(args) => block_on(health::run(&args, out)),
            Command::Demo(args) => block_on(demo::run(args)),
            Command::Serve(args) => block_on(serve::run(args)),
            Command::Publish(args) => block_on(publish::publish(args)),
            Command::Cancel(args) => block_on(publish::cancel(args)),
            Command::Status(args) => block_on(publish::status(args)),
            Command::Agencies(command) => block_on(agencies::run(command)),
            Command::People(command) => block_on(people::run(command)),
            Command::Audit(command) => block_on(audit::run(command)),
            Command::Keys(command) => block_on(keys::run(command)),
            Command::Devices(command) => block_on(devices::run(command)),
            Command::DeadLetters(command) => block_on(letters::run(command)),
        }
    }
}

fn block_on(work: impl Future<Output = Result<bool>>) -> Result<bool> {
    threads::runtime().context("cannot start the runtime")?.block_on(work)
}

/// Input that cannot be used: the caller's to mend (exit code 2).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// What a shell says of a program that SIGPIPE ended, which is how others end of it.
const UNREAD: u8 = 128 + 13;

/// Whether all that failed is that nobody reads the result any more, as behind `| head`.
pub fn is_unread(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// The exit code of an error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if is_unread(error) {
        return ExitCode::from(UNREAD);
    }
    let bad = error.is::<BadInput>()
        || error.is::<crate::config::Error>()
        || error.is::<crate::telemetry::FilterError>();
    ExitCode::from(if bad { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_an_example() {
        let command = super::Cli::command();
        command.clone().debug_assert();
        let mut waiting: Vec<clap::Command> = command.get_subcommands().cloned().collect();
        while let Some(command) = waiting.pop() {
            let subcommands: Vec<_> = command.get_subcommands().cloned().collect();
            if subcommands.is_empty() {
                let help = command.clone().render_long_help().to_string();
                assert!(help.contains("Example:"), "{} has no example", command.get_name());
            }
            waiting.extend(subcommands);
        }
    }
}
