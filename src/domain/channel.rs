//! Channels and push addresses: by which road a device is reached.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::webpush::Subscription;

/// The road by which a device is reached. A device has exactly one in every count; an app with a
/// push address that also holds a socket counts under its push channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A websocket or event stream held by a gateway.
    Websocket,
    /// Apple Push Notification service.
    Apns,
    /// Firebase Cloud Messaging, HTTP v1.
    Fcm,
    /// Web Push: a browser, by way of its maker's push service.
    Webpush,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Channel; 4] =
        [Channel::Websocket, Channel::Apns, Channel::Fcm, Channel::Webpush];
    /// The channels that fan-out workers send on; the gateways serve the websocket themselves.
    pub const PUSH: [Channel; 3] = [Channel::Apns, Channel::Fcm, Channel::Webpush];

    /// The channel's name in topics, metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Websocket => "websocket",
            Channel::Apns => "apns",
            Channel::Fcm => "fcm",
            Channel::Webpush => "webpush",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which of Apple's two environments a token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApnsEnvironment {
    /// The App Store and TestFlight.
    Production,
    /// Development builds.
    Sandbox,
}

impl fmt::Display for ApnsEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Production => "production",
            Self::Sandbox => "sandbox",
        })
    }
}

/// What kind of value addresses an FCM message (`message.token` is deprecated in favour of `fid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FcmAddressKind {
    /// A registration token.
    Token,
    /// A Firebase installation id.
    Fid,
}

/// Where a device's pushes go. Its Debug form never shows the address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "channel", rename_all = "lowercase", deny_unknown_fields)]
pub enum PushAddress {
    /// No push address: reached while it holds a websocket or event stream.
    Websocket,
    /// An APNs device token.
    Apns {
        /// The token, lower-case hexadecimal.
        token: String,
        /// Which environment issued it.
        environment: ApnsEnvironment,
        /// The app's bundle id (`apns-topic`).
        topic: String,
    },
    /// An FCM registration token or installation id.
    Fcm {
        /// Which of the two the value is.
        kind: FcmAddressKind,
        /// The value.
        value: String,
    },
    /// A browser's Web Push subscription.
    Webpush(Subscription),
}

impl PushAddress {
    /// The channel this address is for.
    pub fn channel(&self) -> Channel {
        match self {
            PushAddress::Websocket => Channel::Websocket,
            PushAddress::Apns { .. } => Channel::Apns,
            PushAddress::Fcm { .. } => Channel::Fcm,
            PushAddress::Webpush(_) => Channel::Webpush,
        }
    }
}

impl fmt::Debug for PushAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushAddress::{}(redacted)", self.channel())
    }
}
