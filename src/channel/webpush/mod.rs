//! Web Push (RFC 8030): browsers, by way of their makers' push services. Each message is encrypted
//! for its browser alone (RFC 8188, 8291), and we say who we are with VAPID (RFC 8292). `payload`
//! renders once, `client` encrypts and sends to the service of each endpoint, `outcome` judges.

mod client;
pub mod ece;
pub mod outcome;
pub(super) mod payload;
mod settings;
pub mod vapid;

pub use client::Client;
pub use payload::Payload;
pub use settings::Settings;
