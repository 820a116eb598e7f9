//! What the simulated providers delivered, per address.

use jiff::Timestamp;

use crate::domain::channel::Channel;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::publication::Action;

/// One push handed to a simulated phone.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// By which provider.
    pub channel: Channel,
    /// The address's value: APNs device token, FCM token or installation id.
    pub token: Box<str>,
    /// What it is about (the `loa` object, or FCM `data`).
    pub publication: PublicationId,
    /// Its chain.
    pub chain: ChainId,
    /// Alert, update or cancel.
    pub action: Action,
    /// When the provider accepted it.
    pub at: Timestamp,
    /// `apns-collapse-id`; FCM `collapse_key`, else the notification's `tag`.
    pub collapse_id: Option<Box<str>>,
    /// `apns-id`; FCM's message name.
    pub message_id: Box<str>,
}
