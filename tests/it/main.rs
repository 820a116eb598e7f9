//! The integration tests, one binary: a module a promise or a room.

mod agencies;
mod alerts;
mod bus;
mod cap;
mod channel;
mod cli;
mod desk;
mod events;
mod garbage;
mod gateway;
mod geofences;
mod hygiene;
mod ingest;
mod lanes;
mod late;
mod ledger;
mod path;
mod phones;
mod recall;
mod recovery;
mod registry;
mod replies;
mod tidy;
mod topics;
mod webpush;

mod support;
