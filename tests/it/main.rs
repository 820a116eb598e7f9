//! The integration tests, one binary: a module a promise or a room.

mod geofences;
mod support;
