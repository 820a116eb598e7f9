//! Whether a device was reached by a publication: one question over the ledger's progress rows and
//! the registry's memberships, asked by the router (late joiners) and by the fan-out (updates,
//! cancels, devices that moved in mid-scan).

use std::collections::HashMap;

use crate::domain::audience::AreaAudience;
use crate::domain::channel::Channel;
use crate::domain::device::Place;
use crate::domain::dispatch::{DispatchId, Scope};
use crate::domain::ids::{PublicationId, Seq, UnitCode};
use crate::store::ledger::{self, Ledger, Progress, State};
use crate::store::registry::Membership;

/// How one membership stands to a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was sent to, or may have been.
    Reached,
    /// A dispatch that still runs will come to it, or will try it again.
    Pending,
    /// No dispatch covers it, or one came by and left it out.
    Open,
}

/// What one dispatch did, as far as it matters for who was reached.
pub fn standing(progress: &Progress, seq: Seq) -> Standing {
    let covered = match &progress.dispatch.scope {
        Scope::Range { upto, .. } => seq <= *upto,
        Scope::Late { members, .. } => members.binary_search(&seq).is_ok(),
        Scope::Subject { .. } => true,
    };
    let runs = progress.state == State::Open && !progress.frozen;
    if !covered {
        Standing::Open
    } else if seq > progress.intent {
        if runs { Standing::Pending } else { Standing::Open }
    } else if !progress.unreached.contains(seq.0) {
        Standing::Reached
    } else if runs && progress.retries.iter().any(|waiting| waiting.seq == seq) {
        Standing::Pending
    } else {
        Standing::Open
    }
}

/// The progress of every dispatch of one publication, at one moment.
#[derive(Debug)]
pub struct Reach {
    publication: PublicationId,
    rows: HashMap<DispatchId, Progress>,
    late: HashMap<Seq, DispatchId>,
}

impl Reach {
    /// Reads a publication's rows.
    pub async fn load(ledger: &Ledger, publication: PublicationId) -> Result<Self, ledger::Error> {
        Ok(Self::from_rows(publication, ledger.of_publication(publication).await?))
    }

    fn from_rows(publication: PublicationId, rows: Vec<Progress>) -> Self {
        let late = rows
            .iter()
            .filter_map(|row| match &row.dispatch.scope {
                Scope::Late { members, .. } => Some((members, row.dispatch.id)),
                _ => None,
            })
            .flat_map(|(members, id)| members.iter().map(move |seq| (*seq, id)))
            .collect();
        let rows = rows.into_iter().map(|row| (row.dispatch.id, row)).collect();
        Self { publication, rows, late }
    }

    /// The rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &Progress> {
        self.rows.values()
    }

    /// Whether a dispatch to late joiners covers a membership.
    pub fn is_late(&self, seq: Seq) -> bool {
        self.late.contains_key(&seq)
    }

    /// How a membership stands to the publication.
    pub fn of(&self, membership: &Membership) -> Standing {
        let range = self.of_range(
            membership.channel,
            (&membership.place.unit, membership.shard),
            membership.seq,
        );
        let late = self.late.get(&membership.seq).and_then(|id| self.rows.get(id));
        let late = late.map_or(Standing::Open, |row| standing(row, membership.seq));
        strongest(range, late)
    }

    /// How a membership stands to the dispatches over its unit and shard.
    pub fn of_range(
        &self,
        channel: Channel,
        (unit, shard): (&UnitCode, u16),
        seq: Seq,
    ) -> Standing {
        let scope = Scope::Range { unit: unit.clone(), shard, upto: seq };
        [false, true]
            .into_iter()
            .filter_map(|reached| {
                self.rows.get(&DispatchId::of(self.publication, channel, &scope, reached))
            })
            .map(|row| standing(row, seq))
            .fold(Standing::Open, strongest)
    }

    /// Which membership of a device should get the publication by a road of its own: none when it
    /// was reached already, or when a running dispatch will come to its owner.
    pub fn missing(
        &self,
        audience: &AreaAudience,
        places: &[Place],
        memberships: &[Membership],
    ) -> Option<Seq> {
        if memberships.iter().any(|membership| self.of(membership) == Standing::Reached) {
            return None;
        }
        let (owner, _) = audience.owner(places)?;
        let live = memberships
            .iter()
            .find(|membership| membership.left_at.is_none() && membership.place == *owner)?;
        (self.of(live) == Standing::Open).then_some(live.seq)
    }
}

fn strongest(one: Standing, other: Standing) -> Standing {
    match (one, other) {
        (Standing::Reached, _) | (_, Standing::Reached) => Standing::Reached,
        (Standing::Pending, _) | (_, Standing::Pending) => Standing::Pending,
        _ => Standing::Open,
    }
}
