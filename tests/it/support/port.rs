//! Ports for servers that are started by number. They lie below those that Linux gives to outgoing
//! connections (32,768 on, `ip_local_port_range`): one of these would take a port between the
//! moment it was found free and the moment its server binds it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port, and how many there are.
const FIRST: u16 = 11_000;
const COUNT: u16 = 10_000;
/// Ports between the beginnings of two processes with one number after the other.
const APART: u32 = 1009;
/// How far above its port a Redis Cluster's node listens for the others.
const CLUSTER_BUS: u16 = 10_000;

/// A port nobody listens on, nor on its cluster bus; no two calls answer the same one.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of several processes begin at different places, also of those that started together.
    let start = (std::process::id().wrapping_mul(APART) % u32::from(COUNT)) as u16;
    loop {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + step % COUNT;
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free(port) && is_free(port + CLUSTER_BUS) {
            return port;
        }
    }
}

/// The same as an address.
pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}
