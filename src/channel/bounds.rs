//! What bounds a channel beside our processors: its requests in flight and its provider's quota,
//! as the settings say. For forecasts.

use std::collections::BTreeMap;

use crate::channel::Settings;
use crate::domain::channel::Channel;
use crate::domain::forecast::Bounds;

/// The bounds of every channel; a provider without settings counts with the default ones.
pub fn bounds(settings: &Settings) -> BTreeMap<Channel, Bounds> {
    let apns = settings.apns.clone().unwrap_or_default();
    let fcm = settings.fcm.clone().unwrap_or_default();
    let provider = |capacity: usize| Bounds { in_flight: Some(capacity as u64), per_minute: None };
    BTreeMap::from([
        (Channel::Websocket, Bounds::default()),
        (Channel::Apns, provider(apns.http2.capacity())),
        (Channel::Fcm, provider(fcm.http2.capacity())),
    ])
}
