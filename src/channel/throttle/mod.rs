//! One throttle per channel, in front of everything a sender sends: how many at once (`core`), how
//! many a minute (`rate`), the emergency lane first. Who must wait waits in the order of arrival;
//! the room of whoever leaves, or gives up, goes to the next in line. How many wait is bounded by
//! who sends: fan-out's batches and dispatches.

mod core;
mod rate;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::domain::lane::Lane;

use self::core::{Class, Core, Ticket, Wait};

pub use self::core::Load;
pub use self::rate::Shared;

/// How fast a channel may go. See `config/default.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Pushes in flight that a provider in trouble is always given.
    pub in_flight_min: u32,
    /// Most pushes in flight; absent: connections × streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_max: Option<u32>,
    /// Of the pushes in flight and of the quota, the percentage only the emergency lane may use.
    pub reserve_percent: u8,
    /// Messages a minute, 0 for no limit; absent: what the provider documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// Seconds in which ordinary lanes rise from nothing to their full pace.
    pub ramp_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight_min: 50,
            in_flight_max: None,
            reserve_percent: 20,
            per_minute: None,
            ramp_seconds: 60,
        }
    }
}

impl Settings {
    /// Messages a minute, where there is a limit. `quota`: what the provider documents.
    pub fn per_minute(&self, quota: Option<u32>) -> Option<u32> {
        self.per_minute.or(quota).filter(|count| *count > 0)
    }

    /// The first rule these settings break, as (setting, rule).
    pub fn broken_rule(&self) -> Option<(&'static str, &'static str)> {
        let rules = [
            ("throttle.in_flight_min", self.in_flight_min > 0, "must not be 0"),
            (
                "throttle.in_flight_max",
                self.in_flight_max.is_none_or(|most| most >= self.in_flight_min),
                "must be at least throttle.in_flight_min",
            ),
            ("throttle.reserve_percent", self.reserve_percent <= 90, "must be 0 to 90"),
        ];
        rules.into_iter().find(|(_, holds, _)| !holds).map(|(setting, _, rule)| (setting, rule))
    }
}

/// What operators see of a throttle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many may be in flight now.
    pub limit: u32,
    /// How many are.
    pub in_flight: u32,
    /// How many wait to be let in.
    pub waiting: usize,
    /// How many ever had to wait.
    pub waits: u64,
}

/// The throttle of a channel. Clones share it.
#[derive(Clone, Debug)]
pub struct Throttle(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    core: Core,
    /// Who waits: the emergency lane, the others.
    waiting: [VecDeque<oneshot::Sender<Pass>>; 2],
    waits: u64,
    /// When those who wait are served next, if nobody leaves before.
    alarm: Option<Instant>,
    closed: bool,
}

/// Leave to send. Dropped, it gives its room to the next in line.
#[derive(Debug)]
pub struct Pass {
    throttle: Throttle,
    ticket: Ticket,
    load: Load,
}

/// Nobody is let in any more: turned back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedBack;

/// A push's turn: now, or later.
#[derive(Debug)]
pub enum Turn {
    /// At once.
    Now(Pass),
    /// When the receiver says so; an error means [`TurnedBack`].
    Later(oneshot::Receiver<Pass>),
}

impl Throttle {
    /// A throttle that lets at most `most` in at once. `quota`: the provider's, a minute, unless
    /// the settings say otherwise.
    pub fn new(settings: &Settings, most: usize, quota: Option<u32>) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let core = Core::new(settings, most, settings.per_minute(quota), Instant::now());
        let waiting = Default::default();
        let state = State { core, waiting, waits: 0, alarm: None, closed: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Asks to be let in. Whoever drops the answer gives the turn to the next in line.
    pub fn ask(&self, lane: Lane) -> Result<Turn, TurnedBack> {
        let class = if lane == Lane::Emergency { Class::Hot } else { Class::Ordinary };
        let mut state = self.state();
        if state.closed {
            return Err(TurnedBack);
        }
        let first_in_line = state.waiting[..=class as usize].iter().all(VecDeque::is_empty);
        if first_in_line && let Ok(ticket) = state.core.enter(class, Instant::now()) {
            return Ok(Turn::Now(self.pass(ticket)));
        }
        let (sender, receiver) = oneshot::channel();
        let line = &mut state.waiting[class as usize];
        // Who gave up leaves the line from its head, so that it cannot grow by them.
        while line.front().is_some_and(oneshot::Sender::is_closed) {
            line.pop_front();
        }
        line.push_back(sender);
        state.waits += 1;
        self.serve(state);
        Ok(Turn::Later(receiver))
    }

    /// Turns back everybody who waits.
    pub fn turn_back(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        drop(waiting);
    }

    /// Turns back everybody, now and from now on.
    pub fn close(&self) {
        self.state().closed = true;
        self.turn_back();
    }

    /// Shares the quota with other nodes from now on; nothing where there is none.
    pub fn share(&self) -> Option<Shared> {
        self.state().core.share()
    }

    /// What operators see.
    pub fn figures(&self) -> Figures {
        let state = self.state();
        Figures {
            limit: state.core.limit(),
            in_flight: state.core.in_flight(),
            waiting: state.waiting.iter().map(VecDeque::len).sum(),
            waits: state.waits,
        }
    }

    fn pass(&self, ticket: Ticket) -> Pass {
        Pass { throttle: self.clone(), ticket, load: Load::Unknown }
    }

    /// Lets in whom there is room for, the emergency lane first, and wakes itself for the rest
    /// where time alone makes room.
    fn serve(&self, mut state: MutexGuard<'_, State>) {
        let now = Instant::now();
        let mut alarm: Option<Instant> = None;
        // Passes of those who gave up at this very moment. Dropped without the lock, they serve on.
        let mut unused = Vec::new();
        for class in [Class::Hot, Class::Ordinary] {
            let State { core, waiting, .. } = &mut *state;
            let line = &mut waiting[class as usize];
            while let Some(next) = line.pop_front() {
                if next.is_closed() {
                    continue;
                }
                match core.enter(class, now) {
                    Ok(ticket) => unused.extend(next.send(self.pass(ticket)).err()),
                    Err(wait) => {
                        line.push_front(next);
                        if let Wait::Until(instant) = wait {
                            alarm = Some(alarm.map_or(instant, |set| set.min(instant)));
                        }
                        break;
                    }
                }
            }
        }
        if let Some(instant) = alarm {
            self.set_alarm(&mut state, (now, instant));
        }
        drop(state);
    }

    /// Without a runtime, as when it is being dropped, nobody is left to be woken.
    fn set_alarm(&self, state: &mut State, (now, instant): (Instant, Instant)) {
        let is_news = state.alarm.is_none_or(|set| instant < set || set <= now);
        if is_news && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            state.alarm = Some(instant);
            runtime.spawn(wake(Arc::downgrade(&self.0), instant));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves at an instant; ends with the throttle. There is one of these at a time, or a second when
/// an earlier instant came up.
async fn wake(throttle: Weak<Mutex<State>>, instant: Instant) {
    sleep_until(instant).await;
    if let Some(inner) = throttle.upgrade() {
        let throttle = Throttle(inner);
        let mut state = throttle.state();
        if state.alarm == Some(instant) {
            state.alarm = None;
        }
        throttle.serve(state);
    }
}

impl Pass {
    /// Gives the room back and tells how the provider bore the push.
    pub fn done(mut self, load: Load) {
        self.load = load;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.throttle.state();
        state.core.leave(&self.ticket, self.load);
        if state.waiting.iter().any(|line| !line.is_empty()) {
            self.throttle.serve(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ROUTINE: Lane = Lane::Routine;
    const HOT: Lane = Lane::Emergency;

    /// Lets four in at once, one of them only of the emergency lane.
    fn throttle(per_minute: Option<u32>) -> Throttle {
        let settings = Settings {
            in_flight_min: 4,
            reserve_percent: 25,
            ramp_seconds: 0,
            per_minute,
            ..Settings::default()
        };
        Throttle::new(&settings, 4, None)
    }

    fn now(throttle: &Throttle, lane: Lane) -> Option<Pass> {
        match throttle.ask(lane) {
            Ok(Turn::Now(pass)) => Some(pass),
            _ => None,
        }
    }

    fn later(throttle: &Throttle, lane: Lane) -> oneshot::Receiver<Pass> {
        match throttle.ask(lane) {
            Ok(Turn::Later(turn)) => turn,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_emergency_lane_has_room_of_its_own_and_is_first_in_line() {
        let throttle = throttle(None);
        let mut passes: Vec<_> = (0..3).filter_map(|_| now(&throttle, ROUTINE)).collect();
        assert_eq!(passes.len(), 3);
        let mut routine = later(&throttle, ROUTINE);
        passes.extend(now(&throttle, HOT));
        assert_eq!(passes.len(), 4);
        let mut hot = later(&throttle, HOT);
        assert_eq!(throttle.figures().waiting, 2);
        drop(passes.swap_remove(0));
        let first = hot.try_recv().expect("the emergency lane goes first");
        assert!(routine.try_recv().is_err());
        drop((first, passes.pop()));
        assert!(routine.try_recv().is_ok());
        drop(passes);
        let figures = Figures { limit: 4, in_flight: 0, waiting: 0, waits: 2 };
        assert_eq!(throttle.figures(), figures);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_his_turn_to_the_next() {
        let throttle = throttle(None);
        let mut passes: Vec<_> = (0..4).filter_map(|_| now(&throttle, HOT)).collect();
        let gone = later(&throttle, HOT);
        let granted = later(&throttle, HOT);
        let mut patient = later(&throttle, HOT);
        drop(gone);
        drop(passes.pop());
        assert!(patient.try_recv().is_err(), "another was before it");
        drop(granted);
        assert!(patient.try_recv().is_ok(), "though that one was let in already");
    }

    #[tokio::test]
    async fn who_waits_is_turned_back_at_once() {
        let throttle = throttle(Some(1));
        drop(now(&throttle, HOT));
        let waits = later(&throttle, HOT);
        throttle.turn_back();
        assert!(waits.await.is_err());
        let waits = later(&throttle, ROUTINE);
        throttle.close();
        assert!(waits.await.is_err());
        assert_eq!(throttle.ask(HOT).expect_err("closed"), TurnedBack);
    }

    #[tokio::test]
    async fn time_lets_in_who_waits_for_the_pace() {
        let throttle = throttle(Some(60_000));
        let started = Instant::now();
        for _ in 0..200 {
            let pass = match throttle.ask(ROUTINE) {
                Ok(Turn::Now(pass)) => pass,
                Ok(Turn::Later(turn)) => turn.await.expect("served"),
                Err(TurnedBack) => panic!("turned back"),
            };
            pass.done(Load::Borne);
        }
        // 750 a second, beneath the quota's emergency share, and a burst of 50 ms.
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(200), "{took:?}");
        assert!(throttle.figures().waits >= 5);
    }
}
