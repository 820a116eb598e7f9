//! The path: from the 202 to the first, median, 99th and last device, and what a lone durable
//! publication costs over the disk's own `fdatasync`.

use std::time::Duration;

use anyhow::Result;
use loa::simulator::citizens::{Mix, Population};

use crate::disk::Bare;
use crate::plot;
use crate::report::{Row, Table, median};
use crate::stage::{Heat, Stage};

/// Devices, and how often.
const SIZES: [(u32, usize); 2] = [(10_000, 5), (100_000, 3)];
const FULL: (u32, usize) = (1_000_000, 1);
/// The devices whose times are told.
const NAMES: [&str; 4] = ["first", "median", "p99", "last"];
/// Lone publications.
const LONE: usize = 200;
/// After a lone publication, until the router has taken it.
const SETTLE: Duration = Duration::from_millis(10);

/// Runs it.
pub async fn run(table: &mut Table, full: bool) -> Result<()> {
    lone(table).await?;
    let mut lines = NAMES.map(|name| (name.to_owned(), Vec::new()));
    for (devices, repeats) in SIZES.into_iter().chain(full.then_some(FULL)) {
        let medians = broadcast(table, devices, repeats).await?;
        for ((_, points), ms) in lines.iter_mut().zip(medians) {
            points.push((f64::from(devices), ms));
        }
    }
    let title = "From the 202 to the devices";
    table.picture("path.svg", plot::growth(title, "ms", &lines)?);
    Ok(())
}

/// The medians of the first, median, 99th and last device, in milliseconds.
async fn broadcast(table: &mut Table, size: u32, repeats: usize) -> Result<[f64; 4]> {
    let mut stage = Stage::set().await?;
    let units = stage.units();
    let mix = Mix { apns: 444, fcm: 556, second_place: 0, ..Mix::default() };
    let people = Population::new(&stage.node.parts.city, size, (2, mix));
    stage.register((0..size).map(move |index| people.device(index))).await?;
    // The first broadcast opens connections and fetches tokens; it is not counted. It goes to few.
    let warm = stage.publish(Heat::Hot, &units[..3]).await?;
    stage.quiet(warm.id).await?;
    let mut found: [Vec<f64>; 4] = Default::default();
    for _ in 0..repeats {
        let alert = stage.publish(Heat::Hot, &units).await?;
        stage.arrivals.reach(alert.id, size as usize).await?;
        let ms = stage.arrivals.ms_since(alert.id, alert.answered_at);
        for (found, share) in found.iter_mut().zip([0.0, 0.5, 0.99, 1.0]) {
            let index = (share * (ms.len() - 1) as f64).round() as usize;
            found.push(ms[index]);
        }
        stage.quiet(alert.id).await?;
    }
    let at = format!("path: {} k devices,", size / 1000);
    let medians = found.map(|mut found| median(&mut found));
    for (name, ms) in NAMES.iter().zip(medians) {
        table.add(Row::new(format!("{at} 202 to {name}"), ms, "ms"));
    }
    let rate = f64::from(size) / medians[3] * 1e3;
    table.add(Row::new(format!("{at} pushes"), rate, "1/s"));
    stage.strike().await?;
    Ok(medians)
}

async fn lone(table: &mut Table) -> Result<()> {
    let mut stage = Stage::set().await?;
    let units = stage.units();
    let mut bare = Bare::preallocate(stage.dir())?;
    let (mut ours, mut disk) = (Vec::new(), Vec::new());
    for number in 0..LONE {
        let alert = stage.publish(Heat::Hot, &units[number % units.len()..][..1]).await?;
        ours.push(alert.took.as_secs_f64() * 1e6);
        tokio::time::sleep(SETTLE).await;
        disk.push(bare.append(&[b'x'; 512])?.as_secs_f64() * 1e6);
    }
    let name = "path: POST of a lone alert to its 202, p50";
    table.add(Row::new(name, median(&mut ours), "us").limit(median(&mut disk)));
    stage.strike().await
}
