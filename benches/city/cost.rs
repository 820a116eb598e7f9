//! What a push costs us, from the registry to the counted answer: CPU of a node whose simulated
//! providers are a process of their own (this program again). `[forecast.cpu_us]` comes from it.

use std::io::Read;
use std::process::Stdio;

use anyhow::{Context, Result};
use loa::channel::{self, apns, fcm, http2, throttle, webpush};
use loa::config::secret::Secret;
use loa::simulator::citizens::{Mix, Population};
use loa::simulator::providers::{Options, Providers};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use crate::report::{Row, Table, cpu_seconds, median};
use crate::stage::{Heat, Stage};

const DEVICES: u32 = 100_000;
const ALERTS: usize = 3;
/// Tells the process that it is to be the providers.
const JOB: &str = "LOA_BENCH_PROVIDERS";

/// What a node must know of the providers.
#[derive(Clone, Serialize, Deserialize)]
struct Known {
    apns: Url,
    fcm: Url,
    webpush: Url,
    webpush_key: String,
    ca_pem: String,
    key: String,
    key_id: String,
    team_id: String,
    account: String,
    topic: String,
}

/// Whether this process was started as the providers.
pub fn job() -> bool {
    std::env::var_os(JOB).is_some()
}

/// The providers, until the standard input ends.
pub async fn provide() -> Result<()> {
    let providers = Providers::start(Options::default()).await?;
    let known = Known {
        apns: providers.apns_url.clone(),
        fcm: providers.fcm_url.clone(),
        webpush: providers.webpush_url.clone(),
        webpush_key: providers.webpush_key.expose().to_owned(),
        ca_pem: providers.ca_pem.clone(),
        key: providers.apns_key.pem.expose().to_owned(),
        key_id: providers.apns_key.key_id.clone(),
        team_id: providers.apns_key.team_id.clone(),
        account: providers.fcm_service_account_json.expose().to_owned(),
        topic: providers.topic.clone(),
    };
    println!("{}", serde_json::to_string(&known)?);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    providers.stop().await;
    Ok(())
}

/// Runs it.
pub async fn run(table: &mut Table) -> Result<()> {
    // Of a thousand devices: on APNs, on FCM, browsers with Web Push.
    for (name, [apns, fcm, browsers]) in
        [("apns", [1000, 0, 0]), ("fcm", [0, 1000, 0]), ("webpush", [0, 0, 1000])]
    {
        let mix = Mix { apns, fcm, second_place: 0, ..Mix::default() };
        let mut cpu_us = broadcasts(mix, browsers).await?;
        let row = Row::new(format!("cost: CPU of a push over {name}"), median(&mut cpu_us), "us");
        table.add(row);
    }
    Ok(())
}

/// The providers in a process of their own.
pub struct Outside {
    process: Child,
    known: Known,
}

impl Outside {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .env(JOB, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("piped")?).lines();
        let line = lines.next_line().await?.context("the providers ended")?;
        Ok(Self { process, known: serde_json::from_str(&line)? })
    }

    /// How a node reaches them.
    pub fn settings(&self) -> Result<channel::Settings> {
        settings(self.known.clone())
    }

    /// Ends it.
    pub async fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().await?;
        Ok(())
    }
}

async fn broadcasts(mix: Mix, browsers: u32) -> Result<Vec<f64>> {
    let outside = Outside::start().await?;
    let service = outside.known.webpush.clone();
    let mut stage = Stage::over(outside.settings()?, None).await?;
    let units = stage.units();
    let people = Population::new(&stage.node.parts.city, DEVICES, (5, mix));
    let people = people.with_webpush(browsers, &service);
    stage.register((0..DEVICES).map(move |index| people.device(index))).await?;
    // The first opens connections and fetches tokens; it goes to few.
    let warm = stage.publish(Heat::Hot, &units[..3]).await?;
    stage.quiet(warm.id).await?;
    let mut cpu_us = Vec::new();
    for _ in 0..ALERTS {
        let before = cpu_seconds()?;
        let alert = stage.publish(Heat::Hot, &units).await?;
        stage.quiet(alert.id).await?;
        cpu_us.push((cpu_seconds()? - before) * 1e6 / f64::from(DEVICES));
    }
    stage.strike().await?;
    outside.end().await?;
    Ok(cpu_us)
}

fn settings(known: Known) -> Result<channel::Settings> {
    let http2 = http2::Settings { ca_pem: Some(known.ca_pem), ..http2::Settings::default() };
    let throttle = throttle::Settings { per_minute: Some(0), ..throttle::Settings::default() };
    let apns = apns::Settings {
        production: known.apns.clone(),
        sandbox: known.apns,
        credentials: apns::Credentials {
            team_id: known.team_id,
            key_id: known.key_id,
            key: Some(Secret::new(known.key)),
            ..apns::Credentials::default()
        },
        apps: vec![apns::App { bundle_id: known.topic, ..apns::App::default() }],
        http2: http2.clone(),
        throttle: throttle.clone(),
    };
    let fcm = fcm::Settings {
        endpoint: known.fcm,
        service_account: Some(Secret::new(known.account)),
        http2: http2.clone(),
        throttle: throttle.clone(),
        ..fcm::Settings::default()
    };
    let host = known.webpush.host_str().context("a host")?;
    let port = known.webpush.port_or_known_default().context("a port")?;
    let webpush = webpush::Settings {
        contact: "mailto:bench@loa.example".to_owned(),
        key: Some(Secret::new(known.webpush_key)),
        private: vec![format!("{host}:{port}")],
        http2,
        throttle,
        ..webpush::Settings::default()
    };
    Ok(channel::Settings { apns: Some(apns), fcm: Some(fcm), webpush: Some(webpush) })
}
