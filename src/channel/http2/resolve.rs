//! From a name to a TCP connection: looked up for every connection, the last known addresses when
//! the look-up takes too long, and the next address when one hangs (RFC 8305, without its sorting).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::public::is_public;
use crate::lifecycle::threads::{OURS, STRANGERS};

/// An address that does not answer for so long is not waited for alone (RFC 8305 section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Addresses that are being looked up.
type Found = BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// Looks up a host and port.
pub type Lookup = dyn Fn(String, u16) -> Found + Send + Sync;

/// Where addresses come from.
#[derive(Clone, Default)]
pub enum Resolver {
    /// The system's resolver.
    #[default]
    System,
    /// Another, for who embeds or tests a sender.
    Given(Arc<Lookup>),
}

impl Resolver {
    /// The same, but finds public addresses only: for a host that a stranger chose. What is found
    /// is what is connected, so a name that leads elsewhere a moment later gains nothing; and one
    /// that is never answered keeps no look-up of ours waiting.
    pub fn public(self) -> Self {
        let look_up: Arc<Lookup> = match self {
            Self::System => Arc::new(|host: String, port| -> Found {
                Box::pin(async move { STRANGERS.look_up(&host, port).await })
            }),
            Self::Given(look_up) => look_up,
        };
        Self::Given(Arc::new(move |host, port| {
            let found = look_up(host, port);
            Box::pin(async move {
                let mut found = found.await?;
                found.retain(|address| is_public(address.ip()));
                Ok(found)
            })
        }))
    }

    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => OURS.look_up(host, port).await,
            Self::Given(look_up) => look_up(host.to_owned(), port).await,
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Given(_) => "Given",
        })
    }
}

impl PartialEq for Resolver {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::System, Self::System) => true,
            (Self::Given(one), Self::Given(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

/// A host, and what is known of its addresses.
#[derive(Debug)]
pub struct Host {
    name: String,
    port: u16,
    resolver: Resolver,
    /// How long a look-up may take before the last known addresses are used.
    patience: Duration,
    known: Mutex<Vec<SocketAddr>>,
    connects: AtomicUsize,
}

impl Host {
    /// A host by name or address.
    pub fn new(name: String, port: u16, resolver: Resolver, patience: Duration) -> Self {
        let (known, connects) = (Mutex::default(), AtomicUsize::new(0));
        Self { name, port, resolver, patience, known, connects }
    }

    /// Connects to whichever address answers first. The addresses take turns at being first, so
    /// that one which accepts and then says nothing does not keep us for ever.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let mut addresses = self.addresses().await?;
        let turn = self.connects.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(addresses.len()).unwrap_or_default();
        addresses.rotate_left(first);
        race(addresses).await
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let look_up = self.resolver.look_up(&self.name, self.port);
        let known = self.known();
        let found = match timeout(self.patience, look_up).await {
            Ok(Ok(found)) if !found.is_empty() => found,
            Ok(Ok(_)) => return self.or_known(known, "the name has no address"),
            Ok(Err(error)) if known.is_empty() => return Err(error),
            Ok(Err(_)) => return Ok(known),
            Err(_) => return self.or_known(known, "looking the name up took too long"),
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&found);
        Ok(found)
    }

    fn known(&self) -> Vec<SocketAddr> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn or_known(&self, known: Vec<SocketAddr>, why: &str) -> io::Result<Vec<SocketAddr>> {
        if known.is_empty() { Err(io::Error::other(why)) } else { Ok(known) }
    }
}

/// Begins with the first address and adds the next whenever one fails or is slow.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::other("the name has no address");
    loop {
        attempts.extend(addresses.next().map(TcpStream::connect));
        if attempts.is_empty() {
            return Err(failure);
        }
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(tcp) => return Ok(tcp),
                Err(error) => failure = error,
            },
            () = sleep(NEXT_ADDRESS), if addresses.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    /// Nobody is there and nothing says so (RFC 5737: documentation addresses are not routed);
    /// where the machine has no route at all it fails at once, which serves as well.
    const HANGS: &str = "192.0.2.1:9";

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_hangs_or_fails() {
        let (_listener, good) = listener().await;
        let (closed, refuses) = listener().await;
        drop(closed);
        for bad in [HANGS.parse().unwrap(), refuses] {
            let started = Instant::now();
            let tcp = race(vec![bad, good]).await.unwrap();
            assert_eq!(tcp.peer_addr().unwrap(), good);
            assert!(started.elapsed() < Duration::from_secs(5));
        }
        assert!(race(vec![refuses]).await.is_err());
        assert!(race(vec![]).await.is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let (_listener, inside) = listener().await;
        let public: SocketAddr = "142.250.199.74:443".parse().unwrap();
        let found = Arc::new(Mutex::new(vec![inside, public]));
        let told = found.clone();
        let resolver = Resolver::Given(Arc::new(move |_, _| {
            let found = told.lock().unwrap().clone();
            Box::pin(async move { Ok(found) })
        }));
        let guarded = resolver.clone().public();
        assert_eq!(guarded.look_up("a", 443).await.unwrap(), [public]);
        found.lock().unwrap().pop();
        let host = |resolver| Host::new("a".into(), 443, resolver, Duration::from_secs(5));
        let refused = host(guarded).connect().await.unwrap_err().to_string();
        assert_eq!(refused, "the name has no address");
        assert!(host(resolver).connect().await.is_ok());
    }

    #[tokio::test]
    async fn names_of_strangers_that_nobody_answers_keep_none_of_ours_waiting() {
        let held = STRANGERS.hold_all().await;
        let ours = Resolver::System.look_up("localhost", 443).await.unwrap();
        assert!(!ours.is_empty());
        let strangers = Resolver::System.public();
        let waits = strangers.look_up("localhost", 443);
        assert!(timeout(Duration::from_millis(50), waits).await.is_err());
        drop(held);
        let found = strangers.look_up("localhost", 443).await.unwrap();
        assert_eq!(found, [], "it is no public address");
    }

    #[tokio::test]
    async fn the_name_is_looked_up_each_time_and_a_slow_look_up_falls_back_on_what_was_known() {
        let (_listener, good) = listener().await;
        let slow = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let (is_slow, count) = (slow.clone(), asked.clone());
        let resolver = Resolver::Given(Arc::new(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            let slow = is_slow.load(Ordering::Relaxed);
            Box::pin(async move {
                if slow {
                    std::future::pending::<()>().await;
                }
                Ok(vec![good])
            })
        }));
        let host = |resolver| Host::new("a".into(), 1, resolver, Duration::from_millis(50));
        let known = host(resolver.clone());
        known.connect().await.unwrap();
        slow.store(true, Ordering::Relaxed);
        known.connect().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert!(host(resolver).connect().await.is_err(), "bounded where nothing is known");
    }
}
