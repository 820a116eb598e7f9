//! What is told of a refused request: who asked, if that was known, from where, for what, and with
//! which code it was refused. Told are those that somebody may have to answer for, or that look
//! like an attack; a wrong field is neither. So are connections that come to no request, and
//! streams that are refused after their upgrade. Whoever listens must not hold a request up.

use std::fmt;
use std::net::IpAddr;
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
    /// What was asked for: the method and the route's pattern, so that no id of a citizen is told;
    /// or what a connection did not get beyond.
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

    /// Tells of a connection that was closed before it came to a request, or to a further one. Its
    /// address is the peer's: no header has said another.
    pub fn connection(&self, peer: IpAddr, code: Code, step: &str) {
        let address = ClientAddress::of(peer, None, &self.trusted);
        (self.tell)(Refusal { actor: None, address, code, asked: step.to_owned() });
    }
}

/// What was asked, from where; an extension of every request, for what is refused once its answer
/// is out: a websocket is let in only after its upgrade.
#[derive(Clone, Debug)]
pub struct Asked {
    listener: Listener,
    address: ClientAddress,
    method: Method,
    route: Option<MatchedPath>,
}

impl Asked {
    /// Tells that it was refused, if that weighs anything.
    pub fn refused(&self, actor: Option<Actor>, code: Code) {
        if weighs(code, actor.is_some()) {
            let asked = format!("{} {}", self.method, self.route());
            let address = self.address;
            (self.listener.tell)(Refusal { actor, address, code, asked });
        }
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or("none", MatchedPath::as_str)
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
    let asked = Asked { listener, address, method, route };
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    request.extensions_mut().insert(asked.clone());
    let response = next.run(request).await;
    let Some(Coded(code)) = response.extensions().get::<Coded>().copied() else { return response };
    // A page asks whether its visitor is logged in.
    let session = asked.method == Method::GET && asked.route().ends_with("/session");
    let only_asks = session && !shows_something && code == Code::Unauthorized;
    if !only_asks {
        asked.refused(asker.0.get().cloned(), code);
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
