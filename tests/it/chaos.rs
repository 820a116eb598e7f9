//! A cluster under fire: three brokers, a Redis with a replica, and Loa as processes of the real
//! binary, each with its role, while processes, brokers, stores and wires fail in the middle of a
//! broadcast. Whatever fails, everyone targeted is reached, what comes twice is bounded and
//! replaces itself, nothing goes to the dead letters but the poison that was put in, and what is in
//! order stays in order on the sockets. Recovery times are printed, and promised to nobody.
//!
//! The scenarios share one cluster, one after another. 5,000 devices and 100 sockets; with
//! `LOA_FULL=1` 200,000 and 2,000 (`make chaos`). What every run of the tests does is `under_fire`.

pub mod broadcast;
mod capacity;
mod crowd;
mod late;
mod network;
pub mod nodes;
mod processes;
mod recall;
mod servers;
mod sockets;
pub mod stage;
mod stores;
mod verdict;
