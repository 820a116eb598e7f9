//! Workload identity, through Google's own crate: access tokens without a key, for what runs at
//! Google (the metadata server) or on another platform that Google trusts (`identity`). The crate
//! keeps the token and renews it four minutes before it ends, for everybody. Here stands what it
//! leaves open: a deadline for each wait, a name for each failure, and a fresh start after one,
//! since the crate gives up for good on what it takes for a refusal.

use std::error::Error as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use google_cloud_auth::credentials::{AccessTokenCredentials, external_account, mds};
use google_cloud_auth::errors::CredentialsError;
use jiff::Timestamp;
use tokio::runtime::{self, Runtime};
use tokio::time::{Instant, timeout_at};

use super::identity::Identity;
use super::oauth::{FAILURE_WAIT, FORCE_EVERY, Failure, SCOPE, Token, bearer, unavailable};
use crate::clock::Clock;

/// The crate sets most of its requests no limit: without a token after this long it starts anew. A
/// little less than the shortest time a push may take, so that whoever waited all of it ends it.
const PATIENCE: Duration = Duration::from_secs(9);

/// An identity of the machine's or the platform's.
pub struct Workload {
    identity: Identity,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    failure: Option<(Timestamp, Failure)>,
    forced: Option<Timestamp>,
    generation: u64,
}

/// Credentials at work. The crate's task for them cannot be ended, but the runtime it runs on can,
/// and is when the last who waits for a token has gone.
struct Live {
    credentials: AccessTokenCredentials,
    runtime: Option<Runtime>,
    generation: u64,
    since: Instant,
}

impl Workload {
    /// Tokens for an identity.
    pub fn new(identity: Identity, clock: Clock) -> Self {
        Self { identity, clock, state: Mutex::default() }
    }

    /// The present token, or a new one; waits to the deadline.
    pub async fn token(&self, deadline: Instant) -> Result<Token, Failure> {
        let live = self.live()?;
        // The crate panics where a time of expiry makes no sense to it.
        let asked = AssertUnwindSafe(live.credentials.access_token()).catch_unwind();
        let failure = match timeout_at(deadline, asked).await {
            Ok(Ok(Ok(granted))) => {
                let bearer = bearer(&granted.token)?;
                return Ok(Token { bearer, generation: live.generation });
            }
            Ok(Ok(Err(error))) => self.named(&error),
            Ok(Err(_)) => unavailable("oauth_failed"),
            Err(_) => {
                let failure = unavailable("oauth_timed_out");
                // Whoever has less time than that ends nobody else's wait.
                if live.since.elapsed() < PATIENCE {
                    return Err(failure);
                }
                failure
            }
        };
        self.give_up(&live, failure);
        Err(failure)
    }

    /// After FCM refused a token: the one made since, or a new one.
    pub async fn after_refused(
        &self,
        refused: &Token,
        deadline: Instant,
    ) -> Result<Token, Failure> {
        let now = self.clock.now();
        {
            let mut state = self.state();
            let recently = |at: Timestamp| now.duration_since(at) < FORCE_EVERY;
            let present = state.live.as_ref().map(|live| live.generation);
            if present == Some(refused.generation) && !state.forced.is_some_and(recently) {
                state.forced = Some(now);
                state.live = None;
            }
        }
        self.token(deadline).await
    }

    /// Asks nobody any more.
    pub fn stop(&self) {
        self.state().live = None;
    }

    /// What is at work, or is put to work now, unless it failed a moment ago.
    fn live(&self) -> Result<Arc<Live>, Failure> {
        let now = self.clock.now();
        let mut state = self.state();
        if let Some(live) = &state.live {
            return Ok(Arc::clone(live));
        }
        if let Some((until, failure)) = state.failure.filter(|(until, _)| now < *until) {
            return Err(failure.with_left(until.duration_since(now)));
        }
        state.generation += 1;
        let live = Arc::new(Live::start(&self.identity, state.generation)?);
        state.live = Some(Arc::clone(&live));
        Ok(live)
    }

    fn give_up(&self, live: &Arc<Live>, failure: Failure) {
        let mut state = self.state();
        if state.live.as_ref().is_some_and(|present| Arc::ptr_eq(present, live)) {
            tracing::warn!(?failure, "fcm: no access token");
            state.live = None;
            state.failure = Some((self.clock.now() + FAILURE_WAIT, failure));
        }
    }

    /// The step that failed, and whether it may pass. The crate tells both in its error and those
    /// that led to it; their texts can quote a token and go no further than this.
    fn named(&self, error: &CredentialsError) -> Failure {
        let mut transient = error.is_transient();
        let (mut text, mut file, mut json) = (error.to_string(), false, false);
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(inner) = cause.downcast_ref::<CredentialsError>() {
                transient = inner.is_transient();
                file = inner.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
                json = inner.source().is_some_and(<dyn std::error::Error>::is::<serde_json::Error>);
            }
            text.push('\n');
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        let has = |part: &str| text.contains(part);
        let answered = has("HTTP status") || has("the HTTP transport reports");
        let metadata = matches!(self.identity, Identity::Metadata(_));
        if file {
            return unavailable("oauth_no_subject_token");
        }
        if has("exceeded the request deadline") {
            return unavailable("oauth_timed_out");
        }
        if transient {
            return unavailable(match () {
                () if answered => "oauth_unavailable",
                () if metadata => "oauth_no_metadata_server",
                () if has("request subject token") => "oauth_no_subject_token",
                () => "oauth_unreachable",
            });
        }
        Failure::Refused(match () {
            () if has("failed to read subject token field") || json => {
                "oauth_malformed_subject_token"
            }
            () if !answered => "oauth_malformed_answer",
            () if has("request subject token") => "oauth_subject_token_refused",
            () if metadata => "oauth_refused",
            () if has("exchange token") => exchange_refused(&text),
            () if has("[404]") => "oauth_unknown_service_account",
            () if has("[403]") => "oauth_impersonation_denied",
            () => "oauth_impersonation_refused",
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the exchange said (RFC 6749 section 5.2).
fn exchange_refused(text: &str) -> &'static str {
    let codes = [
        ("\"invalid_grant\"", "oauth_invalid_grant"),
        ("\"invalid_client\"", "oauth_invalid_client"),
        ("\"invalid_scope\"", "oauth_invalid_scope"),
        ("\"unauthorized_client\"", "oauth_unauthorized_client"),
    ];
    codes.iter().find(|(code, _)| text.contains(code)).map_or("oauth_refused", |(_, name)| name)
}

impl Live {
    fn start(identity: &Identity, generation: u64) -> Result<Self, Failure> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fcm-identity")
            .enable_all()
            .build()
            .map_err(|_| unavailable("oauth_no_thread"))?;
        let entered = runtime.enter();
        let built = match identity {
            Identity::Metadata(url) => {
                mds::Builder::default().with_endpoint(url.as_str()).build_access_token_credentials()
            }
            Identity::External(file) => external_account::Builder::new((**file).clone())
                .with_scopes([SCOPE])
                .build_access_token_credentials(),
        };
        drop(entered);
        match built {
            Ok(credentials) => {
                let (runtime, since) = (Some(runtime), Instant::now());
                Ok(Self { credentials, runtime, generation, since })
            }
            Err(_) => {
                runtime.shutdown_background();
                Err(Failure::Refused("oauth_malformed_external_account"))
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
