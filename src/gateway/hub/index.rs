//! Who is to be asked about a publication: connections by unit, by citizen and by device, in
//! shards, so that one publication never holds one lock for all.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::audience::Audience;
use crate::domain::ids::{DeviceNum, SubjectId, UnitCode};
use crate::gateway::entry::Entry;
use crate::gateway::hub::conn::Conn;

const SHARDS: usize = 16;

/// Connections, found by what they are for.
#[derive(Debug, Default)]
pub(super) struct Index {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    conns: HashMap<u64, Listed>,
    by_unit: HashMap<UnitCode, HashSet<u64>>,
    by_subject: HashMap<SubjectId, HashSet<u64>>,
    by_device: HashMap<DeviceNum, HashSet<u64>>,
}

#[derive(Debug)]
struct Listed {
    conn: Arc<Conn>,
    units: Vec<UnitCode>,
    subject: Option<SubjectId>,
    device: Option<DeviceNum>,
}

impl Index {
    /// How many shards there are.
    pub(super) const SHARDS: usize = SHARDS;

    pub(super) fn add(
        &self,
        conn: &Arc<Conn>,
        units: HashSet<UnitCode>,
        subject: Option<SubjectId>,
        device: Option<DeviceNum>,
    ) {
        let units = units.into_iter().collect();
        let listed = Listed { conn: Arc::clone(conn), units, subject, device };
        self.shard(conn.id()).list(conn.id(), listed);
    }

    pub(super) fn remove(&self, conn: &Conn) {
        self.shard(conn.id()).unlist(conn.id());
    }

    /// Lists a connection anew, by what it is now.
    pub(super) fn refresh(&self, conn: &Arc<Conn>) {
        let (units, subject, device) = conn.keys();
        let mut shard = self.shard(conn.id());
        if shard.unlist(conn.id()).is_some() {
            shard.list(conn.id(), Listed { conn: Arc::clone(conn), units, subject, device });
        }
    }

    /// The connections of one shard that a publication may concern, each once.
    pub(super) fn concerned(&self, shard: usize, entry: &Entry) -> Vec<Arc<Conn>> {
        let shard = self.lock(shard);
        let ids: HashSet<u64> = match &entry.publication.audience {
            Audience::Subject { subject } => {
                shard.by_subject.get(subject).cloned().unwrap_or_default()
            }
            Audience::Area(_) => entry
                .units()
                .filter_map(|unit| shard.by_unit.get(unit))
                .flatten()
                .copied()
                .collect(),
        };
        ids.iter().filter_map(|id| shard.conns.get(id)).map(|l| Arc::clone(&l.conn)).collect()
    }

    pub(super) fn of_device(&self, num: DeviceNum) -> Vec<Arc<Conn>> {
        let mut found = Vec::new();
        for index in 0..SHARDS {
            let shard = self.lock(index);
            let ids = shard.by_device.get(&num).into_iter().flatten();
            found.extend(ids.filter_map(|id| shard.conns.get(id)).map(|l| Arc::clone(&l.conn)));
        }
        found
    }

    pub(super) fn all(&self) -> Vec<Arc<Conn>> {
        let of = |index| -> Vec<Arc<Conn>> {
            self.lock(index).conns.values().map(|listed| Arc::clone(&listed.conn)).collect()
        };
        (0..SHARDS).flat_map(of).collect()
    }

    pub(super) fn len(&self) -> usize {
        (0..SHARDS).map(|index| self.lock(index).conns.len()).sum()
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        self.lock((id % SHARDS as u64) as usize)
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn list(&mut self, id: u64, listed: Listed) {
        for unit in &listed.units {
            self.by_unit.entry(unit.clone()).or_default().insert(id);
        }
        if let Some(subject) = &listed.subject {
            self.by_subject.entry(subject.clone()).or_default().insert(id);
        }
        if let Some(device) = listed.device {
            self.by_device.entry(device).or_default().insert(id);
        }
        self.conns.insert(id, listed);
    }

    fn unlist(&mut self, id: u64) -> Option<Listed> {
        let listed = self.conns.remove(&id)?;
        for unit in &listed.units {
            forget(&mut self.by_unit, unit, id);
        }
        if let Some(subject) = &listed.subject {
            forget(&mut self.by_subject, subject, id);
        }
        if let Some(device) = &listed.device {
            forget(&mut self.by_device, device, id);
        }
        Some(listed)
    }
}

fn forget<K: Hash + Eq>(map: &mut HashMap<K, HashSet<u64>>, key: &K, id: u64) {
    if let Some(ids) = map.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}
