//! The judgement: the last third of the load beside the second, what everybody got beside what they
//! had to get, and the data directory after the load beside that of the warm-up; as rows and as
//! pictures.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use loa::domain::ids::PublicationId;

use crate::course::{self, Panel, Spans};
use crate::plan::Plan;
use crate::report::{Row, Table, median};
use crate::sample::{Disk, Sample};
use crate::tally::{Times, Totals, Window};
use crate::target::{Expected, Set};

/// From the second to the last third nothing grows by more, and nothing takes longer by more.
const GROWTH: f64 = 1.05;
const SLOWER: f64 = 1.2;
/// What is told of times.
const TOLD: f64 = 0.99;

/// What is in the data directory.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Files.
    pub disk: Disk,
    /// Pages in use, and the audit's records on the log.
    pub in_use: (f64, f64),
}

/// The samples of a run.
pub struct Course {
    /// The run.
    pub plan: Plan,
    /// All of them, in order.
    pub samples: Vec<Sample>,
}

/// A figure of a sample.
type Figure = fn(&Sample) -> f64;
/// What came of one road in a sample.
type Came = fn(&Sample) -> &Window;

/// What must be flat, with its unit.
const FLAT: [(&str, &str, Figure); 6] = [
    ("anonymous memory", "MiB", |one| one.process.anonymous),
    ("resident memory", "MiB", |one| one.process.rss),
    ("descriptors", "", |one| one.process.descriptors),
    ("threads", "", |one| one.process.threads),
    ("tables but the audit's", "MiB", |one| Disk::of(&one.files).data),
    ("journals", "MiB", |one| Disk::of(&one.files).journals),
];

impl Course {
    /// The samples of a third of the load, counted from zero.
    fn third(&self, number: u32) -> impl Iterator<Item = &Sample> {
        let third = self.plan.third().as_secs_f64();
        let (from, to) = (third * f64::from(number), third * f64::from(number + 1));
        self.samples.iter().filter(move |one| (from..to).contains(&one.at))
    }

    fn median(&self, number: u32, figure: Figure) -> f64 {
        let mut values: Vec<f64> = self.third(number).map(figure).collect();
        median(&mut values)
    }

    /// By how much a straight line through both judged thirds rises from the middle of one to the
    /// middle of the other, as a factor of where it is at the first.
    fn rise(&self, figure: Figure) -> f64 {
        let points: Vec<(f64, f64)> =
            self.third(1).chain(self.third(2)).map(|one| (one.at, figure(one))).collect();
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (at, value) = (mean(|point| point.0), mean(|point| point.1));
        let both: f64 = points.iter().map(|point| (point.0 - at) * (point.1 - value)).sum();
        let alone: f64 = points.iter().map(|point| (point.0 - at).powi(2)).sum();
        let rise = both / alone * self.plan.third().as_secs_f64();
        (value + rise / 2.0) / (value - rise / 2.0)
    }

    fn times(&self, number: u32, (calm, of): (bool, Came)) -> Times {
        let mut all = Times::default();
        self.third(number)
            .filter(|one| one.is_calm || !calm)
            .for_each(|one| all.merge(&of(one).times));
        all
    }

    /// What must be flat.
    pub fn judge(&self, table: &mut Table) -> Result<()> {
        let few = (1..3).any(|number| self.third(number).count() < 10);
        ensure!(!few, "too few samples to judge by");
        for (name, unit, figure) in FLAT {
            let (second, last) = (self.median(1, figure), self.median(2, figure));
            let row = Row::new(format!("soak: {name}, last third"), last, unit);
            table.add(row.peer(second).at_most(GROWTH));
            let row = Row::new(format!("soak: {name}, rise of the line"), self.rise(figure), "");
            table.add(row.at_most(GROWTH));
        }
        let roads: [(&str, Came); 2] =
            [("push", |one| &one.pushed), ("stream", |one| &one.streamed)];
        for (road, of) in roads {
            for (when, calm) in [("calm", true), ("all turns", false)] {
                for (share, name) in [(0.5, "p50"), (TOLD, "p99")] {
                    let [second, last] = [1, 2].map(|number| {
                        self.times(number, (calm, of)).quantile(share).unwrap_or(f64::NAN)
                    });
                    let name = format!("soak: accepted to {road}, {name}, {when}");
                    let row = Row::new(name, last, "ms").peer(second);
                    // What a fault costs depends on where it strikes.
                    table.add(if calm { row.at_most(SLOWER) } else { row });
                }
            }
        }
        Ok(())
    }

    /// Draws it all.
    pub fn draw(&self, table: &mut Table) -> Result<()> {
        let end = self.samples.last().map_or(1.0, |one| one.at / 60.0);
        let third = self.plan.third().as_secs_f64() / 60.0;
        let marks = (1..=3).map(|number| third * f64::from(number)).collect();
        let spans = Spans { end, marks, shaded: self.shaded() };
        let line = |name: &'static str, figure: &dyn Fn(&Sample) -> Option<f64>| {
            let point = |one: &Sample| Some((one.at / 60.0, figure(one)?));
            (name, self.samples.iter().filter_map(point).collect::<Vec<_>>())
        };
        let whole: Vec<_> = FLAT
            .iter()
            .map(|(name, _, figure)| line(name, &|one: &Sample| Some(figure(one))))
            .collect();
        let panel = |title: &str, unit, lines| Panel { title: title.to_owned(), unit, lines };
        let memory = panel("Memory of the node", "MiB", vec![whole[1].clone(), whole[0].clone()]);
        let open = panel("Descriptors and threads", "", vec![whole[2].clone(), whole[3].clone()]);
        let audit = line("audit", &|one| Some(Disk::of(&one.files).audit));
        let disk = panel("Data directory", "MiB", vec![whole[4].clone(), whole[5].clone(), audit]);
        let late =
            |of: Came, share: f64| move |one: &Sample| Some(of(one).times.quantile(share)? / 1e3);
        let pushed = |one: &Sample| -> Option<f64> { late(|one| &one.pushed, TOLD)(one) };
        let streamed = |one: &Sample| -> Option<f64> { late(|one| &one.streamed, TOLD)(one) };
        let middle = |one: &Sample| -> Option<f64> { late(|one| &one.pushed, 0.5)(one) };
        let times = panel(
            "From the acceptance, in the seconds before",
            "s",
            vec![
                line("push, p99", &pushed),
                line("stream, p99", &streamed),
                line("push, p50", &middle),
            ],
        );
        let rate = panel(
            "Pushes in the seconds before",
            "",
            vec![line("pushes", &|one| Some(one.pushed.arrived as f64))],
        );
        let title = "A soak: shaded is when something goes wrong, lines part the thirds";
        table.picture("soak.svg", course::draw(title, &spans, &[memory, open, disk, times, rate])?);
        Ok(())
    }

    fn shaded(&self) -> Vec<(f64, f64)> {
        let mut spans: Vec<(f64, f64)> = Vec::new();
        let mut was = false;
        for one in &self.samples {
            let (minutes, is) = (one.at / 60.0, one.trouble != "calm");
            match (was, spans.last_mut()) {
                (true, Some(last)) => last.1 = minutes,
                _ if is => spans.push((minutes, minutes)),
                _ => {}
            }
            was = is;
        }
        spans
    }
}

/// The data directory after the load.
pub fn compacted(table: &mut Table, warm: Stored, loaded: Stored, after: Stored) {
    let row = Row::new("soak: tables but the audit's, after the load", after.disk.data, "MiB");
    table.add(row.peer(warm.disk.data).at_most(GROWTH));
    let row = Row::new("soak: their pages in use, after the load", after.in_use.0, "MiB");
    table.add(row.peer(warm.in_use.0).at_most(1.0));
    table.add(Row::new("soak: their pages in use, at its end", loaded.in_use.0, "MiB"));
    table.add(Row::new("soak: journals, after the load", after.disk.journals, "MiB"));
    let audit = after.disk.audit + after.in_use.1;
    table.add(Row::new("soak: the audit, kept for good", audit, "MiB"));
}

/// What one road brought.
pub struct Road<'a> {
    /// Its name.
    pub name: &'static str,
    /// What came.
    pub totals: &'a Totals,
    /// Whom it had to reach.
    pub expected: fn(&Expected) -> Set,
}

/// Everything that was accepted beside everything that came: whether all is as it must be.
pub fn delivered(
    table: &mut Table,
    expected: &BTreeMap<PublicationId, Expected>,
    road: &Road<'_>,
) -> bool {
    let (mut missing, mut others, mut wanted) = (0, 0, 0);
    for (id, expected) in expected {
        let set = (road.expected)(expected);
        let total = road.totals.get(id);
        let (came, print) = total.map_or((0, 0), |total| (total.devices, total.print));
        wanted += set.devices;
        missing += set.devices.saturating_sub(came);
        let is_other = came >= set.devices && print != set.print;
        others += came.saturating_sub(set.devices).max(u64::from(is_other));
    }
    let sum = |of: fn(&crate::tally::Total) -> u64| road.totals.values().map(of).sum::<u64>();
    let (repeats, forgiven) = (sum(|total| total.repeats), sum(|total| total.forgiven));
    let name = road.name;
    let add = |what: &str, count: u64| Row::new(format!("soak: {name}, {what}"), count as f64, "");
    let rows = [add("due", wanted), add("sent again since an answer was cut off", forgiven)];
    rows.into_iter().for_each(|row| table.add(row));
    let never = [("not delivered", missing), ("to others", others), ("twice", repeats)];
    for (what, count) in never {
        table.add(Row::new(format!("soak: {name}, {what}"), count as f64, "").at_most(0.0));
    }
    never.iter().all(|(_, count)| *count == 0)
}
