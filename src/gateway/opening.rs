//! How a stream begins, the same for websockets and event streams: who is it, is there room, and
//! what is it told first.

use std::sync::Arc;

use axum::http::HeaderMap;

use crate::auth::citizen::Citizen;
use crate::auth::device::Secret;
use crate::domain::device::{Device, LANGUAGES_MAX};
use crate::domain::ids::{DeviceId, SubjectId};
use crate::gateway::Gateway;
use crate::gateway::frame::Frame;
use crate::gateway::hub::{Conn, Entrance, Hub};
use crate::gateway::outbox::Outgoing;
use crate::gateway::position::Position;
use crate::gateway::viewer::{Stay, Viewer};
use crate::gateway::wire::{Hello, ToClient};
use crate::http::limits::{ClientAddress, Full, Slot};
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::serve::Peer;
use crate::store::registry::Membership;
use crate::store::registry::placed::{Moment, Placed};

/// Seconds after which a refused stream may try again.
const TRY_AGAIN_S: u64 = 5;
/// Longest language tag that is read (RFC 5646 asks for 35 at least).
const LANGUAGE_BYTES_MAX: usize = 35;

/// Who comes, as the registry had them.
#[derive(Debug)]
pub struct Visitor {
    who: Who,
    /// A moment before the registry was asked.
    as_of: Moment,
}

#[derive(Debug)]
enum Who {
    /// A device and where it stayed, past stays too.
    Device(Arc<Device>, Vec<Stay>),
    /// A person without one.
    Subject(SubjectId),
}

/// A stream that was let in, with its first frames.
#[derive(Debug)]
pub struct Opened {
    /// The connection.
    pub conn: Arc<Conn>,
    /// The hello, and what follows it, in order.
    pub first: Vec<Outgoing>,
}

impl Gateway {
    /// Room for one more stream of an address, or why not.
    pub fn room(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Option<Slot>, Problem> {
        if !self.life.not_ready().is_empty() {
            let detail = "this gateway is starting or draining";
            return Err(Problem::new(Code::Unavailable, detail).retry_after(TRY_AGAIN_S));
        }
        let Some(Peer(peer)) = peer else { return Ok(None) };
        let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        let address = ClientAddress::of(peer.ip(), forwarded, &self.trusted);
        if let Err(wait) = self.rate.take(&address) {
            let detail = "too many new streams from this address";
            return Err(Problem::new(Code::RateLimited, detail).retry_after(wait.as_secs() + 1));
        }
        self.slots.take(address).map(Some).map_err(|full| {
            let code = match full {
                Full::Node => Code::Unavailable,
                Full::Address => Code::RateLimited,
            };
            Problem::new(code, full.to_string()).retry_after(TRY_AGAIN_S)
        })
    }

    /// Lets a visitor in: the hello and what follows it.
    pub async fn admit(
        &self,
        visitor: Visitor,
        position: Option<&str>,
        languages: Option<Vec<String>>,
    ) -> Result<Opened, Problem> {
        let languages = languages.map(checked_languages).transpose()?;
        // A position that cannot be read is one that cannot be resumed from: told, not refused.
        let from = position.and_then(|text| Position::decode(text).ok());
        let Visitor { who, as_of } = visitor;
        let (device, subject, stays) = match who {
            Who::Device(device, stays) => {
                let subject = device.subject.clone();
                (Some(device), subject, stays)
            }
            Who::Subject(subject) => (None, Some(subject), Vec::new()),
        };
        let names = match &subject {
            Some(subject) => self.names().all(subject).await,
            None => Ok(Vec::new()),
        };
        let names = names.map_err(|error| Problem::internal(&error))?;
        let viewer = Viewer::new(device.as_deref(), names, stays, languages);
        let entering = Entering { hub: &self.hub, entrance: Some(self.hub.enter(viewer, from)) };
        if let Some(device) = device.filter(|_| self.parts.registry.may_have_changed(as_of)) {
            self.recheck(&device).await?;
        }
        let entrance = entering.done();
        let settings = self.hub.settings();
        let hello = ToClient::Hello {
            connection: format!("c{}", entrance.conn.id()),
            epoch: &self.hub.epoch(),
            recovered: entrance.recovered,
            position: position.filter(|_| entrance.recovered),
            follow: entrance.follow.len(),
            ping_seconds: settings.ping_ms.div_ceil(1_000),
            pong_seconds: settings.pong_ms.div_ceil(1_000),
            reconnect_after_ms: jittered(settings.reconnect_ms),
        };
        let hello = Outgoing::plain(Frame::of(&hello));
        let Entrance { conn, follow, .. } = entrance;
        Ok(Opened { conn, first: std::iter::once(hello).chain(follow).collect() })
    }

    /// Who says hello on a websocket.
    pub async fn recognise(
        &self,
        hello: &Hello,
        known: Option<Citizen>,
    ) -> Result<Visitor, Problem> {
        let refused = || crate::auth::unauthorized("device and secret, or bearer, in hello");
        let as_of = self.parts.registry.moment();
        match (&hello.device, &hello.secret, &hello.bearer) {
            (None, None, None) => self.visitor(known.ok_or_else(refused)?).await,
            (Some(device), Some(secret), None) => {
                let id: DeviceId = device.parse().map_err(|_| refused())?;
                let secret = Secret::parse(secret).ok_or_else(refused)?;
                let placed = self.parts.doorkeeper.placed(&id, &secret).await?;
                Ok(Visitor::with(placed, as_of))
            }
            (None, None, Some(bearer)) => {
                let subject = self.parts.doorkeeper.subject(bearer).await?;
                Ok(Visitor { who: Who::Subject(subject), as_of })
            }
            (Some(device), None, Some(bearer)) => {
                let subject = self.parts.doorkeeper.subject(bearer).await?;
                let id: DeviceId = device.parse().map_err(|_| refused())?;
                let placed = self.parts.registry.placed(&id).await;
                let placed = placed.map_err(|error| Problem::internal(&error))?;
                let is_own = |placed: &Placed| placed.stored.device.subject == Some(subject);
                let own = placed.filter(is_own).ok_or_else(refused)?;
                Ok(Visitor::with(own, as_of))
            }
            _ => Err(refused()),
        }
    }

    /// A citizen who is known, with the places of the device.
    pub async fn visitor(&self, citizen: Citizen) -> Result<Visitor, Problem> {
        let as_of = self.parts.registry.moment();
        match citizen {
            Citizen::Device(device) => {
                Ok(Visitor::with(self.still_registered(&device.id).await?, as_of))
            }
            Citizen::Subject(subject) => Ok(Visitor { who: Who::Subject(subject), as_of }),
        }
    }

    async fn still_registered(&self, id: &DeviceId) -> Result<Placed, Problem> {
        let placed = self.parts.registry.placed(id).await;
        let gone = || crate::auth::unauthorized("a device that is still registered");
        placed.map_err(|error| Problem::internal(&error))?.ok_or_else(gone)
    }

    /// The stays of a device, past ones too.
    pub async fn stays(&self, device: &Device) -> Result<Vec<Stay>, Problem> {
        let memberships = self.parts.registry.memberships_of(device.num).await;
        Ok(stays(memberships.map_err(|error| Problem::internal(&error))?))
    }

    /// A device may have changed between being recognised and being listed by the hub, when its
    /// stream was not found yet by those who tell of a change.
    async fn recheck(&self, device: &Arc<Device>) -> Result<(), Problem> {
        let Placed { stored, memberships } = self.still_registered(&device.id).await?;
        if stored.device != *device {
            self.hub.device_changed(&stored.device, &stays(memberships));
        }
        Ok(())
    }
}

impl Visitor {
    fn with(placed: Placed, as_of: Moment) -> Self {
        let Placed { stored, memberships } = placed;
        Self { who: Who::Device(stored.device, stays(memberships)), as_of }
    }
}

/// A stream between being listed by the hub and being let in: whoever is not is taken out again,
/// also if nobody waits for that any more.
struct Entering<'a> {
    hub: &'a Hub,
    entrance: Option<Entrance>,
}

impl Entering<'_> {
    fn done(mut self) -> Entrance {
        self.entrance.take().expect("it is taken only here")
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        if let Some(entrance) = &self.entrance {
            self.hub.leave(&entrance.conn);
        }
    }
}

fn stays(memberships: Vec<Membership>) -> Vec<Stay> {
    let stay = |Membership { place, joined_at, left_at, .. }| Stay { place, joined_at, left_at };
    memberships.into_iter().map(stay).collect()
}

/// A wait of one to two times the base, so that clients do not come back all at once.
pub fn jittered(base_ms: u64) -> u64 {
    base_ms + rand::random_range(0..=base_ms)
}

fn checked_languages(languages: Vec<String>) -> Result<Vec<String>, Problem> {
    let tag = |tag: &String| {
        (2..=LANGUAGE_BYTES_MAX).contains(&tag.len())
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if languages.len() <= LANGUAGES_MAX && languages.iter().all(tag) {
        return Ok(languages);
    }
    let message = format!("must be at most {LANGUAGES_MAX} BCP 47 language tags");
    let wrong = FieldError::new("languages", "language_tags", message);
    Err(Problem::fields(Code::BadParameter, vec![wrong]))
}
