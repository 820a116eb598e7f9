//! The integration tests, one binary: a module a promise or a room.

mod agencies;
mod alerts;
mod bus;
mod cap;
mod channel;
mod chaos;
mod cli;
mod cluster;
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
mod rates;
mod recall;
mod recovery;
mod redis;
mod registry;
mod replies;
mod submissions;
mod tidy;
mod topics;
mod trust;
mod turned_back;
mod webpush;

mod support;
