//! Agencies' API keys: `Authorization: Bearer loa_…`.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use jiff::Timestamp;

use crate::auth::{credentials, unauthorized};
use crate::clock::Clock;
use crate::domain::agency::Agency;
use crate::domain::audit::Actor;
use crate::domain::fingerprint::Fingerprint;
use crate::http::serve::Secured;
use crate::http::{Code, Problem, refusals};
use crate::store::agencies::{Agencies, Holder};

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
        let now = clock.now();
        let found = agencies.authenticate(key, now).await;
        let found = found.map_err(|error| Problem::internal(&error))?.ok_or_else(refused)?;
        let Holder { agency, key_name, certificate } = found;
        refusals::recognised(&parts.extensions, || Actor::Agency {
            id: agency.id.to_string(),
            key: key_name.clone(),
        });
        proves(parts.extensions.get::<Secured>(), certificate, now)?;
        Ok(Self { agency, key_name })
    }
}

/// Refuses a key that is bound to a certificate which this connection did not prove to hold, and
/// any key without a certificate where the face asks for one.
fn proves(
    secured: Option<&Secured>,
    bound: Option<Fingerprint>,
    now: Timestamp,
) -> Result<(), Problem> {
    let presented = secured.and_then(|secured| secured.client);
    let presented = presented.filter(|certificate| now <= certificate.ends);
    let asked_for = secured.is_some_and(|secured| secured.keys_need_one);
    let detail = match (bound, presented) {
        (None, None) if asked_for => "API keys are taken with a client certificate alone here",
        (None, _) => return Ok(()),
        (Some(bound), Some(presented)) if bound == presented.fingerprint => return Ok(()),
        (Some(_), Some(_)) => "this key is bound to another client certificate",
        (Some(_), None) => "this key is bound to a client certificate, and none was presented",
    };
    Err(Problem::new(Code::CertificateRequired, detail))
}
