//! Who is to be asked about a publication: connections by unit, by citizen and by device, in
//! shards, so that one publication never holds one lock for all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::audience::Audience;
use crate::domain::ids::{DeviceNum, SubjectId, UnitCode};
use crate::gateway::entry::Entry;
use crate::gateway::hub::conn::Conn;
use crate::gateway::viewer::Viewer;

const SHARDS: usize = 16;

/// Connections, found by what they are for.
#[derive(Debug, Default)]
pub(super) struct Index {
    shards: [Mutex<Shard>; SHARDS],
}

/// What a connection is found by.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Its units.
    pub(super) units: Box<[UnitCode]>,
    /// Its citizen, by every name.
    pub(super) names: Box<[SubjectId]>,
    /// Its device.
    pub(super) device: Option<DeviceNum>,
}

#[derive(Debug, Default)]
struct Shard {
    all: Group,
    by_unit: HashMap<UnitCode, Group>,
    by_subject: HashMap<SubjectId, Group>,
    by_device: HashMap<DeviceNum, Group>,
}

/// Connections in the order of their numbers, each once. Numbers rise, so a new one comes last.
#[derive(Debug, Default)]
struct Group(Vec<Arc<Conn>>);

impl Keys {
    /// Those of a viewer.
    pub(super) fn of(viewer: &Viewer) -> Self {
        Self {
            units: viewer.units().into_iter().collect(),
            names: viewer.names().into(),
            device: viewer.device().map(|device| device.num),
        }
    }
}

impl Index {
    /// How many shards there are.
    pub(super) const SHARDS: usize = SHARDS;

    pub(super) fn add(&self, conn: &Arc<Conn>, keys: Keys) {
        let mut shard = self.shard(conn.id());
        shard.unlist(conn);
        shard.list(conn, keys);
    }

    pub(super) fn remove(&self, conn: &Conn) {
        self.shard(conn.id()).unlist(conn);
    }

    /// Lists a connection anew, by what it is now.
    pub(super) fn refresh(&self, conn: &Arc<Conn>) {
        let keys = conn.keys();
        let mut shard = self.shard(conn.id());
        if shard.unlist(conn) {
            shard.list(conn, keys);
        }
    }

    /// The connections of one shard that a publication may concern, each once.
    pub(super) fn concerned(&self, shard: usize, entry: &Entry) -> Vec<Arc<Conn>> {
        let shard = self.lock(shard);
        let groups: Vec<&Group> = match &entry.publication.audience {
            own @ Audience::Subject { .. } => {
                own.names().filter_map(|name| shard.by_subject.get(name)).collect()
            }
            Audience::Area(_) => entry.units().filter_map(|unit| shard.by_unit.get(unit)).collect(),
        };
        let mut found = Vec::with_capacity(groups.iter().map(|group| group.0.len()).sum());
        found.extend(groups.iter().flat_map(|group| &group.0).cloned());
        if groups.len() > 1 {
            // By where they lie, so that nobody is looked at to be compared.
            found.sort_unstable_by_key(Arc::as_ptr);
            found.dedup_by_key(|conn| Arc::as_ptr(conn));
        }
        found
    }

    pub(super) fn of_device(&self, num: DeviceNum) -> Vec<Arc<Conn>> {
        let of = |index| {
            let shard = self.lock(index);
            shard.by_device.get(&num).map(|group| group.0.clone()).unwrap_or_default()
        };
        (0..SHARDS).flat_map(of).collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Conn>> {
        (0..SHARDS).flat_map(|index| self.lock(index).all.0.clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        (0..SHARDS).map(|index| self.lock(index).all.0.len()).sum()
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        self.lock((id % SHARDS as u64) as usize)
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn list(&mut self, conn: &Arc<Conn>, keys: Keys) {
        self.all.add(conn);
        for unit in &keys.units {
            self.by_unit.entry(unit.clone()).or_default().add(conn);
        }
        for name in &keys.names {
            self.by_subject.entry(name.clone()).or_default().add(conn);
        }
        if let Some(device) = keys.device {
            self.by_device.entry(device).or_default().add(conn);
        }
        conn.list_under(keys);
    }

    /// Whether it was listed.
    fn unlist(&mut self, conn: &Conn) -> bool {
        let keys = conn.list_under(Keys::default());
        for unit in &keys.units {
            forget(&mut self.by_unit, unit, conn.id());
        }
        for name in &keys.names {
            forget(&mut self.by_subject, name, conn.id());
        }
        if let Some(device) = &keys.device {
            forget(&mut self.by_device, device, conn.id());
        }
        self.all.remove(conn.id())
    }
}

impl Group {
    fn add(&mut self, conn: &Arc<Conn>) {
        let at = match self.0.last() {
            Some(last) if last.id() >= conn.id() => self.place(conn.id()),
            _ => self.0.len(),
        };
        if self.0.get(at).is_some_and(|found| found.id() == conn.id()) {
            return;
        }
        if self.0.is_empty() {
            // Most have one: a device has one stream.
            self.0.reserve_exact(1);
        }
        self.0.insert(at, Arc::clone(conn));
    }

    /// Whether it was there.
    fn remove(&mut self, id: u64) -> bool {
        let at = self.place(id);
        let is_there = self.0.get(at).is_some_and(|found| found.id() == id);
        if is_there {
            self.0.remove(at);
        }
        is_there
    }

    fn place(&self, id: u64) -> usize {
        self.0.partition_point(|conn| conn.id() < id)
    }
}

fn forget<K: Hash + Eq>(map: &mut HashMap<K, Group>, key: &K, id: u64) {
    if let Some(group) = map.get_mut(key) {
        group.remove(id);
        if group.0.is_empty() {
            map.remove(key);
        }
    }
}
