//! What is live, in memory: asked by every citizen who connects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::audience::Audience;
use crate::domain::ids::PublicationId;
use crate::domain::publication::{Action, Publication};
use crate::store::alerts::Stored;

/// Live publications taken into memory at start; a city has a few dozen at a time.
pub const LIVE_MAX: usize = 100_000;

/// Area publications that are not superseded, and no cancels; the expired ones go when something
/// new comes.
#[derive(Debug, Default)]
pub struct Live {
    all: RwLock<BTreeMap<PublicationId, Arc<Stored>>>,
    changes: watch::Sender<u64>,
}

/// Whether a publication is of the kind that can be live.
pub fn can_live(publication: &Publication) -> bool {
    matches!(publication.audience, Audience::Area(_)) && publication.action() != Action::Cancel
}

impl Live {
    /// Takes a publication in, if it is of the kind that can be live.
    pub fn insert(&self, stored: Arc<Stored>) {
        let publication = &stored.publication;
        if !can_live(publication) {
            return;
        }
        let accepted_at = publication.accepted_at;
        self.change(|live| {
            live.retain(|_, other| !other.publication.is_expired(accepted_at));
            live.insert(stored.publication.id, stored);
        });
    }

    /// Remembers that a publication is on the log.
    pub fn logged(&self, id: PublicationId, position: &str) {
        self.change(|live| {
            if let Some(stored) = live.get_mut(&id).filter(|stored| stored.logged.is_none()) {
                Arc::make_mut(stored).logged = Some(position.to_owned());
            }
        });
    }

    /// A publication was superseded.
    pub fn remove(&self, id: PublicationId) {
        self.change(|live| drop(live.remove(&id)));
    }

    /// Publications that expired before an instant are gone from the file.
    pub fn forget(&self, expired_before: Timestamp) {
        self.change(|live| live.retain(|_, other| other.publication.expires >= expired_before));
    }

    /// One of the live.
    pub fn get(&self, id: PublicationId) -> Option<Arc<Stored>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// What is live at an instant, oldest first.
    pub fn list(&self, now: Timestamp) -> Vec<Arc<Publication>> {
        let live = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let publications = live.values().map(|stored| &stored.publication);
        publications.filter(|publication| !publication.is_expired(now)).cloned().collect()
    }

    /// A number that rises when something may have become live, or ceased to be.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whoever of these is not in memory yet.
    pub fn missing(&self, ids: &BTreeSet<PublicationId>) -> Vec<PublicationId> {
        let live = self.all.read().unwrap_or_else(PoisonError::into_inner);
        ids.iter().filter(|id| !live.contains_key(id)).copied().collect()
    }

    /// Keeps these and what is new of them, and nothing else.
    pub fn settle(&self, ids: &BTreeSet<PublicationId>, new: Vec<Arc<Stored>>) {
        self.change(|live| {
            live.retain(|id, _| ids.contains(id));
            live.extend(new.into_iter().map(|stored| (stored.publication.id, stored)));
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<PublicationId, Arc<Stored>>)) {
        change(&mut self.all.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
    }
}
