//! The connections to one host: which of them takes the next request, when another is opened, and
//! how long to wait after failures. No input or output here; [`super::Client`] acts on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use super::connection::Link;

/// State of the pool, behind the client's lock.
#[derive(Debug, Default)]
pub struct Pool {
    entries: Vec<Entry>,
    connecting: bool,
    closing: bool,
    failures: u32,
    not_before: Option<Instant>,
    next_id: u64,
}

#[derive(Debug)]
struct Entry {
    link: Arc<Link>,
    retired: bool,
}

/// What a request finds.
#[derive(Debug)]
pub enum Found {
    /// A stream of this connection, counted as taken.
    Stream {
        /// The connection.
        link: Arc<Link>,
        /// There is room for another request at once.
        more: bool,
    },
    /// None is free. `connect`: the caller must open another connection.
    Full {
        /// Whether to open one.
        connect: bool,
    },
    /// The sender is being closed.
    Closing,
}

impl Pool {
    /// Takes a stream of the connection with the fewest in use, or says what to do instead.
    pub fn take(&mut self, settings: &Settings) -> Found {
        if self.closing {
            return Found::Closing;
        }
        let free = |entry: &&Entry| {
            !entry.retired && entry.link.in_flight() < entry.link.limit(settings.streams)
        };
        let best = self.entries.iter().filter(free).min_by_key(|entry| entry.link.in_flight());
        if let Some(link) = best.map(|entry| entry.link.clone()) {
            link.take_stream();
            return Found::Stream { link, more: self.entries.iter().any(|entry| free(&entry)) };
        }
        // A connection that is still proving itself will soon have room: one at a time.
        let soon = self.connecting || self.usable().any(|link| !link.is_warm());
        let connect = !soon && self.usable().count() < usize::from(settings.connections);
        self.connecting |= connect;
        Found::Full { connect }
    }

    /// Whether a connection stands.
    pub fn is_up(&self) -> bool {
        self.usable().next().is_some()
    }

    /// A number for the next connection.
    pub fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Adds the connection that was being opened.
    pub fn connected(&mut self, link: Arc<Link>) {
        self.connecting = false;
        self.entries.push(Entry { link, retired: false });
    }

    /// The opening was given up.
    pub fn gave_up(&mut self) {
        self.connecting = false;
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
        if !link.is_proven() {
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

    fn usable(&self) -> impl Iterator<Item = &Link> {
        self.entries.iter().filter(|entry| !entry.retired).map(|entry| entry.link.as_ref())
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

    #[test]
    fn one_connection_at_a_time_is_opened() {
        let settings = Settings::default();
        let mut pool = Pool::default();
        assert!(matches!(pool.take(&settings), Found::Full { connect: true }));
        assert!(matches!(pool.take(&settings), Found::Full { connect: false }));
        pool.gave_up();
        assert!(matches!(pool.take(&settings), Found::Full { connect: true }));
        pool.close();
        assert!(matches!(pool.take(&settings), Found::Closing));
    }
}
