//! Citizens: a device by its secret, or a person by the identity provider's token.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::auth::bearer::Verifier;
use crate::auth::device::{self, Secret};
use crate::auth::names::Names;
use crate::auth::oidc::provider;
use crate::auth::oidc::session::{Session, Sessions};
use crate::auth::ticket::{Holder, Tickets};
use crate::auth::{credentials, unauthorized};
use crate::clock::Clock;
use crate::domain::device::Device;
use crate::domain::ids::{DeviceId, SubjectId};
use crate::http::pace::Pace;
use crate::http::{Code, Problem};
use crate::store::registry::placed::Placed;
use crate::store::registry::seen::Seen;

/// Checks who a citizen is.
#[derive(Clone, Debug)]
pub struct Doorkeeper {
    names: Names,
    bearer: Option<Arc<Verifier>>,
    tickets: Tickets,
    sessions: Sessions,
    clock: Clock,
    pace: Option<Arc<Pace<SubjectId>>>,
    seen: Seen,
}

/// Who asks, on a citizen's path.
#[derive(Clone, Debug, PartialEq)]
pub enum Citizen {
    /// A device that knows its secret.
    Device(Arc<Device>),
    /// A person who logged in, without saying on which device.
    Subject(SubjectId),
}

/// A device that knows its secret, as an extractor.
#[derive(Clone, Debug)]
pub struct AsDevice(pub Arc<Device>);

/// A device or a person, as an extractor.
#[derive(Clone, Debug)]
pub struct AsCitizen(pub Citizen);

/// A person who logged in, as an extractor.
#[derive(Clone, Debug)]
pub struct AsSubject(pub SubjectId);

const EXPECTED: &str = "`Authorization: Loa-Device <device id>:<secret>` or `Bearer <token>`";

impl Doorkeeper {
    /// A doorkeeper who knows citizens by their names; without a verifier nobody can log in.
    pub fn new(
        names: Names,
        bearer: Option<Arc<Verifier>>,
        (tickets, sessions): (Tickets, Sessions),
        clock: Clock,
    ) -> Self {
        let (pace, seen) = (None, Seen::default());
        Self { names, bearer, tickets, sessions, clock, pace, seen }
    }

    /// Says whom it has seen.
    pub fn noting(self, seen: Seen) -> Self {
        Self { seen, ..self }
    }

    /// Lets each citizen ask so fast, whichever of their devices they ask with.
    pub fn paced(self, pace: Pace<SubjectId>) -> Self {
        Self { pace: Some(Arc::new(pace)), ..self }
    }

    /// What citizens are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whose word is taken for who somebody is.
    pub fn verifier(&self) -> Option<&Verifier> {
        self.bearer.as_deref()
    }

    /// The sessions of citizens' browsers.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The session of a request's cookie.
    pub fn session(&self, headers: &HeaderMap) -> Option<Session> {
        self.sessions.of(headers, self.clock.now())
    }

    /// The device with this id, if the secret is its own.
    pub async fn device(&self, id: &DeviceId, secret: &Secret) -> Result<Arc<Device>, Problem> {
        let stored = self.names.registry().get(id).await;
        match stored.map_err(|error| Problem::internal(&error))? {
            Some(stored) if secret.matches(&stored.secret_hash) => {
                self.seen.saw(stored.device.num, self.clock.now());
                Ok(stored.device)
            }
            _ => Err(unauthorized(EXPECTED)),
        }
    }

    /// As [`Doorkeeper::device`], with its places.
    pub async fn placed(&self, id: &DeviceId, secret: &Secret) -> Result<Placed, Problem> {
        let placed = self.names.registry().placed(id).await;
        match placed.map_err(|error| Problem::internal(&error))? {
            Some(placed) if secret.matches(&placed.stored.secret_hash) => {
                self.seen.saw(placed.stored.device.num, self.clock.now());
                Ok(placed)
            }
            _ => Err(unauthorized(EXPECTED)),
        }
    }

    /// The citizen of a bearer token.
    pub async fn subject(&self, token: &str) -> Result<SubjectId, Problem> {
        let verifier = self.bearer.as_ref().ok_or_else(|| unauthorized(EXPECTED))?;
        let names = verifier.names(token, self.names.pseudonyms()).await.map_err(refused)?;
        self.arrived(&names).await
    }

    /// What a citizen is called whom a token or a login named so.
    pub async fn arrived(&self, names: &[SubjectId]) -> Result<SubjectId, Problem> {
        self.names.arrived(names).await.map_err(|error| Problem::internal(&error))
    }

    /// A citizen as they are called now.
    async fn present(&self, name: &SubjectId) -> Result<SubjectId, Problem> {
        self.names.present(name).await.map_err(|error| Problem::internal(&error))
    }

    /// Who asks: by the `Authorization` header, or else by the session of a browser.
    async fn of_request(&self, parts: &Parts) -> Result<Option<Citizen>, Problem> {
        if let Some(citizen) = self.of_headers(&parts.headers).await? {
            return Ok(Some(citizen));
        }
        let Some(session) = self.session(&parts.headers) else { return Ok(None) };
        session.check(&parts.method, &parts.headers)?;
        let subject = self.present(&session.subject).await?;
        self.counted(&subject).await?;
        Ok(Some(Citizen::Subject(subject)))
    }

    /// Who the headers say is asking; `None` without an `Authorization` header.
    pub async fn of_headers(&self, headers: &HeaderMap) -> Result<Option<Citizen>, Problem> {
        if !headers.contains_key(axum::http::header::AUTHORIZATION) {
            return Ok(None);
        }
        let citizen = match credentials(headers) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(device::SCHEME) => {
                let parsed = device::parse_credentials(rest);
                let (id, secret) = parsed.ok_or_else(|| unauthorized(EXPECTED))?;
                Citizen::Device(self.device(&id, &secret).await?)
            }
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Citizen::Subject(self.subject(token).await?)
            }
            _ => return Err(unauthorized(EXPECTED)),
        };
        let subject = match &citizen {
            Citizen::Device(device) => device.subject.as_ref(),
            Citizen::Subject(subject) => Some(subject),
        };
        if let Some(subject) = subject {
            self.counted(subject).await?;
        }
        Ok(Some(citizen))
    }

    async fn counted(&self, subject: &SubjectId) -> Result<(), Problem> {
        match &self.pace {
            Some(pace) => pace.take(subject).await,
            None => Ok(()),
        }
    }

    /// A ticket for an event stream.
    pub fn ticket(&self, citizen: &Citizen) -> String {
        let holder = match citizen {
            Citizen::Device(device) => Holder::Device(device.id),
            Citizen::Subject(subject) => Holder::Subject(subject.clone()),
        };
        self.tickets.issue(holder, self.clock.now())
    }

    /// Whose ticket this is.
    pub async fn of_ticket(&self, ticket: &str) -> Result<Citizen, Problem> {
        let refused = || unauthorized("a fresh ticket of POST /v1/stream-tickets");
        match self.tickets.redeem(ticket, self.clock.now()).ok_or_else(refused)? {
            Holder::Subject(subject) => Ok(Citizen::Subject(self.present(&subject).await?)),
            Holder::Device(id) => {
                let stored = self.names.registry().get(&id).await;
                let stored = stored.map_err(|error| Problem::internal(&error))?;
                stored.map(|stored| Citizen::Device(stored.device)).ok_or_else(refused)
            }
        }
    }
}

/// What a provider's word that is not taken is answered with.
pub fn refused(error: provider::Error) -> Problem {
    match error {
        provider::Error::Refused => unauthorized(EXPECTED),
        provider::Error::Away(_) | provider::Error::Unusable(_) => {
            tracing::warn!(%error, "nobody can log in just now");
            let detail = "the identity provider cannot be asked just now";
            Problem::new(Code::Unavailable, detail).retry_after(10)
        }
    }
}

impl<S> FromRequestParts<S> for AsCitizen
where
    S: Send + Sync,
    Doorkeeper: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Doorkeeper::from_ref(state).of_request(parts).await?;
        found.map(Self).ok_or_else(|| unauthorized(EXPECTED))
    }
}

impl<S> FromRequestParts<S> for AsDevice
where
    S: Send + Sync,
    Doorkeeper: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Doorkeeper::from_ref(state).of_headers(&parts.headers).await? {
            Some(Citizen::Device(device)) => Ok(Self(device)),
            _ => Err(unauthorized("`Authorization: Loa-Device <device id>:<secret>`")),
        }
    }
}

impl<S> FromRequestParts<S> for AsSubject
where
    S: Send + Sync,
    Doorkeeper: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Doorkeeper::from_ref(state).of_request(parts).await? {
            Some(Citizen::Subject(subject)) => Ok(Self(subject)),
            _ => Err(unauthorized("`Authorization: Bearer <token>` of the identity provider")),
        }
    }
}
