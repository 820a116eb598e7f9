//! From a publication to its dispatches: pure.

use std::collections::BTreeMap;

use crate::domain::channel::Channel;
use crate::domain::dispatch::{Dispatch, DispatchId, Scope};
use crate::domain::ids::{Seq, SubjectId, UnitCode};
use crate::domain::publication::Publication;

/// A dispatch of a publication over a channel to a scope.
pub fn dispatch(
    publication: &Publication,
    channel: Channel,
    scope: Scope,
    reached_by: Vec<DispatchId>,
) -> Dispatch {
    Dispatch {
        id: DispatchId::of(publication.id, channel, &scope, !reached_by.is_empty()),
        publication: publication.id,
        channel,
        lane: publication.lane,
        expires: publication.expires,
        scope,
        reached_by,
    }
}

/// One dispatch for each part of the registry that has members.
pub fn ranges(
    publication: &Publication,
    channel: Channel,
    parts: &[(UnitCode, u16)],
    upto: Seq,
) -> Vec<Dispatch> {
    let scope =
        |(unit, shard): &(UnitCode, u16)| Scope::Range { unit: unit.clone(), shard: *shard, upto };
    parts.iter().map(|part| dispatch(publication, channel, scope(part), Vec::new())).collect()
}

/// One dispatch to a citizen's devices on a channel; it names a citizen whom the log names too.
pub fn subject(
    publication: &Publication,
    channel: Channel,
    subject: Option<SubjectId>,
) -> Dispatch {
    dispatch(publication, channel, Scope::Subject { subject }, Vec::new())
}

/// The dispatches that follow the frozen ones of superseded publications, to those they reached.
/// Frozen dispatches over the same part of the registry are followed by one.
pub fn followers<'a>(
    publication: &Publication,
    frozen: impl IntoIterator<Item = &'a Dispatch>,
) -> Vec<Dispatch> {
    let mut followers: BTreeMap<DispatchId, Dispatch> = BTreeMap::new();
    for earlier in frozen {
        let (channel, scope) = (earlier.channel, earlier.scope.clone());
        let follower = dispatch(publication, channel, scope, vec![earlier.id]);
        match followers.get_mut(&follower.id) {
            Some(known) => known.merge(follower),
            None => {
                followers.insert(follower.id, follower);
            }
        }
    }
    followers.into_values().collect()
}
