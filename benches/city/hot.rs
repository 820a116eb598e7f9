//! Hot first: an emergency to 5,000 devices on an idle node, and with a routine alert to 50,000
//! in flight, in turn.

use anyhow::{Result, ensure};
use loa::domain::ids::UnitCode;
use loa::simulator::citizens::{Mix, Population};
use loa::store::registry::NewDevice;

use crate::report::{Row, Table, median, quantile};
use crate::stage::{Accepted, Heat, Stage};

const EMERGENCY: u32 = 5_000;
const ROUTINE: u32 = 50_000;
/// Units the emergency is for; the routine alert goes to all the others.
const UNITS: usize = 10;
/// Pairs of an idle and a busy run.
const PAIRS: usize = 5;

/// Runs it.
pub async fn run(table: &mut Table) -> Result<()> {
    let mut stage = Stage::set().await?;
    let units = stage.units();
    let (hot, rest) = (units[..UNITS].to_vec(), units[UNITS..].to_vec());
    let mix = Mix { apns: 444, fcm: 556, second_place: 0, cell: 0, ..Mix::default() };
    let people = Population::new(&stage.node.parts.city, EMERGENCY + ROUTINE, (1, mix));
    let (to_hot, to_rest) = (hot.clone(), rest.clone());
    let devices = (0..people.size()).map(move |index| {
        let units = if index < EMERGENCY { &to_hot } else { &to_rest };
        moved(people.device(index), &units[index as usize % units.len()])
    });
    stage.register(devices).await?;
    // The first broadcast opens connections and fetches tokens.
    alone(&mut stage, &hot).await?;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    let mut overtaken = Vec::new();
    for _ in 0..PAIRS {
        idle.push(alone(&mut stage, &hot).await?);
        let notice = stage.publish(Heat::Routine, &rest).await?;
        stage.arrivals.reach(notice.id, 2_000).await?;
        let alert = stage.publish(Heat::Hot, &hot).await?;
        stage.arrivals.reach(alert.id, EMERGENCY as usize).await?;
        let sent = stage.arrivals.count(notice.id);
        ensure!(sent < ROUTINE as usize, "the routine alert ended first: nothing was overtaken");
        overtaken.push(sent as f64);
        busy.push(p99(&stage, alert));
        stage.arrivals.reach(notice.id, ROUTINE as usize).await?;
        stage.quiet(notice.id).await?;
        stage.quiet(alert.id).await?;
    }
    eprintln!("hot: idle {idle:.0?} ms, busy {busy:.0?} ms, routine sent by then {overtaken:.0?}");
    let (idle, busy) = (median(&mut idle), median(&mut busy));
    let name = "hot first: p99 of 5,000, peer: on an idle node";
    table.add(Row::new(name, busy, "ms").peer(idle).at_most(1.5));
    stage.strike().await
}

async fn alone(stage: &mut Stage, units: &[UnitCode]) -> Result<f64> {
    let alert = stage.publish(Heat::Hot, units).await?;
    stage.arrivals.reach(alert.id, EMERGENCY as usize).await?;
    stage.quiet(alert.id).await?;
    Ok(p99(stage, alert))
}

/// From the request to the provider's acceptance.
fn p99(stage: &Stage, alert: Accepted) -> f64 {
    quantile(&mut stage.arrivals.ms_since(alert.id, alert.asked_at), 0.99)
}

fn moved(mut device: NewDevice, unit: &UnitCode) -> NewDevice {
    for place in &mut device.profile.places {
        place.unit = unit.clone();
    }
    device
}
