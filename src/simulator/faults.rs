//! Faults on demand, switchable while the simulator runs.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::watch;

/// Which of the simulated services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// APNs.
    Apns,
    /// FCM.
    Fcm,
    /// Google's token endpoint.
    OAuth,
}

/// Which requests a rule meets.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Every one.
    Always,
    /// Every nth, counted by the rule.
    Every(u64),
    /// This share of them, at random, 0 to 1.
    Share(f64),
    /// Those for one address.
    Token(String),
    /// Those for this share of addresses, 0 to 1; always the same addresses.
    TokenShare(f64),
}

/// What happens to a request that a rule meets.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// An answer other than 200.
    Refuse(Refusal),
    /// Such an answer's status, then RST_STREAM with this code instead of its body.
    Torn(Refusal, u32),
    /// The usual answer, so much later.
    Slow(Duration),
    /// RST_STREAM with this code (RFC 9113 section 7), unprocessed.
    Reset(u32),
    /// RST_STREAM with this code after the push was delivered: its answer is lost.
    ResetAfter(u32),
    /// The connection is cut before the request is processed.
    CutBefore,
    /// The push is delivered, then the connection is cut before the answer.
    CutAfter,
    /// The connection stops reading and writing.
    Stall,
}

/// An answer other than 200.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// APNs `reason`, FCM `errorCode`, or OAuth `error`; empty: no body.
    pub reason: String,
    /// The error's text, where the provider's form has one (FCM).
    pub message: String,
    /// `Retry-After`, verbatim.
    pub retry_after: Option<String>,
    /// APNs 410: since when the token is dead; absent means now.
    pub since: Option<Timestamp>,
}

impl Refusal {
    /// A status with a reason.
    pub fn new(status: u16, reason: &str) -> Self {
        Self { status, reason: reason.to_owned(), ..Self::default() }
    }
}

/// A rule; the first rule of a service that meets a request decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Which requests.
    pub when: When,
    /// What happens.
    pub then: Then,
    /// How many requests at most; `None` means without end.
    pub limit: Option<u64>,
}

impl Rule {
    /// A rule without end.
    pub fn new(when: When, then: Then) -> Self {
        Self { when, then, limit: None }
    }

    /// A rule for the next request only.
    pub fn once(then: Then) -> Self {
        Self { when: When::Always, then, limit: Some(1) }
    }
}

/// What holds for each connection, APNs and FCM alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// MAX_CONCURRENT_STREAMS; open connections are told of a change at once.
    pub max_concurrent_streams: u32,
    /// A connection says GOAWAY with its nth request and processes no later one.
    pub goaway_every: Option<u64>,
    /// Pushes accepted in any one second, all connections together; the others get 429.
    pub quota_per_second: Option<u64>,
}

/// The switchboard. Clones share it.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: [ArcSwap<Vec<Active>>; 3],
    limits: watch::Sender<Limits>,
    met: AtomicU64,
    connections: AtomicU64,
    broken_handshakes: AtomicU64,
    peak_streams: AtomicU64,
    hasher: std::hash::RandomState,
    /// Second of the epoch and what it used of the quota.
    used: std::sync::Mutex<(i64, u64)>,
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    seen: AtomicU64,
    met: AtomicU64,
}

impl Faults {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            rules: Default::default(),
            limits: watch::Sender::new(limits),
            met: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            broken_handshakes: AtomicU64::new(0),
            peak_streams: AtomicU64::new(0),
            hasher: std::hash::RandomState::new(),
            used: std::sync::Mutex::default(),
        }))
    }

    /// Replaces a service's rules.
    pub fn set(&self, service: Service, rules: Vec<Rule>) {
        let active = |rule| Active { rule, seen: AtomicU64::new(0), met: AtomicU64::new(0) };
        self.rules(service).store(Arc::new(rules.into_iter().map(active).collect()));
    }

    /// Removes all rules; limits stay.
    pub fn clear(&self) {
        for service in [Service::Apns, Service::Fcm, Service::OAuth] {
            self.set(service, vec![]);
        }
    }

    /// Changes what holds for each connection.
    pub fn limit(&self, change: impl FnOnce(&mut Limits)) {
        self.0.limits.send_modify(change);
    }

    /// How many requests met a rule.
    pub fn met(&self) -> u64 {
        self.0.met.load(Ordering::Relaxed)
    }

    /// How many connections were ever accepted.
    pub fn connections(&self) -> u64 {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// How many TLS handshakes a client broke off.
    pub fn broken_handshakes(&self) -> u64 {
        self.0.broken_handshakes.load(Ordering::Relaxed)
    }

    /// The most requests that were open at once on one connection since the last call.
    pub fn take_peak_streams(&self) -> u64 {
        self.0.peak_streams.swap(0, Ordering::Relaxed)
    }

    pub(super) fn limits(&self) -> watch::Receiver<Limits> {
        self.0.limits.subscribe()
    }

    pub(super) fn connected(&self) {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn broke_off(&self) {
        self.0.broken_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn streams(&self, open: u64) {
        self.0.peak_streams.fetch_max(open, Ordering::Relaxed);
    }

    /// Whether the quota of this second is used up; counts the request otherwise.
    pub(super) fn over_quota(&self, now: Timestamp) -> bool {
        let Some(quota) = self.0.limits.borrow().quota_per_second else { return false };
        let mut used = self.0.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if used.0 != now.as_second() {
            *used = (now.as_second(), 0);
        }
        used.1 += 1;
        used.1 > quota
    }

    /// What happens to a request for an address, other than the usual.
    pub(super) fn meet(&self, service: Service, token: &str) -> Option<Then> {
        let rules = self.rules(service).load();
        let active = rules.iter().find(|active| self.meets(active, token))?;
        self.0.met.fetch_add(1, Ordering::Relaxed);
        Some(active.rule.then.clone())
    }

    fn meets(&self, active: &Active, token: &str) -> bool {
        let meets = match &active.rule.when {
            When::Always => true,
            When::Every(nth) => {
                (active.seen.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(*nth)
            }
            When::Share(share) => rand::random::<f64>() < *share,
            When::Token(wanted) => wanted == token,
            When::TokenShare(share) => self.is_of_share(token, *share),
        };
        let within = |limit| active.met.fetch_add(1, Ordering::Relaxed) < limit;
        meets && active.rule.limit.is_none_or(within)
    }

    /// Whether an address is among this share of them ([`When::TokenShare`]).
    pub fn is_of_share(&self, token: &str, share: f64) -> bool {
        let mut hasher = self.0.hasher.build_hasher();
        hasher.write(token.as_bytes());
        (hasher.finish() as f64 / u64::MAX as f64) < share
    }

    fn rules(&self, service: Service) -> &ArcSwap<Vec<Active>> {
        &self.0.rules[match service {
            Service::Apns => 0,
            Service::Fcm => 1,
            Service::OAuth => 2,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rules: Vec<Rule>) -> Faults {
        let faults = Faults::new(Limits {
            max_concurrent_streams: 1,
            goaway_every: None,
            quota_per_second: Some(2),
        });
        faults.set(Service::Apns, rules);
        faults
    }

    #[test]
    fn the_first_rule_that_meets_decides_and_limits_run_out() {
        let faults = faults(vec![
            Rule::once(Then::CutBefore),
            Rule::new(When::Token("a".into()), Then::Stall),
            Rule::new(When::Every(2), Then::CutAfter),
        ]);
        let met: Vec<_> =
            ["b", "a", "b", "b"].map(|token| faults.meet(Service::Apns, token)).into();
        assert_eq!(met, [Some(Then::CutBefore), Some(Then::Stall), None, Some(Then::CutAfter)]);
        assert_eq!(faults.meet(Service::Fcm, "a"), None);
        assert_eq!(faults.met(), 3);
        faults.clear();
        assert_eq!(faults.meet(Service::Apns, "a"), None);
    }

    #[test]
    fn a_share_of_addresses_is_always_the_same_addresses() {
        let faults = faults(vec![Rule::new(When::TokenShare(0.3), Then::Stall)]);
        let round = || -> Vec<bool> {
            (0..1000).map(|n| faults.meet(Service::Apns, &format!("{n}")).is_some()).collect()
        };
        let first = round();
        assert_eq!(first, round());
        let met = first.iter().filter(|met| **met).count();
        assert!((200..400).contains(&met), "{met}");
    }

    #[test]
    fn the_quota_starts_anew_with_each_second() {
        let faults = faults(vec![]);
        let second = |second| Timestamp::from_second(second).unwrap();
        let over = [1, 1, 1, 2].map(|at| faults.over_quota(second(at)));
        assert_eq!(over, [false, false, true, false]);
    }
}
