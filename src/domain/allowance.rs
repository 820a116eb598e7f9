//! An allowance: messages that a channel of this node may send of a quota that all nodes share.
//! Whoever sends takes one for each; whoever keeps the quota grants them in portions, so that a
//! message costs no question to anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A channel's allowance; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Arc<State>);

#[derive(Debug, Default)]
struct State {
    hot: Portions,
    ordinary: Portions,
}

/// The portions of a time and of the time before, and how many were asked for.
#[derive(Debug, Default)]
struct Portions {
    old: AtomicU32,
    fresh: AtomicU32,
    asked: AtomicU32,
}

/// What was asked for since the last look: taken or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// By the emergency lane.
    pub hot: u32,
    /// By the others.
    pub ordinary: u32,
}

impl Allowance {
    /// Takes a message's leave, if there is one. The emergency lane may use everything.
    pub fn take(&self, hot: bool) -> bool {
        let State { hot: first, ordinary } = &*self.0;
        let asked = if hot { &first.asked } else { &ordinary.asked };
        asked.fetch_add(1, Ordering::Relaxed);
        hot && first.take() || ordinary.take()
    }

    /// Grants so many more.
    pub fn grant(&self, portion: Demand) {
        self.0.hot.fresh.fetch_add(portion.hot, Ordering::Relaxed);
        self.0.ordinary.fresh.fetch_add(portion.ordinary, Ordering::Relaxed);
    }

    /// A time ends: what is left of the time before is lost, what was granted in this one is left
    /// for the next.
    pub fn turn(&self) {
        for portions in [&self.0.hot, &self.0.ordinary] {
            portions.old.store(portions.fresh.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// What is left of the portions.
    pub fn left(&self) -> Demand {
        Demand { hot: self.0.hot.left(), ordinary: self.0.ordinary.left() }
    }

    /// What was asked for since the last call.
    pub fn demand(&self) -> Demand {
        let asked = |portions: &Portions| portions.asked.swap(0, Ordering::Relaxed);
        Demand { hot: asked(&self.0.hot), ordinary: asked(&self.0.ordinary) }
    }
}

impl Portions {
    fn take(&self) -> bool {
        take_one(&self.old) || take_one(&self.fresh)
    }

    fn left(&self) -> u32 {
        self.old.load(Ordering::Relaxed).saturating_add(self.fresh.load(Ordering::Relaxed))
    }
}

fn take_one(of: &AtomicU32) -> bool {
    of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emergency_lane_may_use_what_is_granted_to_the_others() {
        let allowance = Allowance::default();
        assert!(!allowance.take(true));
        allowance.grant(Demand { hot: 1, ordinary: 2 });
        assert!(allowance.take(true) && allowance.take(true));
        assert!(allowance.take(false) && !allowance.take(false));
        assert_eq!(allowance.demand(), Demand { hot: 3, ordinary: 2 });
        assert_eq!(allowance.demand(), Demand::default());
        allowance.grant(Demand { hot: 5, ordinary: 0 });
        assert!(!allowance.take(false), "what is the emergency lane's stays so");
        assert_eq!(allowance.left(), Demand { hot: 5, ordinary: 0 });
    }

    #[test]
    fn a_portion_is_lost_at_the_second_turn() {
        let allowance = Allowance::default();
        allowance.grant(Demand { hot: 0, ordinary: 3 });
        allowance.turn();
        allowance.grant(Demand { hot: 0, ordinary: 2 });
        assert!(allowance.take(false));
        assert_eq!(allowance.left().ordinary, 4, "the older ones go first");
        allowance.turn();
        assert_eq!(allowance.left().ordinary, 2);
        allowance.turn();
        assert_eq!(allowance.left(), Demand::default());
    }
}
