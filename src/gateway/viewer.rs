//! Who is behind a connection, and whether a publication is for them. Pure: the rules of promises
//! 2, 4, 5 and 6 for streams, apart from sockets.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use crate::domain::audience::{Audience, Fit};
use crate::domain::channel::Channel;
use crate::domain::device::{Device, Permission, Place};
use crate::domain::ids::{PublicationId, SubjectId, UnitCode};
use crate::domain::publication::Action;
use crate::gateway::entry::Entry;
use crate::gateway::frame::Variant;
use crate::gateway::outbox::{Delivers, Outgoing};
use crate::gateway::position::Position;
use crate::gateway::view::{self, Languages};
use crate::gateway::watcher::{Tongues, Watcher};

/// Publications a connection is remembered to have got; older ones are dropped by the client
/// itself, by their id.
const GOT_MAX: usize = 1_024;
/// A place that was taken so shortly before the client's position may not have been caught up
/// with: the place is stored first and its live publications are sent after.
const CATCH_UP: SignedDuration = SignedDuration::from_secs(2);
/// Viet Nam is at UTC+7 and has had no other time since 1975.
const LOCAL_OFFSET_MINUTES: i64 = 7 * 60;

/// One stay of a device at a place, present or past.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    /// Where.
    pub place: Place,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when; absent while it lasts.
    pub left_at: Option<Timestamp>,
}

/// The person or device behind a connection.
#[derive(Debug)]
pub struct Viewer {
    device: Option<Watcher>,
    /// What its citizen is called, if one logged in: now and before.
    names: Box<[SubjectId]>,
    stays: Box<[Stay]>,
    /// Asked for on this stream instead of the device's own.
    reads: Option<Tongues>,
    resumed: Option<Box<Position>>,
    got: Got,
}

/// What a connection was sent, bounded. Few have got many, and every connection has one: a list is
/// smaller than a set. In the order of the ids, which rise with the time they were given out, so
/// that the oldest goes first and what is new is known by a look at the last.
#[derive(Debug, Default)]
struct Got(Vec<PublicationId>);

/// That a publication is to be shown, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    /// In which variant.
    pub variant: Variant,
    /// The unit that owns the delivery; absent for a subject's, or an all-clear elsewhere.
    pub unit: Option<UnitCode>,
}

impl Viewer {
    /// A device with its stays, or a person without one.
    pub fn new(
        device: Option<&Device>,
        names: impl IntoIterator<Item = SubjectId>,
        stays: Vec<Stay>,
        languages: Option<Vec<String>>,
    ) -> Self {
        Self {
            device: device.map(Watcher::of),
            names: names.into_iter().collect(),
            stays: stays.into(),
            reads: languages.as_deref().map(Tongues::of),
            resumed: None,
            got: Got::default(),
        }
    }

    /// The device, if there is one.
    pub fn device(&self) -> Option<&Watcher> {
        self.device.as_ref()
    }

    /// The citizen, if one logged in, by every name.
    pub fn names(&self) -> &[SubjectId] {
        &self.names
    }

    /// Units of all stays, past ones too: an all-clear follows who has moved away.
    pub fn units(&self) -> HashSet<UnitCode> {
        self.stays.iter().map(|stay| stay.place.unit.clone()).collect()
    }

    /// It resumes: what lies before the position it has already. If the position cannot be
    /// resumed from, only its time tells what it may have got, and what is live is sent again.
    pub fn resume(&mut self, position: Position, recovered: bool) {
        let next = if recovered { position.next } else { Vec::new() };
        self.resumed = Some(Box::new(Position { next, ..position }));
    }

    /// The device changed.
    pub fn change(&mut self, device: &Device, stays: Vec<Stay>) {
        if !device.subject.as_ref().is_some_and(|owner| self.names.contains(owner)) {
            self.names = device.subject.iter().cloned().collect();
        }
        (self.device, self.stays) = (Some(Watcher::of(device)), stays.into());
    }

    /// Whether a publication may concern it at all: cheap, to narrow what is judged.
    pub fn may_concern(&self, entry: &Entry) -> bool {
        match &entry.publication.audience {
            Audience::Area(_) => self.device.is_some(),
            own @ Audience::Subject { .. } => self.is_one_of(own),
        }
    }

    /// Whether the citizen is the one that a publication is for.
    fn is_one_of(&self, own: &Audience) -> bool {
        self.names.iter().any(|name| own.is_subject(name))
    }

    /// Takes a publication if it is to be shown: afterwards it counts as sent.
    pub fn take(&mut self, entry: &Entry, now: Timestamp) -> Option<Outgoing> {
        let show = self.judge(entry, now)?;
        Some(self.sent(entry, show))
    }

    /// As [`Viewer::take`] for what is sent out of its order: without a position, since the
    /// client's own is further.
    pub fn take_late(&mut self, entry: &Entry, now: Timestamp) -> Option<Outgoing> {
        let mut show = self.judge(entry, now)?;
        show.variant.positioned = false;
        Some(self.sent(entry, show))
    }

    fn sent(&mut self, entry: &Entry, show: Show) -> Outgoing {
        self.got.add(entry.id());
        let counted = |device: &&Watcher| device.channel == Channel::Websocket;
        let delivers = Delivers {
            publication: entry.id(),
            device: self.device.as_ref().filter(counted).map(|device| device.num),
            unit: show.unit,
            accepted_at: entry.publication.accepted_at,
        };
        Outgoing { frame: entry.frame(show.variant), delivers: Some(delivers) }
    }

    /// Whether, and how, a publication is to be shown.
    pub fn judge(&self, entry: &Entry, now: Timestamp) -> Option<Show> {
        if !entry.for_citizens || !entry.is_live(now) || self.got.has(&entry.id()) {
            return None;
        }
        let device = self.device.as_ref();
        if entry.exercise && !device.is_some_and(|device| device.exercises) {
            return None;
        }
        let resumed = self.resumed.as_ref().filter(|from| !from.next.is_empty());
        let before = resumed.is_some_and(|from| self.was_sent_before(entry, from));
        let (unit, coarse) = self.addressed(entry)?;
        if before && !self.joined_late(entry) {
            return None; // it has it, by its own word
        }
        let permission =
            device.map_or(Permission::Loud, |device| device.permission(entry, minute(now)));
        let silent = match permission {
            Permission::Muted => return None,
            Permission::Silent => true,
            Permission::Loud => false,
        };
        let variant =
            Variant { languages: self.languages_for(entry), coarse, silent, positioned: !before };
        Some(Show { variant, unit })
    }

    /// Whether it is for this viewer: the owning unit, and whether that is coarse.
    fn addressed(&self, entry: &Entry) -> Option<(Option<UnitCode>, bool)> {
        if let own @ Audience::Subject { .. } = &entry.publication.audience {
            return self.is_one_of(own).then_some((None, false));
        }
        let places = &self.device.as_ref()?.places;
        let owner = entry.area()?.owner(places);
        let owned = owner.map(|(place, fit)| (Some(place.unit.clone()), fit == Fit::Coarse));
        let told_at = entry.publication.accepted_at;
        let warned = || entry.withdraws.iter().any(|earlier| self.may_have(earlier, told_at));
        match entry.action {
            Action::Alert => owned,
            // Newly targeted, or told of what it replaces.
            Action::Update => owned.or_else(|| warned().then_some((None, false))),
            Action::Cancel => warned().then(|| owned.unwrap_or((None, false))),
        }
    }

    /// Whether it got a publication, or may have: by this connection, before the position it
    /// resumed from, or as a push before `told_at`, when a later one took its place.
    fn may_have(&self, entry: &Entry, told_at: Timestamp) -> bool {
        if self.got.has(&entry.id()) {
            return true;
        }
        if !entry.for_citizens {
            return false;
        }
        let Some(device) = &self.device else { return false };
        if entry.exercise && !device.exercises {
            return false;
        }
        let pushed = device.channel != Channel::Websocket;
        let until = if pushed {
            told_at
        } else {
            match &self.resumed {
                Some(resumed) if self.was_sent_before(entry, resumed) => resumed.at,
                _ => return false,
            }
        };
        let Some(area) = entry.area() else { return false };
        let accepted = entry.publication.accepted_at;
        self.stays.iter().any(|stay| {
            let there = stay.joined_at <= until && stay.left_at.is_none_or(|left| left > accepted);
            there && area.fit(&stay.place).is_some()
        })
    }

    fn was_sent_before(&self, entry: &Entry, resumed: &Position) -> bool {
        match entry.slot {
            Some(slot) if !resumed.next.is_empty() => resumed.is_past(slot),
            _ => entry.publication.accepted_at <= resumed.at,
        }
    }

    /// Whether the owning place was taken after the publication, and after (or so shortly before)
    /// the position that the client cannot have been caught up with it.
    fn joined_late(&self, entry: &Entry) -> bool {
        let (Some(resumed), Some(device)) = (&self.resumed, &self.device) else { return false };
        let Some(area) = entry.area() else { return false };
        let Some((owner, _)) = area.owner(&device.places) else { return false };
        let present = self.stays.iter().filter(|stay| stay.left_at.is_none());
        let since = present.filter(|stay| stay.place == *owner).map(|stay| stay.joined_at).max();
        since.is_some_and(|since| {
            since > entry.publication.accepted_at && since > resumed.at - CATCH_UP
        })
    }

    fn languages_for(&self, entry: &Entry) -> Languages {
        let device = self.device.as_ref();
        let Some(reads) = self.reads.as_ref().or(device.map(|device| &device.reads)) else {
            return Languages::ALL;
        };
        Languages::chosen(view::languages(&entry.publication), reads.tags())
    }
}

/// Minutes after local midnight.
fn minute(now: Timestamp) -> u16 {
    let minutes = now.as_second().div_euclid(60) + LOCAL_OFFSET_MINUTES;
    minutes.rem_euclid(24 * 60) as u16
}

impl Got {
    fn has(&self, id: &PublicationId) -> bool {
        self.place(id).is_ok()
    }

    fn add(&mut self, id: PublicationId) {
        let Err(mut at) = self.place(&id) else { return };
        if self.0.len() >= GOT_MAX {
            self.0.remove(0);
            at = at.saturating_sub(1);
        }
        self.0.insert(at, id);
    }

    /// Where it is, or would be.
    fn place(&self, id: &PublicationId) -> Result<usize, usize> {
        match self.0.last() {
            Some(last) if last >= id => self.0.binary_search(id),
            _ => Err(self.0.len()),
        }
    }
}

#[cfg(test)]
mod tests;
