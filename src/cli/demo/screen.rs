//! The funnel, live in the terminal: a bar for each channel, a line for the largest units.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::domain::channel::Channel;
use crate::domain::funnel::Funnel;

/// Units in the live table.
const UNITS_SHOWN: usize = 8;

/// Where the demo is shown.
#[derive(Debug)]
pub struct Screen {
    bars: MultiProgress,
}

/// One alert on the screen.
#[derive(Debug)]
pub struct Scene {
    bars: MultiProgress,
    everyone: ProgressBar,
    channels: BTreeMap<Channel, ProgressBar>,
    units: Vec<ProgressBar>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a literal template").progress_chars("█▉▊▋▌▍▎▏ ")
}

impl Screen {
    /// A screen; nothing is drawn when the answer is to be JSON, or the output is no terminal.
    pub fn new(json: bool) -> Self {
        let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self { bars: MultiProgress::with_draw_target(target) }
    }

    /// Begins an alert.
    pub fn scene(&self, name: &str, expected: u64) -> Scene {
        let total = style("{prefix:>10} [{bar:40}] {pos:>7}/{len} on a screen  {elapsed_precise}");
        let everyone = self.bars.add(ProgressBar::new(expected).with_style(total));
        everyone.set_prefix("everyone");
        let _ = self.bars.println(format!("\n{name}"));
        let channel = style("{prefix:>10} [{bar:40}] {pos:>7}/{len} accepted  {msg}");
        let channels = Channel::ALL.into_iter().map(|one| {
            let bar = self.bars.add(ProgressBar::new(0).with_style(channel.clone()));
            bar.set_prefix(one.as_str());
            (one, bar)
        });
        let channels = channels.collect();
        let unit = style("{prefix:>10} [{bar:40}] {pos:>7}/{len} received  {msg}");
        let units = (0..UNITS_SHOWN)
            .map(|_| self.bars.add(ProgressBar::new(0).with_style(unit.clone())))
            .collect();
        Scene { bars: self.bars.clone(), everyone, channels, units }
    }
}

impl Scene {
    /// Shows the funnel as it is now.
    pub fn show(&mut self, funnel: &Funnel) {
        self.everyone.set_position(funnel.total.shown);
        for (channel, bar) in &self.channels {
            let counts = funnel.channels.get(channel).cloned().unwrap_or_default();
            bar.set_length(counts.targeted - counts.skipped.min(counts.targeted));
            bar.set_position(counts.accepted);
            let failed = counts.failed_total() + counts.dead + counts.expired;
            bar.set_message(format!("{} shown, {failed} failed", counts.shown));
        }
        let mut largest: Vec<_> = funnel.units.iter().collect();
        largest.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.targeted));
        for (bar, (unit, counts)) in self.units.iter().zip(largest) {
            bar.set_prefix(unit.to_string());
            bar.set_length(counts.targeted - counts.skipped.min(counts.targeted));
            bar.set_position(counts.received);
        }
    }

    /// Leaves the last state standing.
    pub fn end(self) {
        let Self { bars, everyone, channels, units } = self;
        everyone.abandon();
        channels.values().for_each(ProgressBar::abandon);
        units.iter().for_each(ProgressBar::abandon);
        drop(bars);
    }
}
