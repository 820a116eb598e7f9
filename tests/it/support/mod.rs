//! What the integration tests share.

pub mod citizen;
pub mod client;
pub mod clients;
pub mod damage;
pub mod home;
pub mod http;
pub mod kafka;
pub mod kept;
pub mod node;
pub mod people;
pub mod process;
pub mod redis;
pub mod road;
pub mod shape;
pub mod site;
pub mod wire;
