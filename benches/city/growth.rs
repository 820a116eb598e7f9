//! Growth: who is meant by a drawn polygon, with a hundred thousand, a million and ten million
//! registered devices. The cost must follow the polygon's border, not the devices.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use loa::clock::Clock;
use loa::domain::audience::{AreaAudience, Audience};
use loa::domain::channel::Channel;
use loa::domain::geo::{LatLon, Ring};
use loa::domain::ids::{Seq, UnitCode};
use loa::domain::notice::AreaTarget;
use loa::geofence::{BUILTIN_CITY, City, MatchSettings, Target};
use loa::simulator::citizens::{Mix, Population};
use loa::store::registry::{self, Entry, Range, Registry};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::plot;
use crate::report::{Row, Table};

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
const FULL: u32 = 10_000_000;
const VERTICES: u32 = 500;
/// Looks at each polygon with each registry, in turn; the fastest counts.
const LOOKS: usize = 60;

/// Name, centre (latitude, longitude), radius in degrees, and the target in milliseconds.
pub type Polygon = (&'static str, (f64, f64), f64, Option<f64>);

/// What is drawn.
pub const POLYGONS: [Polygon; 3] = [
    ("one unit", (10.965, 106.661), 0.008, Some(1.0)),
    ("ten units", (10.78, 106.68), 0.013, None),
    ("85 % of the city", (10.97, 106.75), 0.47, Some(3.0)),
];

/// Members of one page where addresses are listed, and how many are listed.
const PAGE: usize = 10_000;
const LISTED: usize = 1_000_000;

/// Tells the process that it is to open the registry of this directory, and nothing else.
const JOB: &str = "LOA_BENCH_REGISTRY_DIR";

struct Loaded {
    size: u32,
    registry: Registry,
    reopened: Reopened,
    disk_bytes: u64,
    dir: TempDir,
}

/// What it took to open a registry that was there.
#[derive(Debug, Serialize, Deserialize)]
struct Reopened {
    seconds: f64,
    /// Memory of the process, after everybody was counted once, that it had not before.
    anon_bytes: u64,
}

/// The registry that this process was started to open.
pub fn job() -> Option<PathBuf> {
    std::env::var_os(JOB).map(PathBuf::from)
}

/// Opens it, asks it how many are everywhere, and says what that took.
pub async fn reopen(dir: PathBuf) -> Result<()> {
    let city = city()?;
    let audience = Audience::Area(everywhere(&city)?);
    let (start, before) = (Instant::now(), anon_bytes()?);
    let registry = Registry::open(&registry::Settings::at(dir), Clock::System).await?;
    registry.estimate(&audience).await?;
    let seconds = start.elapsed().as_secs_f64();
    let anon_bytes = anon_bytes()?.saturating_sub(before);
    println!("{}", serde_json::to_string(&Reopened { seconds, anon_bytes })?);
    Ok(())
}

/// The same in a process of its own, whose memory nothing was done in before.
fn reopened(dir: &Path) -> Result<Reopened> {
    let mut command = Command::new(std::env::current_exe()?);
    let done = command.env(JOB, dir).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(done.status.success(), "the registry was not opened again");
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// All units, whole.
fn everywhere(city: &City) -> Result<AreaAudience> {
    let units = Target::of_units(city.units().iter().map(|unit| &unit.code));
    Ok(city.match_target(&units, &MatchSettings::default())?.audience)
}

/// Runs it.
pub async fn run(table: &mut Table, full: bool) -> Result<()> {
    let city = city()?;
    let mut all = Vec::new();
    for size in SIZES.into_iter().chain(full.then_some(FULL)) {
        all.push(load(&city, size).await?);
    }
    let largest = all.last().context("at least one size")?;
    of_registry(table, &city, largest).await?;
    let settings = MatchSettings::default();
    let mut lines: Vec<plot::Line> = Vec::new();
    for (name, (lat, lon), radius, target_ms) in POLYGONS {
        let target = target(&ring(lat, lon, radius));
        // Fastest match, and fastest of everything by registry.
        let mut fastest = vec![f64::INFINITY; all.len()];
        let mut matching = f64::INFINITY;
        let mut found = (0, 0);
        for _ in 0..LOOKS {
            for (loaded, fastest) in all.iter().zip(&mut fastest) {
                let start = Instant::now();
                let matched = city.match_target(&target, &settings)?;
                matching = matching.min(start.elapsed().as_secs_f64() * 1e3);
                for channel in Channel::PUSH {
                    loaded.registry.ranges(&matched.audience, channel).await?;
                }
                let audience = Audience::Area(matched.audience);
                let estimate = loaded.registry.estimate(&audience).await?;
                *fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3);
                found = (matched.units.len(), estimate.total);
            }
        }
        let points = all.iter().zip(&fastest).map(|(one, ms)| (f64::from(one.size), *ms));
        lines.push((name.to_owned(), points.collect()));
        let largest = fastest.last().copied().context("at least one size")?;
        let row = Row::new(format!("growth: {name}, {} M devices", millions(&all)), largest, "ms");
        table.add(match target_ms {
            Some(target) => row.at_most(target),
            None => row,
        });
        eprintln!("  {} units, {} places; the match alone {matching:.3} ms", found.0, found.1);
        for (pair, sizes) in fastest.windows(2).zip(all.windows(2)) {
            let name =
                format!("growth: {name}, {} k to {} k", sizes[0].size / 1000, sizes[1].size / 1000);
            table.add(Row::new(name, pair[1], "ms").peer(pair[0]).at_most(1.2));
        }
    }
    let title = "Who a drawn polygon means: match, estimate and ranges";
    table.picture("growth.svg", plot::growth(title, "ms", &lines)?);
    Ok(())
}

fn millions(all: &[Loaded]) -> u32 {
    all.last().map_or(0, |loaded| loaded.size / 1_000_000)
}

async fn load(city: &City, size: u32) -> Result<Loaded> {
    let dir = tempfile::tempdir()?;
    let settings = registry::Settings::at(dir.path());
    let registry = Registry::open(&settings, Clock::System).await?;
    let people = Population::new(city, size, (3, Mix::default()));
    let start = Instant::now();
    registry.bulk_load((0..size).map(move |index| people.device(index))).await?;
    let seconds = start.elapsed().as_secs_f64();
    drop(registry);
    let reopened = reopened(dir.path())?;
    let registry = Registry::open(&settings, Clock::System).await?;
    let disk_bytes = dir.path().join("registry.db").metadata()?.len();
    eprintln!("{size} devices loaded in {seconds:.1} s, {} MB", disk_bytes / 1_000_000);
    Ok(Loaded { size, registry, reopened, disk_bytes, dir })
}

/// What the registry itself costs.
async fn of_registry(table: &mut Table, city: &City, loaded: &Loaded) -> Result<()> {
    let (registry, size) = (&loaded.registry, f64::from(loaded.size));
    let name = format!("registry: {} k devices", loaded.size / 1_000);
    let each = |bytes: u64| bytes as f64 / size;
    table
        .add(Row::new(format!("{name}, opened again"), loaded.reopened.seconds, "s").at_most(20.0));
    table.add(Row::new(format!("{name}, disk each"), each(loaded.disk_bytes), "B").at_most(300.0));
    table.add(
        Row::new(format!("{name}, memory each"), each(loaded.reopened.anon_bytes), "B")
            .at_most(64.0),
    );

    let units = Target::of_units(city.units().iter().map(|unit| &unit.code));
    let mut fastest = f64::INFINITY;
    for _ in 0..LOOKS {
        let start = Instant::now();
        let matched = city.match_target(&units, &MatchSettings::default())?;
        for channel in Channel::PUSH {
            registry.ranges(&matched.audience, channel).await?;
        }
        fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3);
    }
    table.add(Row::new(format!("{name}, all units to ranges"), fastest, "ms").at_most(0.1));

    ids_of(table, &name, city, loaded).await?;
    let listing = listing(registry, city).await?;
    let (bare, listed) = (bare_listing(loaded.dir.path(), &listing)?, listing.rate());
    table.add(Row::new(format!("{name}, listed a second"), listed, "M/s").at_least(2.0));
    let row = Row::new(format!("{name}, listed a second, of bare SQLite"), listed, "M/s");
    table.add(row.limit(bare));
    let seen = listing.again(registry).await?;
    table.add(Row::new(format!("{name}, seen a second"), seen, "M/s").at_least(20.0));
    Ok(())
}

/// Whoever may be inside 85 % of the city, as the ranges that fan-out is given, beside a copy of so
/// many numbers.
async fn ids_of(table: &mut Table, name: &str, city: &City, loaded: &Loaded) -> Result<()> {
    let [.., (_, (lat, lon), radius, _)] = POLYGONS;
    let matched = city.match_target(&target(&ring(lat, lon, radius)), &MatchSettings::default())?;
    let places = loaded.registry.estimate(&Audience::Area(matched.audience.clone())).await?.total;
    let ids: Vec<u32> = (0..u32::try_from(places)?).collect();
    let mut copied = vec![0; ids.len()];
    let (mut fastest, mut copying) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..LOOKS {
        let start = Instant::now();
        for channel in Channel::PUSH {
            black_box(loaded.registry.ranges(&matched.audience, channel).await?);
        }
        fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        copied.copy_from_slice(black_box(&ids));
        black_box(&mut copied);
        copying = copying.min(start.elapsed().as_secs_f64() * 1e3);
    }
    let row = Row::new(format!("{name}, {places} ids as ranges, of a copy"), fastest, "ms");
    table.add(row.limit(copying).at_most(1.5));
    Ok(())
}

/// Who was listed how fast.
struct Listing {
    ranges: Vec<(UnitCode, u16)>,
    devices: usize,
    seconds: f64,
}

impl Listing {
    /// Millions a second.
    fn rate(&self) -> f64 {
        self.devices as f64 / self.seconds / 1e6
    }

    /// The same addresses once more as they lie in the file, which is in memory by then: looked at
    /// one by one and not taken apart. Millions a second.
    async fn again(&self, registry: &Registry) -> Result<f64> {
        let Registry::Embedded(embedded) = registry else { unreachable!("opened in a directory") };
        let upto = registry.last_seq().await?;
        let range = |(unit, shard): &(UnitCode, u16)| {
            let (unit, shard, channel) = (unit.clone(), *shard, Channel::Fcm);
            Range { unit, channel, shard, after: Seq(0), upto }
        };
        let ranges = self.ranges.iter().map(range).collect();
        let look = |(devices, bytes): &mut (usize, usize), entry: &Entry<'_>| {
            *devices += 1;
            *bytes += black_box(entry.address()?).len();
            Ok(true)
        };
        let start = Instant::now();
        let seen = embedded.walk(ranges, (0, 0), look).await?;
        let seconds = start.elapsed().as_secs_f64();
        anyhow::ensure!(seen.0 == self.devices, "{} devices, not {}", seen.0, self.devices);
        Ok(seen.0 as f64 / seconds / 1e6)
    }
}

/// Devices with their addresses, as a worker is given them.
async fn listing(registry: &Registry, city: &City) -> Result<Listing> {
    let mut ranges = registry.ranges(&everywhere(city)?, Channel::Fcm).await?;
    let (upto, mut devices, mut listed) = (registry.last_seq().await?, 0, 0);
    let start = Instant::now();
    for (unit, shard) in &ranges {
        let (unit, shard, channel) = (unit.clone(), *shard, Channel::Fcm);
        let mut range = Range { unit, channel, shard, after: Seq(0), upto };
        loop {
            let page = registry.scan(&range, PAGE).await?;
            let Some(last) = page.last() else { break };
            range.after = last.seq;
            devices += page.iter().filter(|member| member.device.is_some()).count();
        }
        listed += 1;
        if devices >= LISTED {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    ranges.truncate(listed);
    Ok(Listing { ranges, devices, seconds })
}

/// The packs of the same ranges, of whose bytes only the length is looked at: what SQLite alone
/// takes, in millions a second.
fn bare_listing(dir: &Path, listing: &Listing) -> Result<f64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(dir.join("registry.db"), flags)?;
    connection.pragma_update(None, "mmap_size", 64_i64 << 30)?;
    let mut statement = connection.prepare(
        "SELECT p.entries FROM ranges r JOIN packs p ON p.first BETWEEN r.num << 40
             AND (r.num + 1 << 40) - 1
         WHERE r.unit = ?1 AND r.channel = 2 AND r.shard = ?2 ORDER BY p.first",
    )?;
    let start = Instant::now();
    for (unit, shard) in &listing.ranges {
        let mut rows = statement.query((unit.as_str(), shard))?;
        while let Some(row) = rows.next()? {
            black_box(row.get_ref(0)?.as_blob()?.len());
        }
    }
    Ok(listing.devices as f64 / start.elapsed().as_secs_f64() / 1e6)
}

/// Memory of this process that is its own.
fn anon_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kb = line.context("RssAnon")?.trim_end_matches("kB").trim();
    Ok(kb.parse::<u64>()? << 10)
}

/// The true boundaries' file, which `LOA_SHARED` or `../shared` may have.
pub fn boundaries() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("LOA_SHARED").map_or_else(beside, PathBuf::from);
    shared.join("geofences/hcmc.geojson")
}

/// Of the true boundaries where they are, else of the built-in ones.
fn city() -> Result<City> {
    match std::fs::read_to_string(boundaries()) {
        Ok(text) => Ok(City::from_geojson(&text)?),
        Err(_) => {
            eprintln!("true boundaries are not there: measuring on the approximate ones");
            Ok(City::builtin(BUILTIN_CITY)?)
        }
    }
}

/// A wavy ring of 500 vertices around a point, to a millionth of a degree as the console draws.
pub fn ring(lat: f64, lon: f64, radius_degrees: f64) -> Vec<LatLon> {
    let point = |step: u32| {
        let turn = f64::from(step % VERTICES) / f64::from(VERTICES) * std::f64::consts::TAU;
        let radius = radius_degrees * (1.0 + 0.1 * (turn * 12.0).sin());
        let drawn = |degrees: f64| (degrees * 1e6).round() / 1e6;
        let (north, east) = (radius * turn.sin(), radius * turn.cos());
        LatLon::new(drawn(lat + north), drawn(lon + east)).expect("on the globe")
    };
    (0..=VERTICES).map(point).collect()
}

/// A ring as a target.
pub fn target(ring: &[LatLon]) -> Target {
    let polygons = vec![Ring::new(ring.to_vec()).expect("closed")];
    Target::from(&AreaTarget { polygons, ..AreaTarget::default() })
}
