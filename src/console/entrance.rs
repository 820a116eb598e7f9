//! Logging in by way of an identity provider. A person is one of ours beforehand: an admin has told
//! whose account at the provider is theirs (`loa people link`). Nobody is made a person by logging
//! in there, and nobody gets a right by it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::bearer::Verifier;
use crate::auth::citizen::refused;
use crate::auth::desk::store_problem;
use crate::auth::oidc::login::{Answer, Login};
use crate::console::Console;
use crate::console::session::{over_tls, seated};
use crate::domain::audit::{Act, Actor};
use crate::domain::person::Person;
use crate::http::input::Query;
use crate::http::problem::{Code, Problem, Refused};
use crate::trail::Deed;

/// Where the page sends a browser that wants to log in at the provider.
const PATH: &str = "/v1/console/login/provider";
/// Where the page goes on after a login.
const AFTER: HeaderValue = HeaderValue::from_static("/console/");
/// Nothing of a login may be kept by anybody in between.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Whom the audit names when nobody of ours came back from the provider.
const STRANGER: &str = "an account at the identity provider";

/// How people get in.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// By way of a provider.
    pub provider: Option<Arc<Verifier>>,
    /// With a password.
    pub passwords: bool,
}

/// How people get in, for the page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ways {
    /// With a password.
    password: bool,
    /// Where the browser goes to log in at the provider; absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'static str>,
}

impl Entrance {
    fn login(&self) -> Result<(&Verifier, &Login), Problem> {
        let both =
            self.provider.as_deref().and_then(|verifier| Some((verifier, verifier.login()?)));
        both.ok_or_else(|| Problem::new(Code::NotFound, "nobody logs in here at a provider"))
    }
}

fn cookie(line: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(line).map_err(|error| Problem::internal(&error))
}

/// How one logs in here.
#[utoipa::path(get, path = "/v1/console/login", tag = "desk",
    responses((status = 200, description = "The ways there are", body = Ways)))]
pub async fn ways(State(console): State<Console>) -> axum::Json<Ways> {
    let Entrance { passwords, .. } = console.entrance;
    let provider = console.entrance.login().is_ok().then_some(PATH);
    axum::Json(Ways { password: passwords, provider })
}

/// Log in at the identity provider.
#[utoipa::path(get, path = "/v1/console/login/provider", tag = "desk",
    responses((status = 303, description = "To the identity provider"), Refused))]
pub async fn enter(
    State(console): State<Console>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, login) = console.entrance.login()?;
    let (url, line) = login.begin(over_tls(&headers)).await.map_err(refused)?;
    let to = HeaderValue::from_str(url.as_str()).map_err(|error| Problem::internal(&error))?;
    let headers = [(LOCATION, to), (SET_COOKIE, cookie(&line)?), (CACHE_CONTROL, NO_STORE)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Come back from the identity provider.
#[utoipa::path(get, path = "/v1/console/login/callback", tag = "desk",
    params(("code" = Option<String>, Query, description = "The provider's code"),
        ("state" = Option<String>, Query, description = "What we sent along")),
    responses((status = 303, description = "Logged in: to the page, with a session's cookie"),
        Refused))]
pub async fn callback(
    State(console): State<Console>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Problem> {
    let (_, login) = console.entrance.login()?;
    let person = match known(&console, &headers, &answer).await {
        Ok(person) => person,
        Err(problem) => {
            if problem.code == Code::Unauthorized {
                let actor = Actor::Unknown { name: STRANGER.to_owned() };
                let deed = Deed::refused(actor, Act::Login, STRANGER, problem.code.as_str());
                console.trail.note(deed).await;
                return Err(problem.noted());
            }
            return Err(problem);
        }
    };
    let (session, ..) = seated(&console, person, over_tls(&headers)).await?;
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, AFTER)]).into_response();
    let said = response.headers_mut();
    said.insert(CACHE_CONTROL, NO_STORE);
    said.append(SET_COOKIE, session);
    said.append(SET_COOKIE, cookie(&login.forget(over_tls(&headers)))?);
    Ok(response)
}

/// The person whose account at the provider this is.
async fn known(console: &Console, headers: &HeaderMap, answer: &Answer) -> Result<Person, Problem> {
    let (verifier, _) = console.entrance.login()?;
    let accounts = verifier.accounts(headers, answer).await.map_err(refused)?;
    let people = &console.desk.people;
    for account in accounts {
        if let Some(person) = people.linked(&account).await.map_err(store_problem)? {
            return if person.active { Ok(person) } else { Err(nobody()) };
        }
    }
    Err(nobody())
}

/// The same for a stranger and for one who was switched off.
fn nobody() -> Problem {
    Problem::new(Code::Unauthorized, "this account is nobody's who works here")
}
