//! What the integration tests share.

pub mod citizen;
pub mod http;
pub mod node;
pub mod road;
