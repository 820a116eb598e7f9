//! What a push costs us, from the registry to the counted answer: CPU of a node whose simulated
//! providers are a process of their own. `[forecast.cpu_us]` comes from it.

use anyhow::Result;
use loa::simulator::citizens::{Mix, Population};

use crate::outside::Outside;
use crate::report::{Row, Table, cpu_seconds, median};
use crate::stage::{Heat, Stage};

const DEVICES: u32 = 100_000;
const ALERTS: usize = 3;

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

async fn broadcasts(mix: Mix, browsers: u32) -> Result<Vec<f64>> {
    let outside = Outside::start().await?;
    let service = outside.webpush();
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
