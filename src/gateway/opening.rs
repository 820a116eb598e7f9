//! How a stream begins, the same for websockets and event streams: who is it, is there room, and
//! what is it told first.

use std::sync::Arc;

use axum::http::HeaderMap;

use crate::auth::citizen::Citizen;
use crate::auth::device::Secret;
use crate::domain::device::{Device, LANGUAGES_MAX};
use crate::domain::ids::DeviceId;
use crate::gateway::Gateway;
use crate::gateway::frame::Frame;
use crate::gateway::hub::Entrance;
use crate::gateway::outbox::Outgoing;
use crate::gateway::position::Position;
use crate::gateway::viewer::{Stay, Viewer};
use crate::gateway::wire::{Hello, ToClient};
use crate::http::limits::{ClientAddress, Full, Slot};
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::serve::Peer;

/// Seconds after which a refused stream may try again.
const TRY_AGAIN_S: u64 = 5;
/// Longest language tag that is read (RFC 5646 asks for 35 at least).
const LANGUAGE_BYTES_MAX: usize = 35;

/// A stream that was let in, with its first frames.
#[derive(Debug)]
pub struct Opened {
    /// How it begins.
    pub entrance: Entrance,
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

    /// Lets a citizen in: the hello and what follows it.
    pub async fn admit(
        &self,
        citizen: Citizen,
        position: Option<&str>,
        languages: Option<Vec<String>>,
    ) -> Result<Opened, Problem> {
        let languages = languages.map(checked_languages).transpose()?;
        // A position that cannot be read is one that cannot be resumed from: told, not refused.
        let from = position.and_then(|text| Position::decode(text).ok());
        let (device, subject) = match &citizen {
            Citizen::Device(device) => (Some(device), device.subject.as_ref()),
            Citizen::Subject(subject) => (None, Some(subject)),
        };
        let stays = match device {
            Some(device) => self.stays(device).await?,
            None => Vec::new(),
        };
        let names = match subject {
            Some(subject) => self.names().all(subject).await,
            None => Ok(Vec::new()),
        };
        let names = names.map_err(|error| Problem::internal(&error))?;
        let viewer = Viewer::new(device.map(Arc::as_ref), names, stays, languages);
        let entrance = self.hub.enter(viewer, from);
        if let Citizen::Device(device) = &citizen {
            self.recheck(device, &entrance).await?;
        }
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
        let first = std::iter::once(hello).chain(entrance.follow.iter().cloned()).collect();
        Ok(Opened { entrance, first })
    }

    /// Who says hello on a websocket.
    pub async fn recognise(
        &self,
        hello: &Hello,
        known: Option<Citizen>,
    ) -> Result<Citizen, Problem> {
        let refused = || crate::auth::unauthorized("device and secret, or bearer, in hello");
        match (&hello.device, &hello.secret, &hello.bearer) {
            (None, None, None) => known.ok_or_else(refused),
            (Some(device), Some(secret), None) => {
                let id: DeviceId = device.parse().map_err(|_| refused())?;
                let secret = Secret::parse(secret).ok_or_else(refused)?;
                self.parts.doorkeeper.device(&id, &secret).await.map(Citizen::Device)
            }
            (None, None, Some(bearer)) => {
                self.parts.doorkeeper.subject(bearer).await.map(Citizen::Subject)
            }
            (Some(device), None, Some(bearer)) => {
                let subject = self.parts.doorkeeper.subject(bearer).await?;
                let id: DeviceId = device.parse().map_err(|_| refused())?;
                let stored = self.parts.registry.get(&id).await;
                let stored = stored.map_err(|error| Problem::internal(&error))?;
                let own = stored.filter(|stored| stored.device.subject.as_ref() == Some(&subject));
                own.map(|stored| Citizen::Device(stored.device)).ok_or_else(refused)
            }
            _ => Err(refused()),
        }
    }

    /// The stays of a device, past ones too.
    pub async fn stays(&self, device: &Device) -> Result<Vec<Stay>, Problem> {
        let memberships = self.parts.registry.memberships_of(device.num).await;
        let memberships = memberships.map_err(|error| Problem::internal(&error))?;
        let stays = memberships.into_iter().map(|membership| Stay {
            place: membership.place,
            joined_at: membership.joined_at,
            left_at: membership.left_at,
        });
        Ok(stays.collect())
    }

    /// A device may have changed between being recognised and being let in.
    async fn recheck(&self, device: &Arc<Device>, entrance: &Entrance) -> Result<(), Problem> {
        let stored = self.parts.registry.get(&device.id).await;
        match stored.map_err(|error| Problem::internal(&error))? {
            Some(stored) if stored.device == *device => Ok(()),
            Some(stored) => {
                let stays = self.stays(&stored.device).await?;
                self.hub.device_changed(&stored.device, &stays);
                Ok(())
            }
            None => {
                self.hub.leave(&entrance.conn);
                Err(crate::auth::unauthorized("a device that is still registered"))
            }
        }
    }
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
