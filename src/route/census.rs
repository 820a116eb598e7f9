//! How many websocket devices an alert is really for.
//!
//! Push channels are counted exactly by the workers as they scan; the gateways hold only the
//! connections that are open. So the router counts the websocket's members itself, each device
//! once, after the dispatches are on the log: the estimate stands until then.

use std::collections::BTreeMap;

use crate::domain::audience::AreaAudience;
use crate::domain::channel::Channel;
use crate::domain::device::{Device, Permission};
use crate::domain::ids::{Seq, UnitCode};
use crate::domain::publication::Publication;
use crate::route::{Error, Parts};
use crate::store::registry::Range;

/// Members read at once.
const PAGE: usize = 2_000;
/// An hour at which nobody is asked about quiet hours: they silence, they do not leave out.
const NOON: u16 = 12 * 60;

/// Devices of the websocket channel that a publication is for, by the unit that owns them.
pub async fn websockets(
    parts: &Parts,
    publication: &Publication,
    audience: &AreaAudience,
    upto: Seq,
) -> Result<BTreeMap<UnitCode, u64>, Error> {
    let channel = Channel::Websocket;
    let mut counts = BTreeMap::new();
    for (unit, shard) in parts.registry.ranges(audience, channel).await? {
        let mut range = Range { unit: unit.clone(), channel, shard, after: Seq(0), upto };
        loop {
            let members = parts.registry.scan(&range, PAGE).await?;
            let Some(last) = members.last() else { break };
            range.after = last.seq;
            let mine = members.iter().filter(|member| {
                member.left_at.is_none()
                    && member.device.as_ref().is_some_and(|device| {
                        let owner = audience.owner(&device.profile.places);
                        owner.is_some_and(|(place, _)| *place == member.place)
                            && wants(device, publication)
                    })
            });
            let count = mine.count() as u64;
            if count > 0 {
                *counts.entry(unit.clone()).or_default() += count;
            }
        }
    }
    Ok(counts)
}

fn wants(device: &Device, publication: &Publication) -> bool {
    let profile = &device.profile;
    let (lane, severity) = (publication.lane, publication.severity());
    let permission = profile.permission(lane, severity, &publication.interests(), NOON);
    permission != Permission::Muted && (!publication.is_exercise() || profile.exercises)
}
