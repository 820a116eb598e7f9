//! Late joiners: whoever registers, or changes place, inside a live alert's audience gets it then,
//! once. The router follows the registry's changes, so a join that was answered is never lost,
//! whatever crashes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::audience::{AreaAudience, Audience};
use crate::domain::channel::Channel;
use crate::domain::dispatch::{Dispatch, Scope};
use crate::domain::ids::{PublicationId, Seq, UnitCode};
use crate::domain::publication::{Action, Publication};
use crate::lifecycle::Lifecycle;
use crate::route::{Error, Parts, plan, router};
use crate::store::ledger::State;
use crate::store::reach::Reach;
use crate::store::registry::Member;

/// Changes looked at in one go.
const PAGE: usize = 1_000;
/// Late joiners in one dispatch: a batch.
const MEMBERS_MAX: usize = 500;

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
    let mut follower = Follower { parts, known: HashMap::new(), cursor: Seq(0) };
    follower.cursor = follower.parts.registry.late_cursor().await?;
    let stop = tasks.token().clone();
    let mut routed = routed.0.subscribe();
    let mut changed = follower.parts.registry.watch();
    tasks.service("route.late", async move {
        follower.republish().await?;
        loop {
            follower.step().await?;
            tokio::select! {
                _ = changed.changed() => {}
                _ = routed.changed() => {}
                () = stop.cancelled() => return Ok::<(), Error>(()),
            }
        }
    });
    Ok(())
}

#[derive(Debug)]
struct Follower {
    parts: Parts,
    /// Live and routed publications, each with the last membership its ranges cover.
    known: HashMap<PublicationId, (Arc<Publication>, Seq)>,
    /// The last change that was looked at for every known publication.
    cursor: Seq,
}

impl Follower {
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
            self.meet(publication).await?;
        }
        if self.known.is_empty() {
            // Nothing is live: whoever joins is not late for anything. What is routed from now on
            // is met with its own bound.
            self.cursor = self.parts.registry.last_seq().await?;
            self.parts.registry.set_late_cursor(self.cursor).await?;
            return Ok(());
        }
        loop {
            let changes = self.parts.registry.changes(self.cursor, PAGE).await?;
            let Some(last) = changes.last() else { return Ok(()) };
            for (publication, upto) in self.known.values() {
                self.consider(publication, *upto, &changes).await?;
            }
            self.cursor = last.seq;
            self.parts.registry.set_late_cursor(self.cursor).await?;
        }
    }

    /// A live publication seen for the first time: whoever joined after its ranges were fixed and
    /// was already looked at is looked at again for it.
    async fn meet(&mut self, publication: Arc<Publication>) -> Result<(), Error> {
        if self.known.contains_key(&publication.id) {
            return Ok(());
        }
        let rows = self.parts.ledger.of_publication(publication.id).await?;
        let bounds = rows.iter().filter(|row| row.dispatch.reached_by.is_empty()).filter_map(
            |row| match row.dispatch.scope {
                Scope::Range { upto, .. } => Some(upto),
                _ => None,
            },
        );
        // No range yet: not routed. It will be announced.
        // Routed again after a crash in the middle, ranges may have two bounds. What lies between
        // is late for some of them only, and each is asked.
        let Some(upto) = bounds.min() else { return Ok(()) };
        let mut from = upto;
        while from < self.cursor {
            let changes = self.parts.registry.changes(from, PAGE).await?;
            let Some(last) = changes.last() else { break };
            self.consider(&publication, upto, &changes).await?;
            from = last.seq;
        }
        self.known.insert(publication.id, (publication, upto));
        Ok(())
    }

    async fn consider(
        &self,
        publication: &Publication,
        upto: Seq,
        changes: &[Member],
    ) -> Result<(), Error> {
        let Audience::Area(audience) = &publication.audience else { return Ok(()) };
        let joined = |change: &&Member| {
            change.seq > upto
                && change.left_at.is_none()
                && change.channel != Channel::Websocket
                && audience.fit(&change.place).is_some()
        };
        let joined: Vec<&Member> = changes.iter().filter(joined).collect();
        if joined.is_empty() {
            return Ok(());
        }
        let reach = Reach::load(&self.parts.ledger, publication.id).await?;
        let groups = self.missing(&reach, audience, &joined).await?;
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
        router::publish(&self.parts, &dispatches).await
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
        for member in joined {
            let Some(device) = &member.device else { continue };
            if reach.is_late(member.seq) || !seen.insert(member.num) {
                continue;
            }
            let memberships = self.parts.registry.memberships_of(member.num).await?;
            let places = &device.profile.places;
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
