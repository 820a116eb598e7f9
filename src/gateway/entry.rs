//! A publication as a gateway holds it: what every connection would otherwise compute again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use crate::domain::alert::Severity;
use crate::domain::audience::{AreaAudience, Audience};
use crate::domain::device::Interest;
use crate::domain::ids::{PublicationId, UnitCode};
use crate::domain::publication::{Action, Publication};
use crate::gateway::frame::{Frame, Frames, Variant};
use crate::gateway::position::Slot;
use crate::gateway::view;

/// A publication in a gateway's memory.
#[derive(Debug)]
pub struct Entry {
    /// Rises by one with each entry of this gateway: the order in which everybody is sent them.
    pub serial: u64,
    /// Where it lies on the log; absent for what was older than the part read at start.
    pub slot: Option<Slot>,
    /// The gateway's position after it.
    pub position: Option<String>,
    /// What was published.
    pub publication: Arc<Publication>,
    /// What it replaces or withdraws, and what that replaced, as far back as is known.
    pub withdraws: Vec<Arc<Entry>>,
    /// Alert, update or cancel.
    pub action: Action,
    /// Its gravest severity.
    pub severity: Severity,
    /// What people may have muted it as.
    pub interests: Vec<Interest>,
    /// Only for devices that take part in exercises.
    pub exercise: bool,
    /// Whether citizens may see it at all.
    pub for_citizens: bool,
    superseded: AtomicBool,
    frames: Frames,
}

impl Entry {
    /// An entry.
    pub fn new(
        serial: u64,
        at: Option<(Slot, String)>,
        publication: Arc<Publication>,
        withdraws: Vec<Arc<Entry>>,
    ) -> Self {
        let (slot, position) = at.unzip();
        Self {
            serial,
            slot,
            position,
            withdraws,
            action: publication.action(),
            severity: publication.severity(),
            interests: publication.interests(),
            exercise: publication.is_exercise(),
            for_citizens: view::is_for_citizens(&publication),
            superseded: AtomicBool::new(false),
            frames: Frames::default(),
            publication,
        }
    }

    /// Its id.
    pub fn id(&self) -> PublicationId {
        self.publication.id
    }

    /// Its area, unless it is one citizen's.
    pub fn area(&self) -> Option<&AreaAudience> {
        match &self.publication.audience {
            Audience::Area(area) => Some(area),
            Audience::Subject { .. } => None,
        }
    }

    /// The units in which somebody may have to be told: its own, and those of what it withdraws.
    pub fn units(&self) -> impl Iterator<Item = &UnitCode> {
        let withdrawn = self.withdraws.iter().filter_map(|entry| entry.area());
        let areas = self.area().into_iter().chain(withdrawn);
        areas.flat_map(|area| area.units.iter().map(|unit| &unit.code))
    }

    /// A later one took its place.
    pub fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
    }

    /// Whether a later one took its place.
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// Whether it still says something: not expired, and no later one took its place.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.is_superseded() && !self.publication.is_expired(now)
    }

    /// Its frame in a variant.
    pub fn frame(&self, variant: Variant) -> Arc<Frame> {
        self.frames.get(&self.publication, self.position.as_deref(), variant)
    }

    /// How many times it was encoded.
    pub fn encoded(&self) -> u64 {
        self.frames.encoded()
    }
}
