//! What a push says, apart from how a provider wants it written. One per (publication, language,
//! loudness); a channel prepares its payload from it once and shares the bytes among all devices.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::alert::Severity;
use crate::domain::channel::Channel;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::lane::Lane;
use crate::domain::publication::Action;

/// How loudly a phone should present it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loudness {
    /// In the list, no sound: quiet hours, or an all-clear.
    Passive,
    /// The usual way.
    Active,
    /// Through Focus and summaries: hot alerts.
    TimeSensitive,
    /// Through mute and Do Not Disturb, with sound: the gravest (needs Apple's entitlement).
    Critical,
}

/// The words and the handling of one push.
#[derive(Clone, Debug, PartialEq)]
pub struct PushContent {
    /// What it is about.
    pub publication: PublicationId,
    /// Collapse id and thread: a later push of the chain replaces the earlier on the screen.
    pub chain: ChainId,
    /// Alert, update or cancel.
    pub action: Action,
    /// Its lane.
    pub lane: Lane,
    /// Its severity.
    pub severity: Severity,
    /// BCP 47 tag of the words.
    pub language: String,
    /// One line.
    pub title: String,
    /// What happened and what to do; cut by the channel where the payload limit demands it.
    pub body: String,
    /// How loudly.
    pub loudness: Loudness,
    /// Everybody may read it in the public feed.
    pub public: bool,
    /// The kind of a status change, where a push may name it: an app may have its own text for it.
    pub kind: Option<String>,
    /// An exercise, marked as such.
    pub exercise: bool,
    /// The unit is only partly covered and the person's place is the whole unit.
    pub coarse: bool,
    /// After this the provider must not deliver it.
    pub expires: Timestamp,
    /// Our signature over an alert's CAP document, which the app fetches and verifies.
    pub signature: Option<String>,
}

/// What a push will say on one channel, as its author is shown before it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rendered {
    /// The title, cut as the channel cuts it.
    pub title: String,
    /// The body, cut as the channel cuts it.
    pub body: String,
    /// The payload's size, in bytes.
    pub bytes: usize,
}

/// Renders a push for every push channel, for its author's eyes; one that cannot be rendered is
/// absent. Handed to those who may not see the channels themselves.
pub type Render = fn(&PushContent) -> BTreeMap<Channel, Rendered>;
