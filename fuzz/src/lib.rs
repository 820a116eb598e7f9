//! What must hold of every input, whoever wrote it: one module a target, each with one function
//! `hold` that panics where it does not. The main package's tests use the same functions over the
//! corpus (`tests/it/fuzz.rs`), so they build without a fuzzer.

pub mod answers;
pub mod areas;
pub mod cap;
pub mod events;
pub mod frames;
pub mod geojson;
pub mod json;
mod refusals;
