//! What to send: publications by id, and their payloads rendered once per channel, language and
//! loudness, shared by every dispatch of a node.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use crate::channel::{Prepared, Sender};
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

/// Publications kept at once; each is a few kilobytes with its payloads.
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

/// The node's publications on their way out; the oldest makes room.
#[derive(Debug)]
pub struct Contents {
    alerts: Alerts,
    /// Texts of the kinds of status change.
    pub kinds: Arc<StatusKinds>,
    kept: Mutex<Kept>,
}

/// By id, and in the order they came.
type Kept = (HashMap<PublicationId, Arc<Outgoing>>, VecDeque<PublicationId>);

impl Contents {
    /// An empty cache over the alerts store.
    pub fn new(alerts: Alerts, kinds: Arc<StatusKinds>) -> Self {
        Self { alerts, kinds, kept: Mutex::default() }
    }

    /// A publication by id.
    pub async fn get(&self, id: PublicationId) -> Result<Arc<Outgoing>, Error> {
        if let Some(known) = self.kept.lock().expect("no holder of this lock panics").0.get(&id) {
            return Ok(Arc::clone(known));
        }
        let stored = self.alerts.get(id).await?.ok_or(Error::UnknownPublication(id))?;
        let mut kept = self.kept.lock().expect("no holder of this lock panics");
        let (by_id, order) = &mut *kept;
        if let Some(known) = by_id.get(&id) {
            return Ok(Arc::clone(known));
        }
        if order.len() >= KEPT
            && let Some(oldest) = order.pop_front()
        {
            by_id.remove(&oldest);
        }
        let fresh = Arc::new(Outgoing::new(Arc::clone(&stored.publication)));
        by_id.insert(id, Arc::clone(&fresh));
        order.push_back(id);
        Ok(fresh)
    }
}
