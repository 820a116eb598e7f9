//! `loa dead-letters`: what was set aside, and sending it again.

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::Value;

use crate::cli::client::Server;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List them with their reasons
    #[command(after_help = "Example:\n  loa dead-letters list --key loa_…")]
    List(ListArgs),
    /// Send one again, once its cause is mended
    #[command(after_help = "Example:\n  loa dead-letters redrive 0 17 --key loa_…")]
    Redrive(RedriveArgs),
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Partition of the dead letters' topic
    #[arg(long, default_value_t = 0)]
    partition: u32,
    /// From this offset
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Which one.
#[derive(Debug, clap::Args)]
pub struct RedriveArgs {
    /// Its partition
    partition: u32,
    /// Its offset
    offset: u64,
    #[command(flatten)]
    server: Server,
}

/// Runs the command.
pub async fn run(command: Command) -> Result<bool> {
    match command {
        Command::List(args) => {
            let path = format!("/v1/dead-letters?partition={}&from={}", args.partition, args.from);
            let answer: Value =
                serde_json::from_slice(&args.server.ask(Method::GET, &path, None).await?)?;
            if args.json {
                say!("{answer}");
                return Ok(true);
            }
            for letter in answer["letters"].as_array().into_iter().flatten() {
                let text = |key: &str| letter[key].as_str().unwrap_or_default().to_owned();
                say!(
                    "{:>8}  {}  {}  {}: {}",
                    letter["offset"],
                    text("at"),
                    text("source"),
                    text("code"),
                    text("detail")
                );
            }
        }
        Command::Redrive(args) => {
            let path = format!("/v1/dead-letters/{}/{}/redrive", args.partition, args.offset);
            let answer = args.server.ask(Method::POST, &path, None).await?;
            say!("{}", String::from_utf8_lossy(&answer));
        }
    }
    Ok(true)
}
