//! What the registry and the ledger do in a second: `cargo bench --bench registry`.
//! `LOA_BENCH_DEVICES` (100,000 when unset) says how many devices the registry holds;
//! `LOA_BENCH_REDIS=redis://HOST:PORT` puts it on that (empty) Redis.

use std::collections::BTreeSet;
use std::env;
use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use loa::clock::Clock;
use loa::domain::audience::{AreaAudience, Audience, AudienceUnit, Boundaries, Coverage};
use loa::domain::channel::{ApnsEnvironment, Channel, FcmAddressKind, PushAddress};
use loa::domain::device::{Place, Profile};
use loa::domain::dispatch::{Dispatch, DispatchId, Scope};
use loa::domain::ids::{DeviceId, DeviceNum, PublicationId, Seq, UnitCode};
use loa::domain::lane::Lane;
use loa::domain::receipt::{Receipt, Stage};
use loa::store::ledger::{self, AcceptedAt, Ledger, Progress, Saved};
use loa::store::redis::{self, Redis};
use loa::store::registry::{self, NewDevice, Range, Registry};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Commune-level units of the city.
const UNITS: u64 = 168;
/// Dispatches that a worker scans for at once; `fanout.dispatches_routine`, the fewest there are.
const SCANS: u64 = 8;
/// Callers at once where group commit is measured.
const CALLERS: u64 = 100;

fn unit(number: u64) -> UnitCode {
    (26_734 + number % UNITS).to_string().parse().expect("a unit code")
}

/// Two thirds Android, one third iPhone; one place each.
fn device(number: u64) -> NewDevice {
    let address = match number % 3 {
        0 => PushAddress::Apns {
            token: format!("{number:064x}"),
            environment: ApnsEnvironment::Production,
            topic: "vn.loa.app".into(),
        },
        _ => PushAddress::Fcm {
            kind: FcmAddressKind::Token,
            value: format!("{number:022x}:APA91b{number:0134x}"),
        },
    };
    // Ids as phones make them: random. SplitMix spreads the number over the 128 bits.
    let mixed = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    NewDevice {
        id: DeviceId(Uuid::from_u128(mixed)),
        secret_hash: [number as u8; 32],
        profile: Profile {
            address,
            places: vec![Place {
                unit: unit(number.wrapping_mul(2_654_435_761) >> 16),
                cell: None,
            }],
            languages: vec!["vi".into()],
            muted: BTreeSet::new(),
            quiet_hours: None,
            location_consent: None,
            exercises: false,
            app_version: Some("1.0.0".into()),
        },
        subject: None,
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// Loads a registry, tells what that took and opens it again.
fn loaded(runtime: &Runtime, devices: u64) -> (TempDir, Registry) {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = registry::Settings::at(dir.path());
    let server = env::var("LOA_BENCH_REDIS").ok().map(|url| url.parse().expect("an address"));
    let server = server.map(redis::Settings::single);
    let open = || {
        let opening = async {
            match &server {
                Some(server) => {
                    let redis = Redis::open(server).await?;
                    Registry::shared(redis, settings.shards, Clock::System).await
                }
                None => Registry::open(&settings, Clock::System).await,
            }
        };
        runtime.block_on(opening).expect("it opens")
    };
    let memory = || server.as_ref().map(|server| runtime.block_on(used_memory(server)));
    let (registry, before) = (open(), memory());
    let start = Instant::now();
    runtime.block_on(registry.bulk_load((0..devices).map(device))).expect("loaded");
    let load = start.elapsed();
    drop(registry);
    let start = Instant::now();
    let registry = open();
    let again = start.elapsed();
    let bytes = match memory().zip(before) {
        Some((after, before)) => after - before,
        None => dir.path().join("registry.db").metadata().expect("a file").len(),
    };
    eprintln!(
        "{devices} devices: loaded in {load:.1?}, opened in {again:.1?}, {} MB, {} bytes each",
        bytes / 1_000_000,
        bytes / devices.max(1)
    );
    (dir, registry)
}

async fn used_memory(server: &redis::Settings) -> u64 {
    let redis = Redis::open(server).await.expect("it opens");
    let mut ask = ::redis::cmd("INFO");
    let info: String = redis.ask(ask.arg("memory")).await.expect("an answer");
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.expect("it says so").trim().parse().expect("a number")
}

fn registry(criterion: &mut Criterion) {
    let devices = env::var("LOA_BENCH_DEVICES").ok().and_then(|text| text.parse().ok());
    let devices: u64 = devices.unwrap_or(100_000);
    let runtime = runtime();
    let (_dir, registry) = loaded(&runtime, devices);
    let upto = runtime.block_on(registry.last_seq()).expect("the newest");

    let mut group = criterion.benchmark_group("registry");
    group.throughput(Throughput::Elements(UNITS));
    let units = (0..UNITS).map(|number| AudienceUnit {
        code: unit(number),
        share: 1.0,
        coverage: Coverage::Whole,
    });
    let area = AreaAudience {
        boundaries: Boundaries::Imported,
        vintage: "2025-07".parse().expect("a vintage"),
        units: units.collect(),
    };
    let audience = Audience::Area(area);
    group.bench_function(BenchmarkId::new("estimate_city", devices), |bencher| {
        bencher.iter(|| runtime.block_on(registry.estimate(black_box(&audience))));
    });

    let in_range = |number: u64| {
        let shard = (number % u64::from(registry.shards())) as u16;
        Range { unit: unit(number), channel: Channel::Fcm, shard, after: Seq(0), upto }
    };
    let page = runtime.block_on(registry.scan(&in_range(0), 1000)).expect("a page").len();
    group.throughput(Throughput::Elements(page as u64));
    let mut number = 0;
    group.bench_function(BenchmarkId::new("scan_page", page), |bencher| {
        bencher.iter(|| {
            number += 1;
            runtime.block_on(registry.scan(&in_range(number), page)).expect("a page").len()
        });
    });

    // A worker scans for several dispatches at once: one page is taken apart while others are read.
    group.throughput(Throughput::Elements(SCANS * page as u64));
    group.bench_function(BenchmarkId::new("scan_worker", SCANS), |bencher| {
        bencher.iter(|| {
            let scans = (number..number + SCANS).map(|number| {
                let (registry, range) = (registry.clone(), in_range(number));
                runtime.spawn(async move { registry.scan(&range, page).await })
            });
            number += SCANS;
            let scans: Vec<_> = scans.collect();
            runtime.block_on(try_join_all(scans)).expect("no panic")
        });
    });

    group.throughput(Throughput::Elements(CALLERS));
    let mut next = devices;
    group.bench_function(BenchmarkId::new("register", CALLERS), |bencher| {
        bencher.iter(|| {
            let registrations = (next..next + CALLERS).map(|number| {
                let registry = registry.clone();
                runtime.spawn(async move { registry.register(device(number)).await })
            });
            next += CALLERS;
            let registrations: Vec<_> = registrations.collect();
            runtime.block_on(try_join_all(registrations)).expect("no panic")
        });
    });
    group.finish();
}

fn progress(publication: PublicationId, number: u64) -> Progress {
    let scope = Scope::Range { unit: unit(number), shard: (number / UNITS) as u16, upto: Seq(1) };
    let mut progress = Progress::new(Dispatch {
        id: DispatchId::of(publication, Channel::Fcm, &scope, false),
        publication,
        channel: Channel::Fcm,
        lane: Lane::Emergency,
        expires: Timestamp::MAX,
        scope,
        reached_by: vec![],
    });
    progress.counts.accepted = 15_000;
    progress.counts.failed.insert("UNREGISTERED".into(), 12);
    (1..2000).step_by(7).for_each(|ms| progress.accepted_ms.record(ms));
    progress.unreached.extend((0..100).map(|seq| seq * 90_001));
    progress
}

fn ledger(criterion: &mut Criterion) {
    let runtime = runtime();
    let dir = tempfile::tempdir().expect("a directory");
    let settings = ledger::Settings { dir: dir.path().into() };
    let ledger = runtime.block_on(Ledger::start(&settings, Clock::System)).expect("it opens");
    let publication = PublicationId(Uuid::now_v7());
    // A city-wide alert: every unit, four shards, three channels.
    let mut all: Vec<_> = (0..UNITS * 12).map(|number| progress(publication, number)).collect();
    runtime
        .block_on(try_join_all(all.iter().map(async |one| {
            ledger.open(&one.dispatch).await?;
            ledger.save(one).await
        })))
        .expect("saved");

    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(CALLERS * 10));
    group.bench_function(BenchmarkId::new("save", CALLERS), |bencher| {
        bencher.iter(|| {
            let workers = all.drain(..CALLERS as usize).map(|mut progress| {
                let ledger = ledger.clone();
                runtime.spawn(async move {
                    for _ in 0..10 {
                        progress.intent.0 += 1;
                        let saved = ledger.save(&progress).await.expect("an answer");
                        assert_eq!(saved, Saved::Saved);
                    }
                    progress
                })
            });
            let workers: Vec<_> = workers.collect();
            all.extend(runtime.block_on(try_join_all(workers)).expect("no panic"));
        });
    });

    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("funnel", UNITS * 12), |bencher| {
        bencher.iter(|| runtime.block_on(ledger.funnel(publication)).expect("a funnel"));
    });

    let accepted_at = AcceptedAt::from([(publication, Timestamp::UNIX_EPOCH)]);
    let mut next = 0u64;
    group.throughput(Throughput::Elements(1000));
    group.bench_function("receipts", |bencher| {
        bencher.iter(|| {
            let batch = (next..next + 1000).map(|number| Receipt {
                publication,
                // Scattered over the ten million numbers of a whole city.
                device: DeviceNum(number.wrapping_mul(2_654_435_761) % 10_000_000),
                channel: Channel::Fcm,
                unit: Some(unit(number)),
                stage: Stage::Received,
                at: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(2),
            });
            next += 1000;
            runtime.block_on(ledger.record_receipts(batch.collect(), &accepted_at))
        });
    });
    group.finish();
}

criterion_group!(benches, registry, ledger);
criterion_main!(benches);
