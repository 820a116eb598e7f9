//! `loa keys`: the keys that are rotated. A running node sees a change within seconds.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::auth::ring::{self, Key, Ring};
use crate::cli::place::Place;
use crate::cli::{BadInput, audit};
use crate::domain::audit::Act;
use crate::node::signing;

/// Added to how long publications are kept, for alerts that are read as long as that.
const MARGIN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List them: purpose, name, from when and until when they verify; never a secret
    #[command(after_help = "Example:\n  loa keys list --data-dir data")]
    List(ListArgs),
    /// Make a new key, which is used from a minute later; what was made with the one before stays
    /// good
    #[command(after_help = "Example:\n  loa keys rotate alerts --data-dir data --by lan\n\n\
        pseudonyms: each citizen gets another one when they come with a token or log in; the old \
        one finds\nthem as well for `retention.devices_days`. Who has not come by then is a \
        stranger afterwards.")]
    Rotate(RotateArgs),
    /// Take a key out of use that leaked; what it signed is not believed any more
    #[command(
        after_help = "Example:\n  loa keys revoke kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )]
    Revoke(RevokeArgs),
}

/// How to list them.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    place: Place,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What to rotate.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// What the keys are for
    purpose: Purpose,
    /// Who does this, for the audit
    #[arg(long, default_value = "command-line", value_name = "NAME")]
    by: String,
    #[command(flatten)]
    place: Place,
}

/// Which key leaked.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Its name, as `loa keys list` shows it
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Who does this, for the audit
    #[arg(long, default_value = "command-line", value_name = "NAME")]
    by: String,
    #[command(flatten)]
    place: Place,
}

/// What keys are for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Purpose {
    /// Alerts, which citizens verify
    Alerts,
    /// Publications on the log, which routers and gateways verify
    Records,
    /// What citizens are called
    Pseudonyms,
}

impl From<Purpose> for ring::Purpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Alerts => Self::Alerts,
            Purpose::Records => Self::Records,
            Purpose::Pseudonyms => Self::Pseudonyms,
        }
    }
}

/// Runs the command.
pub async fn run(command: Command) -> Result<bool> {
    match command {
        Command::List(args) => list(args).await,
        Command::Rotate(args) => rotate(args).await,
        Command::Revoke(args) => revoke(args).await,
    }
}

async fn list(args: ListArgs) -> Result<bool> {
    let ring = signing::Place::open(&args.place.settings()?).await?.load().await?;
    if args.json {
        let keys: Vec<_> = ring.keys().iter().map(document).collect();
        say!("{}", json!({ "keys": keys }));
    } else {
        show(&ring)?;
    }
    Ok(true)
}

async fn rotate(args: RotateArgs) -> Result<bool> {
    let config = args.place.settings()?;
    let (periods, now) = (config.periods(), Timestamp::now());
    let kept = match args.purpose {
        Purpose::Alerts | Purpose::Records => periods.alerts.max(periods.personal) + MARGIN,
        // Whose devices were not seen for as long are dropped anyway.
        Purpose::Pseudonyms => periods.devices,
    };
    let unsealed = config.vault.unsealed_until.filter(|until| *until > now);
    if let (Purpose::Pseudonyms, Some(until)) = (args.purpose, unsealed) {
        let rule = "nodes of an earlier release, which know no such keys, may run until";
        return Err(BadInput(format!("vault.unsealed_until: {rule} {until}")).into());
    }
    let purpose = ring::Purpose::from(args.purpose);
    let ring = signing::Place::open(&config).await?.rotate(purpose, now, kept).await?;
    let deed = (Act::RotateSigningKey, purpose.as_str().to_owned());
    audit::note(&config, &args.by, deed).await?;
    show(&ring)?;
    Ok(true)
}

async fn revoke(args: RevokeArgs) -> Result<bool> {
    let config = args.place.settings()?;
    let place = signing::Place::open(&config).await?;
    let now = Timestamp::now();
    let changed = place.change(|ring| ring.revoked(&args.kid, now)).await;
    let ring = changed.map_err(|error| match error.downcast_ref::<ring::Error>() {
        Some(ring::Error::Unknown(_) | ring::Error::Pseudonyms(_)) => {
            BadInput(error.to_string()).into()
        }
        _ => error,
    })?;
    audit::note(&config, &args.by, (Act::RevokeSigningKey, args.kid)).await?;
    show(&ring)?;
    Ok(true)
}

fn document(key: &Key) -> serde_json::Value {
    json!({
        "kid": key.kid(), "purpose": key.purpose(), "signs_from": key.from(),
        "verifies_until": key.until(),
    })
}

fn show(ring: &Ring) -> Result<()> {
    for key in ring.keys() {
        let until = key.until().map_or("-".to_owned(), |until| until.to_string());
        let purpose = key.purpose().as_str();
        say!("{:10} {}  from {}  until {until}", purpose, key.kid(), key.from());
    }
    Ok(())
}
