//! How long it takes to reach everybody, and what limits it: pure arithmetic over what a channel
//! has to send, what its provider allows, and what our processors were measured to do. `loa plan`
//! prints it; the funnel's answer holds it against what came to pass.
//!
//! The channels run at once and share the processors: each sends at the rate that its quota and its
//! requests in flight allow (Little's law: in flight ÷ round trip), and where the processors cannot
//! serve all of them, each gets an equal part, or what it needs if that is less. When one is done
//! the others go on faster. Every push is taken to be accepted at the first try.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;

/// What our side needs for a push, as measured, and how far away the providers are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Milliseconds from a request to its answer.
    pub round_trip_ms: f64,
    /// Processor cores that send, those of all workers together; 0 in the settings means this
    /// machine's.
    pub cores: f64,
    /// Milliseconds from a publication's acceptance to its first push.
    pub start_ms: f64,
    /// Microseconds of one core for a push, from the registry to the counted answer.
    pub cpu_us: BTreeMap<Channel, f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            round_trip_ms: 50.0,
            cores: 0.0,
            start_ms: 10.0,
            cpu_us: Channel::ALL.into_iter().map(|channel| (channel, 40.0)).collect(),
        }
    }
}

impl Settings {
    /// Every rule these settings break.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |holds: bool, rule: String| {
            if !holds {
                found.push(rule);
            }
        };
        let sane = |value: f64, least: f64| (least..=1e9).contains(&value);
        must(sane(self.round_trip_ms, 0.001), "round_trip_ms: must be 0.001 to 1e9".to_owned());
        must(sane(self.cores, 0.0), "cores: must be 0 to 1e9".to_owned());
        must(sane(self.start_ms, 0.0), "start_ms: must be 0 to 1e9".to_owned());
        for channel in Channel::ALL {
            let cost = self.cpu_us.get(&channel).copied();
            let rule = format!("cpu_us.{channel}: must be 0.001 to 1e9");
            must(cost.is_some_and(|cost| sane(cost, 0.001)), rule);
        }
        found
    }
}

/// What a channel has to do, and what bounds it beside our processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Devices to be sent to.
    pub devices: u64,
    /// Its bounds.
    pub bounds: Bounds,
}

/// What bounds a channel, whatever it has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Requests in flight at once; none where nothing is waited for (sockets).
    pub in_flight: Option<u64>,
    /// Messages a minute that the provider allows; none where it names no number.
    pub per_minute: Option<u64>,
}

/// What limits a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The provider's quota: ask for more of it.
    Quota,
    /// Requests in flight and the way to the provider: allow more connections or streams.
    RoundTrip,
    /// Our processors: more of them, or more workers.
    Processors,
}

impl Limit {
    /// The limit's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::Quota => "quota",
            Limit::RoundTrip => "round_trip",
            Limit::Processors => "processors",
        }
    }
}

/// When a channel will have reached its devices, in milliseconds since acceptance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Devices to be sent to.
    pub devices: u64,
    /// Pushes a second while it sends, on average.
    pub per_second: f64,
    /// What limits it for most of its devices.
    pub limited_by: Limit,
    /// Half of them.
    pub p50_ms: u64,
    /// 99 of 100.
    pub p99_ms: u64,
    /// All of them.
    pub last_ms: u64,
}

/// A forecast beside the facts, in milliseconds since acceptance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// What an undisturbed broadcast to these devices takes, with the settings of now.
    pub expected: Forecast,
    /// What was accepted so far.
    pub fact: Fact,
}

/// How fast a channel was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Devices whose push was accepted, or whose stream was written to.
    pub accepted: u64,
    /// Half of them.
    pub p50_ms: Option<u64>,
    /// 99 of 100.
    pub p99_ms: Option<u64>,
    /// All of them.
    pub last_ms: Option<u64>,
}

/// What a node forecasts with.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// What our side needs.
    pub settings: Settings,
    /// What bounds each channel.
    pub bounds: BTreeMap<Channel, Bounds>,
}

impl Outlook {
    /// The forecast for so many devices on each channel.
    pub fn forecast(
        &self,
        devices: impl IntoIterator<Item = (Channel, u64)>,
    ) -> BTreeMap<Channel, Forecast> {
        let bounds = |channel| self.bounds.get(&channel).copied().unwrap_or_default();
        let load = |(channel, devices)| (channel, Load { devices, bounds: bounds(channel) });
        forecast(&self.settings, &devices.into_iter().map(load).collect())
    }
}

/// The forecast of a broadcast over all its channels at once. Channels without devices are left
/// out; `settings.cores` of 0 counts as one core, so the caller fills it in.
pub fn forecast(
    settings: &Settings,
    loads: &BTreeMap<Channel, Load>,
) -> BTreeMap<Channel, Forecast> {
    let mut courses: BTreeMap<Channel, Course> = loads
        .iter()
        .filter(|(_, load)| load.devices > 0)
        .map(|(channel, load)| (*channel, Course::new(settings, *channel, load)))
        .collect();
    let cores = if settings.cores > 0.0 { settings.cores } else { 1.0 };
    loop {
        let mut running: Vec<&mut Course> =
            courses.values_mut().filter(|course| course.left > 0.0).collect();
        // The modest first, so that what they leave is shared by the others.
        running.sort_by(|one, other| one.cores_wanted().total_cmp(&other.cores_wanted()));
        let mut spare = cores;
        let count = running.len();
        for (index, course) in running.iter_mut().enumerate() {
            spare -= course.run_on(spare / (count - index) as f64);
        }
        let first = running.iter().map(|course| course.left / course.rate);
        let Some(step) = first.min_by(f64::total_cmp) else { break };
        running.iter_mut().for_each(|course| course.advance(step));
    }
    let done = |course: &Course| course.forecast(settings.start_ms + settings.round_trip_ms);
    courses.iter().map(|(channel, course)| (*channel, done(course))).collect()
}

/// One channel on its way: pushes still to make, and the stretches of even pace behind it.
struct Course {
    devices: f64,
    left: f64,
    cpu_us: f64,
    /// The rate that is allowed, a second, and what allows no more.
    allowed: f64,
    bound: Limit,
    rate: f64,
    limit: Limit,
    stretches: Vec<(f64, f64, Limit)>,
}

impl Course {
    fn new(settings: &Settings, channel: Channel, load: &Load) -> Self {
        let quota =
            load.bounds.per_minute.map_or(f64::INFINITY, |count| count.max(1) as f64 / 60.0);
        let trip_s = settings.round_trip_ms / 1000.0;
        let trips =
            load.bounds.in_flight.map_or(f64::INFINITY, |count| count.max(1) as f64 / trip_s);
        let bound = if quota <= trips { Limit::Quota } else { Limit::RoundTrip };
        Self {
            devices: load.devices as f64,
            left: load.devices as f64,
            cpu_us: settings.cpu_us.get(&channel).copied().unwrap_or(1.0),
            allowed: quota.min(trips),
            bound,
            rate: 0.0,
            limit: bound,
            stretches: Vec::new(),
        }
    }

    fn cores_wanted(&self) -> f64 {
        self.allowed * self.cpu_us / 1e6
    }

    /// Sets the pace on so many cores, and answers how many of them it takes.
    fn run_on(&mut self, cores: f64) -> f64 {
        let by_cpu = cores * 1e6 / self.cpu_us;
        (self.rate, self.limit) = if self.allowed <= by_cpu {
            (self.allowed, self.bound)
        } else {
            (by_cpu, Limit::Processors)
        };
        self.rate * self.cpu_us / 1e6
    }

    fn advance(&mut self, step: f64) {
        let sent = (self.rate * step).min(self.left);
        self.stretches.push((step, sent, self.limit));
        self.left -= sent;
        // What is left of a device is a rounding error.
        if self.left < 0.5 {
            self.left = 0.0;
        }
    }

    /// Seconds until a share of the devices was sent to.
    fn seconds(&self, share: f64) -> f64 {
        let mut wanted = share * self.devices;
        let mut seconds = 0.0;
        for (step, sent, _) in &self.stretches {
            if wanted <= *sent {
                return seconds + step * (wanted / sent);
            }
            wanted -= sent;
            seconds += step;
        }
        seconds
    }

    fn forecast(&self, around_ms: f64) -> Forecast {
        let at = |share| (self.seconds(share) * 1000.0 + around_ms).round() as u64;
        let mut by_limit: BTreeMap<Limit, f64> = BTreeMap::new();
        for (_, sent, limit) in &self.stretches {
            *by_limit.entry(*limit).or_default() += sent;
        }
        let most = by_limit.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
        Forecast {
            devices: self.devices as u64,
            per_second: self.devices / self.seconds(1.0).max(f64::MIN_POSITIVE),
            limited_by: most.map_or(self.bound, |(limit, _)| limit),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            last_ms: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cores: f64, cpu_us: f64) -> Settings {
        let cpu_us = Channel::ALL.into_iter().map(|channel| (channel, cpu_us)).collect();
        Settings { round_trip_ms: 100.0, cores, start_ms: 0.0, cpu_us }
    }

    fn load(devices: u64, in_flight: u64, per_minute: u64) -> Load {
        let bounds = Bounds { in_flight: Some(in_flight), per_minute: Some(per_minute) };
        Load { devices, bounds }
    }

    #[test]
    fn ten_million_at_googles_usual_quota_take_almost_seventeen_minutes() {
        // FACTS F2.
        let loads = BTreeMap::from([(Channel::Fcm, load(10_000_000, 4_000, 600_000))]);
        let fcm = &forecast(&settings(2.0, 20.0), &loads)[&Channel::Fcm];
        assert_eq!(fcm.limited_by, Limit::Quota);
        assert_eq!((fcm.last_ms, fcm.p50_ms, fcm.p99_ms), (1_000_100, 500_100, 990_100));
        assert!((fcm.per_second - 10_000.0).abs() < 1e-6);
    }

    #[test]
    fn requests_in_flight_over_the_round_trip_bound_the_rate() {
        let loads = BTreeMap::from([(Channel::Apns, load(50_000, 1_000, 60_000_000))]);
        let apns = &forecast(&settings(2.0, 20.0), &loads)[&Channel::Apns];
        assert_eq!((apns.limited_by, apns.last_ms), (Limit::RoundTrip, 5_100));
    }

    #[test]
    fn channels_share_the_processors_and_the_longer_one_speeds_up_when_the_other_is_done() {
        let endless = load(10_000, 1_000_000, 60_000_000_000);
        let loads = BTreeMap::from([
            (Channel::Apns, endless),
            (Channel::Fcm, Load { devices: 30_000, ..endless }),
        ]);
        // 10,000 a second in all: 5,000 each for two seconds, then 20,000 more in two.
        let both = forecast(&settings(1.0, 100.0), &loads);
        assert_eq!(both[&Channel::Apns].last_ms, 2_100);
        assert_eq!(both[&Channel::Fcm].last_ms, 4_100);
        assert_eq!(both[&Channel::Fcm].p50_ms, 2_600);
        assert_eq!(both[&Channel::Fcm].limited_by, Limit::Processors);
    }

    #[test]
    fn a_channel_held_by_its_quota_leaves_the_rest_of_the_processors_to_the_others() {
        let loads = BTreeMap::from([
            (Channel::Fcm, load(1_000, 1_000_000, 60_000)),
            (Channel::Websocket, Load { devices: 9_000, bounds: Bounds::default() }),
        ]);
        let both = forecast(&settings(1.0, 100.0), &loads);
        assert_eq!(
            (both[&Channel::Fcm].limited_by, both[&Channel::Fcm].last_ms),
            (Limit::Quota, 1_100)
        );
        assert_eq!(both[&Channel::Websocket].last_ms, 1_100);
    }

    #[test]
    fn nobody_to_send_to_is_no_forecast() {
        let loads = BTreeMap::from([(Channel::Fcm, load(0, 1, 1))]);
        assert!(forecast(&Settings::default(), &loads).is_empty());
    }
}
