//! What to send: publications by id, and their payloads rendered once per channel, language and
//! loudness, shared by every dispatch of a node.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::channel::{Prepared, Sender};
use crate::clock::Clock;
use crate::domain::channel::Channel;
use crate::domain::device::Interest;
use crate::domain::ids::PublicationId;
use crate::domain::publication::Publication;
use crate::domain::status_kinds::StatusKinds;
use crate::domain::summary::{Phrasebook, PushKey};
use crate::fanout::Error;
use crate::store::alerts::Alerts;
use crate::store::ledger::Ledger;
use crate::store::reach::Reach;

/// Publications kept at once; each is a few kilobytes with its payloads, and an update with those
/// who got what it replaces some megabytes.
const KEPT: usize = 1_024;

/// A publication on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// What was accepted.
    pub publication: Arc<Publication>,
    /// What people may have muted it as.
    pub interests: Vec<Interest>,
    prepared: Mutex<BTreeMap<(Channel, PushKey), Arc<Prepared>>>,
    superseded: tokio::sync::OnceCell<Vec<Reach>>,
}

impl Outgoing {
    fn new(publication: Arc<Publication>) -> Self {
        Self {
            interests: publication.interests(),
            publication,
            prepared: Mutex::default(),
            superseded: tokio::sync::OnceCell::new(),
        }
    }

    /// The payload for a sender's channel and a key; rendered at the first call.
    pub fn prepared(
        &self,
        sender: &Sender,
        (key, book): (PushKey, &Phrasebook<'_>),
    ) -> Result<Arc<Prepared>, Error> {
        let channel = sender.channel();
        let mut prepared = self.prepared.lock().expect("no holder of this lock panics");
        if let Some(known) = prepared.get(&(channel, key)) {
            return Ok(Arc::clone(known));
        }
        let fresh = Arc::new(sender.prepare(&book.content(key))?);
        prepared.insert((channel, key), Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Who was reached by the publications this one supersedes. Their dispatches are frozen before
    /// this one is dispatched, so it is read once.
    pub async fn superseded(&self, ledger: &Ledger) -> Result<&[Reach], Error> {
        let load = || async {
            let mut reaches = Vec::with_capacity(self.publication.supersedes.len());
            for earlier in &self.publication.supersedes {
                reaches.push(Reach::load(ledger, *earlier).await?);
            }
            Ok::<_, Error>(reaches)
        };
        Ok(self.superseded.get_or_try_init(load).await?)
    }
}

/// The node's publications on their way out.
#[derive(Debug)]
pub struct Contents {
    alerts: Alerts,
    /// Texts of the kinds of status change.
    pub kinds: Arc<StatusKinds>,
    kept: Mutex<Kept>,
    clock: Clock,
}

/// What is over makes room as something comes, and past [`KEPT`] the oldest.
#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<PublicationId, Arc<Outgoing>>,
    /// In the order they came.
    order: VecDeque<PublicationId>,
}

impl Contents {
    /// An empty cache over the alerts store.
    pub fn new(alerts: Alerts, kinds: Arc<StatusKinds>, clock: Clock) -> Self {
        Self { alerts, kinds, kept: Mutex::default(), clock }
    }

    /// A publication by id.
    pub async fn get(&self, id: PublicationId) -> Result<Arc<Outgoing>, Error> {
        let kept = || self.kept.lock().expect("no holder of this lock panics");
        if let Some(known) = kept().by_id.get(&id) {
            return Ok(Arc::clone(known));
        }
        let stored = self.alerts.get(id).await?.ok_or(Error::UnknownPublication(id))?;
        Ok(kept().keep(&stored.publication, self.clock.now()))
    }
}

impl Kept {
    fn keep(&mut self, publication: &Arc<Publication>, now: Timestamp) -> Arc<Outgoing> {
        if let Some(known) = self.by_id.get(&publication.id) {
            return Arc::clone(known);
        }
        self.by_id.retain(|_, kept| !kept.publication.is_expired(now));
        self.order.retain(|id| self.by_id.contains_key(id));
        if self.order.len() >= KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        let fresh = Arc::new(Outgoing::new(Arc::clone(publication)));
        self.by_id.insert(publication.id, Arc::clone(&fresh));
        self.order.push_back(publication.id);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::Audience;
    use crate::domain::lane::Lane;
    use crate::domain::publication::Content;

    fn publication(number: u128, expires: i64) -> Arc<Publication> {
        let id = PublicationId(uuid::Uuid::from_u128(number));
        let alert = serde_json::json!({"identifier": "1", "sender": "kttv",
            "sent": "2026-08-01T16:30:00+07:00", "status": "Actual", "msg_type": "Alert",
            "scope": "Public", "infos": []});
        Arc::new(Publication {
            id,
            chain: id.into(),
            lane: Lane::Emergency,
            agency: "kttv".parse().expect("an agency"),
            agency_name: None,
            accepted_at: Timestamp::UNIX_EPOCH,
            expires: Timestamp::from_second(expires).expect("an instant"),
            supersedes: vec![],
            audience: Audience::of_subject("c1".parse().expect("a subject")),
            content: Content::Alert(serde_json::from_value(alert).expect("an alert")),
            signature: None,
            signed_by: None,
        })
    }

    #[test]
    fn what_is_over_makes_room_and_past_the_limit_the_oldest() {
        let mut kept = Kept::default();
        let first = kept.keep(&publication(0, 10), Timestamp::UNIX_EPOCH);
        let again = kept.keep(&publication(0, 10), Timestamp::UNIX_EPOCH);
        assert!(Arc::ptr_eq(&first, &again), "it is read once");
        let later = Timestamp::from_second(10).expect("an instant");
        for number in 1..=KEPT as u128 + 1 {
            kept.keep(&publication(number, 20), later);
        }
        let has = |number| kept.by_id.contains_key(&PublicationId(uuid::Uuid::from_u128(number)));
        assert_eq!((kept.by_id.len(), kept.order.len()), (KEPT, KEPT));
        assert_eq!([0, 1, 2, KEPT as u128 + 1].map(has), [false, false, true, true]);
    }
}
