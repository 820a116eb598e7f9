//! Access tokens from a service account's key (`account`). One token serves everybody; one caller
//! renews it before it ends, while the others go on with the old one. What a token is, and how not
//! having one is told, holds for a workload's identity (`workload`) too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout_at};

use super::account::Account;
use crate::channel::retry_after;
use crate::clock::Clock;

/// What an access token must be for.
pub const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// So long before its end a token is renewed, or at four fifths of a shorter life.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_mins(5);
/// While the present token is still good, the one who renews it waits no longer than this.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(2);
/// After a failed renewal nobody asks again for this long, unless the server says otherwise.
pub const FAILURE_WAIT: Duration = Duration::from_secs(5);
/// A token that FCM refuses is replaced at once, but not more often than this.
pub const FORCE_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// An access token, as the `authorization` header carries it.
#[derive(Clone)]
pub struct Token {
    /// `Bearer <token>`.
    pub bearer: HeaderValue,
    /// Which one it is, of all that were made.
    pub generation: u64,
}

/// A token and its times.
#[derive(Clone)]
struct Kept {
    token: Token,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The account is not accepted: an operator must act.
    Refused(&'static str),
    /// Nobody answered, or with a server's fault: later again.
    Unavailable {
        /// What happened.
        reason: &'static str,
        /// When to ask again.
        after: Duration,
    },
}

/// Fetches, keeps and renews the token.
pub struct Tokens {
    account: Account,
    clock: Clock,
    state: Mutex<State>,
    /// Held by the one who renews.
    renewing: AsyncMutex<()>,
}

#[derive(Default)]
struct State {
    token: Option<Kept>,
    failure: Option<(Timestamp, Failure)>,
    forced: Option<Timestamp>,
    generation: u64,
}

/// What a token endpoint grants.
#[derive(Deserialize)]
pub struct Granted {
    access_token: String,
    expires_in: u32,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl Tokens {
    /// A keeper of an account's tokens.
    pub fn new(account: Account, clock: Clock) -> Self {
        Self { account, clock, state: Mutex::default(), renewing: AsyncMutex::default() }
    }

    /// Waits until nobody asks for a token any more.
    pub async fn drain(&self) {
        self.account.drain().await;
    }

    /// The present token, or a new one; waits to the deadline.
    pub async fn token(&self, deadline: Instant) -> Result<Token, Failure> {
        let now = self.clock.now();
        let present = self.state().token.clone().filter(|kept| now < kept.expires_at);
        match present {
            Some(kept) if now < kept.renew_at => Ok(kept.token),
            Some(Kept { token, .. }) => {
                let Ok(_guard) = self.renewing.try_lock() else { return Ok(token) };
                let soon = deadline.min(Instant::now() + RENEWAL_PATIENCE);
                Ok(self.renew(soon).await.unwrap_or(token))
            }
            None => {
                let waiting = timeout_at(deadline, self.renewing.lock()).await;
                let Ok(_guard) = waiting else { return Err(unavailable("oauth_timed_out")) };
                self.renew(deadline).await
            }
        }
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
            let present = state.token.as_ref().map(|kept| kept.token.generation);
            if present == Some(refused.generation) && !state.forced.is_some_and(recently) {
                state.forced = Some(now);
                state.token = None;
            }
        }
        self.token(deadline).await
    }

    /// Fetches a token, unless somebody did, or failed to, while we waited for our turn.
    async fn renew(&self, deadline: Instant) -> Result<Token, Failure> {
        let now = self.clock.now();
        {
            let state = self.state();
            if let Some(kept) = state.token.as_ref().filter(|kept| now < kept.renew_at) {
                return Ok(kept.token.clone());
            }
            if let Some((until, failure)) = state.failure.filter(|(until, _)| now < *until) {
                return Err(failure.with_left(until.duration_since(now)));
            }
        }
        // Rare and large: kept apart, so that every push need not be as large.
        let fetched = Box::pin(self.account.fetch(now, deadline)).await;
        let mut state = self.state();
        match fetched {
            Ok(granted) => {
                state.generation += 1;
                let kept = keep(&granted, now, state.generation)?;
                let token = kept.token.clone();
                state.token = Some(kept);
                state.failure = None;
                Ok(token)
            }
            Err(failure) => {
                let after = match failure {
                    Failure::Unavailable { after, .. } => after,
                    Failure::Refused(_) => FAILURE_WAIT,
                };
                tracing::warn!(?failure, "fcm: no access token");
                state.failure = Some((now + after, failure));
                Err(failure)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    /// The same, with so much of the wait left.
    pub fn with_left(self, left: SignedDuration) -> Self {
        match self {
            Self::Unavailable { reason, .. } => {
                Self::Unavailable { reason, after: Duration::try_from(left).unwrap_or_default() }
            }
            refused => refused,
        }
    }
}

/// A token as the `authorization` header carries it.
pub fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Failure::Refused("oauth_malformed_token"))?;
    // Kept out of logs.
    bearer.set_sensitive(true);
    Ok(bearer)
}

impl Granted {
    /// The token, if a header can carry it.
    pub fn token(&self, generation: u64) -> Result<Token, Failure> {
        Ok(Token { bearer: bearer(&self.access_token)?, generation })
    }
}

fn keep(granted: &Granted, now: Timestamp, generation: u64) -> Result<Kept, Failure> {
    let token = granted.token(generation)?;
    let life = SignedDuration::from_secs(i64::from(granted.expires_in));
    let renew_at = now + (life - RENEW_BEFORE).max(life / 5 * 4);
    Ok(Kept { token, renew_at, expires_at: now + life })
}

/// What the token endpoint's answer means (RFC 6749 section 5).
pub fn judge(
    status: StatusCode,
    (headers, body): (&HeaderMap, &[u8]),
    now: Timestamp,
) -> Result<Granted, Failure> {
    match status {
        StatusCode::OK => {
            serde_json::from_slice(body).map_err(|_| Failure::Refused("oauth_malformed_answer"))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(later(headers, now)),
        status if status.is_server_error() => Err(later(headers, now)),
        _ => {
            let code = serde_json::from_slice(body).map(|Refused { error }| error);
            Err(Failure::Refused(match code.as_deref() {
                Ok("invalid_grant") => "oauth_invalid_grant",
                Ok("invalid_client") => "oauth_invalid_client",
                Ok("invalid_scope") => "oauth_invalid_scope",
                Ok("unauthorized_client") => "oauth_unauthorized_client",
                _ => "oauth_refused",
            }))
        }
    }
}

/// A server that asks for patience.
fn later(headers: &HeaderMap, now: Timestamp) -> Failure {
    let after = retry_after::parse(headers, now).unwrap_or_default().max(FAILURE_WAIT);
    Failure::Unavailable { reason: "oauth_unavailable", after }
}

/// Nobody answered.
pub fn unavailable(reason: &'static str) -> Failure {
    Failure::Unavailable { reason, after: FAILURE_WAIT }
}
