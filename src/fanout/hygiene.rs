//! Address hygiene: an address that its provider calls dead is taken from its device, but not at
//! once, and not on the word of a provider that calls everybody dead.
//!
//! Dead addresses are held back and judged in windows, for each app and environment apart. A
//! window ends with its time or with a thousand answers. Where the share of dead is
//! plausible, they are removed when the *next* window is plausible too, since a fault may have
//! begun in the middle. Where it is not (the wrong environment, another project's key, a provider's
//! fault), both windows' are forgotten, nothing is removed, and an operator is called, until a
//! later window is plausible again; what that one held is forgotten as well. Sending goes on all
//! the while.
//!
//! What is forgotten costs little: the next push to it finds it dead again. So nothing here is
//! stored. Who accepts a push meanwhile is not dead. What a fault can remove wrongly is less than
//! the plausible share of two windows.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::channel::Sender;
use crate::domain::channel::{ApnsEnvironment, PushAddress};
use crate::domain::ids::DeviceNum;
use crate::domain::outcome::Outcome;
use crate::fanout::batch::Push;
use crate::lifecycle::Lifecycle;
use crate::metrics;
use crate::store::registry::Registry;

/// Answers that end a window before its time: enough to judge by, and a fault that begins in the
/// middle of a large broadcast stands out.
const WINDOW_ANSWERS: u64 = 1_000;
/// Removals in flight at once; they share commits.
const AT_ONCE: usize = 256;

/// When dead addresses are believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a window lasts, in milliseconds.
    pub window_ms: u64,
    /// The largest plausible share of dead addresses among the answers of a window, 0 to 1.
    pub dead_share_max: f64,
    /// Fewer dead addresses than this prove nothing: the window goes on until there are more, or
    /// their share is plausible.
    pub dead_min: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window_ms: 30_000, dead_share_max: 0.3, dead_min: 50 }
    }
}

impl Settings {
    /// Every rule the settings break.
    pub fn problems(&self) -> Vec<&'static str> {
        let rules = [
            (self.window_ms > 0, "window_ms: must not be 0"),
            ((0.0..=1.0).contains(&self.dead_share_max), "dead_share_max: must be 0 to 1"),
            (self.dead_min > 0, "dead_min: must not be 0"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, rule)| rule).collect()
    }
}

/// An address that its provider calls dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Whose it is.
    pub device: DeviceNum,
    /// The address.
    pub address: PushAddress,
    /// Since when: a device that registered it later keeps it.
    pub since: Timestamp,
}

/// The hygiene of one channel.
#[derive(Debug)]
pub struct Hygiene {
    settings: Settings,
    sender: Arc<Sender>,
    groups: Mutex<Vec<Group>>,
}

/// The addresses of one app in one environment, where the channel tells them apart.
#[derive(Debug)]
struct Group {
    app: Option<(String, ApnsEnvironment)>,
    breaker: Breaker,
}

impl Group {
    fn of(address: &PushAddress) -> Self {
        let app = match address {
            PushAddress::Apns { topic, environment, .. } => Some((topic.clone(), *environment)),
            _ => None,
        };
        Self { app, breaker: Breaker::default() }
    }

    fn is_of(&self, address: &PushAddress) -> bool {
        match (&self.app, address) {
            (Some((app, place)), PushAddress::Apns { topic, environment, .. }) => {
                app == topic && place == environment
            }
            (None, PushAddress::Apns { .. }) | (Some(_), _) => false,
            (None, _) => true,
        }
    }
}

impl Hygiene {
    /// The hygiene of a sender's channel.
    pub fn new(settings: Settings, sender: Arc<Sender>) -> Self {
        Self { settings, sender, groups: Mutex::default() }
    }

    /// Takes notice of a batch's answers, and says which addresses are to be removed now.
    pub fn note(&self, answers: &[(Push, Outcome)], now: Timestamp) -> Vec<Dead> {
        let mut remove = Vec::new();
        let mut groups = self.groups();
        for (push, outcome) in answers {
            let since = match outcome {
                Outcome::Accepted => None,
                Outcome::DeadAddress { since, .. } => Some(since.unwrap_or(now)),
                _ => continue,
            };
            let address = &push.device.profile.address;
            let at = groups.iter().position(|group| group.is_of(address)).unwrap_or_else(|| {
                groups.push(Group::of(address));
                groups.len() - 1
            });
            let group = &mut groups[at];
            match since {
                None => group.breaker.accept(push.device.num),
                Some(since) => {
                    let device = push.device.num;
                    let dead = Dead { device, address: address.clone(), since };
                    group.breaker.held.insert(device, dead);
                }
            }
            if group.breaker.answers() >= WINDOW_ANSWERS {
                self.judge(group, &mut remove);
            }
        }
        self.tell(&groups);
        remove
    }

    /// Ends the windows whose time is over, and says which addresses are to be removed now.
    fn tick(&self) -> Vec<Dead> {
        let mut remove = Vec::new();
        let mut groups = self.groups();
        for group in groups.iter_mut() {
            self.judge(group, &mut remove);
        }
        self.tell(&groups);
        remove
    }

    fn judge(&self, group: &mut Group, remove: &mut Vec<Dead>) {
        let (dead, answers) = (group.breaker.held.len(), group.breaker.answers());
        let channel = self.sender.channel();
        let app = group.app.as_ref().map(|(app, place)| format!("{app} ({place})"));
        match group.breaker.judge(&self.settings) {
            Verdict::Remove(believed) => remove.extend(believed),
            Verdict::Opened => tracing::error!(
                %channel, app, dead, answers,
                "an implausible share of addresses is called dead: none is removed; an operator \
                 must look for a wrong environment, project or key, or a provider's fault"
            ),
            Verdict::Closed => {
                tracing::info!(%channel, app, "the share of dead addresses is plausible again");
            }
            Verdict::Nothing => {}
        }
    }

    fn tell(&self, groups: &[Group]) {
        let open = groups.iter().filter(|group| group.breaker.open).count();
        self.sender.doubt_the_dead(open > 0);
        metrics::removal_paused(self.sender.channel(), open);
    }

    fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes dead addresses from their devices. Where the registry fails they stay: the next push
    /// finds them dead again.
    pub async fn remove(&self, registry: &Registry, dead: Vec<Dead>) {
        if dead.is_empty() {
            return;
        }
        let removals = stream::iter(dead).map(|Dead { device, address, since }| async move {
            registry.deactivate_address(device, &address, Some(since)).await
        });
        let removed: Result<Vec<bool>, _> = removals.buffer_unordered(AT_ONCE).try_collect().await;
        match removed {
            Ok(removed) => {
                let count = removed.into_iter().filter(|removed| *removed).count();
                metrics::addresses_removed(self.sender.channel(), count);
            }
            Err(error) => tracing::warn!(error = %error, "dead addresses were not removed"),
        }
    }
}

/// Ends windows in time, for as long as the node runs.
pub fn start(hygiene: Arc<Hygiene>, registry: Registry, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("fanout.hygiene", async move {
        let window = Duration::from_millis(hygiene.settings.window_ms);
        loop {
            tokio::select! {
                () = tokio::time::sleep(window) => {}
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
            let dead = hygiene.tick();
            hygiene.remove(&registry, dead).await;
        }
    });
}

/// Judges the windows of one group.
#[derive(Debug, Default)]
struct Breaker {
    /// The last window was implausible.
    open: bool,
    accepted: u64,
    /// The dead of this window.
    held: BTreeMap<DeviceNum, Dead>,
    /// The dead of the window before, which was plausible.
    previous: BTreeMap<DeviceNum, Dead>,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    /// These are dead indeed.
    Remove(Vec<Dead>),
    /// Too many: from now on nothing is removed.
    Opened,
    /// Plausible again.
    Closed,
    /// As before.
    Nothing,
}

impl Breaker {
    /// An accepted push: whoever was called dead before is alive.
    fn accept(&mut self, device: DeviceNum) {
        self.accepted += 1;
        self.held.remove(&device);
        self.previous.remove(&device);
    }

    fn answers(&self) -> u64 {
        self.accepted + self.held.len() as u64
    }

    fn judge(&mut self, settings: &Settings) -> Verdict {
        let (dead, answers) = (self.held.len() as u64, self.answers());
        let plausible = dead as f64 <= settings.dead_share_max * answers as f64;
        let proves = if plausible { answers } else { dead } >= settings.dead_min;
        // Little evidence condemns nobody and clears nobody: the window goes on.
        if !proves && (self.open || !plausible) {
            return Verdict::Nothing;
        }
        let held = std::mem::take(&mut self.held);
        self.accepted = 0;
        match (plausible, self.open) {
            (true, false) => {
                let believed = std::mem::replace(&mut self.previous, held);
                Verdict::Remove(believed.into_values().collect())
            }
            (true, true) => {
                self.open = false;
                Verdict::Closed
            }
            (false, was_open) => {
                self.open = true;
                self.previous.clear();
                if was_open { Verdict::Nothing } else { Verdict::Opened }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::FcmAddressKind;

    const SETTINGS: Settings = Settings { window_ms: 1, dead_share_max: 0.3, dead_min: 50 };

    fn dead(number: u64) -> Dead {
        let value = number.to_string();
        Dead {
            device: DeviceNum(number),
            address: PushAddress::Fcm { kind: FcmAddressKind::Token, value },
            since: Timestamp::UNIX_EPOCH,
        }
    }

    /// Feeds a window of answers: so many accepted, and these numbers dead.
    fn window(breaker: &mut Breaker, accepted: u64, numbers: std::ops::Range<u64>) -> Verdict {
        breaker.accepted += accepted;
        breaker.held.extend(numbers.map(|number| (DeviceNum(number), dead(number))));
        breaker.judge(&SETTINGS)
    }

    fn removed(numbers: std::ops::Range<u64>) -> Verdict {
        Verdict::Remove(numbers.map(dead).collect())
    }

    #[test]
    fn a_plausible_share_is_removed_one_window_later() {
        let mut breaker = Breaker::default();
        assert_eq!(window(&mut breaker, 950, 0..50), removed(0..0));
        assert_eq!(window(&mut breaker, 930, 100..170), removed(0..50));
        assert_eq!(window(&mut breaker, 0, 0..0), removed(100..170), "quiet is plausible");
        assert_eq!(window(&mut breaker, 0, 0..0), removed(0..0));
    }

    #[test]
    fn everybody_dead_removes_nobody_not_even_of_the_windows_around() {
        let mut breaker = Breaker::default();
        // The fault begins at the end of a window that is plausible as a whole.
        assert_eq!(window(&mut breaker, 800, 0..200), removed(0..0));
        assert_eq!(window(&mut breaker, 0, 200..1200), Verdict::Opened);
        assert_eq!(window(&mut breaker, 0, 1200..2200), Verdict::Nothing, "called once");
        assert!(breaker.open);
        assert_eq!(window(&mut breaker, 0, 0..0), Verdict::Nothing, "quiet proves nothing");
        assert!(breaker.open);
        // It ends in the middle of the next.
        assert_eq!(window(&mut breaker, 800, 2200..2400), Verdict::Closed);
        assert_eq!(window(&mut breaker, 950, 2400..2450), removed(0..0), "the last is forgotten");
        assert_eq!(window(&mut breaker, 1000, 0..0), removed(2400..2450));
    }

    #[test]
    fn a_few_dead_ones_alone_are_kept_until_there_is_more_to_judge_by() {
        let mut breaker = Breaker::default();
        assert_eq!(window(&mut breaker, 0, 0..20), Verdict::Nothing);
        assert_eq!(window(&mut breaker, 0, 20..49), Verdict::Nothing);
        assert_eq!(window(&mut breaker, 0, 49..50), Verdict::Opened);
        let mut breaker = Breaker::default();
        assert_eq!(window(&mut breaker, 1, 0..1), Verdict::Nothing);
        assert_eq!(window(&mut breaker, 3, 0..0), removed(0..0));
        assert_eq!(window(&mut breaker, 0, 0..0), removed(0..1));
    }

    #[test]
    fn whoever_accepts_a_push_is_not_dead() {
        let mut breaker = Breaker::default();
        assert_eq!(window(&mut breaker, 90, 0..2), removed(0..0));
        breaker.accept(DeviceNum(0));
        assert_eq!(window(&mut breaker, 90, 5..6), removed(1..2));
        breaker.accept(DeviceNum(5));
        assert_eq!(window(&mut breaker, 0, 0..0), removed(0..0));
    }

    #[test]
    fn one_citizens_dead_phone_is_one_however_often_it_is_tried() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert_eq!(window(&mut breaker, 0, 7..8), Verdict::Nothing);
        }
        assert_eq!(breaker.answers(), 1);
    }

    #[test]
    fn apps_and_environments_are_judged_apart() {
        let address = |topic: &str, environment| PushAddress::Apns {
            token: String::new(),
            environment,
            topic: topic.to_owned(),
        };
        let group = Group::of(&address("a", ApnsEnvironment::Sandbox));
        assert!(group.is_of(&address("a", ApnsEnvironment::Sandbox)));
        assert!(!group.is_of(&address("a", ApnsEnvironment::Production)));
        assert!(!group.is_of(&address("b", ApnsEnvironment::Sandbox)));
        let fcm = dead(1).address;
        assert!(!group.is_of(&fcm) && Group::of(&fcm).is_of(&fcm));
    }
}
