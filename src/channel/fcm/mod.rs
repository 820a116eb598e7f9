//! Firebase Cloud Messaging, HTTP v1 (FACTS 3): one message per request over HTTP/2, bytes shared
//! per push but for the address and the ttl. `payload` renders, `client` sends, `oauth` fetches
//! access tokens, `outcome` judges the answer.

mod client;
mod oauth;
pub mod outcome;
mod payload;
mod settings;

pub use client::{Address, Client};
pub use payload::Payload;
pub use settings::{NotificationChannels, QUOTA_PER_MINUTE, Settings};
