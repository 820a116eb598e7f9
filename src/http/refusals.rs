//! What is told of a refused request: who asked, if that was known, from where, for what, and with
//! which code it was refused. Told are those that somebody may have to answer for, or that look
//! like an attack; a wrong field is neither. Whoever listens must not hold a request up.

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{Extensions, Method};
use axum::middleware::Next;
use axum::response::Response;

use crate::domain::audit::Actor;
use crate::http::limits::ClientAddress;
use crate::http::problem::{Code, Coded};
use crate::http::proxies::{Proxies, Proxy};
use crate::http::serve::Peer;

/// A refused request.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Who asked, if that was known.
    pub actor: Option<Actor>,
    /// From where.
    pub address: ClientAddress,
    /// Why it was refused.
    pub code: Code,
    /// What was asked for: the method and the route's pattern, so that no id of a citizen is told.
    pub asked: String,
}

/// Who is told. Clones share it.
#[derive(Clone)]
pub struct Listener {
    tell: Arc<dyn Fn(Refusal) + Send + Sync>,
    trusted: Proxies,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Listener {
    /// Tells of each refusal at once; addresses are believed of these proxies.
    pub fn new(tell: impl Fn(Refusal) + Send + Sync + 'static, trusted: &[Proxy]) -> Self {
        Self { tell: Arc::new(tell), trusted: Proxies::new(trusted) }
    }
}

/// Who asks, once that is known; an extension of every request.
#[derive(Clone, Debug, Default)]
struct Asker(Arc<OnceLock<Actor>>);

/// Remembers who asks; the first who is recognised holds.
pub fn recognised(extensions: &Extensions, actor: impl FnOnce() -> Actor) {
    if let Some(Asker(asker)) = extensions.get::<Asker>() {
        asker.get_or_init(actor);
    }
}

/// Middleware: tells of what was refused.
pub async fn told(State(listener): State<Listener>, mut request: Request, next: Next) -> Response {
    let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() else {
        return next.run(request).await; // not over a socket: a test calls the router itself
    };
    let headers = request.headers();
    let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let address = ClientAddress::of(peer.ip(), forwarded, &listener.trusted);
    let shows_something = headers.contains_key(AUTHORIZATION) || headers.contains_key(COOKIE);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    let response = next.run(request).await;
    let Some(Coded(code)) = response.extensions().get::<Coded>().copied() else { return response };
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    // A page asks whether its visitor is logged in.
    let only_asks = method == Method::GET && route.ends_with("/session") && !shows_something;
    let actor = asker.0.get().cloned();
    if weighs(code, actor.is_some()) && !(only_asks && code == Code::Unauthorized) {
        let asked = format!("{method} {route}");
        (listener.tell)(Refusal { actor, address, code, asked });
    }
    response
}

/// Whether a refusal is told; some only of those who are known, for strangers mistype paths.
fn weighs(code: Code, known: bool) -> bool {
    match code {
        Code::Unauthorized
        | Code::CertificateRequired
        | Code::Forbidden
        | Code::Csrf
        | Code::SamePerson
        | Code::SecondPersonNeeded
        | Code::OutsideJurisdiction
        | Code::BadSignature
        | Code::SignatureRequired
        | Code::RateLimited
        | Code::TooLarge
        | Code::RequestTimeout
        | Code::IdempotencyMismatch => true,
        Code::NotFound | Code::Conflict | Code::IllegalTransition => known,
        _ => false,
    }
}
