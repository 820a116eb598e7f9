//! Peers: who is inside a drawn polygon, asked of our registry in this process, of a real node over
//! HTTP, of PostGIS and of Tile38, one after another, over the same million devices
//! (`LOA_BENCH_DEVICES` names another number).
//!
//! The peers know where each device is to a metre and count those inside; we know a cell of 1.2 by
//! 0.6 km and count whoever may be inside: all of every cell that the polygon touches. So our count
//! is never lower, and is higher by those who are in a cell of the border but outside.

mod line;
mod postgis;
mod tile38;

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use loa::domain::audience::Audience;
use loa::domain::geo::LatLon;
use loa::geofence::MatchSettings;
use loa::simulator::citizens::{Mix, Population};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::growth::{POLYGONS, ring, target};
use crate::report::{Row, Table, median};
use crate::stage::{CAP_XML, Heat, Stage, alert};
use line::Line;
use postgis::Postgis;
use tile38::Tile38;

const DEVICES: u32 = 1_000_000;
/// How often each is asked for each polygon, in a row, as while it is dragged over the map; a first
/// time is not counted.
const ROUNDS: usize = 9;
/// How many times as fast we must be.
const OVER_HTTP: f64 = 100.0;
const IN_PROCESS: f64 = 500.0;
/// How far two peers' counts may differ: points on the very line.
const ON_THE_LINE: u64 = 2;

/// Another who can answer.
enum Peer {
    Postgis(Box<Postgis>),
    Tile38(Box<Tile38>),
}

impl Peer {
    fn name(&self) -> &'static str {
        match self {
            Self::Postgis(_) => "PostGIS",
            Self::Tile38(_) => "Tile38",
        }
    }

    async fn load(&mut self, points: &[LatLon]) -> Result<()> {
        match self {
            Self::Postgis(postgis) => postgis.load(points),
            Self::Tile38(tile38) => tile38.load(points).await,
        }
    }

    /// How many are inside a ring, and how long the answer took.
    async fn count(&mut self, ring: &[LatLon]) -> Result<(u64, Duration)> {
        match self {
            Self::Postgis(postgis) => postgis.count(ring),
            Self::Tile38(tile38) => tile38.count(ring).await,
        }
    }
}

/// What one of us or of them answered to one polygon.
#[derive(Default)]
struct Answers {
    count: u64,
    ms: Vec<f64>,
}

impl Answers {
    fn add(&mut self, round: usize, (count, took): (u64, Duration)) -> Result<()> {
        if round == 0 {
            self.count = count;
            return Ok(());
        }
        ensure!(count == self.count, "{count} devices, and {} before", self.count);
        self.ms.push(took.as_secs_f64() * 1e3);
        Ok(())
    }

    fn fastest(&self) -> f64 {
        self.ms.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Runs it.
pub async fn run(table: &mut Table, only: Option<u32>) -> Result<()> {
    let size = only.unwrap_or(DEVICES);
    let mut stage = Stage::of_true_boundaries().await?;
    let mix = Mix { apns: 350, fcm: 650, second_place: 0, cell: 1000, ..Mix::default() };
    let people = Population::new(&stage.node.parts.city, size, (7, mix));
    let points = (0..size).map(|index| position(&people, index)).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    stage.register((0..size).map(move |index| people.device(index))).await?;
    eprintln!("peers: {size} devices loaded in {:.1?}", began.elapsed());
    let mut peers = Vec::new();
    peers.extend(Postgis::start()?.map(|one| Peer::Postgis(Box::new(one))));
    peers.extend(Tile38::start().await?.map(|one| Peer::Tile38(Box::new(one))));
    for peer in &mut peers {
        let began = Instant::now();
        peer.load(&points).await?;
        eprintln!("peers: {} loaded in {:.1?}", peer.name(), began.elapsed());
    }
    for (name, (lat, lon), radius, _) in POLYGONS {
        let asked = (&stage, &mut peers[..]);
        polygon(table, asked, name, &ring(lat, lon, radius)).await?;
    }
    stage.strike().await
}

/// Somewhere in the device's cell.
fn position(people: &Population, index: u32) -> Result<LatLon> {
    let device = people.device(index);
    let cell = device.profile.places.first().and_then(|place| place.cell);
    let (sw, ne) = cell.context("a device in a cell")?.corners();
    let mut random = StdRng::seed_from_u64(u64::from(index));
    let mut between = |low: f64, high: f64| random.random_range(low..high);
    Ok(LatLon::new(between(sw.lat(), ne.lat()), between(sw.lon(), ne.lon()))?)
}

async fn polygon(
    table: &mut Table,
    (stage, peers): (&Stage, &mut [Peer]),
    name: &str,
    ring: &[LatLon],
) -> Result<()> {
    let (mut inside, mut cap, mut notice) = <(Answers, Answers, Answers)>::default();
    let mut others: Vec<Answers> = peers.iter().map(|_| Answers::default()).collect();
    for round in 0..=ROUNDS {
        inside.add(round, in_process(stage, ring).await?)?;
    }
    for (answers, route) in [(&mut cap, Route::Alert), (&mut notice, Route::Notice)] {
        let mut line = Line::to(stage)?;
        for round in 0..=ROUNDS {
            answers.add(round, over_http(&mut line, route, ring)?)?;
        }
    }
    for (peer, answers) in peers.iter_mut().zip(&mut others) {
        for round in 0..=ROUNDS {
            answers.add(round, peer.count(ring).await?)?;
        }
    }
    for (peer, answers) in peers.iter().zip(&others) {
        ensure!(
            answers.count.abs_diff(others[0].count) <= ON_THE_LINE,
            "{} counts {}, {} counts {}",
            peer.name(),
            answers.count,
            peers[0].name(),
            others[0].count
        );
        ensure!(answers.count <= inside.count, "we count {} too few", inside.count);
        let more = inside.count as f64 / answers.count as f64 * 100.0 - 100.0;
        eprintln!(
            "peers: {name}: {} devices of {}, {} of ours ({more:.2} % more); fastest {:.1} ms",
            answers.count,
            peer.name(),
            inside.count,
            answers.fastest()
        );
    }
    let ways = [
        (&mut inside, "in process", IN_PROCESS),
        (&mut cap, "CAP over HTTP", OVER_HTTP),
        (&mut notice, "a notice over HTTP", OVER_HTTP),
    ];
    for (ours, way, target) in ways {
        let (fastest, ms) = (ours.fastest(), median(&mut ours.ms));
        eprintln!("peers: {name}, {way}: fastest {fastest:.3} ms");
        for (peer, answers) in peers.iter().zip(&mut others) {
            let bench = format!("peers: {name}, {way}, of {}", peer.name());
            let row = Row::new(bench, ms, "ms").times_faster(median(&mut answers.ms));
            table.add(row.at_least(target));
        }
        if peers.is_empty() {
            table.add(Row::new(format!("peers: {name}, {way}"), ms, "ms"));
        }
    }
    Ok(())
}

async fn in_process(stage: &Stage, ring: &[LatLon]) -> Result<(u64, Duration)> {
    let parts = &stage.node.parts;
    let target = target(ring);
    let start = Instant::now();
    let matched = parts.city.match_target(&target, &MatchSettings::default())?;
    let estimate = parts.registry.estimate(&Audience::Area(matched.audience)).await?;
    Ok((estimate.total, start.elapsed()))
}

/// How an agency asks: the whole document, checked as if it were to be published.
#[derive(Clone, Copy)]
enum Route {
    /// A CAP alert in two languages, with the polygon in each.
    Alert,
    /// A notice in one.
    Notice,
}

fn over_http(line: &mut Line, route: Route, ring: &[LatLon]) -> Result<(u64, Duration)> {
    let (path, content, body) = match route {
        Route::Alert => {
            let area = format!("<polygon>{}</polygon>", pairs(ring)?);
            ("/v1/alerts?dry_run=true", CAP_XML, alert(0, Heat::Hot, &area))
        }
        Route::Notice => {
            ("/v1/notices?dry_run=true", "application/json", a_notice(ring).to_string())
        }
    };
    let (answer, took) = line.post(path, content, &body)?;
    let answer: Value = serde_json::from_slice(&answer)?;
    Ok((answer["devices"].as_u64().context("a number of devices")?, took))
}

/// As CAP writes a ring.
fn pairs(ring: &[LatLon]) -> Result<String> {
    let mut text = String::new();
    for point in ring {
        let blank = if text.is_empty() { "" } else { " " };
        write!(text, "{blank}{},{}", point.lat(), point.lon())?;
    }
    Ok(text)
}

fn a_notice(ring: &[LatLon]) -> Value {
    let ring: Vec<[f64; 2]> = ring.iter().map(|point| [point.lat(), point.lon()]).collect();
    json!({
        "identifier": "bench",
        "kind": "news",
        "texts": { "vi": { "title": "Cúp nước", "body": "Cúp nước từ 22 giờ đến 4 giờ sáng." } },
        "target": { "polygons": [ring] },
        "expires": Timestamp::now() + SignedDuration::from_hours(2),
    })
}
