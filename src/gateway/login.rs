//! Citizens' logins in a browser: to the identity provider and back, then a session's cookie. Apps
//! log in there by themselves and send its tokens.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::bearer::Verifier;
use crate::auth::citizen::refused;
use crate::auth::oidc::login::{Answer, Login};
use crate::auth::unauthorized;
use crate::gateway::Gateway;
use crate::http::input::Query;
use crate::http::pace::FORWARDED_PROTO;
use crate::http::problem::{Code, Document, Problem};

/// Where the page sends a browser that wants to log in.
pub const LOGIN_PATH: &str = "/v1/login";
/// Where the page goes on after a login.
const AFTER: HeaderValue = HeaderValue::from_static("/#inbox");
/// Nothing of a login may be kept by anybody in between.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A citizen's session, for the page.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CitizenSession {
    /// To be sent as `X-Loa-Csrf` with whatever changes something.
    csrf: String,
    /// When it ends.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
}

fn over_tls(headers: &HeaderMap) -> bool {
    headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https")
}

impl Gateway {
    fn entrance(&self) -> Result<(&Verifier, &Login), Problem> {
        let verifier = self.parts.doorkeeper.verifier();
        let both = verifier.and_then(|verifier| Some((verifier, verifier.login()?)));
        both.ok_or_else(|| Problem::new(Code::NotFound, "nobody logs in here with a browser"))
    }
}

fn cookie(line: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(line).map_err(|error| Problem::internal(&error))
}

/// Log in with a browser
#[utoipa::path(get, path = "/v1/login", tag = "me",
    responses((status = 303, description = "To the identity provider"),
        (status = 404, description = "Nobody logs in here", body = Document),
        (status = 503, description = "The provider cannot be asked", body = Document)))]
pub(super) async fn enter(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, login) = gateway.entrance()?;
    let (url, line) = login.begin(over_tls(&headers)).await.map_err(refused)?;
    let to = HeaderValue::from_str(url.as_str()).map_err(|error| Problem::internal(&error))?;
    let headers = [(LOCATION, to), (SET_COOKIE, cookie(&line)?), (CACHE_CONTROL, NO_STORE)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Come back from the identity provider
#[utoipa::path(get, path = "/v1/login/callback", tag = "me",
    params(("code" = Option<String>, Query, description = "The provider's code"),
        ("state" = Option<String>, Query, description = "What we sent along")),
    responses((status = 303, description = "Logged in: to the page, with a session's cookie"),
        (status = 401, description = "Not of this login, or not a good answer", body = Document),
        (status = 503, description = "The provider cannot be asked", body = Document)))]
pub(super) async fn callback(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Problem> {
    let (verifier, login) = gateway.entrance()?;
    let doorkeeper = &gateway.parts.doorkeeper;
    let pseudonyms = doorkeeper.names().pseudonyms();
    let names = verifier.finished(&headers, &answer, pseudonyms).await.map_err(refused)?;
    let subject = doorkeeper.arrived(&names).await?;
    let (tls, now) = (over_tls(&headers), gateway.hub.now());
    let session = doorkeeper.sessions().open(subject, now, tls);
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, AFTER)]).into_response();
    let said = response.headers_mut();
    said.insert(CACHE_CONTROL, NO_STORE);
    said.append(SET_COOKIE, cookie(&session)?);
    said.append(SET_COOKIE, cookie(&login.forget(tls))?);
    Ok(response)
}

/// The session of this browser
#[utoipa::path(get, path = "/v1/session", tag = "me",
    responses((status = 200, description = "Logged in", body = CitizenSession),
        (status = 401, description = "Not logged in", body = Document)))]
pub(super) async fn session(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let session = gateway.parts.doorkeeper.session(&headers);
    let session = session.ok_or_else(|| unauthorized("a session's cookie"))?;
    let answer = CitizenSession { csrf: session.csrf, expires_at: session.ends_at };
    Ok(([(CACHE_CONTROL, NO_STORE)], axum::Json(answer)))
}

/// Log this browser out
#[utoipa::path(post, path = "/v1/logout", tag = "me",
    responses((status = 204, description = "Logged out"),
        (status = 401, description = "Not logged in", body = Document),
        (status = 403, description = "No `X-Loa-Csrf`", body = Document)))]
pub(super) async fn leave(
    State(gateway): State<Gateway>,
    method: axum::http::Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let doorkeeper = &gateway.parts.doorkeeper;
    let session = doorkeeper.session(&headers).ok_or_else(|| unauthorized("a session's cookie"))?;
    session.check(&method, &headers)?;
    let line = doorkeeper.sessions().close(over_tls(&headers));
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie(&line)?)]).into_response())
}
