//! What the integration tests share.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub mod audit;
pub mod citizen;
pub mod client;
pub mod clients;
pub mod damage;
pub mod home;
pub mod http;
pub mod kafka;
pub mod kept;
pub mod logs;
pub mod metrics;
pub mod node;
pub mod people;
pub mod port;
pub mod process;
pub mod redis;
pub mod road;
pub mod shape;
pub mod site;
pub mod tls;
pub mod wire;

/// A vault with these keys, the first of which seals.
pub fn vault(numbers: &[u8]) -> loa::store::vault::Vault {
    let key = |number: &u8| format!("{number}:{}", STANDARD.encode([*number; 32]));
    let text = numbers.iter().map(key).collect::<Vec<_>>().join(",");
    loa::store::vault::Vault::parse(&text).expect("keys")
}
