//! Logging in and out, and who one is.
//!
//! A wrong password counts against the person at that address, against the person, and against the
//! address; whoever is over a limit waits, without the password being looked at. So nobody can
//! guess fast, and a stranger elsewhere cannot lock an officer out with five tries.

use axum::Extension;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::desk::{Caller, Seat, Token, Who, store_problem};
use crate::auth::password;
use crate::console::Console;
use crate::domain::agency::{Agency, Jurisdiction};
use crate::domain::audit::{Act, Actor};
use crate::domain::ids::PersonId;
use crate::domain::person::{PASSWORD_BYTES_MAX, Person, Right};
use crate::http::input::Json;
use crate::http::limits::ClientAddress;
use crate::http::pace::FORWARDED_PROTO;
use crate::http::problem::{Code, Problem, Refused};
use crate::trail::Deed;

/// In which failed logins count.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// Wrong passwords of one person from one address.
const PAIR_MAX: u32 = 5;
/// Wrong passwords of one person from everywhere.
const PERSON_MAX: u32 = 50;
/// Wrong passwords from one address: a whole agency may sit behind it.
const ADDRESS_MAX: u32 = 50;
/// Characters of a name nobody has that the audit keeps.
const NAME_CHARS_MAX: usize = 64;

/// A person and their password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginInput {
    /// The person's id.
    person: String,
    /// Their password.
    password: String,
}

/// Who one is, and what the page needs to know.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionAnswer {
    /// The person; absent for an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonAnswer>,
    /// Their agency.
    pub agency: AgencyAnswer,
    /// To be sent as `X-Loa-Csrf` with whatever changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
    /// When the session ends whatever is done in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub expires_at: Option<Timestamp>,
    /// `approximate` or `imported`.
    pub boundaries: &'static str,
    /// Pushes go to the simulator, not to Apple and Google.
    pub simulated: bool,
    /// The program's version.
    pub version: &'static str,
    /// Only exercises may be published from here.
    pub exercise_only: bool,
    /// Background tiles for the map; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile_server: Option<String>,
}

/// A person, as they see themselves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PersonAnswer {
    /// What they log in with.
    pub id: String,
    /// Their name.
    pub name: String,
    /// Their agency.
    pub agency: String,
    /// What they may.
    #[schema(value_type = Vec<String>)]
    pub rights: Vec<Right>,
}

/// An agency, as its people see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgencyAnswer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may.
    #[schema(value_type = Object)]
    pub jurisdiction: Jurisdiction,
    /// The city's operators.
    pub operator: bool,
    /// Its hot alerts over the API wait for a second person.
    pub second_person: bool,
    /// Its programs must send signed CAP XML.
    pub signature_required: bool,
}

impl From<&Agency> for AgencyAnswer {
    fn from(agency: &Agency) -> Self {
        Self {
            id: agency.id.to_string(),
            name: agency.name.clone(),
            jurisdiction: agency.jurisdiction.clone(),
            operator: agency.operator,
            second_person: agency.second_person,
            signature_required: agency.cap_signing.required,
        }
    }
}

impl From<&Person> for PersonAnswer {
    fn from(person: &Person) -> Self {
        Self {
            id: person.id.to_string(),
            name: person.name.clone(),
            agency: person.agency.to_string(),
            rights: person.rights.iter().copied().collect(),
        }
    }
}

fn answer(console: &Console, agency: &Agency, seat: Option<&Seat>) -> SessionAnswer {
    SessionAnswer {
        person: seat.map(|seat| PersonAnswer::from(&seat.person)),
        agency: agency.into(),
        csrf: seat.map(|seat| seat.csrf.clone()),
        expires_at: seat.map(|seat| seat.ends_at),
        boundaries: console.city.boundaries().as_str(),
        simulated: console.simulated,
        version: env!("CARGO_PKG_VERSION"),
        exercise_only: false,
        tile_server: console.tile_server.clone(),
    }
}

/// Logs a person in.
#[utoipa::path(post, path = "/v1/console/login", tag = "desk", request_body = LoginInput,
    responses((status = 200, description = "Logged in; sets the cookie", body = SessionAnswer),
        Refused))]
pub async fn login(
    State(console): State<Console>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    Json(input): Json<LoginInput>,
) -> Result<Response, Problem> {
    let address = address.map_or("nowhere".to_owned(), |Extension(one)| one.to_string());
    let person = match proved(&console, &input, &address).await {
        Ok(person) => person,
        Err(problem) => {
            if problem.code == Code::Unauthorized {
                let name: String = input.person.chars().take(NAME_CHARS_MAX).collect();
                let deed = Deed::refused(
                    Actor::Unknown { name: name.clone() },
                    Act::Login,
                    name,
                    problem.code.as_str(),
                );
                console.trail.note(deed).await;
                return Err(problem.noted());
            }
            return Err(problem);
        }
    };
    let (cookie, agency, seat) = seated(&console, person, over_tls(&headers)).await?;
    let headers = [(SET_COOKIE, cookie), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let body = axum::Json(answer(&console, &agency, Some(&seat)));
    Ok((StatusCode::OK, headers, body).into_response())
}

/// Whether a request came over TLS, by the word of a proxy that is trusted.
pub(super) fn over_tls(headers: &HeaderMap) -> bool {
    headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https")
}

/// Opens a session of a person who proved who they are; answers its cookie too.
pub(super) async fn seated(
    console: &Console,
    person: Person,
    over_tls: bool,
) -> Result<(HeaderValue, Agency, Seat), Problem> {
    let agency = console.desk.agencies.get(&person.agency).await;
    let agency = agency.map_err(|error| Problem::internal(&error))?.ok_or_else(wrong)?;
    let (token, seat) = console.desk.open(person).await?;
    let actor = Actor::Person { agency: agency.id.to_string(), id: seat.person.id.to_string() };
    console.trail.note(Deed::done(actor, Act::Login, &seat.person.id)).await;
    let life = seat.ends_at.duration_since(console.clock.now()).as_secs();
    let cookie = HeaderValue::from_str(&token.cookie(life, over_tls));
    Ok((cookie.map_err(|error| Problem::internal(&error))?, agency, seat))
}

/// The person, if the password is theirs and nobody has guessed too often.
async fn proved(console: &Console, input: &LoginInput, address: &str) -> Result<Person, Problem> {
    if !console.entrance.passwords {
        return Err(Problem::new(Code::Unauthorized, "people log in at their identity provider"));
    }
    let name: String = input.person.chars().take(NAME_CHARS_MAX).collect();
    let pair = format!("{name}@{address}");
    let keys = [(pair.clone(), PAIR_MAX), (name, PERSON_MAX), (format!("@{address}"), ADDRESS_MAX)];
    let (people, now) = (&console.desk.people, console.clock.now());
    let since = now.checked_sub(WINDOW).unwrap_or(now);
    {
        // One at a time: whoever asks in parallel is counted too.
        let _turn = console.logins.lock().await;
        for (key, max) in &keys {
            let (count, oldest) = people.failures(key, since).await.map_err(store_problem)?;
            if count >= *max {
                let over = oldest.and_then(|oldest| oldest.checked_add(WINDOW).ok());
                let wait = over.map_or(WINDOW, |over| over.duration_since(now)).as_secs().max(1);
                let detail = "too many wrong passwords: wait, or ask an admin for a new one";
                let problem = Problem::new(Code::RateLimited, detail);
                return Err(problem.retry_after(wait.unsigned_abs()));
            }
        }
        for (key, _) in &keys {
            people.login_failed(key, now, since).await.map_err(store_problem)?;
        }
    }
    let id: Option<PersonId> = input.person.parse().ok();
    let known = match &id {
        Some(id) => people.credentials(id).await.map_err(store_problem)?,
        None => None,
    };
    let hash = known.as_ref().and_then(|(_, hash)| hash.clone());
    let good = console.verify(input.password.clone(), hash).await?;
    let person = known.map(|(person, _)| person).filter(|person| good && person.active);
    let person = person.ok_or_else(wrong)?;
    // This one was no failure; the person's at this address are forgiven.
    for (key, _) in &keys {
        let one = (*key != pair).then_some(now);
        people.login_succeeded(key, one).await.map_err(store_problem)?;
    }
    Ok(person)
}

fn wrong() -> Problem {
    Problem::new(Code::Unauthorized, "the person or the password is wrong")
}

impl Console {
    /// Whether a password is the one behind a hash; a few at a time, away from the workers.
    async fn verify(&self, given: String, hash: Option<String>) -> Result<bool, Problem> {
        if given.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let hashed = |error: &dyn std::fmt::Display| Problem::internal(error);
        let _permit = self.hashing.acquire().await.map_err(|error| hashed(&error))?;
        let work = move || password::verify(&given, hash.as_deref());
        tokio::task::spawn_blocking(work).await.map_err(|error| hashed(&error))
    }

    /// The hash of a new password; a few at a time, away from the workers.
    pub(super) async fn hash(&self, given: String) -> Result<String, Problem> {
        let failed = |error: &dyn std::fmt::Display| Problem::internal(error);
        let _permit = self.hashing.acquire().await.map_err(|error| failed(&error))?;
        let hashed = tokio::task::spawn_blocking(move || password::hash(&given)).await;
        hashed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

/// Logs out: the session ends, wherever its cookie is.
#[utoipa::path(post, path = "/v1/console/logout", tag = "desk",
    responses((status = 204, description = "Logged out"), Refused),
    security(("session" = [])))]
pub async fn logout(
    State(console): State<Console>,
    _: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // A key opens this face too, and has no session that could end.
    let none = || Problem::new(Code::Unauthorized, "there is no session to end: no cookie");
    let token = Token::of(&headers).ok_or_else(none)?;
    console.desk.people.close_session(token.hash()).await.map_err(store_problem)?;
    let gone = HeaderValue::from_static("loa_session=; Path=/v1; HttpOnly; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, gone)]).into_response())
}

/// Who one is.
#[utoipa::path(get, path = "/v1/console/session", tag = "desk",
    responses((status = 200, description = "Who one is", body = SessionAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn read(State(console): State<Console>, caller: Caller) -> Result<Response, Problem> {
    let seat = match &caller.who {
        Who::Person(seat) => Some(seat),
        Who::Key { .. } => None,
    };
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((no_store, axum::Json(answer(&console, &caller.agency, seat))).into_response())
}
