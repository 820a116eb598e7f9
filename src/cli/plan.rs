//! `loa plan`: how long a city-wide alert takes with these quotas and workers, and what limits it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use serde::Serialize;

use crate::channel;
use crate::cli::BadInput;
use crate::config;
use crate::domain::channel::Channel;
use crate::domain::forecast::{Bounds, Forecast, Limit, Outlook, Settings};

/// Devices of a hundred that a channel reaches, where nobody says otherwise: a city in which most
/// phones run Android. Your own registry knows better.
const SHARES: [(Channel, f64); 4] = [
    (Channel::Apns, 30.0),
    (Channel::Fcm, 62.0),
    (Channel::Webpush, 5.0),
    (Channel::Websocket, 3.0),
];

/// What to plan for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  loa plan --devices 10000000 --share apns=35 --share fcm=65 \
    --per-minute fcm=1200000 --workers 4")]
pub struct Args {
    /// Devices to be reached
    #[arg(long)]
    devices: u64,
    /// Part of the devices that a channel reaches, as `fcm=65`; parts of whatever they add up to
    #[arg(long, value_name = "CHANNEL=PART")]
    share: Vec<Of<f64>>,
    /// A provider's quota in messages a minute, where it differs from the settings
    #[arg(long, value_name = "CHANNEL=COUNT")]
    per_minute: Vec<Of<u64>>,
    /// Fan-out workers, each with its own connections and cores
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// Cores of one worker; absent means the settings', or this machine's
    #[arg(long)]
    cores: Option<f64>,
    /// Milliseconds to a provider and back; absent means the settings'
    #[arg(long)]
    round_trip_ms: Option<f64>,
    /// The settings file whose connections, rates and measured costs hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A value of one channel, written `channel=value`.
#[derive(Clone, Copy, Debug)]
pub struct Of<T> {
    channel: Channel,
    value: T,
}

impl<T: FromStr> FromStr for Of<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("expected CHANNEL=VALUE")?;
        let names = Channel::ALL.map(Channel::as_str).join(", ");
        let channel = Channel::ALL.into_iter().find(|channel| channel.as_str() == name);
        let channel = channel.ok_or_else(|| format!("no channel `{name}`; there are {names}"))?;
        let value = value.parse().map_err(|_| format!("`{value}` is no number"))?;
        Ok(Self { channel, value })
    }
}

/// The plan as one document.
#[derive(Debug, Serialize)]
struct Plan {
    devices: u64,
    workers: u32,
    assumed: Settings,
    channels: BTreeMap<Channel, Forecast>,
    last_ms: u64,
}

/// Prints the plan.
pub fn run(args: &Args, out: &mut impl Write) -> Result<bool> {
    let plan = plan(args)?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&plan)?)?;
    } else {
        print(&plan, out)?;
    }
    Ok(true)
}

fn plan(args: &Args) -> Result<Plan> {
    let config = config::load(args.config.as_deref(), &[])?;
    let mut assumed = config.forecast.clone();
    assumed.cores = args.cores.unwrap_or(assumed.cores);
    assumed.round_trip_ms = args.round_trip_ms.unwrap_or(assumed.round_trip_ms);
    if args.workers == 0 {
        return Err(BadInput("--workers must not be 0".to_owned()).into());
    }
    let problems = assumed.problems();
    if !problems.is_empty() {
        return Err(BadInput(problems.join("\n")).into());
    }
    let mut bounds = channel::bounds(&config.channel);
    for Of { channel, value } in &args.per_minute {
        bounds.entry(*channel).or_default().per_minute = Some(*value);
    }
    let workers = u64::from(args.workers);
    let of_all = |bounds: Bounds| Bounds {
        in_flight: bounds.in_flight.map(|count| count.saturating_mul(workers)),
        ..bounds
    };
    let bounds = bounds.into_iter().map(|(channel, bounds)| (channel, of_all(bounds))).collect();
    let whole = Settings { cores: assumed.cores * f64::from(args.workers), ..assumed.clone() };
    let channels = Outlook { settings: whole, bounds }.forecast(shares(args)?);
    let last_ms = channels.values().map(|one| one.last_ms).max().unwrap_or_default();
    Ok(Plan { devices: args.devices, workers: args.workers, assumed, channels, last_ms })
}

/// The devices of each channel.
fn shares(args: &Args) -> Result<BTreeMap<Channel, u64>> {
    let given: BTreeMap<Channel, f64> = match args.share.as_slice() {
        [] => SHARES.into(),
        given => given.iter().map(|one| (one.channel, one.value)).collect(),
    };
    let whole: f64 = given.values().sum();
    let sane = given.values().all(|part| part.is_finite() && *part >= 0.0) && whole > 0.0;
    if !sane {
        return Err(BadInput("--share: parts must be 0 or more, and not all 0".to_owned()).into());
    }
    let devices = |part: f64| (args.devices as f64 * part / whole).round() as u64;
    Ok(given.into_iter().map(|(channel, part)| (channel, devices(part))).collect())
}

fn print(plan: &Plan, out: &mut impl Write) -> Result<()> {
    let Settings { round_trip_ms, cores, .. } = &plan.assumed;
    writeln!(
        out,
        "{} devices, {} worker(s) of {cores} cores, {round_trip_ms} ms to a provider and back, \
         every push accepted at the first try",
        plan.devices, plan.workers
    )?;
    writeln!(
        out,
        "{:<10} {:>10} {:>10} {:>10} {:>10} {:>10}  limited by",
        "channel", "devices", "a second", "half", "99 %", "last"
    )?;
    for (channel, one) in &plan.channels {
        writeln!(
            out,
            "{:<10} {:>10} {:>10.0} {:>10} {:>10} {:>10}  {}",
            channel.as_str(),
            one.devices,
            one.per_second,
            time(one.p50_ms),
            time(one.p99_ms),
            time(one.last_ms),
            advice(one.limited_by)
        )?;
    }
    writeln!(out, "everybody after {}", time(plan.last_ms))?;
    Ok(())
}

fn advice(limit: Limit) -> &'static str {
    match limit {
        Limit::Quota => "the provider's quota: ask for a higher one",
        Limit::RoundTrip => "the round trip: allow more connections or streams",
        Limit::Processors => "the processors: more cores or workers",
    }
}

fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{:.1} s", ms as f64 / 1000.0),
        _ => format!("{:.1} min", ms as f64 / 60_000.0),
    }
}
