//! Which publications were superseded: every node follows the publications itself, so that an
//! update or cancel stops the older one's sends here without asking anybody.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};

use tokio::sync::watch;

use crate::bus::{Bus, TopicId};
use crate::domain::ids::PublicationId;
use crate::domain::lane::Lane;
use crate::event::publication;
use crate::fanout::Error;
use crate::lifecycle::Lifecycle;

/// Ids remembered; beyond, the set is emptied and the ledger's freeze alone stops old work (one
/// batch later).
const REMEMBERED: usize = 100_000;

/// The superseded publications this node knows of. Clones share the set.
#[derive(Clone, Debug)]
pub struct Superseded {
    ids: Arc<RwLock<HashSet<PublicationId>>>,
    grown: Arc<watch::Sender<()>>,
}

impl Superseded {
    /// Whether a publication must not be sent any more.
    pub fn contains(&self, id: PublicationId) -> bool {
        self.ids.read().expect("no holder of this lock panics").contains(&id)
    }

    /// Notes superseded publications.
    pub fn extend(&self, ids: &[PublicationId]) {
        if ids.is_empty() {
            return;
        }
        let mut known = self.ids.write().expect("no holder of this lock panics");
        if known.len() + ids.len() > REMEMBERED {
            known.clear();
        }
        known.extend(ids);
        drop(known);
        self.grown.send_replace(());
    }

    /// Waits until a publication is superseded.
    pub async fn wait(&self, id: PublicationId) {
        let mut grown = self.grown.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = grown.wait_for(|()| self.contains(id)).await;
    }
}

impl Default for Superseded {
    fn default() -> Self {
        Self { ids: Arc::default(), grown: Arc::new(watch::Sender::new(())) }
    }
}

/// Follows the publications of every lane, from the oldest retained one.
pub async fn follow(bus: &Bus, superseded: Superseded, tasks: &Lifecycle) -> Result<(), Error> {
    for lane in Lane::ALL {
        let topic = TopicId::Publications(lane);
        for partition in 0..bus.partitions(topic) {
            let start = bus.bounds(topic, partition).await?.start;
            let mut reader = bus.reader(topic, partition, start).await?;
            let superseded = superseded.clone();
            let stop = tasks.token().clone();
            tasks.service("fanout.superseded", async move {
                loop {
                    let batch = tokio::select! {
                        batch = reader.next_batch(256) => batch?,
                        () = stop.cancelled() => return Ok::<(), Error>(()),
                    };
                    for delivery in batch {
                        // What cannot be read is the router's to report and dead-letter.
                        if let Ok(publication) =
                            publication::decode(&delivery.headers, &delivery.payload)
                        {
                            superseded.extend(&publication.supersedes);
                        }
                    }
                }
            });
        }
    }
    Ok(())
}
