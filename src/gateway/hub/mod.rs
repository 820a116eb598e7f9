//! The hub: every stream of this gateway, and what it is told. It needs no registry to deliver:
//! connections are indexed by unit and by citizen, and each publication is matched against them.
//!
//! One task publishes, in one order for everybody, and a machine's cores write (`round`). No gap,
//! no duplicate, no disorder on entry: a connection is put into the index first, live entries wait
//! in its buffer while it is sent what was before, and of the buffer only what is newer than that
//! follows.

mod conn;
mod index;
mod round;
pub mod tail;

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::available_parallelism;

use jiff::Timestamp;

pub use conn::Conn;

use crate::clock::Clock;
use crate::domain::device::Device;
use crate::domain::ids::{DeviceNum, PublicationId};
use crate::domain::publication::Publication;
use crate::gateway::book::Book;
use crate::gateway::close::Close;
use crate::gateway::entry::Entry;
use crate::gateway::frame::Frame;
use crate::gateway::hub::conn::Before;
use crate::gateway::hub::index::Index;
use crate::gateway::hub::round::Round;
use crate::gateway::outbox::Outgoing;
use crate::gateway::position::{Position, Slot};
use crate::gateway::settings::Settings;
use crate::gateway::viewer::{Stay, Viewer};
use crate::gateway::wire::ToClient;

/// Every stream of this gateway. Clones share it.
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    book: RwLock<Book>,
    settled: Mutex<Settled>,
    index: Index,
    /// Who write to the streams at once: one a core.
    writers: usize,
    settings: Settings,
    clock: Clock,
    next_conn: AtomicU64,
    counters: Counters,
}

/// How far everybody was offered everything. The book is ahead of it while a publication is being
/// offered: a position of the book's, in a ping, would make a client skip what is still to come.
#[derive(Debug)]
struct Settled {
    position: Position,
    serial: u64,
}

#[derive(Debug, Default)]
struct Counters {
    published: AtomicU64,
    queued: AtomicU64,
    slow: AtomicU64,
    resumed: AtomicU64,
    reloads: AtomicU64,
}

/// What the hub did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Streams now.
    pub streams: usize,
    /// Publications read from the log.
    pub published: u64,
    /// Frames queued for somebody.
    pub queued: u64,
    /// Streams closed because their client read too slowly.
    pub slow: u64,
    /// Streams that resumed and got what they missed.
    pub resumed: u64,
    /// Streams that had to be told to reload.
    pub reloads: u64,
}

/// How a stream begins.
#[derive(Debug)]
pub struct Entrance {
    /// The connection.
    pub conn: Arc<Conn>,
    /// Whether all that was missed follows.
    pub recovered: bool,
    /// What to send before [`Hub::go_live`], in order.
    pub follow: Vec<Outgoing>,
}

impl Hub {
    /// A hub over a book.
    pub fn new(book: Book, settings: Settings, clock: Clock) -> Self {
        let settled = Settled { position: book.position(clock.now()), serial: book.serial() };
        let inner = Inner {
            settled: Mutex::new(settled),
            book: RwLock::new(book),
            index: Index::default(),
            writers: available_parallelism().map_or(1, NonZero::get),
            settings,
            clock,
            next_conn: AtomicU64::new(1),
            counters: Counters::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The settings of the streams.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The log's epoch.
    pub fn epoch(&self) -> String {
        self.book().shape().epoch.clone()
    }

    /// The position up to which everybody was offered everything, unless a stream was sent more
    /// than that already (`sent` is the serial of its newest entry): it must never go back.
    fn position_after(&self, sent: u64) -> Option<String> {
        let settled = self.inner.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.inner.clock.now();
        (settled.serial >= sent).then(|| Position { at: now, ..settled.position.clone() }.encode())
    }

    fn settle(&self, slots: &[Slot]) {
        let serial = self.book().serial();
        let mut settled = self.inner.settled.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in slots {
            settled.position.next[slot.index] = slot.offset + 1;
        }
        settled.serial = serial;
    }

    /// Queues a ping.
    pub fn ping(&self, conn: &Conn) {
        let at = self.inner.clock.now();
        conn.mark(|sent| {
            let position = self.position_after(sent);
            Frame::of(&ToClient::Ping { position: position.as_deref(), at })
        });
    }

    /// What the hub did.
    pub fn stats(&self) -> Stats {
        let counters = &self.inner.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            streams: self.inner.index.len(),
            published: read(&counters.published),
            queued: read(&counters.queued),
            slow: read(&counters.slow),
            resumed: read(&counters.resumed),
            reloads: read(&counters.reloads),
        }
    }

    /// How many times a publication was encoded, if it is still remembered.
    pub fn encoded(&self, id: &PublicationId) -> Option<u64> {
        self.book().get(id).map(|entry| entry.encoded())
    }

    /// Lets a viewer in. It is told what it missed since a position, or else what is live.
    pub fn enter(&self, viewer: Viewer, from: Option<Position>) -> Entrance {
        let id = self.inner.next_conn.fetch_add(1, Ordering::Relaxed);
        let settings = &self.inner.settings;
        let limits = (settings.queue_frames, settings.queue_bytes);
        let conn = Arc::new(Conn::joining(id, viewer, limits));
        self.inner.index.add(&conn);
        let Before { recovered, follow, .. } = conn.begin(|viewer| self.before(viewer, from));
        Entrance { conn, recovered, follow }
    }

    fn before(&self, viewer: &mut Viewer, from: Option<Position>) -> Before {
        let now = self.inner.clock.now();
        let (missed, live, told) = {
            let book = self.book();
            let wanted = |entry: &Entry| viewer.may_concern(entry);
            let personal = !viewer.names().is_empty();
            let missed = from.as_ref().and_then(|from| book.after(from, personal, wanted));
            (missed, book.live(now), book.serial())
        };
        let missed = missed.filter(|missed| missed.len() <= self.inner.settings.missed_max);
        let recovered = missed.is_some();
        if let Some(from) = from {
            let counters = &self.inner.counters;
            let counter = if recovered { &counters.resumed } else { &counters.reloads };
            counter.fetch_add(1, Ordering::Relaxed);
            viewer.resume(from, recovered);
        }
        // What is live is looked at even when all is recovered: a place taken while away has
        // publications from before the position.
        let mut candidates = missed.unwrap_or_default();
        candidates.extend(live);
        candidates.sort_unstable_by_key(|entry| entry.serial);
        candidates.dedup_by_key(|entry| entry.serial);
        let (mut follow, mut sent) = (Vec::new(), 0);
        for entry in &candidates {
            let taken = match recovered {
                true => viewer.take(entry, now),
                false => viewer.take_late(entry, now),
            };
            if let Some(outgoing) = taken {
                follow.push(outgoing);
                sent = entry.serial;
            }
        }
        Before { recovered, follow, told, sent }
    }

    /// From now on the connection is sent what happens, beginning with what happened meanwhile.
    pub fn go_live(&self, conn: &Conn) {
        let now = self.inner.clock.now();
        conn.go_live(now, |sent| {
            let position = self.position_after(sent);
            Frame::of(&ToClient::Live { position: position.as_deref() })
        });
        if conn.owes_late() {
            self.catch_up(conn);
        }
    }

    /// Takes a connection out.
    pub fn leave(&self, conn: &Conn) {
        self.inner.index.remove(conn);
        if conn.outbox().why() == Some(Close::Slow) {
            self.inner.counters.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records were read from the log; `None` is nothing for citizens. They are offered together,
    /// each stream getting its own in their order and, while they are small, in one write. None but
    /// the first may take the place of another: that one must have been offered.
    pub async fn publish(&self, read: Vec<(Slot, Option<Arc<Publication>>)>) {
        let now = self.inner.clock.now();
        let (mut entries, mut slots) = (Vec::new(), Vec::with_capacity(read.len()));
        for (slot, publication) in read {
            slots.push(slot);
            let Some(publication) = publication else {
                self.book_mut().skip(slot);
                continue;
            };
            self.inner.counters.published.fetch_add(1, Ordering::Relaxed);
            let inserted = self.book_mut().insert(slot, publication, now);
            entries.extend(inserted.filter(|entry| entry.for_citizens && entry.is_live(now)));
        }
        Round::new(self.clone(), entries, now).go(self.inner.writers).await;
        self.settle(&slots);
    }

    /// A publication older than what is read of the log.
    pub fn seed(&self, publication: Arc<Publication>, superseded: bool) {
        self.book_mut().seed(publication, superseded);
    }

    /// What a publication supersedes that is not remembered.
    pub fn unknown(&self, publication: &Publication) -> Vec<PublicationId> {
        self.book().unknown(publication)
    }

    /// A device changed: its streams are matched by what it is now, and told what is live in its
    /// new places, once.
    pub fn device_changed(&self, device: &Arc<Device>, stays: &[Stay]) {
        for conn in self.inner.index.of_device(device.num) {
            self.inner.index.relist(&conn, || conn.change(device, stays.to_vec()));
            self.catch_up(&conn);
        }
    }

    /// A device was removed: its streams close.
    pub fn device_removed(&self, num: DeviceNum) {
        for conn in self.inner.index.of_device(num) {
            conn.outbox().close(Close::Removed);
        }
    }

    /// Whether a device has a stream here.
    pub fn has_device(&self, num: DeviceNum) -> bool {
        !self.inner.index.of_device(num).is_empty()
    }

    /// Closes every stream.
    pub fn close_all(&self, close: Close) {
        for conn in self.inner.index.all() {
            conn.outbox().close(close);
        }
    }

    /// The present instant, for those who deliver.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Offers what is live and was not sent yet.
    fn catch_up(&self, conn: &Conn) {
        let now = self.inner.clock.now();
        let live = self.book().live(now);
        conn.offer_late(&live, now);
    }

    fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.inner.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn book_mut(&self) -> RwLockWriteGuard<'_, Book> {
        self.inner.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
