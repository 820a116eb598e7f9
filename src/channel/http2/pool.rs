//! The connections to one host: which of them takes the next request, when another is opened, and
//! how long to wait after failures. Some are reserved for the emergency lane, which may use the
//! others too. No input or output here; [`super::Client`] acts on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use super::connection::Link;

/// State of the pool, behind the client's lock.
#[derive(Debug, Default)]
pub struct Pool {
    entries: Vec<Entry>,
    /// Whether one is being opened: an ordinary one, a reserved one.
    connecting: [bool; 2],
    closing: bool,
    failures: u32,
    not_before: Option<Instant>,
    next_id: u64,
}

#[derive(Debug)]
struct Entry {
    link: Arc<Link>,
    /// Only the emergency lane may use it.
    reserved: bool,
    retired: bool,
}

/// Which connections the caller must open: an ordinary one, a reserved one.
pub type Connect = [bool; 2];

/// What a request finds.
#[derive(Debug)]
pub enum Found {
    /// A stream of this connection, counted as taken.
    Stream {
        /// The connection.
        link: Arc<Link>,
        /// There is room for another request at once.
        more: bool,
        /// What to open besides.
        connect: Connect,
    },
    /// None is free.
    Full {
        /// What to open.
        connect: Connect,
    },
    /// The sender is being closed.
    Closing,
}

impl Pool {
    /// Takes a stream of the connection with the fewest in use, or says what to do instead. A hot
    /// request takes one of a reserved connection first, where routine work cannot be in its way.
    pub fn take(&mut self, settings: &Settings, hot: bool) -> Found {
        if self.closing {
            return Found::Closing;
        }
        let free = |entry: &&Entry| {
            let link = &entry.link;
            let usable = !entry.retired && (hot || !entry.reserved) && !link.is_suspect();
            usable && link.in_flight() < link.limit(settings.streams)
        };
        let order = |entry: &&Entry| (!entry.reserved, entry.link.in_flight());
        let best = self.entries.iter().filter(free).min_by_key(order);
        let best = best.map(|entry| entry.link.clone());
        let connect = self.wanted(settings, hot, best.is_some());
        for (connecting, wanted) in self.connecting.iter_mut().zip(connect) {
            *connecting |= wanted;
        }
        let Some(link) = best else { return Found::Full { connect } };
        link.take_stream();
        let more = self.entries.iter().any(|entry| free(&entry));
        Found::Stream { link, more, connect }
    }

    fn wanted(&self, settings: &Settings, hot: bool, served: bool) -> Connect {
        let room = |reserved: bool| {
            let standing = self.usable(reserved).count();
            !self.connecting[usize::from(reserved)] && standing < settings.connections_of(reserved)
        };
        // A connection that is still proving itself will soon have room: one at a time.
        let soon = |reserved: bool| {
            let proving = |link: &Link| !link.is_warm() && !link.is_suspect();
            self.connecting[usize::from(reserved)] || self.usable(reserved).any(proving)
        };
        // Of the reserved ones the first stands as soon as the host is in use.
        let first = room(true) && self.usable(true).next().is_none();
        if served {
            return [false, first];
        }
        if !hot {
            return [room(false) && !soon(false), first];
        }
        let reserved = first || room(true) && !soon(true);
        [!reserved && room(false) && !soon(true) && !soon(false), reserved]
    }

    /// Whether a connection stands.
    pub fn is_up(&self) -> bool {
        self.entries.iter().any(|entry| !entry.retired)
    }

    /// A number for the next connection.
    pub fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Adds the connection that was being opened.
    pub fn connected(&mut self, link: Arc<Link>, reserved: bool) {
        self.connecting[usize::from(reserved)] = false;
        self.entries.push(Entry { link, reserved, retired: false });
    }

    /// The opening was given up.
    pub fn gave_up(&mut self, reserved: bool) {
        self.connecting[usize::from(reserved)] = false;
    }

    /// After a reserved connection ended: whether the caller must open another at once, so that one
    /// stands when an emergency comes.
    pub fn reopen(&mut self) -> bool {
        let connecting = &mut self.connecting[1];
        let reopen = !self.closing && !*connecting;
        *connecting |= reopen;
        reopen
    }

    /// Until when to wait before the next connect.
    pub fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// Counts a failed connect, or a connection that ended before it proved itself, and sets the
    /// time of the next attempt: doubling, with jitter, so that not everybody comes back at once.
    pub fn failed(&mut self, settings: &Settings, now: Instant) -> u32 {
        self.failures = self.failures.saturating_add(1);
        let doubled = settings.backoff_min_ms.saturating_mul(1 << (self.failures - 1).min(20));
        let longest = doubled.min(settings.backoff_max_ms);
        let wait = rand::random_range(longest.div_ceil(2)..=longest);
        self.not_before = Some(now + Duration::from_millis(wait));
        self.failures
    }

    /// A connection proved itself: the host is well, and so are we.
    pub fn proven(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// Gives no more streams of a connection; it ends with its last answer.
    pub fn retire(&mut self, id: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.link.id == id) {
            entry.retired = true;
            if entry.link.in_flight() == 0 {
                entry.link.end.cancel();
            }
        }
    }

    /// Gives back a stream.
    pub fn give(&mut self, link: &Link) {
        let left = link.give_stream();
        let retired = self.entries.iter().any(|entry| entry.link.id == link.id && entry.retired);
        if left == 0 && retired {
            link.end.cancel();
        }
    }

    /// Forgets a connection that ended.
    pub fn remove(&mut self, link: &Link, settings: &Settings) {
        self.entries.retain(|entry| entry.link.id != link.id);
        if !link.was_useful() {
            self.failed(settings, Instant::now());
        }
    }

    /// Gives no more streams at all.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Ends every connection.
    pub fn end(&self) {
        self.entries.iter().for_each(|entry| entry.link.end.cancel());
    }

    fn usable(&self, reserved: bool) -> impl Iterator<Item = &Link> {
        let usable = move |entry: &&Entry| !entry.retired && entry.reserved == reserved;
        self.entries.iter().filter(usable).map(|entry| entry.link.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_jitter_up_to_the_longest() {
        let settings =
            Settings { backoff_min_ms: 100, backoff_max_ms: 1000, ..Settings::default() };
        let mut pool = Pool::default();
        let now = Instant::now();
        for longest in [100, 200, 400, 800, 1000, 1000] {
            pool.failed(&settings, now);
            let wait = (pool.not_before().unwrap() - now).as_millis() as u64;
            assert!((longest / 2..=longest).contains(&wait), "{wait} of {longest}");
        }
        pool.proven();
        assert_eq!(pool.not_before(), None);
    }

    fn connect(found: Found) -> Connect {
        match found {
            Found::Full { connect } => connect,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_connection_at_a_time_is_opened() {
        let settings = Settings { connections: 1, ..Settings::default() };
        let mut pool = Pool::default();
        assert_eq!(connect(pool.take(&settings, true)), [true, false]);
        assert_eq!(connect(pool.take(&settings, false)), [false, false]);
        pool.gave_up(false);
        assert_eq!(connect(pool.take(&settings, false)), [true, false]);
        pool.close();
        assert!(matches!(pool.take(&settings, true), Found::Closing));
    }

    #[test]
    fn a_reserved_connection_is_opened_with_the_first_use_and_kept() {
        let settings = Settings { connections: 3, ..Settings::default() };
        let mut pool = Pool::default();
        assert_eq!(connect(pool.take(&settings, true)), [false, true], "the reserve will do");
        assert_eq!(connect(pool.take(&settings, false)), [true, false]);
        pool.gave_up(true);
        assert_eq!(connect(pool.take(&settings, false)), [false, true]);
        pool.gave_up(true);
        assert!(pool.reopen());
        assert!(!pool.reopen(), "one at a time");
        pool.close();
        pool.gave_up(true);
        assert!(!pool.reopen());
    }
}
