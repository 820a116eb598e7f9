//! Who is to be asked about a publication: connections by unit, by citizen and by device, in
//! shards, so that one publication never holds one lock for all.

use std::collections::{BTreeSet, HashMap, HashSet};
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
struct Keys {
    units: HashSet<UnitCode>,
    /// Its citizen, by every name.
    names: Vec<SubjectId>,
    device: Option<DeviceNum>,
}

#[derive(Debug, Default)]
struct Shard {
    all: Group,
    by_unit: HashMap<UnitCode, Group>,
    by_subject: HashMap<SubjectId, Group>,
    /// Devices with the numbers of their connections: nearly each has one.
    by_device: BTreeSet<(DeviceNum, u64)>,
}

/// Connections in the order of their numbers, each once. Numbers rise, so a new one comes last.
#[derive(Debug, Default)]
struct Group(Vec<Arc<Conn>>);

impl Keys {
    fn of(viewer: &Viewer) -> Self {
        Self {
            units: viewer.units(),
            names: viewer.names().to_vec(),
            device: viewer.device().map(|device| device.num),
        }
    }
}

impl Index {
    /// How many shards there are.
    pub(super) const SHARDS: usize = SHARDS;

    pub(super) fn add(&self, conn: &Arc<Conn>) {
        self.shard(conn.id()).list(conn);
    }

    pub(super) fn remove(&self, conn: &Conn) {
        self.shard(conn.id()).unlist(conn);
    }

    /// Changes what a connection is found by. Whoever changes its viewer otherwise loses it here.
    pub(super) fn relist(&self, conn: &Arc<Conn>, change: impl FnOnce()) {
        let mut shard = self.shard(conn.id());
        let was_listed = shard.unlist(conn);
        change();
        if was_listed {
            shard.list(conn);
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
            let ids = shard.by_device.range((num, 0)..=(num, u64::MAX));
            ids.filter_map(|(_, id)| shard.all.get(*id)).cloned().collect::<Vec<_>>()
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
    fn list(&mut self, conn: &Arc<Conn>) {
        let keys = conn.look(Keys::of);
        self.all.add(conn);
        for unit in keys.units {
            self.by_unit.entry(unit).or_default().add(conn);
        }
        for name in keys.names {
            self.by_subject.entry(name).or_default().add(conn);
        }
        if let Some(device) = keys.device {
            self.by_device.insert((device, conn.id()));
        }
    }

    /// Whether it was listed.
    fn unlist(&mut self, conn: &Conn) -> bool {
        let keys = conn.look(Keys::of);
        for unit in &keys.units {
            forget(&mut self.by_unit, unit, conn.id());
        }
        for name in &keys.names {
            forget(&mut self.by_subject, name, conn.id());
        }
        if let Some(device) = keys.device {
            self.by_device.remove(&(device, conn.id()));
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
        if self.0.get(at).is_none_or(|found| found.id() != conn.id()) {
            self.0.insert(at, Arc::clone(conn));
        }
    }

    fn get(&self, id: u64) -> Option<&Arc<Conn>> {
        self.0.get(self.place(id)).filter(|found| found.id() == id)
    }

    /// Whether it was there.
    fn remove(&mut self, id: u64) -> bool {
        let is_there = self.get(id).is_some();
        if is_there {
            self.0.remove(self.place(id));
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
