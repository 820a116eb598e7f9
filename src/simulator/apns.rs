//! APNs as Apple documents it: checks headers, provider token and payload as the real one does, and
//! answers with its reasons.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::faults::{Refusal, Service};
use super::record::Delivered;
use super::serve::{Asked, Judged, Reply};
use crate::clock::Clock;
use crate::domain::channel::Channel;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::publication::Action;

const APNS_ID: HeaderName = HeaderName::from_static("apns-id");
const PAYLOAD_MAX_BYTES: usize = 4096;
const COLLAPSE_ID_MAX_BYTES: usize = 64;
const TOKEN_AGE_MAX_SECONDS: i64 = 3600;
/// A token may be ahead by this much.
const TOKEN_AHEAD_MAX_SECONDS: i64 = 60;
/// Verified tokens remembered; a sender has one or two.
const REMEMBERED_MAX: usize = 1000;
const PUSH_TYPES: [&str; 3] = ["alert", "background", "liveactivity"];

/// Simulated Apple.
pub struct Apns {
    pub clock: Clock,
    pub key: DecodingKey,
    pub key_id: String,
    pub team_id: String,
    /// The apps there are.
    pub topics: Vec<String>,
    /// Verified provider tokens with their `iat`.
    pub remembered: Mutex<HashMap<Box<[u8]>, i64>>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    iat: i64,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    aps: Aps<'a>,
    loa: Option<Loa>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Aps<'a> {
    #[serde(borrow)]
    alert: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    sound: Option<&'a serde_json::value::RawValue>,
    content_available: Option<u8>,
}

#[derive(Deserialize)]
struct Loa {
    publication: PublicationId,
    chain: ChainId,
    action: Action,
}

type Refused = (u16, &'static str);

impl Apns {
    /// Judges a request.
    pub fn judge(&self, asked: &Asked) -> Judged {
        let token = asked.path.strip_prefix("/3/device/").unwrap_or_default();
        let id = asked.headers.get(APNS_ID).cloned();
        let (delivered, reply) = match self.check(asked, token) {
            Ok(delivered) => {
                let id = HeaderValue::try_from(&*delivered.message_id).expect("a UUID");
                let headers = HeaderMap::from_iter([(APNS_ID, id)]);
                (Some(delivered), Reply { status: 200, headers, body: Bytes::new() })
            }
            Err((status, reason)) => {
                let mut reply = self.refuse(&Refusal::new(status, reason));
                reply.headers.extend(id.map(|id| (APNS_ID, id)));
                (None, reply)
            }
        };
        Judged { service: Service::Apns, token: token.into(), delivered, reply }
    }

    /// An answer other than 200.
    pub fn refuse(&self, refusal: &Refusal) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(wish) = refusal.retry_after.as_ref().and_then(|wish| wish.parse().ok()) {
            headers.insert(RETRY_AFTER, wish);
        }
        if refusal.reason.is_empty() {
            return Reply { status: refusal.status, headers, body: Bytes::new() };
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut body = json!({"reason": refusal.reason});
        if refusal.status == 410 {
            let since = refusal.since.unwrap_or_else(|| self.clock.now());
            body["timestamp"] = Value::from(since.as_millisecond());
        }
        Reply { status: refusal.status, headers, body: body.to_string().into() }
    }

    fn check(&self, asked: &Asked, token: &str) -> Result<Delivered, Refused> {
        if asked.method != Method::POST {
            return Err((405, "MethodNotAllowed"));
        }
        if !asked.path.starts_with("/3/device/") {
            return Err((404, "BadPath"));
        }
        if token.is_empty() {
            return Err((400, "MissingDeviceToken"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err((400, "BadDeviceToken"));
        }
        self.check_credentials(asked)?;
        let header = |name| asked.headers.get(name).and_then(|value| value.to_str().ok());
        let topic = header("apns-topic").ok_or((400, "MissingTopic"))?;
        if asked.certificate_of.as_ref().is_some_and(|own| own.as_ref() != topic) {
            return Err((400, "TopicDisallowed"));
        }
        if !self.topics.iter().any(|known| known == topic) {
            return Err((400, "DeviceTokenNotForTopic"));
        }
        if token.bytes().all(|digit| digit == b'f') {
            // Never issued to anybody.
            return Err((400, "BadDeviceToken"));
        }
        let message_id = match header("apns-id") {
            Some(id) if id == id.to_ascii_lowercase() => {
                Uuid::parse_str(id).map_err(|_| (400, "BadMessageId"))?
            }
            Some(_) => return Err((400, "BadMessageId")),
            None => Uuid::new_v4(),
        };
        if header("apns-expiration").is_some_and(|at| at.parse::<i64>().is_err()) {
            return Err((400, "BadExpirationDate"));
        }
        let collapse_id = header("apns-collapse-id");
        if collapse_id.is_some_and(|id| id.len() > COLLAPSE_ID_MAX_BYTES) {
            return Err((400, "BadCollapseId"));
        }
        let payload =
            check_payload(&asked.body, header("apns-push-type"), header("apns-priority"))?;
        let nil = Loa {
            publication: PublicationId(Uuid::nil()),
            chain: ChainId(Uuid::nil()),
            action: Action::Alert,
        };
        let loa = payload.loa.unwrap_or(nil);
        Ok(Delivered {
            channel: Channel::Apns,
            token: token.into(),
            publication: loa.publication,
            chain: loa.chain,
            action: loa.action,
            at: self.clock.now(),
            collapse_id: collapse_id.map(Into::into),
            message_id: message_id.to_string().into(),
        })
    }

    /// A certificate speaks for its app; whoever has none needs a provider token.
    fn check_credentials(&self, asked: &Asked) -> Result<(), Refused> {
        match (asked.headers.get(AUTHORIZATION), &asked.certificate_of) {
            (None, Some(_)) => Ok(()),
            (authorization, _) => self.check_token(authorization),
        }
    }

    fn check_token(&self, authorization: Option<&HeaderValue>) -> Result<(), Refused> {
        let value = authorization.ok_or((403, "MissingProviderToken"))?.as_bytes();
        let invalid = (403, "InvalidProviderToken");
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = match remembered.get(value) {
            Some(issued) => *issued,
            None => {
                let issued = self.verify(value).ok_or(invalid)?;
                if remembered.len() >= REMEMBERED_MAX {
                    remembered.clear();
                }
                remembered.insert(value.into(), issued);
                issued
            }
        };
        let age = self.clock.now().as_second() - issued;
        if age > TOKEN_AGE_MAX_SECONDS {
            return Err((403, "ExpiredProviderToken"));
        }
        if age < -TOKEN_AHEAD_MAX_SECONDS { Err(invalid) } else { Ok(()) }
    }

    /// The `iat` of a genuine token.
    fn verify(&self, authorization: &[u8]) -> Option<i64> {
        let text = std::str::from_utf8(authorization).ok()?;
        let token = text.strip_prefix("bearer ")?;
        let mut rules = Validation::new(Algorithm::ES256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &rules).ok()?;
        let ours = decoded.header.kid.as_deref() == Some(self.key_id.as_str())
            && decoded.claims.iss == self.team_id;
        ours.then_some(decoded.claims.iat)
    }
}

fn check_payload<'a>(
    body: &'a [u8],
    push_type: Option<&str>,
    priority: Option<&str>,
) -> Result<Payload<'a>, Refused> {
    if body.is_empty() {
        return Err((400, "PayloadEmpty"));
    }
    if body.len() > PAYLOAD_MAX_BYTES {
        return Err((413, "PayloadTooLarge"));
    }
    // Apple names no reason for what is no JSON; this is what it answers in practice.
    let payload: Payload = serde_json::from_slice(body).map_err(|_| (400, "PayloadEmpty"))?;
    let push_type = push_type.filter(|given| PUSH_TYPES.contains(given));
    let Some(push_type) = push_type else { return Err((400, "InvalidPushType")) };
    if !matches!(priority, None | Some("10" | "5" | "1")) {
        return Err((400, "BadPriority"));
    }
    let aps = &payload.aps;
    let silent = aps.alert.is_none() && aps.sound.is_none();
    match push_type {
        "background" if priority != Some("5") => Err((400, "BadPriority")),
        "background" if !silent || aps.content_available != Some(1) => {
            Err((400, "InvalidPushType"))
        }
        "alert" if silent => Err((400, "InvalidPushType")),
        _ => Ok(payload),
    }
}

impl std::fmt::Debug for Apns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apns").field("topics", &self.topics).finish_non_exhaustive()
    }
}
