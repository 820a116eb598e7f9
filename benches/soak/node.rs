//! The node, in a process of its own: the program's code and settings, with everything embedded in
//! a data directory. Only what would take days is made short: how long what is over is kept, and
//! how often it is looked for.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use loa::clock::Clock;
use loa::config::retention::Periods;
use loa::config::{self, Config};
use loa::domain::agency::{Agency, Jurisdiction};
use loa::domain::ids::{AgencyId, SubjectId};
use loa::node::housekeeping::tidy;
use loa::node::{Node, Outside, Parts};
use loa::telemetry;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::known::Known;
use crate::pipe;
use crate::plan::{Plan, signed};

/// The job's name.
pub const JOB: &str = "node";
/// A device that moved is remembered so long (`node::housekeeping`).
const DEPARTED: SignedDuration = SignedDuration::from_hours(48);
/// A status change lives so long (`ingest::status`).
const STATUS_LIFE: SignedDuration = SignedDuration::from_hours(72);
/// The log keeps publications and receipts so long (`topics/*.toml`).
const LOGGED: SignedDuration = SignedDuration::from_hours(72);
/// Publications that a gateway remembers of each partition. Its default is reached after hours at
/// this pace: until then memory would grow as it is meant to.
const REMEMBERED: usize = 64;

/// What the node needs to be told.
#[derive(Serialize, Deserialize)]
pub struct Orders {
    /// Its data directory.
    pub dir: PathBuf,
    /// Its providers.
    pub known: Known,
}

/// What it answers.
#[derive(Serialize, Deserialize)]
pub struct Ready {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key of an agency that may publish anything.
    pub key: String,
}

/// Runs the node until the standard input ends.
pub async fn serve() -> Result<()> {
    let (plan, orders) = (Plan::of_environment()?, pipe::orders::<Orders>()?);
    let webpush = orders.known.webpush.clone();
    let config = settings(orders)?;
    telemetry::install(&config.log)?;
    let outside = Outside { clock: Clock::System, listener: None, simulated: true };
    let node = Node::start(&config, outside).await?;
    let people = plan.people(&node.parts.city, &webpush);
    let device = move |index: u32| {
        let mut device = people.device(index);
        device.subject = plan.is_citizens(index).then(|| subject(index));
        device
    };
    node.parts.registry.bulk_load((0..plan.devices).map(device)).await?;
    let key = agency(&node).await?;
    pipe::answer(&Ready { address: node.address, key })?;
    let mut questions = pipe::questions::<()>();
    keep_house(plan, &node.parts, &mut questions).await?;
    node.stop().await
}

/// The citizen whose device this is.
pub fn subject(device: u32) -> SubjectId {
    format!("soak-{device}").parse().expect("a subject")
}

fn settings(orders: Orders) -> Result<Config> {
    let plenty = || "1000000".to_owned();
    let flags = [
        ("node.data_dir", orders.dir.display().to_string()),
        ("node.listen", "127.0.0.1:0".to_owned()),
        ("log.filter", "warn".to_owned()),
        ("http.requests_per_second", plenty()),
        ("http.request_burst", plenty()),
        ("http.credential_requests_per_second", plenty()),
        ("http.credential_request_burst", plenty()),
        ("gateway.streams_per_address", plenty()),
        ("gateway.new_streams_per_second", plenty()),
        ("gateway.new_streams_burst", plenty()),
        ("gateway.ring_publications", REMEMBERED.to_string()),
    ];
    let mut config = config::load(None, &flags)?;
    config.channel = orders.known.settings()?;
    Ok(config)
}

/// Tidies up as the node itself does, but often, and with an eye on the clock of two or three days
/// later, until the standard input ends.
async fn keep_house(plan: Plan, parts: &Parts, questions: &mut mpsc::Receiver<()>) -> Result<()> {
    let mut due = tokio::time::interval(plan.tidy());
    loop {
        tokio::select! {
            _ = due.tick() => {}
            more = questions.recv() => {
                if more.is_none() {
                    return Ok(());
                }
            }
        }
        let ahead = DEPARTED - signed(plan.life() + plan.keep());
        let later = Clock::manual(Timestamp::now() + ahead);
        let parts = Parts { clock: later, ..parts.clone() };
        tidy(&parts, &periods(plan, ahead)).await;
        let logged = Timestamp::now() + (LOGGED - signed(plan.keep()));
        parts.bus.trim(logged).await.context("the log")?;
    }
}

/// How long each kind is kept, seen from a clock that is so far ahead.
fn periods(plan: Plan, ahead: SignedDuration) -> Periods {
    let (life, keep) = (signed(plan.life()), signed(plan.keep()));
    let days = SignedDuration::from_hours(24 * 400);
    Periods {
        alerts: ahead + keep,
        // From the acceptance too: whoever waits for emergencies must find it yet.
        personal: ahead + life - STATUS_LIFE,
        // From the acceptance; two lives, since an alert may be updated at the end of its own.
        receipts: ahead + life + life + keep,
        answers: ahead + keep,
        drafts: ahead + keep,
        devices: days,
    }
}

/// An agency that may publish anything: its key.
async fn agency(node: &Node) -> Result<String> {
    let id: AgencyId = "soak".parse()?;
    let agency = Agency {
        id: id.clone(),
        name: "soak".to_owned(),
        jurisdiction: Jurisdiction::unlimited(),
        operator: true,
        submission_keys: Default::default(),
        cap_signing: Default::default(),
        second_person: false,
    };
    node.parts.agencies.put(agency).await?;
    let key = node.parts.agencies.add_key(&id, "soak", Timestamp::now(), None).await;
    Ok(key?.expose().to_owned())
}
