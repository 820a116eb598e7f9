//! Dispatches: units of fan-out work. A dispatch names a range of the registry, never recipients,
//! and its id follows from what it covers, so that routing twice makes the same dispatches.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::channel::Channel;
use crate::domain::ids::{PublicationId, Seq, SubjectId, UnitCode};
use crate::domain::lane::Lane;

/// A dispatch's deterministic id (UUID version 5 over what it covers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DispatchId(pub Uuid);

/// One unit of fan-out work: (publication, channel, unit, shard).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Deterministic id.
    pub id: DispatchId,
    /// What to send.
    pub publication: PublicationId,
    /// By which road.
    pub channel: Channel,
    /// How urgent.
    pub lane: Lane,
    /// Nothing is sent after this.
    pub expires: Timestamp,
    /// To whom.
    pub scope: Scope,
    /// Not empty: only those whom one of these earlier dispatches reached, or may have reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached_by: Vec<DispatchId>,
}

/// The part of the registry a dispatch covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Scope {
    /// The memberships of a unit and shard, up to the last one when it was routed.
    Range {
        /// The unit.
        unit: UnitCode,
        /// The shard, 0..shards.
        shard: u16,
        /// The last membership; whoever comes after it is a late joiner.
        upto: Seq,
    },
    /// Memberships that came while the alert was live (late joiners).
    Late {
        /// The unit they joined.
        unit: UnitCode,
        /// Sorted.
        members: Vec<Seq>,
    },
    /// All devices of the citizen whom the publication names.
    Subject {
        /// The citizen again, if the publication is on the log unsealed: so earlier releases wrote
        /// it, and read it. Of a sealed one a dispatch says no more than that it is for somebody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<SubjectId>,
    },
}

impl Scope {
    /// The unit it lies in, if it lies in one.
    pub fn unit(&self) -> Option<&UnitCode> {
        match self {
            Scope::Range { unit, .. } | Scope::Late { unit, .. } => Some(unit),
            Scope::Subject { .. } => None,
        }
    }

    /// The last member it covers; a citizen's devices are not numbered by membership.
    pub fn last(&self) -> Seq {
        match self {
            Scope::Range { upto, .. } => *upto,
            Scope::Late { members, .. } => members.last().copied().unwrap_or_default(),
            Scope::Subject { .. } => Seq(u64::MAX),
        }
    }

    /// What of the scope makes one dispatch differ from another: not how far the registry reached
    /// when it was routed, so that routing the same publication twice gives the same ids.
    fn discriminator(&self) -> String {
        match self {
            Scope::Range { unit, shard, .. } => format!("range/{unit}/{shard}"),
            Scope::Late { unit, members } => {
                let first = members.first().copied().unwrap_or_default().0;
                format!("late/{unit}/{first}")
            }
            Scope::Subject { subject: Some(subject) } => format!("subject/{subject}"),
            Scope::Subject { subject: None } => "subject".to_owned(),
        }
    }
}

impl Dispatch {
    /// Of a range that follows no earlier dispatch, the last membership it covers: whoever joins
    /// after it is a late joiner.
    pub fn bound(&self) -> Option<Seq> {
        match self.scope {
            Scope::Range { upto, .. } if self.reached_by.is_empty() => Some(upto),
            _ => None,
        }
    }

    /// Takes in another dispatch of the same id: covers what either covers.
    pub fn merge(&mut self, other: Dispatch) {
        match (&mut self.scope, other.scope) {
            (Scope::Range { upto, .. }, Scope::Range { upto: theirs, .. }) => {
                *upto = (*upto).max(theirs);
            }
            (Scope::Late { members, .. }, Scope::Late { members: theirs, .. }) => {
                members.extend(theirs);
                members.sort_unstable();
                members.dedup();
            }
            _ => {}
        }
        self.reached_by.extend(other.reached_by);
        self.reached_by.sort_unstable();
        self.reached_by.dedup();
    }
}

impl DispatchId {
    /// The id of the dispatch of a publication over a channel to a scope. `reached` tells the
    /// dispatch to those reached earlier from the one to newly targeted people in the same unit.
    pub fn of(publication: PublicationId, channel: Channel, scope: &Scope, reached: bool) -> Self {
        let who = if reached { "reached" } else { "all" };
        let name = format!("{channel}/{who}/{}", scope.discriminator());
        Self(Uuid::new_v5(&publication.0, name.as_bytes()))
    }
}
