//! What is live, in memory: asked by every citizen who connects.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rusqlite::Connection;

use super::rows;
use crate::domain::audience::Audience;
use crate::domain::ids::PublicationId;
use crate::domain::publication::{Action, Publication};
use crate::store::Failure;
use crate::store::alerts::Stored;
use crate::store::sqlite::to_ms;

/// Live publications taken into memory at start; a city has a few dozen at a time.
const LIVE_MAX: usize = 100_000;

/// Area publications that are not superseded, and no cancels; the expired ones go when something
/// new comes.
#[derive(Debug, Default)]
pub struct Live(RwLock<BTreeMap<PublicationId, Arc<Stored>>>);

impl Live {
    /// What a file holds. Whatever had expired when its newest publication was accepted is passed
    /// over, so that a long history costs nothing.
    pub fn load(connection: &Connection) -> Result<Self, Failure> {
        let live = Self::default();
        let newest = rows::select(connection, "true ORDER BY id DESC", Vec::new(), 1)?;
        let Some(newest) = newest.first().map(|stored| stored.publication.accepted_at) else {
            return Ok(live);
        };
        let filter = "subject IS NULL AND superseded_by IS NULL AND expires_ms > ? ORDER BY id";
        let values = vec![to_ms(newest).into()];
        for stored in rows::select(connection, filter, values, LIVE_MAX)? {
            live.insert(stored);
        }
        Ok(live)
    }

    /// Takes a publication in, if it is of the kind that can be live.
    pub fn insert(&self, stored: Arc<Stored>) {
        let publication = &stored.publication;
        let area = matches!(publication.audience, Audience::Area(_));
        if !area || publication.action() == Action::Cancel {
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
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// What is live at an instant, oldest first.
    pub fn list(&self, now: Timestamp) -> Vec<Arc<Publication>> {
        let live = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let publications = live.values().map(|stored| &stored.publication);
        publications.filter(|publication| !publication.is_expired(now)).cloned().collect()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<PublicationId, Arc<Stored>>)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
