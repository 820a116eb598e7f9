//! Firebase Cloud Messaging, HTTP v1 (FACTS 3): one message per request over HTTP/2, bytes shared
//! per push but for the address and the ttl. `payload` renders, `client` sends; access tokens have
//! a `source`: `oauth` keeps those of an `account`, Google's crate those of a `workload` with an
//! `identity`. `outcome` judges the answer, `topics` posts to whole units.

mod account;
mod client;
mod identity;
pub mod oauth;
pub mod outcome;
pub(super) mod payload;
mod settings;
mod source;
mod topics;
mod workload;

pub use client::{Address, Client};
pub use payload::{Kind, Payload};
pub use settings::{NotificationChannels, QUOTA_PER_MINUTE, Settings};
pub use topics::Topics;
