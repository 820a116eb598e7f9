//! Reverse proxies whose word is believed: where a request came from, and that it came over TLS.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;

/// A proxy's address, or the network that all addresses of one come from: in containers it is
/// another with each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Proxy(IpNet);

/// Neither an address nor a network in CIDR form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address (10.0.0.7) nor a network (10.0.0.0/24)")]
pub struct NoProxy(String);

impl FromStr for Proxy {
    type Err = NoProxy;

    fn from_str(text: &str) -> Result<Self, NoProxy> {
        let network = text.parse::<IpNet>();
        let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| NoProxy(text.to_owned()))
    }
}

impl TryFrom<String> for Proxy {
    type Error = NoProxy;

    fn try_from(text: String) -> Result<Self, NoProxy> {
        text.parse()
    }
}

impl From<IpAddr> for Proxy {
    fn from(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }
}

/// All that are believed. Clones share the list.
#[derive(Clone, Debug)]
pub struct Proxies(Arc<[Proxy]>);

impl Proxies {
    /// These and no others.
    pub fn new(proxies: &[Proxy]) -> Self {
        Self(proxies.into())
    }

    /// Whether an address is one of them. A listener for both families sees IPv4 as mapped.
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|proxy| proxy.0.contains(&address))
    }

    /// Where a request came from: the peer, or if that is a proxy, the last address of its
    /// `X-Forwarded-For` that is none. What stands before was said by whoever asked.
    pub fn client(&self, peer: IpAddr, forwarded_for: Option<&str>) -> IpAddr {
        let mut client = peer;
        for claimed in forwarded_for.unwrap_or_default().rsplit(',') {
            if !self.has(client) {
                break;
            }
            let Ok(address) = claimed.trim().parse() else { break };
            client = address;
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn trusted(proxies: &[&str]) -> Proxies {
        let proxies: Vec<Proxy> =
            proxies.iter().map(|text| text.parse().expect("a proxy")).collect();
        Proxies::new(&proxies)
    }

    #[test]
    fn forwarded_addresses_are_believed_only_from_trusted_proxies() {
        let of = |peer: &str, proxies: &[&str]| {
            trusted(proxies).client(ip(peer), Some("1.1.1.1, 203.0.113.9")).to_string()
        };
        assert_eq!(of("10.0.0.1", &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(of("10.0.3.7", &["10.0.0.0/16"]), "203.0.113.9");
        assert_eq!(of("::ffff:10.0.3.7", &["10.0.0.0/16"]), "203.0.113.9");
        assert_eq!(of("10.1.3.7", &["10.0.0.0/16"]), "10.1.3.7");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn of_several_proxies_the_first_names_the_client_and_a_client_cannot() {
        let chain = trusted(&["10.0.0.0/16", "192.0.2.1"]);
        let client = |said| chain.client(ip("10.0.0.1"), said).to_string();
        assert_eq!(client(Some("8.8.8.8, 203.0.113.9, 192.0.2.1")), "203.0.113.9");
        assert_eq!(client(Some("192.0.2.1")), "192.0.2.1", "nobody else is named");
        assert_eq!(client(Some("8.8.8.8, nonsense")), "10.0.0.1");
        assert_eq!(client(None), "10.0.0.1");
    }

    #[test]
    fn what_is_neither_address_nor_network_is_refused() {
        for bad in ["", "front", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"] {
            assert_eq!(bad.parse::<Proxy>(), Err(NoProxy(bad.to_owned())));
        }
    }
}
