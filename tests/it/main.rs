//! The integration tests, one binary: a module a promise or a room.

mod support;

mod ledger;
mod registry;
