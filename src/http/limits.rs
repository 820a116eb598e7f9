//! Limits of the HTTP faces, and who pays when one is hit: always the client at fault, never its
//! neighbours.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::http::proxies::{Proxies, Proxy};
use crate::http::tls;

/// The limits of one HTTP face.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Largest request body in bytes. A CAP alert with signatures stays under 1 MiB.
    pub body_bytes_max: usize,
    /// Open TCP connections; further ones are closed at once.
    pub connections_max: usize,
    /// Seconds for the request line and headers to arrive (slow loris).
    pub header_seconds: u64,
    /// Seconds for a request from its headers to its answer; not for streams.
    pub request_seconds: u64,
    /// Requests a second from one address, on average.
    pub requests_per_second: u32,
    /// Requests from one address at once.
    pub request_burst: u32,
    /// Requests a second with one API key, device's secret, token or session, on average.
    pub credential_requests_per_second: u32,
    /// Requests with one of them at once.
    pub credential_request_burst: u32,
    /// Requests a second of one citizen on all their devices, on average.
    pub citizen_requests_per_second: u32,
    /// Requests of one citizen at once.
    pub citizen_request_burst: u32,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Proxy>,
    /// TLS of our own; absent means plain HTTP.
    pub tls: Option<tls::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            connections_max: 20_000,
            header_seconds: 10,
            request_seconds: 30,
            requests_per_second: 50,
            request_burst: 200,
            credential_requests_per_second: 200,
            credential_request_burst: 1_000,
            citizen_requests_per_second: 10,
            citizen_request_burst: 100,
            trusted_proxies: Vec::new(),
            tls: None,
        }
    }
}

impl Settings {
    /// Every value that makes no sense, with its key.
    pub fn problems(&self) -> Vec<String> {
        let zero = [
            ("body_bytes_max", self.body_bytes_max == 0),
            ("connections_max", self.connections_max == 0),
            ("header_seconds", self.header_seconds == 0),
            ("request_seconds", self.request_seconds == 0),
            ("requests_per_second", self.requests_per_second == 0),
            ("request_burst", self.request_burst == 0),
            ("credential_requests_per_second", self.credential_requests_per_second == 0),
            ("credential_request_burst", self.credential_request_burst == 0),
            ("citizen_requests_per_second", self.citizen_requests_per_second == 0),
            ("citizen_request_burst", self.citizen_request_burst == 0),
        ];
        let zero = zero.iter().filter(|(_, bad)| *bad);
        let zero = zero.map(|(key, _)| format!("{key} must not be 0"));
        let tls = self.tls.iter().flat_map(tls::Settings::problems);
        zero.chain(tls.map(|rule| format!("tls.{rule}"))).collect()
    }

    /// How fast a citizen may ask: a second, and at once.
    pub fn citizen_rate(&self) -> (u32, u32) {
        (self.citizen_requests_per_second, self.citizen_request_burst)
    }

    /// How long a request may take.
    pub fn request_time(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }
}

/// A client's address as limits count it: an IPv6 client has a whole /64 at its disposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The address to count a request under: the peer's, or what trusted proxies say.
    pub fn of(peer: IpAddr, forwarded_for: Option<&str>, trusted: &Proxies) -> Self {
        Self(match trusted.client(peer, forwarded_for) {
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                None => {
                    let [a, b, c, d, ..] = v6.segments();
                    IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
                }
            },
            v4 => v4,
        })
    }
}

impl std::fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// At most so many at a time, in all and per address.
#[derive(Debug)]
pub struct AddressSlots {
    total_max: usize,
    each_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<ClientAddress, usize>,
}

/// Which of the two limits was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The node is full.
    #[error("this node holds as many connections as it may")]
    Node,
    /// The address has as many as it may.
    #[error("this address holds as many connections as it may")]
    Address,
}

/// One taken slot, given back on drop.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<AddressSlots>,
    address: ClientAddress,
}

impl AddressSlots {
    /// So many in all, and so many per address.
    pub fn new(total_max: usize, each_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, each_max, taken: Mutex::default() })
    }

    /// Takes a slot for an address.
    pub fn take(self: &Arc<Self>, address: ClientAddress) -> Result<Slot, Full> {
        let mut taken = self.lock();
        if taken.total >= self.total_max {
            return Err(Full::Node);
        }
        let each = taken.by_address.entry(address).or_default();
        if *each >= self.each_max {
            return Err(Full::Address);
        }
        *each += 1;
        taken.total += 1;
        Ok(Slot { slots: Arc::clone(self), address })
    }

    /// Slots taken now.
    pub fn taken(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(each) = taken.by_address.get_mut(&self.address) {
            *each -= 1;
            if *each == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_of_ipv6_is_counted_by_its_network() {
        let none = Proxies::new(&[]);
        let of = |text| ClientAddress::of(ip(text), None, &none).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn slots_are_counted_in_all_and_per_address_and_given_back() {
        let slots = AddressSlots::new(3, 2);
        let none = Proxies::new(&[]);
        let address = |text| ClientAddress::of(ip(text), None, &none);
        let first = slots.take(address("192.0.2.1")).expect("free");
        let _second = slots.take(address("192.0.2.1")).expect("free");
        assert_eq!(slots.take(address("192.0.2.1")).expect_err("two"), Full::Address);
        let _third = slots.take(address("192.0.2.2")).expect("free");
        assert_eq!(slots.take(address("192.0.2.3")).expect_err("three"), Full::Node);
        drop(first);
        assert_eq!(slots.taken(), 2);
        assert!(slots.take(address("192.0.2.1")).is_ok());
    }
}
