//! Firebase Cloud Messaging, HTTP v1 (FACTS 3): one message per request over HTTP/2, bytes shared
//! per push but for the address and the ttl. `payload` renders, `client` sends, `oauth` keeps
//! access tokens from a `source` (an `account`, the `metadata` server or an `external` identity),
//! `outcome` judges the answer, `topics` posts to whole units.

mod account;
mod client;
mod external;
mod external_file;
mod http1;
mod metadata;
mod oauth;
pub mod outcome;
pub(super) mod payload;
mod settings;
mod source;
mod topics;

pub use client::{Address, Client};
pub use payload::{Kind, Payload};
pub use settings::{NotificationChannels, QUOTA_PER_MINUTE, Settings};
pub use topics::Topics;
