//! OpenID Connect: who somebody is, told by a provider they trust. Loa relies on any provider that
//! publishes itself (discovery, RS256, ES256 or EdDSA), for citizens and for agencies' people.
//!
//! - [`provider`]: endpoints and keys, their rotation, and whether a token is good
//! - [`login`]: a browser's way there and back
//! - [`session`]: what a citizen's browser holds afterwards
//! - [`wire`]: the requests to the provider

pub mod login;
pub mod provider;
pub mod session;
pub mod wire;
