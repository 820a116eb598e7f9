//! The integration tests, one binary: a module a promise or a room.

mod agencies;
mod alerts;
mod bus;
mod cap;
mod channel;
mod events;
mod geofences;
mod lanes;
mod late;
mod ledger;
mod path;
mod recall;
mod recovery;
mod registry;
mod replies;

mod support;
