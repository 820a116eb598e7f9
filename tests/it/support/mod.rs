//! What the integration tests share.

pub mod road;

pub mod http;
pub mod node;
pub mod people;
pub mod process;
