//! Late joiners: whoever registers, or changes place, inside a live alert's audience gets it then,
//! once. The router follows the registry's changes, so a join that was answered is never lost,
//! whatever crashes.
//!
//! One router follows at a time, the one that has the registry's lease. The others stand by and
//! take it when it is not renewed: they go on at the stored cursor, and what the other one did
//! after it is done again under the same ids.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::domain::audience::{AreaAudience, Audience};
use crate::domain::channel::Channel;
use crate::domain::dispatch::{Dispatch, Scope};
use crate::domain::ids::{PublicationId, Seq, UnitCode};
use crate::domain::publication::{Action, Publication};
use crate::lifecycle::Lifecycle;
use crate::route::{Error, Parts, plan, router};
use crate::store::ledger::State;
use crate::store::reach::Reach;
use crate::store::registry::{Lease, Member};

/// Changes looked at in one go.
const PAGE: usize = 1_000;
/// Late joiners in one dispatch: a batch.
const MEMBERS_MAX: usize = 500;
/// Devices asked for their memberships at once.
const ASKED_AT_ONCE: usize = 32;
/// How long a router that died keeps the others from following.
const LEASE: Duration = Duration::from_secs(6);
/// Between two renewals; also how soon one that stands by sees that the lease has ended.
const RENEWAL: Duration = Duration::from_secs(2);

/// Tells the follower that something was routed. Clones share the signal.
#[derive(Clone, Debug)]
pub struct Routed(Arc<watch::Sender<u64>>);

impl Default for Routed {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Routed {
    /// Something was routed.
    pub fn announce(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

/// Starts the follower.
pub async fn start(parts: Parts, routed: Routed, tasks: &Lifecycle) -> Result<(), Error> {
    let owner = Uuid::new_v4().to_string();
    let mut follower =
        Follower { parts, owner, lease: None, known: HashMap::new(), cursor: Seq(0) };
    let stop = tasks.token().clone();
    let mut routed = routed.0.subscribe();
    let mut changed = follower.parts.registry.watch();
    let mut live = follower.parts.alerts.watch();
    let mut renewal = interval(RENEWAL);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    follower.holds().await?;
    tasks.service("route.late", async move {
        loop {
            // Stores that are away come back; where it stopped is stored, so nobody is left out.
            if let Err(error) = follower.follow().await {
                tracing::error!(%error, "late joiners wait to be looked for");
                follower.lease = None;
            }
            tokio::select! {
                _ = changed.changed() => {}
                _ = routed.changed() => {}
                _ = live.changed() => {}
                _ = renewal.tick() => {}
                () = stop.cancelled() => {
                    follower.leave().await;
                    return Ok::<(), Infallible>(());
                }
            }
        }
    });
    Ok(())
}

#[derive(Debug)]
struct Follower {
    parts: Parts,
    /// This process, among those that would follow.
    owner: String,
    /// The right to follow, while this router has it.
    lease: Option<Lease>,
    /// Live and routed publications, each with the last membership its ranges cover.
    known: HashMap<PublicationId, (Arc<Publication>, Seq)>,
    /// The last change that was looked at for every known publication.
    cursor: Seq,
}

impl Follower {
    /// Whether this router follows; takes over where the last one stopped if nobody does.
    async fn holds(&mut self) -> Result<bool, Error> {
        let lease = self.parts.registry.late_lease(&self.owner, LEASE).await?;
        if lease.is_some() && lease != self.lease {
            self.known.clear();
            self.cursor = self.parts.registry.late_cursor().await?;
            self.republish().await?;
        }
        self.lease = lease;
        Ok(lease.is_some())
    }

    async fn follow(&mut self) -> Result<(), Error> {
        if self.holds().await? { self.step().await } else { Ok(()) }
    }

    /// Whether no other router followed since this one began to; renews the right to.
    async fn still_follows(&self) -> Result<bool, Error> {
        let lease = self.parts.registry.late_lease(&self.owner, LEASE).await?;
        Ok(lease.is_some() && lease == self.lease)
    }

    /// Another router need not wait for the end of the lease.
    async fn leave(&self) {
        let Some(lease) = self.lease else { return };
        if let Err(error) = self.parts.registry.leave_late(lease).await {
            tracing::warn!(%error, "the lease on late joiners ends by itself");
        }
    }

    /// Remembers how far this router looked; whether it still may.
    async fn looked(&mut self, upto: Seq) -> Result<bool, Error> {
        let Some(lease) = self.lease else { return Ok(false) };
        if !self.parts.registry.set_late_cursor(upto, lease).await? {
            self.lease = None;
            return Ok(false);
        }
        self.cursor = upto;
        Ok(true)
    }

    fn live(&self) -> Vec<Arc<Publication>> {
        let mut live = self.parts.alerts.live(self.parts.clock.now());
        live.retain(|publication| {
            publication.reaches_people() && publication.action() != Action::Cancel
        });
        live
    }

    /// After a crash between ledger and log: open dispatches to late joiners go out again.
    async fn republish(&self) -> Result<(), Error> {
        for publication in self.live() {
            let rows = self.parts.ledger.of_publication(publication.id).await?;
            let open = rows.into_iter().filter(|row| row.state == State::Open && !row.frozen);
            let late: Vec<Dispatch> = open
                .map(|row| row.dispatch)
                .filter(|dispatch| matches!(dispatch.scope, Scope::Late { .. }))
                .collect();
            router::publish(&self.parts, &late).await?;
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), Error> {
        let live = self.live();
        let ids: HashSet<_> = live.iter().map(|publication| publication.id).collect();
        self.known.retain(|id, _| ids.contains(id));
        for publication in live {
            if !self.meet(publication).await? {
                return Ok(());
            }
        }
        if self.known.is_empty() {
            // Nothing is live: whoever joins is not late for anything. What is routed from now on
            // is met with its own bound.
            let newest = self.parts.registry.last_seq().await?;
            if newest > self.cursor {
                self.looked(newest).await?;
            }
            return Ok(());
        }
        loop {
            let changes = self.parts.registry.changes(self.cursor, PAGE).await?;
            let Some(last) = changes.last() else { return Ok(()) };
            for (publication, upto) in self.known.values() {
                if !self.consider(publication, *upto, &changes).await? {
                    return Ok(());
                }
            }
            if !self.looked(last.seq).await? || !self.holds().await? {
                return Ok(());
            }
        }
    }

    /// A live publication seen for the first time: whoever joined after its ranges were fixed and
    /// was already looked at is looked at again for it. Whether this router still follows.
    async fn meet(&mut self, publication: Arc<Publication>) -> Result<bool, Error> {
        if self.known.contains_key(&publication.id) {
            return Ok(true);
        }
        let rows = self.parts.ledger.of_publication(publication.id).await?;
        let bounds = rows.iter().filter_map(|row| row.dispatch.bound());
        // No range yet: not routed. It will be announced. (Ranges have one bound, but for those
        // that an earlier release routed twice: what lies between is late for some of them only,
        // and each is asked.)
        let Some(upto) = bounds.min() else { return Ok(true) };
        let mut from = upto;
        while from < self.cursor {
            let changes = self.parts.registry.changes(from, PAGE).await?;
            let Some(last) = changes.last() else { break };
            if !self.consider(&publication, upto, &changes).await? {
                return Ok(false);
            }
            from = last.seq;
        }
        self.known.insert(publication.id, (publication, upto));
        Ok(true)
    }

    /// Opens what late joiners among changes are missing. Nothing is opened, and the answer is
    /// `false`, when another router follows by now: it looks at the same changes, and two lists
    /// that overlap would warn somebody twice.
    async fn consider(
        &self,
        publication: &Publication,
        upto: Seq,
        changes: &[Member],
    ) -> Result<bool, Error> {
        let Audience::Area(audience) = &publication.audience else { return Ok(true) };
        let joined = |change: &&Member| {
            change.seq > upto
                && change.left_at.is_none()
                && change.channel != Channel::Websocket
                && audience.fit(&change.place).is_some()
        };
        let joined: Vec<&Member> = changes.iter().filter(joined).collect();
        if joined.is_empty() {
            return Ok(true);
        }
        let reach = Reach::load(&self.parts.ledger, publication.id).await?;
        let groups = self.missing(&reach, audience, &joined).await?;
        if groups.is_empty() {
            return Ok(true);
        }
        // From here on the lease lasts longer than what is left to do.
        if !self.still_follows().await? {
            return Ok(false);
        }
        let mut dispatches = Vec::new();
        for ((channel, unit), members) in groups {
            for members in members.chunks(MEMBERS_MAX) {
                let scope = Scope::Late { unit: unit.clone(), members: members.to_vec() };
                let dispatch = plan::dispatch(publication, channel, scope, Vec::new());
                let key = dispatch.id.0.to_string();
                let count = vec![(Some(unit.clone()), channel, members.len() as u64)];
                self.parts.ledger.add_targeted(publication.id, &key, count).await?;
                dispatches.push(dispatch);
            }
        }
        router::open(&self.parts, &dispatches).await?;
        router::publish(&self.parts, &dispatches).await?;
        Ok(true)
    }

    /// Sorted memberships to send to, by channel and unit.
    async fn missing(
        &self,
        reach: &Reach,
        audience: &AreaAudience,
        joined: &[&Member],
    ) -> Result<BTreeMap<(Channel, UnitCode), Vec<Seq>>, Error> {
        let mut groups: BTreeMap<(Channel, UnitCode), Vec<Seq>> = BTreeMap::new();
        let mut seen = HashSet::new();
        let asked = joined.iter().filter_map(|member| {
            let device = member.device.as_deref()?;
            let is_new = !reach.is_late(member.seq) && seen.insert(member.num);
            is_new.then_some((member.num, &device.profile.places))
        });
        let asked: Vec<_> = asked.collect();
        let mut memberships = Vec::with_capacity(asked.len());
        for some in asked.chunks(ASKED_AT_ONCE) {
            let ask = some.iter().map(|(num, _)| self.parts.registry.memberships_of(*num));
            memberships.extend(try_join_all(ask).await?);
        }
        for ((_, places), memberships) in asked.into_iter().zip(memberships) {
            let Some(seq) = reach.missing(audience, places, &memberships) else { continue };
            let Some(owner) = memberships.iter().find(|membership| membership.seq == seq) else {
                continue;
            };
            let group = groups.entry((owner.channel, owner.place.unit.clone())).or_default();
            group.push(seq);
        }
        for members in groups.values_mut() {
            members.sort_unstable();
        }
        Ok(groups)
    }
}
