//! uWebSockets, by a few lines of JavaScript that are spoken to as our own servers are.

use anyhow::Result;

use crate::alerts::FRAME_BYTES;
use crate::server::{Cores, SETTLE};
use crate::talker::Talker;

/// Names the folder of the npm package.
const PACKAGE: &str = "LOA_UWS";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/sockets/peers/uws.cjs");

/// How to get it, where it is not here.
pub fn missing() -> Option<&'static str> {
    let how = "LOA_UWS names no folder of the npm package `uwebsockets` \
        (npm install uwebsockets; it is then node_modules/uwebsockets)";
    std::env::var_os(PACKAGE).is_none().then_some(how)
}

/// Starts it.
pub fn start(cores: Cores) -> Result<Talker> {
    let (bytes, settle) = (FRAME_BYTES.to_string(), SETTLE.as_millis().to_string());
    Talker::start(cores.list(), &["node", SCRIPT, &bytes, &settle])
}
