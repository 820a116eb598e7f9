//! The integration tests, one binary: a module a promise or a room.

mod agencies;
mod alerts;
mod bus;
mod gateway;
mod replies;
mod geofences;
mod support;

mod ledger;
mod registry;
