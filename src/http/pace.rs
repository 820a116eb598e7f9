//! How fast somebody may ask: so many requests a second on average and so many at once, for each
//! address, for each credential and for each citizen.
//!
//! A node counts each name in its own memory. In a cluster the nodes also share one bucket for each
//! name, so that whoever asks many nodes gets no more than from one; a name's first tenth on each
//! node costs no question, which is what nearly everybody ever asks.
//!
//! **It fails open.** The shared bucket is asked for `ASK` at the longest. If the stores do not
//! answer by then, this node's own count decides alone, and they are left alone for `REST`: an
//! emergency is published also while Redis is away.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};

use crate::http::limits::{ClientAddress, Settings};
use crate::http::problem::{Code, Problem};
use crate::http::proxies::Proxies;
use crate::http::serve::{Peer, Secured};
use crate::store::rates::Rates;

/// Names that were quiet for long are forgotten after at least so many takings, and as many as
/// there are names: looking for them costs no more than taking does, and who asks under ever new
/// names makes this node keep those of a moment.
const FORGET_AFTER: usize = 4_096;
/// The longest that a request waits for the shared count.
const ASK: Duration = Duration::from_millis(100);
/// How long a shared count that did not answer is left alone.
const REST: Duration = Duration::from_secs(1);
/// The part of a name's rate that each node grants without asking: one in so many.
const UNASKED: u32 = 10;
/// Bytes of a credential's digest that tell it from others.
const DIGEST_BYTES: usize = 12;

/// So many a second of each name, with a burst, on this node.
#[derive(Debug)]
pub struct Own<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
    /// Since quiet names were forgotten last.
    taken: AtomicUsize,
}

impl<K: Hash + Eq + Clone> Own<K> {
    /// A rate for each name; zero counts as one.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        let (limiter, clock) = (RateLimiter::keyed(quota), DefaultClock::default());
        Self { limiter, clock, taken: AtomicUsize::new(0) }
    }

    /// Takes one, or says how long to wait.
    pub fn take(&self, name: &K) -> Result<(), Duration> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        if taken.is_multiple_of(FORGET_AFTER) && taken >= self.limiter.len() {
            self.taken.store(0, Ordering::Relaxed);
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(name).map_err(|not| not.wait_time_from(self.clock.now()))
    }
}

/// What all nodes count together.
#[derive(Clone, Debug)]
pub struct Together {
    rates: Rates,
    /// Until when it is left alone.
    rests_until: Arc<Mutex<Option<Instant>>>,
}

impl Together {
    /// Over the rates that nodes share.
    pub fn new(rates: Rates) -> Self {
        Self { rates, rests_until: Arc::default() }
    }

    /// Takes one of a name, or says how long to wait; nobody waits for a count that is away.
    async fn take(&self, name: &str, (per_second, burst): (u32, u32)) -> Result<(), Duration> {
        let now = Instant::now();
        if self.rests().is_some_and(|until| now < until) {
            return Ok(());
        }
        let why = match tokio::time::timeout(ASK, self.rates.take(name, per_second, burst)).await {
            Ok(Ok(wait)) => return wait.map_or(Ok(()), Err),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", ASK.as_millis()),
        };
        let first = self.rests().replace(now + REST).is_none_or(|until| until + REST < now);
        if first {
            tracing::warn!(error = why, "each node counts rates alone: the stores are away");
        }
        Ok(())
    }

    fn rests(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How fast each name of a kind may ask.
#[derive(Debug)]
pub struct Pace<K: Hash + Eq + Clone> {
    kind: &'static str,
    rate: (u32, u32),
    own: Own<K>,
    unasked: Own<K>,
    together: Option<Together>,
}

impl<K: Hash + Eq + Clone + ToString> Pace<K> {
    /// Names of a kind: so many a second and so many at once.
    pub fn new(kind: &'static str, rate: (u32, u32), together: Option<Together>) -> Self {
        let (per_second, burst) = rate;
        let unasked = Own::new(per_second / UNASKED, burst / UNASKED);
        Self { kind, rate, own: Own::new(per_second, burst), unasked, together }
    }

    /// Takes one, or refuses with the time to wait.
    pub async fn take(&self, name: &K) -> Result<(), Problem> {
        let taken = match (self.own.take(name), &self.together) {
            (Ok(()), Some(together)) if self.unasked.take(name).is_err() => {
                let shared = format!("{}-{}", self.kind, name.to_string());
                together.take(&shared, self.rate).await
            }
            (own, _) => own,
        };
        taken.map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            let detail = format!("too many requests from this {}; wait {seconds} s", self.kind);
            Problem::new(Code::RateLimited, detail).retry_after(seconds)
        })
    }
}

/// What the rate-limiting middleware needs.
#[derive(Clone, Debug)]
pub struct RateGuard {
    addresses: Arc<Pace<ClientAddress>>,
    credentials: Arc<Pace<String>>,
    trusted: Proxies,
}

impl RateGuard {
    /// The guard of one face; with what all nodes count together, in a cluster.
    pub fn new(settings: &Settings, together: Option<Together>) -> Self {
        let address = (settings.requests_per_second, settings.request_burst);
        let credential =
            (settings.credential_requests_per_second, settings.credential_request_burst);
        Self {
            addresses: Arc::new(Pace::new("address", address, together.clone())),
            credentials: Arc::new(Pace::new("credential", credential, together)),
            trusted: Proxies::new(&settings.trusted_proxies),
        }
    }
}

/// What a proxy says of how a request came to it; our own word where TLS is ours.
pub const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Middleware: puts the [`ClientAddress`] into the request and refuses what is over a rate with
/// 429 and `Retry-After`.
pub async fn rate_limit(
    State(guard): State<RateGuard>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() else {
        return next.run(request).await; // not over a socket: a test calls the router itself
    };
    let forwarded = request.headers().get("x-forwarded-for").and_then(|v| v.to_str().ok());
    let address = ClientAddress::of(peer.ip(), forwarded, &guard.trusted);
    if !guard.trusted.has(peer.ip()) {
        // That it came over TLS is a proxy's word, too.
        request.headers_mut().remove(FORWARDED_PROTO);
    }
    if request.extensions().get::<Secured>().is_some()
        && !request.headers().contains_key(FORWARDED_PROTO)
    {
        request.headers_mut().insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
    }
    if let Err(problem) = guard.addresses.take(&address).await {
        return problem.into_response();
    }
    if let Some(credential) = credential(request.headers())
        && let Err(problem) = guard.credentials.take(&credential).await
    {
        return problem.into_response();
    }
    request.extensions_mut().insert(address);
    next.run(request).await
}

/// What tells a caller's API key, device secret, token or session from others, without being it.
fn credential(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(AUTHORIZATION).or_else(|| headers.get(COOKIE))?;
    let digest = Sha256::digest(given.as_bytes());
    Some(URL_SAFE_NO_PAD.encode(&digest[..DIGEST_BYTES]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::http::proxies::Proxy;

    #[tokio::test]
    async fn what_came_over_tls_is_a_trusted_proxys_word_alone() {
        use axum::body::Body;
        use axum::routing::get;
        use tower::ServiceExt;
        let proxy: std::net::SocketAddr = "10.0.0.1:1".parse().expect("an address");
        let said = async |trusted: Vec<Proxy>| {
            let settings = Settings { trusted_proxies: trusted, ..Settings::default() };
            let guard = RateGuard::new(&settings, None);
            let echo = async |headers: HeaderMap| headers.contains_key(FORWARDED_PROTO).to_string();
            let face = axum::Router::new().route("/", get(echo));
            let face = face.layer(axum::middleware::from_fn_with_state(guard, rate_limit));
            let request = Request::get("/").header(FORWARDED_PROTO, "https").extension(Peer(proxy));
            let request = request.body(Body::empty()).expect("a request");
            let answer = face.oneshot(request).await.expect("infallible");
            axum::body::to_bytes(answer.into_body(), 64).await.expect("a body")
        };
        assert_eq!(said(vec![proxy.ip().into()]).await, "true");
        assert_eq!(said(Vec::new()).await, "false");
    }

    #[test]
    fn names_that_are_quiet_are_forgotten_while_others_come() {
        // A name is quiet again at once.
        let rate = Own::new(u32::MAX, 1);
        for name in 0..10 * FORGET_AFTER {
            assert!(rate.take(&name).is_ok());
        }
        let kept = rate.limiter.len();
        assert!(kept <= 2 * FORGET_AFTER, "{kept} are remembered");
    }

    #[test]
    fn a_busy_name_waits_and_its_neighbour_does_not() {
        let rate = Own::new(1, 2);
        assert!(rate.take(&"one").is_ok() && rate.take(&"one").is_ok());
        assert!(rate.take(&"one").is_err());
        assert!(rate.take(&"other").is_ok());
    }

    #[tokio::test]
    async fn nodes_that_count_together_grant_no_more_than_one_does() {
        let together = Together::new(Rates::local(Clock::System));
        let node = || Pace::new("address", (1, 100), Some(together.clone()));
        let nodes = [node(), node(), node()];
        let mut granted = 0;
        for _ in 0..90 {
            for node in &nodes {
                granted += u32::from(node.take(&"one").await.is_ok());
            }
        }
        // The shared burst, and each node's tenth that is not asked for.
        assert!((100..=135).contains(&granted), "{granted}");
        let problem = nodes[0].take(&"one").await.expect_err("over the rate");
        assert_eq!(problem.code, Code::RateLimited);
        assert!(nodes[0].take(&"other").await.is_ok());
    }

    #[test]
    fn a_credential_is_counted_and_not_kept() {
        let mut headers = HeaderMap::new();
        assert_eq!(credential(&headers), None);
        headers.insert(AUTHORIZATION, "Bearer loa_secret".parse().expect("a value"));
        let name = credential(&headers).expect("a name");
        assert!(!name.contains("secret") && name.len() == 16, "{name}");
    }
}
