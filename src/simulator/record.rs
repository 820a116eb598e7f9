//! What the simulated providers delivered, per address: compact, for millions of addresses, and
//! passed on to the simulated phones.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::domain::channel::Channel;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::publication::Action;

/// Locks the store is spread over, so that cores seldom meet.
const SHARDS: usize = 64;

/// One push handed to a simulated phone.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// By which provider.
    pub channel: Channel,
    /// The address's value: APNs device token, FCM token or installation id, a browser's name.
    pub token: Box<str>,
    /// What it is about (the `loa` object, or FCM `data`); nil for a payload that is not ours.
    pub publication: PublicationId,
    /// Its chain.
    pub chain: ChainId,
    /// Alert, update or cancel.
    pub action: Action,
    /// When the provider accepted it.
    pub at: Timestamp,
    /// `apns-collapse-id`; FCM `collapse_key`, else the notification's `tag`; Web Push `Topic`, as
    /// the UUID it stands for.
    pub collapse_id: Option<Box<str>>,
    /// `apns-id`; FCM's message name; the id of the push message.
    pub message_id: Box<str>,
}

/// One delivery as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it was about.
    pub publication: PublicationId,
    /// Alert, update or cancel.
    pub action: Action,
    /// The collapse id, where it is a UUID.
    pub collapse_id: Option<Uuid>,
    /// `apns-id`, where there is one.
    pub message_id: Option<Uuid>,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub struct Record(Arc<Inner>);

type Shard = HashMap<Box<str>, Vec<Seen>>;

#[derive(Debug)]
struct Inner {
    shards: [Mutex<Shard>; SHARDS],
    hasher: std::hash::RandomState,
    /// By channel, in the order of `Channel::ALL`.
    counts: [AtomicU64; Channel::ALL.len()],
    phones: ArcSwap<Vec<mpsc::Sender<Delivered>>>,
}

impl Default for Record {
    fn default() -> Self {
        Self(Arc::new(Inner {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: std::hash::RandomState::new(),
            counts: Default::default(),
            phones: ArcSwap::default(),
        }))
    }
}

impl Record {
    /// Everything delivered from now on. When the receiver lags by `capacity`, the providers wait
    /// for it: nothing is skipped.
    pub fn subscribe(&self, capacity: usize) -> mpsc::Receiver<Delivered> {
        let (sender, receiver) = mpsc::channel(capacity);
        self.0.phones.rcu(|phones| {
            let open = phones.iter().filter(|phone| !phone.is_closed());
            open.cloned().chain([sender.clone()]).collect::<Vec<_>>()
        });
        receiver
    }

    pub(super) async fn add(&self, delivered: Delivered) {
        self.keep(&delivered);
        let phones = self.0.phones.load_full();
        for phone in phones.iter() {
            // A phone that is gone needs nothing.
            let _ = phone.send(delivered.clone()).await;
        }
    }

    fn keep(&self, delivered: &Delivered) {
        let seen = Seen {
            publication: delivered.publication,
            action: delivered.action,
            collapse_id: delivered.collapse_id.as_deref().and_then(|id| Uuid::parse_str(id).ok()),
            message_id: Uuid::parse_str(&delivered.message_id).ok(),
            at_ms: delivered.at.as_millisecond(),
        };
        let mut shard = self.shard(&delivered.token);
        match shard.get_mut(&delivered.token) {
            Some(list) => list.push(seen),
            None => {
                shard.insert(delivered.token.clone(), vec![seen]);
            }
        }
        self.count(delivered.channel).fetch_add(1, Ordering::Relaxed);
    }

    /// All deliveries, repeats included.
    pub fn total(&self) -> u64 {
        Channel::PUSH.into_iter().map(|channel| self.of_channel(channel)).sum()
    }

    /// The deliveries of one provider, repeats included.
    pub fn of_channel(&self, channel: Channel) -> u64 {
        self.count(channel).load(Ordering::Relaxed)
    }

    fn count(&self, channel: Channel) -> &AtomicU64 {
        &self.0.counts[channel as usize]
    }

    /// Addresses that got anything.
    pub fn devices(&self) -> usize {
        self.each_shard().map(|shard| shard.len()).sum()
    }

    /// What one address got, in order.
    pub fn of(&self, token: &str) -> Vec<Seen> {
        self.shard(token).get(token).cloned().unwrap_or_default()
    }

    /// Addresses that got a publication.
    pub fn reached(&self, publication: PublicationId) -> usize {
        let got = |list: &&Vec<Seen>| list.iter().any(|seen| seen.publication == publication);
        self.each_shard().map(|shard| shard.values().filter(got).count()).sum()
    }

    /// Deliveries beyond the first of the same publication to the same address.
    pub fn repeats(&self) -> usize {
        let beyond_first = |list: &Vec<Seen>| {
            let mut publications: Vec<_> = list.iter().map(|seen| seen.publication).collect();
            publications.sort_unstable();
            publications.dedup();
            list.len() - publications.len()
        };
        self.each_shard().map(|shard| shard.values().map(beyond_first).sum::<usize>()).sum()
    }

    /// Forgets all deliveries.
    pub fn clear(&self) {
        self.each_shard().for_each(|mut shard| shard.clear());
        self.0.counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }

    fn shard(&self, token: &str) -> MutexGuard<'_, Shard> {
        let at = self.0.hasher.hash_one(token) as usize % SHARDS;
        self.0.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each_shard(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.0.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(token: &str, publication: u128) -> Delivered {
        let id = Uuid::from_u128(publication);
        Delivered {
            channel: Channel::Apns,
            token: token.into(),
            publication: PublicationId(id),
            chain: ChainId(id),
            action: Action::Alert,
            at: Timestamp::UNIX_EPOCH,
            collapse_id: Some(id.to_string().into()),
            message_id: id.to_string().into(),
        }
    }

    #[tokio::test]
    async fn repeats_are_counted_per_address_and_publication() {
        let record = Record::default();
        let mut phones = record.subscribe(8);
        for (token, publication) in [("a", 1), ("a", 2), ("b", 1), ("a", 1)] {
            record.add(delivered(token, publication)).await;
        }
        assert_eq!((record.total(), record.devices(), record.repeats()), (4, 2, 1));
        assert_eq!(record.reached(PublicationId(Uuid::from_u128(1))), 2);
        let order: Vec<_> = record.of("a").iter().map(|s| s.publication.0.as_u128()).collect();
        assert_eq!(order, [1, 2, 1]);
        assert_eq!(phones.recv().await, Some(delivered("a", 1)));
        record.clear();
        assert_eq!((record.total(), record.devices()), (0, 0));
    }
}
