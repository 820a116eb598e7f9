//! The HTTP/2 sender the push channels share, on `h2` and rustls: a few connections to one host,
//! each with its streams in use, kept alive and replaced without losing or doubling a request.
//!
//! Promises:
//! - A request the server did not process (GOAWAY past the last stream, REFUSED_STREAM) goes out
//!   again at once on another connection; a request whose answer was lost never does.
//! - Never more streams on a connection than the peer allows at that moment.
//! - A connection that falls silent under load is replaced within twice `ping_quiet_ms` plus
//!   `ping_timeout_ms`.
//! - The emergency lane has connections of its own, kept standing, and may use the others too.
//! - Names are looked up for every connection, for a bounded time, and the next address is tried
//!   when one hangs.
//! - Nothing queues without end: whoever sends waits for a stream, to the request's deadline.
//!
//! The `authorization` header is written out each time, some 200 bytes to Apple, more to Google.
//! Apple asks for that, since its table of headers is small; Google's would bear indexing (RFC 7541
//! section 7.1.3: nobody else puts headers into these connections), but `h2` never indexes this
//! name.

mod attempt;
mod body;
mod client;
mod connection;
mod error;
mod gather;
mod pool;
mod public;
mod resolve;
mod settings;
pub mod tls;
mod watchdog;

pub use attempt::Answer;
pub use body::Body;
pub use client::Client;
pub use error::Error;
pub use resolve::{Lookup, Resolver};
pub use settings::{Settings, WarmUp};
