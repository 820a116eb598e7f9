//! FCM HTTP v1 and Google's token endpoint as documented: checks assertion, access token and
//! message as the real ones do, and answers with their errors.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use super::faults::{Refusal, Service};
use super::federation::Federation;
use super::record::Delivered;
use super::serve::{Asked, Judged, Reply};
use crate::clock::Clock;
use crate::domain::channel::Channel;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::publication::Action;

/// Where tokens are fetched.
pub const TOKEN_PATH: &str = "/token";
const PAYLOAD_MAX_BYTES: usize = 4096;
const TOPIC_MAX_BYTES: usize = 2048;
/// Before a topic's name where a device would have its token.
pub const TOPICS: &str = "/topics/";
const TTL_MAX_SECONDS: f64 = 2_419_200.0;
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What an access token must be for.
pub const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const ASSERTION_LIFE_MAX_SECONDS: i64 = 3600;
const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// Simulated Google.
pub struct Fcm {
    pub clock: Clock,
    pub key: DecodingKey,
    pub client_email: String,
    pub token_uri: String,
    pub project: String,
    /// Access tokens; the metadata server gives out the same.
    pub issued: Arc<Issued>,
    /// Who else is trusted.
    pub federation: Federation,
}

/// Access tokens that are good for a while.
pub struct Issued {
    pub clock: Clock,
    pub lifetime: Duration,
    /// As the `authorization` header has them, and until when.
    pub tokens: Mutex<HashMap<Box<[u8]>, Timestamp>>,
}

impl Issued {
    /// A new token, as token endpoints answer.
    pub fn issue(&self) -> String {
        let token = format!("sim.{}", Uuid::new_v4().simple());
        let now = self.clock.now();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, until| now < *until);
        tokens.insert(format!("Bearer {token}").into_bytes().into(), now + self.lifetime);
        let expires_in = self.lifetime.as_secs();
        json!({"access_token": token, "expires_in": expires_in, "token_type": "Bearer"}).to_string()
    }

    fn is_good(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some(value) = authorization else { return false };
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(value.as_bytes()).is_some_and(|until| self.clock.now() < *until)
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Root<'a> {
    #[serde(default)]
    validate_only: bool,
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    fid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    topic: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    android: Android<'a>,
    #[serde(borrow, default)]
    data: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Android<'a> {
    #[serde(borrow)]
    ttl: Option<Cow<'a, str>>,
    #[serde(borrow)]
    priority: Option<Cow<'a, str>>,
    #[serde(borrow)]
    collapse_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    notification: Option<Notification<'a>>,
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow)]
    tag: Option<Cow<'a, str>>,
}

impl Fcm {
    /// Judges a request.
    pub fn judge(&self, asked: &Asked) -> Judged {
        if asked.path == TOKEN_PATH {
            let reply = self.grant(asked);
            return Judged { service: Service::OAuth, token: "".into(), delivered: None, reply };
        }
        let (token, delivered, reply) = match self.check(asked) {
            Ok((delivered, dry_run)) => {
                let name = json!({"name": delivered.message_id}).to_string();
                let token = delivered.token.clone();
                (token, Some(delivered).filter(|_| !dry_run), json_reply(200, name))
            }
            Err(refusal) => ("".into(), None, self.refuse(&refusal, Service::Fcm)),
        };
        Judged { service: Service::Fcm, token, delivered, reply }
    }

    /// An answer other than 200, in Google's two forms.
    pub fn refuse(&self, refusal: &Refusal, service: Service) -> Reply {
        let code = refusal.reason.as_str();
        let mut reply = if code.is_empty() {
            json_reply(refusal.status, String::new())
        } else if service == Service::OAuth {
            json_reply(refusal.status, json!({"error": code}).to_string())
        } else {
            let status = match refusal.status {
                400 => "INVALID_ARGUMENT",
                401 => "UNAUTHENTICATED",
                403 => "PERMISSION_DENIED",
                404 => "NOT_FOUND",
                429 => "RESOURCE_EXHAUSTED",
                503 => "UNAVAILABLE",
                _ => "INTERNAL",
            };
            // A bare status has no FCM detail; an argument of ours that is wrong has Google's.
            let details = match (code == status, refusal.message.starts_with("message.")) {
                (_, true) => json!([{"@type": BAD_REQUEST, "fieldViolations":
                    [{"field": refusal.message, "description": "invalid"}]}]),
                (true, false) if refusal.status != 400 => json!([]),
                _ => json!([{"@type": FCM_ERROR, "errorCode": code}]),
            };
            let error = json!({"code": refusal.status, "message": refusal.message,
                "status": status, "details": details});
            json_reply(refusal.status, json!({"error": error}).to_string())
        };
        if let Some(wish) = refusal.retry_after.as_ref().and_then(|wish| wish.parse().ok()) {
            reply.headers.insert(RETRY_AFTER, wish);
        }
        reply
    }

    /// The push, and whether it is a dry run that reaches nobody.
    fn check(&self, asked: &Asked) -> Result<(Delivered, bool), Refusal> {
        let path = asked.path.strip_prefix("/v1/projects/");
        let project = path.and_then(|path| path.strip_suffix("/messages:send"));
        if project != Some(self.project.as_str()) || asked.method != Method::POST {
            return Err(Refusal::new(404, "NOT_FOUND"));
        }
        if !self.issued.is_good(asked.headers.get(AUTHORIZATION)) {
            return Err(Refusal::new(401, "UNAUTHENTICATED"));
        }
        let wrong = |field: &str| Refusal {
            message: field.to_owned(),
            ..Refusal::new(400, "INVALID_ARGUMENT")
        };
        let root: Root = serde_json::from_slice(&asked.body).map_err(|_| wrong("message."))?;
        let message = root.message;
        let (address, max_bytes): (Cow<'_, str>, _) =
            match (&message.token, &message.fid, &message.topic) {
                (Some(address), None, None) | (None, Some(address), None) => {
                    (address.as_ref().into(), PAYLOAD_MAX_BYTES)
                }
                (None, None, Some(topic)) if is_topic(topic) => {
                    (format!("{TOPICS}{topic}").into(), TOPIC_MAX_BYTES)
                }
                (None, None, Some(_)) => return Err(wrong("message.topic")),
                _ => return Err(wrong("message.token")),
            };
        if asked.body.len() > max_bytes + address.len() {
            return Err(wrong("message.data"));
        }
        let android = &message.android;
        if !android.ttl.as_deref().is_none_or(is_duration) {
            return Err(wrong("message.android.ttl"));
        }
        if !matches!(android.priority.as_deref(), None | Some("HIGH" | "NORMAL")) {
            return Err(wrong("message.android.priority"));
        }
        let data = |key: &str| message.data.get(key).map(AsRef::as_ref);
        let uuid = |key| data(key).and_then(|id| Uuid::parse_str(id).ok()).unwrap_or_default();
        let tag = android.notification.as_ref().and_then(|shown| shown.tag.as_deref());
        let delivered = Delivered {
            channel: Channel::Fcm,
            token: address.as_ref().into(),
            publication: PublicationId(uuid("publication")),
            chain: ChainId(uuid("chain")),
            action: match data("action") {
                Some("update") => Action::Update,
                Some("cancel") => Action::Cancel,
                _ => Action::Alert,
            },
            at: self.clock.now(),
            collapse_id: android.collapse_key.as_deref().or(tag).map(Into::into),
            message_id: format!("projects/{}/messages/{}", self.project, Uuid::new_v4()).into(),
        };
        Ok((delivered, root.validate_only))
    }

    fn grant(&self, asked: &Asked) -> Reply {
        let form: HashMap<_, _> = form_urlencoded::parse(&asked.body).collect();
        let assertion = form.get("assertion").filter(|_| {
            asked.method == Method::POST
                && form.get("grant_type").is_some_and(|kind| kind == GRANT_TYPE)
        });
        let Some(assertion) = assertion else {
            return self.refuse(&Refusal::new(400, "unsupported_grant_type"), Service::OAuth);
        };
        if !self.is_genuine(assertion) {
            return self.refuse(&Refusal::new(400, "invalid_grant"), Service::OAuth);
        }
        json_reply(200, self.issued.issue())
    }

    fn is_genuine(&self, assertion: &str) -> bool {
        let mut rules = Validation::new(Algorithm::RS256);
        // The simulator's clock decides, not the machine's.
        rules.validate_exp = false;
        rules.validate_aud = false;
        let Ok(decoded) = jsonwebtoken::decode::<Claims>(assertion, &self.key, &rules) else {
            return false;
        };
        let (claims, now) = (decoded.claims, self.clock.now().as_second());
        claims.iss == self.client_email
            && claims.aud == self.token_uri
            && claims.scope.split(' ').any(|scope| scope == SCOPE)
            && (claims.iat - 60..claims.exp).contains(&now)
            && claims.exp - claims.iat <= ASSERTION_LIFE_MAX_SECONDS
    }
}

/// A topic's name: `[a-zA-Z0-9-_.~%]+`.
fn is_topic(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}

/// A `google.protobuf.Duration` in JSON, within FCM's bounds.
fn is_duration(text: &str) -> bool {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let Some(number) = text.strip_suffix('s').filter(|number| number.chars().all(digits)) else {
        return false;
    };
    number.parse().is_ok_and(|seconds: f64| (0.0..=TTL_MAX_SECONDS).contains(&seconds))
}

fn json_reply(status: u16, body: String) -> Reply {
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    Reply { status, headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]), body: Bytes::from(body) }
}

impl std::fmt::Debug for Fcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fcm").field("project", &self.project).finish_non_exhaustive()
    }
}
