//! `loa serve`: a node, until it is told to stop.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::channel;
use crate::clock::Clock;
use crate::config::{self, Config, Flag};
use crate::node::{Node, Outside};
use crate::simulator::providers::{Options, Providers};
use crate::telemetry;

/// How to run the node.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  loa serve --config loa.toml --data-dir /var/lib/loa")]
pub struct Args {
    /// The settings file (`loa config default` prints one)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Roles of this process, comma-separated: api,router,fanout,gateway,console
    #[arg(long)]
    roles: Option<String>,
    /// Where everything that must last is kept
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address of all HTTP faces
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Args {
    fn flags(&self) -> Vec<Flag> {
        let data_dir = self.data_dir.as_ref().map(|dir| dir.display().to_string());
        let all = [
            ("node.roles", self.roles.clone()),
            ("node.data_dir", data_dir),
            ("node.listen", self.listen.clone()),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// Runs the node until SIGINT or SIGTERM; a second signal ends it at once.
pub async fn run(args: Args) -> Result<bool> {
    let mut config = config::load(args.config.as_deref(), &args.flags())?;
    config.check_files()?;
    telemetry::install(&config.log)?;
    let simulator = simulate_without_credentials(&mut config).await?;
    let outside = Outside { clock: Clock::System, listener: None, simulated: simulator.is_some() };
    let node = Node::start(&config, outside).await?;
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    println!("loa listens on {scheme}://{}", node.address);
    let tasks = node.tasks.clone();
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                std::process::exit(1);
            }
            asked = true;
            tracing::info!("asked to stop: draining; a second signal ends at once");
            tasks.stop();
        }
    });
    node.run().await?;
    Ok(true)
}

/// Without any provider's credentials a node sends to a simulator of its own, loudly.
pub(super) async fn simulate_without_credentials(config: &mut Config) -> Result<Option<Providers>> {
    if config.channel != channel::Settings::default() {
        return Ok(None);
    }
    let providers = Providers::start(Options::default()).await.context("the simulator")?;
    config.channel = providers.channel_settings();
    tracing::warn!(
        "NO PROVIDER CREDENTIALS: pushes go to the built-in simulator and reach NO PHONE; \
         set [channel.apns], [channel.fcm] and [channel.webpush]"
    );
    Ok(Some(providers))
}
