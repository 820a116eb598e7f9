//! The gateway over real sockets: its streams, its routes, and clients in other languages.

mod clients;
mod conformance;
mod face;
pub mod house;
mod limits;
mod streams;
