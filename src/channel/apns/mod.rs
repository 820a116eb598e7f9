//! Apple Push Notification service (FACTS 2): token authentication over HTTP/2, one request a
//! push, bytes shared per push. `payload` renders, `client` sends, `outcome` judges the answer.

mod client;
pub mod outcome;
mod payload;
mod settings;
mod token;

pub use client::{Address, Client};
pub use payload::Payload;
pub use settings::Settings;
