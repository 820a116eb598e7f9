//! Who of a dispatch's range is sent to, and in which words.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::audience::{Audience, Fit};
use crate::domain::device::{Device, Permission, Place};
use crate::domain::dispatch::Dispatch;
use crate::domain::ids::Seq;
use crate::domain::summary::{Phrasebook, PushKey};
use crate::fanout::content::Outgoing;
use crate::fanout::{Error, Shared};
use crate::store::ledger::Progress;
use crate::store::reach::{Reach, Standing, standing};
use crate::store::registry::Member;

/// A member of a dispatch's range. For a citizen's dispatch `seq` is the device's number.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its place in the scan.
    pub seq: Seq,
    /// The shard that is scanned; absent when members are named one by one.
    pub shard: Option<u16>,
    /// The place it is there for; absent for a citizen's dispatch.
    pub place: Option<Place>,
    /// When it left, if it did.
    pub left_at: Option<Timestamp>,
    /// The device, unless it was removed.
    pub device: Option<Arc<Device>>,
}

impl Candidate {
    /// A registry member as a candidate.
    pub fn of_member(member: Member, shard: Option<u16>) -> Self {
        Self {
            seq: member.seq,
            shard,
            left_at: member.left_at,
            place: Some(member.place),
            device: member.device,
        }
    }
}

/// Judges the candidates of one dispatch.
#[derive(Debug)]
pub struct Judge<'a> {
    /// The node's shared parts.
    pub shared: &'a Shared,
    /// What is sent.
    pub outgoing: &'a Outgoing,
    /// Its words.
    pub book: &'a Phrasebook<'a>,
    /// The dispatch.
    pub dispatch: &'a Dispatch,
    /// The rows of `dispatch.reached_by`, settled.
    pub reached: &'a [Progress],
    /// The local minute of the day.
    pub minute: u16,
}

impl Judge<'_> {
    /// The words to send to a candidate, or `None` when it is left out.
    /// `again`: it was tried before.
    pub async fn verdict(
        &self,
        candidate: &Candidate,
        again: bool,
    ) -> Result<Option<PushKey>, Error> {
        let Some(device) = candidate.device.as_deref() else { return Ok(None) };
        // Whoever was reached hears what follows by the road they have now.
        let follows = !self.dispatch.reached_by.is_empty();
        let is_ours = follows || device.profile.address.channel() == self.dispatch.channel;
        if !is_ours || (self.outgoing.publication.is_exercise() && !device.profile.exercises) {
            return Ok(None);
        }
        let coarse = if !follows {
            match self.targeted((candidate, again), device).await? {
                Some(coarse) => coarse,
                None => return Ok(None),
            }
        } else {
            if !self.reached.iter().any(|row| standing(row, candidate.seq) == Standing::Reached) {
                return Ok(None);
            }
            false
        };
        let permission = self.permission(device);
        if permission == Permission::Muted {
            return Ok(None);
        }
        Ok(Some(self.book.key(&device.profile.languages, permission, coarse)))
    }

    /// Whoever was warned is told the end of it, even if they muted the kind meanwhile.
    fn permission(&self, device: &Device) -> Permission {
        let publication = &self.outgoing.publication;
        let permission = device.profile.permission(
            publication.lane,
            publication.severity(),
            &self.outgoing.interests,
            self.minute,
        );
        match permission {
            Permission::Muted if !self.dispatch.reached_by.is_empty() => Permission::Silent,
            other => other,
        }
    }

    /// Whether a candidate is the one place by which its device gets this publication, and
    /// whether its place is only coarsely known to be inside.
    async fn targeted(
        &self,
        (candidate, again): (&Candidate, bool),
        device: &Device,
    ) -> Result<Option<bool>, Error> {
        let Audience::Area(audience) = &self.outgoing.publication.audience else {
            return Ok(Some(false));
        };
        let Some((owner, fit)) = audience.owner(&device.profile.places) else { return Ok(None) };
        let owns = candidate.left_at.is_none() && candidate.place.as_ref() == Some(owner);
        let again = (candidate, again);
        let moved =
            candidate.left_at.is_some() && self.moved_without_a_late_join(again, device).await?;
        if !owns && !moved {
            return Ok(None);
        }
        if self.reached_earlier(candidate, device).await? {
            return Ok(None);
        }
        Ok(Some(fit == Fit::Coarse))
    }

    /// A device gave up this place, has another one inside, and was not reached: nobody else will
    /// come to it, so it is sent to from here. Either the broadcast has passed the place it keeps;
    /// or it moved while its push was on the way, which looked as if it were reached, and that push
    /// has to be made again.
    async fn moved_without_a_late_join(
        &self,
        (candidate, again): (&Candidate, bool),
        device: &Device,
    ) -> Result<bool, Error> {
        let Audience::Area(audience) = &self.outgoing.publication.audience else {
            return Ok(false);
        };
        let mut memberships = self.shared.registry.memberships_of(device.num).await?;
        if again {
            memberships.retain(|one| one.seq != candidate.seq);
        }
        let Some((owner, _)) = audience.owner(&device.profile.places) else { return Ok(false) };
        let upto = self.dispatch.scope.last();
        let kept = memberships
            .iter()
            .any(|one| one.left_at.is_none() && one.place == *owner && (again || one.seq <= upto));
        if !kept {
            return Ok(false);
        }
        let reach = Reach::load(&self.shared.ledger, self.dispatch.publication).await?;
        Ok(reach.missing(audience, &device.profile.places, &memberships).is_some())
    }

    /// An update's new audience leaves out those who got what it supersedes: they get the update
    /// by the dispatches to the reached.
    async fn reached_earlier(&self, candidate: &Candidate, device: &Device) -> Result<bool, Error> {
        let earlier = self.outgoing.superseded(&self.shared.ledger).await?;
        if earlier.is_empty() {
            return Ok(false);
        }
        // The common case costs no look-up: the same membership in the same range.
        if let (Some(place), Some(shard)) = (&candidate.place, candidate.shard) {
            let part = (&place.unit, shard);
            let channel = self.dispatch.channel;
            let same = |reach: &Reach| reach.of_range(channel, part, candidate.seq);
            if earlier.iter().any(|reach| same(reach) == Standing::Reached) {
                return Ok(true);
            }
        }
        let memberships = self.shared.registry.memberships_of(device.num).await?;
        Ok(earlier.iter().any(|reach| {
            memberships.iter().any(|membership| reach.of(membership) == Standing::Reached)
        }))
    }
}
