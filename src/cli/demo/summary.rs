//! What an alert of the demo did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::channel::Channel;
use crate::domain::funnel::{Counts, Funnel};
use crate::geofence::City;
use crate::simulator::citizens;

/// Units printed; the rest is counted.
const UNITS_SHOWN: usize = 12;

/// One alert, watched to its end.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The publication's id.
    pub publication: String,
    /// What it was.
    pub name: String,
    /// Devices in its audience, each once.
    pub targeted: u64,
    /// Taken by a provider, or written to a socket.
    pub accepted: u64,
    /// The app said it has it.
    pub received: u64,
    /// The app said it was on the screen.
    pub shown: u64,
    /// Failed for good, by reason; dead addresses among them.
    pub failed: BTreeMap<String, u64>,
    /// Not sent before the expiry.
    pub expired: u64,
    /// Times a device saw it again.
    pub duplicates: u64,
    /// From the publisher's request to the device, in milliseconds, measured on the devices.
    pub latency_ms: LatencyMs,
    /// By channel.
    pub channels: BTreeMap<Channel, Counts>,
    /// By unit.
    pub units: BTreeMap<String, Counts>,
    /// How true the boundaries were.
    pub boundaries: &'static str,
    #[serde(skip)]
    seen: u64,
    #[serde(skip)]
    names: BTreeMap<String, String>,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LatencyMs {
    /// The first device.
    pub first: f64,
    /// Half of them.
    pub p50: f64,
    /// Ninety-nine of a hundred.
    pub p99: f64,
    /// The last.
    pub last: f64,
}

impl Summary {
    /// From the node's funnel and from what the devices saw.
    pub fn of(
        name: &str,
        (targeted, funnel): (u64, Funnel),
        seen: citizens::Summary,
        city: &City,
    ) -> Self {
        let mut failed = funnel.total.failed.clone();
        if funnel.total.dead > 0 {
            failed.insert("dead_address".to_owned(), funnel.total.dead);
        }
        let unit_name = |code: &crate::domain::ids::UnitCode| {
            city.unit(code).map_or(String::new(), |unit| unit.name.clone())
        };
        let round = |ms: f64| (ms * 10.0).round() / 10.0;
        Self {
            publication: funnel.publication.to_string(),
            name: name.to_owned(),
            targeted,
            accepted: funnel.total.accepted,
            received: funnel.total.received,
            shown: funnel.total.shown,
            failed,
            expired: funnel.total.expired,
            duplicates: seen.repeats,
            latency_ms: LatencyMs {
                first: round(seen.first),
                p50: round(seen.p50),
                p99: round(seen.p99),
                last: round(seen.last),
            },
            names: funnel.units.keys().map(|code| (code.to_string(), unit_name(code))).collect(),
            units: funnel
                .units
                .into_iter()
                .map(|(code, counts)| (code.to_string(), counts))
                .collect(),
            channels: funnel.channels,
            boundaries: city.boundaries().as_str(),
            seen: seen.devices,
        }
    }

    /// Whether every device of the audience saw it, and the node knows.
    pub fn everyone_reached(&self) -> bool {
        self.seen == self.targeted && self.received == self.targeted
    }

    /// Prints it for people.
    pub fn print(&self) {
        let latency = self.latency_ms;
        println!("\n{}  ({} boundaries)", self.name, self.boundaries);
        println!(
            "  targeted {}  accepted {}  received {}  shown {}  expired {}  duplicates {}",
            self.targeted, self.accepted, self.received, self.shown, self.expired, self.duplicates
        );
        for (reason, count) in &self.failed {
            println!("  failed, {reason}: {count}");
        }
        println!(
            "  first {:.1} ms  median {:.1} ms  99 % {:.1} ms  last {:.1} ms",
            latency.first, latency.p50, latency.p99, latency.last
        );
        for (channel, counts) in &self.channels {
            println!(
                "  {:<10} accepted {:>8}  received {:>8}  shown {:>8}",
                channel.as_str(),
                counts.accepted,
                counts.received,
                counts.shown
            );
        }
        let mut units: Vec<_> = self.units.iter().collect();
        units.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.targeted));
        for (code, counts) in units.iter().take(UNITS_SHOWN) {
            let name = self.names.get(*code).map_or("", String::as_str);
            println!(
                "  {code}  {name:<28} targeted {:>7}  received {:>7}",
                counts.targeted - counts.skipped.min(counts.targeted),
                counts.received
            );
        }
        if units.len() > UNITS_SHOWN {
            println!("  … and {} more units", units.len() - UNITS_SHOWN);
        }
    }
}
