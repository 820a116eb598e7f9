//! APNs, FCM, a Web Push service and citizens that behave as documented, with faults on demand. For
//! the demo, drills, tests and benchmarks, over real TLS sockets; nothing of the pipeline knows it.

pub mod alerts;
mod apns;
pub mod citizens;
mod credentials;
pub mod faults;
mod fcm;
pub mod federation;
mod metadata;
pub mod providers;
pub mod record;
mod serve;
pub mod webpush;
mod wire;
