//! Apple Push Notification service (FACTS 2): one request a push over HTTP/2, with a provider token
//! or a certificate, for one app or several, bytes shared per push. `apps` opens, `payload`
//! renders, `heads` keeps what all recipients share, `client` sends, `outcome` judges the answer.

mod apps;
mod certificate;
mod client;
mod heads;
pub mod outcome;
pub(super) mod payload;
pub mod settings;
mod token;

pub use certificate::bundle_id;
pub use client::{Address, Client};
pub use payload::Payload;
pub use settings::{App, Credentials, Settings};
