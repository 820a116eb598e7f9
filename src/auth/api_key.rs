//! Agencies' API keys: `Authorization: Bearer loa_…`.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use crate::auth::{credentials, unauthorized};
use crate::clock::Clock;
use crate::domain::agency::Agency;
use crate::http::Problem;
use crate::store::agencies::Agencies;

/// How every key begins, so that a leaked one is found by scanners.
pub const PREFIX: &str = "loa_";

/// What the extractor needs of a face's state.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Who may publish.
    pub agencies: Agencies,
    /// When a key has expired.
    pub clock: Clock,
}

/// The agency that asks, as an extractor.
#[derive(Clone, Debug)]
pub struct AsAgency {
    /// The agency with its jurisdiction.
    pub agency: Agency,
    /// The name of the key that was used, for the audit.
    pub key_name: String,
}

impl<S> FromRequestParts<S> for AsAgency
where
    S: Send + Sync,
    Keys: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refused = || unauthorized("`Authorization: Bearer loa_…`, an agency's API key");
        let (scheme, key) = credentials(&parts.headers).ok_or_else(refused)?;
        if !scheme.eq_ignore_ascii_case("bearer") || !key.starts_with(PREFIX) {
            return Err(refused());
        }
        let Keys { agencies, clock } = Keys::from_ref(state);
        let found = agencies.authenticate(key, clock.now()).await;
        match found.map_err(|error| Problem::internal(&error))? {
            Some((agency, key_name)) => Ok(Self { agency, key_name }),
            None => Err(refused()),
        }
    }
}
