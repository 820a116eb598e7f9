//! `loa devices`: registering many at once, for moving from another system and for tests.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Subcommand;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use crate::cli::BadInput;
use crate::clock::Clock;
use crate::config;
use crate::domain::device::Profile;
use crate::domain::ids::{DeviceId, SubjectId};
use crate::node::stores;
use crate::store;
use crate::store::registry::{NewDevice, Registry};

/// Devices looked for at once.
const LOOKS_AT_ONCE: usize = 64;

/// What to do with devices.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load devices from a file of JSON lines: {"id", "secret", "profile", "subject"?}
    #[command(after_help = "Example:\n  loa devices load devices.ndjson --data-dir data\n  \
        loa devices load devices.ndjson --config loa.toml")]
    Load(LoadArgs),
}

/// Which file, and where to.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// JSON lines, one device each
    file: PathBuf,
    /// The node's settings, which say where the devices are; a cluster's are on Redis
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The node's data directory, `data` when nothing says otherwise; no node may run in it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Go on with a load that was cut off: devices that are here already stay as they are
    #[arg(long)]
    resume: bool,
    /// Parts each (unit, channel) is cut into, if the registry is new
    #[arg(long)]
    shards: Option<u16>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The device's id.
    pub id: DeviceId,
    /// Its secret, as the app holds it.
    pub secret: String,
    /// What it says of itself.
    pub profile: Profile,
    /// The citizen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
}

/// Runs the command.
pub async fn run(command: Command) -> Result<bool> {
    let Command::Load(args) = command;
    let began = Instant::now();
    let flags = [
        ("node.data_dir", args.data_dir.as_ref().map(|dir| dir.display().to_string())),
        ("registry.shards", args.shards.map(|shards| shards.to_string())),
    ];
    let flags: Vec<_> = flags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let config = config::load(args.config.as_deref(), &flags)?;
    // Without Redis a running node counts its devices in memory and would not see these.
    let _lock = match config.store {
        store::Settings::Embedded => Some(crate::node::lock(&config.node.data_dir)?),
        store::Settings::Redis(_) => None,
    };
    let registry = stores::registry(&config, &Clock::System).await?;
    let file = File::open(&args.file)
        .map_err(|error| BadInput(format!("{}: {error}", args.file.display())))?;
    let failure = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&failure);
    let lines = BufReader::new(file).lines().enumerate();
    let devices = lines.map_while(move |(index, line)| match device(index, line) {
        Ok(device) => Some(device),
        Err(error) => {
            *seen.lock().expect("no holder of this lock panics") = Some(error);
            None
        }
    });
    let (loaded, known) = if args.resume {
        let all = tokio::task::spawn_blocking(move || devices.collect()).await?;
        let (missing, known) = missing(&registry, all).await?;
        (registry.bulk_load(missing).await.context("loading devices")?, known)
    } else {
        (registry.bulk_load(devices).await.context("loading devices")?, 0)
    };
    if let Some(error) = failure.lock().expect("no holder of this lock panics").take() {
        return Err(error.context(format!("{loaded} devices before it were loaded")));
    }
    let seconds = began.elapsed().as_secs_f64();
    if args.json {
        let document = serde_json::json!({ "loaded": loaded, "known": known, "seconds": seconds });
        say!("{document}");
    } else {
        say!("{loaded} devices loaded in {seconds:.1} s, {known} were here");
    }
    Ok(true)
}

/// Which devices are not here yet, and how many are.
async fn missing(
    registry: &Registry,
    all: Vec<NewDevice>,
) -> Result<(Vec<NewDevice>, usize), store::registry::Error> {
    let count = all.len();
    let look = |new: NewDevice| async move {
        let known = registry.get(&new.id).await?;
        Ok::<_, store::registry::Error>(known.is_none().then_some(new))
    };
    let looks = stream::iter(all.into_iter().map(look)).buffered(LOOKS_AT_ONCE);
    let missing: Vec<NewDevice> = looks.try_filter_map(async |new| Ok(new)).try_collect().await?;
    let known = count - missing.len();
    Ok((missing, known))
}

fn device(index: usize, line: std::io::Result<String>) -> Result<NewDevice> {
    let at = |error: &dyn std::fmt::Display| BadInput(format!("line {}: {error}", index + 1));
    let text = line.map_err(|error| at(&error))?;
    let line: Line = serde_json::from_str(&text).map_err(|error| at(&error))?;
    let secret_hash = crate::auth::device::Secret::parse(&line.secret)
        .map(|secret| secret.hash())
        .ok_or_else(|| at(&"`secret` is not 43 characters of base64url"))?;
    Ok(NewDevice { id: line.id, secret_hash, profile: line.profile, subject: line.subject })
}
