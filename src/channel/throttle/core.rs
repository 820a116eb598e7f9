//! How many pushes may be in flight: raised while the provider answers, cut when it is in trouble,
//! a part of it kept for the emergency lane. Pure: instants come in as arguments.

use tokio::time::Instant;

use super::Settings;
use super::rate::{Rate, Shared};

/// What a channel begins with, as a share of the most: high, since an alert must not wait for the
/// limit to grow.
const START_SHARE: f64 = 0.25;
/// What is left after a cut.
const CUT: f64 = 0.5;
/// After the first cut the limit rises by this share of the most with each round trip.
const STEP_SHARE: f64 = 0.01;
/// The limit rises only while at least this share of it is in use: else nothing is learned.
const USED_SHARE: f64 = 0.5;

/// Who wants to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The emergency lane.
    Hot,
    /// The others.
    Ordinary,
}

/// How the provider bore a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It answered, whatever it thought of the push.
    Borne,
    /// It asked for patience, or the answer was lost.
    Strained,
    /// The push never went out, or says nothing about the load.
    Unknown,
}

/// A push that was let in; given back with [`Core::leave`].
#[derive(Debug)]
pub struct Ticket {
    class: Class,
    /// Cuts there had been when it was let in.
    cuts: u32,
}

/// Why a push must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until another push is answered.
    Room,
    /// Until this instant.
    Until(Instant),
}

/// The state of one channel.
#[derive(Debug)]
pub struct Core {
    least: f64,
    most: f64,
    reserve: f64,
    limit: f64,
    /// A cut ended the doubling of the start.
    was_cut: bool,
    cuts: u32,
    hot: u32,
    ordinary: u32,
    rate: Option<Rate>,
}

impl Core {
    /// The state at the start. `most`: how many can be in flight at all; `per_minute`: the quota.
    pub fn new(settings: &Settings, most: u32, per_minute: Option<u32>, now: Instant) -> Self {
        let most = f64::from(settings.in_flight_max.unwrap_or(most).min(most));
        let least = f64::from(settings.in_flight_min).min(most);
        Self {
            least,
            most,
            reserve: f64::from(settings.reserve_percent) / 100.0,
            limit: (most * START_SHARE).max(least),
            was_cut: false,
            cuts: 0,
            hot: 0,
            ordinary: 0,
            rate: per_minute.map(|quota| Rate::new(quota, settings, now)),
        }
    }

    /// Shares the quota with other nodes, if there is one.
    pub fn share(&mut self) -> Option<Shared> {
        self.rate.as_mut().map(Rate::share)
    }

    /// Lets a push in, or says what it must wait for.
    pub fn enter(&mut self, class: Class, now: Instant) -> Result<Ticket, Wait> {
        let limit = self.limit.floor() as u32;
        let room = match class {
            Class::Hot => self.in_flight() < limit,
            // At least one, so that a channel in trouble still finds out when it is well again.
            Class::Ordinary => {
                let share = (f64::from(limit) * (1.0 - self.reserve)) as u32;
                self.in_flight() < limit && self.ordinary < share.max(1)
            }
        };
        if !room {
            return Err(Wait::Room);
        }
        if let Some(rate) = &mut self.rate {
            rate.take(class, now).map_err(Wait::Until)?;
        }
        match class {
            Class::Hot => self.hot += 1,
            Class::Ordinary => self.ordinary += 1,
        }
        Ok(Ticket { class, cuts: self.cuts })
    }

    /// Takes a push back, and learns from how it went.
    pub fn leave(&mut self, ticket: &Ticket, load: Load) {
        let used = f64::from(self.in_flight()) >= self.limit * USED_SHARE;
        match ticket.class {
            Class::Hot => self.hot -= 1,
            Class::Ordinary => self.ordinary -= 1,
        }
        match load {
            Load::Borne if used && !self.was_cut => self.limit = (self.limit + 1.0).min(self.most),
            Load::Borne if used => {
                let step = (self.most * STEP_SHARE).max(1.0) / self.limit;
                self.limit = (self.limit + step).min(self.most);
            }
            // What was let in before the last cut says nothing about the limit since: so at most
            // one cut in a round trip.
            Load::Strained if ticket.cuts == self.cuts => {
                self.limit = (self.limit * CUT).max(self.least);
                self.was_cut = true;
                self.cuts = self.cuts.wrapping_add(1);
            }
            Load::Borne | Load::Strained | Load::Unknown => {}
        }
    }

    /// Pushes let in and not answered.
    pub fn in_flight(&self) -> u32 {
        self.hot + self.ordinary
    }

    /// How many may be in flight now.
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(least: u32, most: u32) -> Core {
        let settings =
            Settings { in_flight_min: least, reserve_percent: 20, ..Settings::default() };
        Core::new(&settings, most, None, Instant::now())
    }

    fn fill(core: &mut Core, class: Class) -> Vec<Ticket> {
        std::iter::from_fn(|| core.enter(class, Instant::now()).ok()).collect()
    }

    fn round(core: &mut Core, load: Load) {
        for ticket in fill(core, Class::Hot) {
            core.leave(&ticket, load);
        }
    }

    #[test]
    fn the_limit_doubles_until_the_first_cut_and_then_rises_by_a_step_a_round_trip() {
        let mut core = core(10, 1000);
        assert_eq!(core.limit(), 250);
        round(&mut core, Load::Borne);
        assert!((320..=500).contains(&core.limit()), "{}", core.limit());
        for _ in 0..8 {
            round(&mut core, Load::Borne);
        }
        assert_eq!(core.limit(), 1000, "and never above the most");
        round(&mut core, Load::Strained);
        assert_eq!(core.limit(), 500, "one cut, though a thousand were strained");
        round(&mut core, Load::Borne);
        assert!((501..=510).contains(&core.limit()), "{}", core.limit());
        for _ in 0..20 {
            round(&mut core, Load::Strained);
        }
        assert_eq!(core.limit(), 10, "never below the least");
    }

    #[test]
    fn what_was_in_flight_at_a_cut_does_not_cut_again() {
        let mut core = core(10, 1000);
        let tickets = fill(&mut core, Class::Hot);
        core.leave(&tickets[0], Load::Strained);
        let after = core.limit();
        for ticket in &tickets[1..] {
            core.leave(ticket, Load::Strained);
        }
        assert_eq!(core.limit(), after);
        let next = core.enter(Class::Hot, Instant::now()).expect("room");
        core.leave(&next, Load::Strained);
        assert_eq!(core.limit(), after / 2);
    }

    #[test]
    fn an_idle_channel_learns_nothing() {
        let mut core = core(10, 1000);
        for _ in 0..1000 {
            let ticket = core.enter(Class::Ordinary, Instant::now()).expect("room");
            core.leave(&ticket, Load::Borne);
        }
        assert_eq!(core.limit(), 250);
    }

    #[test]
    fn a_part_is_kept_for_the_emergency_lane() {
        let mut core = core(10, 400);
        let ordinary = fill(&mut core, Class::Ordinary);
        assert_eq!(ordinary.len(), 80);
        let hot = fill(&mut core, Class::Hot);
        assert_eq!(hot.len(), 20);
        assert_eq!(core.enter(Class::Hot, Instant::now()).expect_err("full"), Wait::Room);
        for ticket in ordinary.iter().chain(&hot) {
            core.leave(ticket, Load::Unknown);
        }
        assert_eq!(core.in_flight(), 0);
        assert_eq!(fill(&mut core, Class::Hot).len(), 100, "and it may take all");
    }
}
