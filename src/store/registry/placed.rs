//! A device with all its places in one look, and whether it can be another one by now: what it
//! takes to let a stream in.

use crate::domain::ids::DeviceId;
use crate::store::registry::{Error, Membership, Registry, Stored};

/// A device and its memberships as they were in one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The device, with what proves a request to be its own.
    pub stored: Stored,
    /// Every membership of it, tombstones included, in Seq order.
    pub memberships: Vec<Membership>,
}

/// A moment of a registry; see [`Registry::may_have_changed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(Option<u64>);

impl Registry {
    /// A device with its memberships, by its id.
    pub async fn placed(&self, id: &DeviceId) -> Result<Option<Placed>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.placed(*id).await,
            Self::Redis(shared) => shared.placed(*id).await,
        }
    }

    /// The present moment: to be asked for before what is to hold is read.
    pub fn moment(&self) -> Moment {
        match self {
            Self::Embedded(embedded) => Moment(Some(embedded.changes_made())),
            // What other nodes do is seen only by asking.
            Self::Redis(_) => Moment(None),
        }
    }

    /// Whether any device may be another one than what was read after a moment. If not, whoever
    /// changes one from now on has not been answered yet, and the change feed not been woken.
    pub fn may_have_changed(&self, since: Moment) -> bool {
        since.0.is_none() || self.moment() != since
    }
}
