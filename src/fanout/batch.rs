//! One batch: sent with all its members in flight at once, each answer with its member.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use uuid::Uuid;

use crate::channel::{Delivery, Prepared};
use crate::domain::device::Device;
use crate::domain::ids::{DeviceId, PublicationId, Seq};
use crate::domain::outcome::{Outcome, RetryScope};
use crate::domain::publication::Publication;
use crate::fanout::Shared;
use crate::fanout::worker::Road;

/// A misconfigured channel is asked again this often: an operator has to act first.
pub(super) const MISCONFIGURED_RETRY: Duration = Duration::from_secs(60);

/// One push about to be made.
#[derive(Clone, Debug)]
pub struct Push {
    /// The member.
    pub seq: Seq,
    /// The device.
    pub device: Arc<Device>,
    /// Its payload, shared.
    pub prepared: Arc<Prepared>,
    /// 1 for the first attempt.
    pub attempt: u32,
}

/// The id of a push: the same whenever the same publication goes to the same device, so that a
/// repeat can be traced (`apns-id`).
pub fn push_id(publication: PublicationId, device: DeviceId) -> Uuid {
    Uuid::new_v5(&publication.0, device.0.as_bytes())
}

/// Sends a batch and waits for every answer. What an update or cancel comes before is withdrawn.
pub async fn send(
    shared: &Shared,
    road: &Road,
    publication: &Publication,
    pushes: Vec<Push>,
) -> Vec<(Push, Outcome)> {
    let prepared: Vec<_> = pushes.iter().map(|push| Arc::clone(&push.prepared)).collect();
    let mut flying: FuturesUnordered<_> =
        pushes.into_iter().map(|push| send_one(shared, road, publication, push)).collect();
    let mut answers = Vec::with_capacity(flying.len());
    let mut called_back = false;
    let superseded = shared.superseded.wait(publication.id);
    tokio::pin!(superseded);
    loop {
        tokio::select! {
            answer = flying.next() => match answer {
                Some(answer) => answers.push(answer),
                None => return answers,
            },
            // What waits for a stream does not go out any more.
            () = &mut superseded, if !called_back => {
                called_back = true;
                prepared.iter().for_each(|prepared| prepared.call_back());
            }
        }
    }
}

async fn send_one(
    shared: &Shared,
    road: &Road,
    publication: &Publication,
    push: Push,
) -> (Push, Outcome) {
    shared.gate.pass(road.lane).await;
    if shared.superseded.contains(publication.id) {
        return (push, Outcome::Withdrawn);
    }
    let now = shared.clock.now();
    if publication.is_expired(now) {
        return (push, Outcome::Expired);
    }
    let id = push_id(publication.id, push.device.id);
    let delivery = Delivery { id, expires: publication.expires, now, lane: road.lane };
    let address = &push.device.profile.address;
    let outcome = road.sender.send(&push.prepared, address, &delivery).await;
    if let Some(pause) = pause(&outcome, road.sender.one_account()) {
        let until = shared.clock.now().checked_add(pause).unwrap_or(publication.expires);
        road.sender.pause_until(until);
    }
    (push, outcome)
}

/// How long the whole channel waits after an outcome: the other pushes of this and every other
/// batch that did not go out yet come back, and are tried again then.
fn pause(outcome: &Outcome, one_account: bool) -> Option<Duration> {
    match outcome {
        Outcome::Retry { after, scope: RetryScope::Channel, .. } => *after,
        // Where the apps have accounts of their own, one that is refused stops no other.
        Outcome::Misconfigured { .. } if one_account => Some(MISCONFIGURED_RETRY),
        _ => None,
    }
}
