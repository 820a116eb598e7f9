//! What the integration tests share.

pub mod citizen;
