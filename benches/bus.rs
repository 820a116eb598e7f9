//! The log: one durable append against one bare synchronisation of a preallocated file in the same
//! run, and records a second when many publish at once.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use loa::bus::{Bus, Record, Settings, TopicId};
use loa::clock::Clock;
use loa::domain::lane::Lane;
use tokio::runtime::Runtime;

const TOPIC: TopicId = TopicId::Publications(Lane::Emergency);
const PAYLOAD_BYTES: usize = 512;
const PREALLOCATED_BYTES: usize = 16 * 1024 * 1024;
const PUBLISHERS: usize = 512;
const PAIRS: usize = 2_000;

fn record(n: usize) -> Record {
    let headers = vec![("ce_id".to_owned(), n.to_string())];
    Record { key: n.to_string(), headers, payload: vec![b'x'; PAYLOAD_BYTES].into() }
}

fn open(runtime: &Runtime, dir: &Path) -> Bus {
    runtime.block_on(Bus::open(&Settings::new(dir), Clock::System)).expect("the log opens")
}

fn preallocated(dir: &Path) -> File {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(dir.join("bare"));
    let file = file.expect("a file");
    file.write_all_at(&vec![0; PREALLOCATED_BYTES], 0).expect("zeroed");
    file.sync_all().expect("synchronised");
    file
}

fn bare_append(file: &File, n: usize) {
    let place = (n * PAYLOAD_BYTES) % PREALLOCATED_BYTES;
    file.write_all_at(&[b'x'; PAYLOAD_BYTES], place as u64).expect("written");
    file.sync_data().expect("synchronised");
}

/// Appends and bare synchronisations in turn, so that other load on the machine meets both alike.
fn medians(runtime: &Runtime, bus: &Bus, file: &File) -> (Duration, Duration) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for n in 0..PAIRS {
        let start = Instant::now();
        runtime.block_on(bus.publish(TOPIC, vec![record(n)])).expect("published");
        ours.push(start.elapsed());
        let start = Instant::now();
        bare_append(file, n);
        bare.push(start.elapsed());
    }
    ours.sort_unstable();
    bare.sort_unstable();
    (ours[PAIRS / 2], bare[PAIRS / 2])
}

fn bus(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let (bus, file) = (open(&runtime, dir.path()), preallocated(dir.path()));
    let (ours, bare) = medians(&runtime, &bus, &file);
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!("lone append p50 {ours:?}, bare fdatasync p50 {bare:?}: {ratio:.2} times");

    let mut group = criterion.benchmark_group("bus");
    group.sample_size(20);
    let mut n = 0;
    group.bench_function("lone durable append", |bench| {
        bench.iter(|| {
            n += 1;
            runtime.block_on(bus.publish(TOPIC, vec![record(n)])).expect("published")
        });
    });
    group.bench_function("bare fdatasync, preallocated", |bench| {
        bench.iter(|| {
            n += 1;
            bare_append(&file, n);
        });
    });
    group.throughput(Throughput::Elements(PUBLISHERS as u64));
    group.bench_function("512 publishers at once, a record each", |bench| {
        bench.iter(|| {
            let publishes = (0..PUBLISHERS).map(|n| bus.publish(TOPIC, vec![record(n)]));
            runtime.block_on(join_all(publishes))
        });
    });
    group.bench_function("one call with 512 records", |bench| {
        bench.iter(|| {
            let records = (0..PUBLISHERS).map(record).collect();
            runtime.block_on(bus.publish(TOPIC, records)).expect("published")
        });
    });
    group.finish();
}

criterion_group!(benches, bus);
criterion_main!(benches);
