//! What bounds a channel beside our processors: its requests in flight and its provider's quota,
//! as the settings say. For forecasts.

use std::collections::BTreeMap;

use crate::channel::{Settings, fcm, http2, throttle};
use crate::domain::channel::Channel;
use crate::domain::forecast::Bounds;

/// The bounds of every channel; a provider without settings counts with the default ones.
pub fn bounds(settings: &Settings) -> BTreeMap<Channel, Bounds> {
    let apns = settings.apns.clone().unwrap_or_default();
    let fcm = settings.fcm.clone().unwrap_or_default();
    let webpush = settings.webpush.clone().unwrap_or_default();
    BTreeMap::from([
        (Channel::Websocket, Bounds::default()),
        (Channel::Apns, of(&apns.throttle, &apns.http2, None)),
        (Channel::Fcm, of(&fcm.throttle, &fcm.http2, Some(fcm::QUOTA_PER_MINUTE))),
        (Channel::Webpush, of(&webpush.throttle, &webpush.http2, None)),
    ])
}

fn of(throttle: &throttle::Settings, http2: &http2::Settings, quota: Option<u32>) -> Bounds {
    let capacity = http2.capacity() as u64;
    Bounds {
        in_flight: Some(throttle.in_flight_max.map_or(capacity, |most| capacity.min(most.into()))),
        per_minute: throttle.per_minute(quota).map(u64::from),
    }
}
