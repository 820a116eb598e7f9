//! A push service as RFC 8030 describes it, with the browsers behind it: checks VAPID (RFC 8292)
//! and the headers, keeps one message per topic for a browser that is offline, and decrypts what
//! arrives (RFC 8291) with each simulated browser's own key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::Aad;
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::faults::{Refusal, Service};
use super::record::Delivered;
use super::serve::{Asked, Judged, Reply};
use crate::channel::webpush::ece::{
    HEADER_BYTES, MESSAGE_MAX_BYTES, Recipient, SALT_BYTES, content_keys,
};
use crate::clock::Clock;
use crate::domain::channel::Channel;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::publication::Action;
use crate::domain::webpush::{AUTH_BYTES, POINT_BYTES, Subscription, decode};

/// Under this path each browser has its endpoint.
const PUSH_PATH: &str = "/push/";
/// Browsers with such a name are simulated: their keys follow from the name.
const SIMULATED: &str = "simulated-";
const TOPIC_MAX_CHARS: usize = 32;
const URGENCIES: [&str; 4] = ["very-low", "low", "normal", "high"];
/// A VAPID token may be good for a day.
const TOKEN_LIFE_MAX_SECONDS: i64 = 24 * 3600;

/// A simulated push service.
pub struct Webpush {
    /// Judges tokens, and dates deliveries.
    pub clock: Clock,
    /// Whose messages it takes.
    pub browsers: Browsers,
    /// The key that browsers subscribed with, where they did not say another one.
    pub application_server_key: String,
    /// Tokens found good, as the `authorization` header has them, and until when.
    pub verified: Mutex<HashMap<Box<[u8]>, i64>>,
}

/// The browsers that somebody looks at. Clones share them.
#[derive(Clone, Debug)]
pub struct Browsers {
    service: Url,
    watched: Arc<Mutex<HashMap<Box<str>, Browser>>>,
}

#[derive(Debug, Default)]
struct Browser {
    application_server_key: Option<String>,
    offline: bool,
    /// What waits for it to come online; one message for each topic.
    stored: Vec<Received>,
    received: Vec<Received>,
}

/// A message as it came to a browser.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body, encrypted.
    pub body: Bytes,
    /// What it says, if the browser is simulated.
    pub message: Option<serde_json::Value>,
}

impl Browsers {
    pub(super) fn new(service: Url) -> Self {
        Self { service, watched: Arc::default() }
    }

    /// Keeps from now on what a browser gets; `key` is the key it subscribed with, unless the
    /// simulator's own. A name that begins with `simulated-` is a simulated browser; the messages
    /// of others are only kept, for whoever has their keys.
    pub fn watch(&self, name: &str, key: Option<&str>) {
        let browser =
            Browser { application_server_key: key.map(str::to_owned), ..Browser::default() };
        self.watched().insert(name.into(), browser);
    }

    /// Where messages to a browser are posted.
    pub fn endpoint(&self, name: &str) -> String {
        endpoint(&self.service, name)
    }

    /// A simulated browser's subscription.
    pub fn subscription(&self, name: &str) -> Subscription {
        subscription(&self.service, name)
    }

    /// What a watched browser got, in order.
    pub fn received(&self, name: &str) -> Vec<Received> {
        self.watched().get(name).map(|browser| browser.received.clone()).unwrap_or_default()
    }

    /// A watched browser goes offline, or comes online and gets what was stored.
    pub fn set_offline(&self, name: &str, offline: bool) {
        if let Some(browser) = self.watched().get_mut(name) {
            browser.offline = offline;
            if !offline {
                let stored = std::mem::take(&mut browser.stored);
                browser.received.extend(stored);
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Box<str>, Browser>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message to a watched browser, or stores it; true when it is on its way.
    fn hand(&self, name: &str, received: Received) -> bool {
        let mut watched = self.watched();
        let Some(browser) = watched.get_mut(name) else { return true };
        if !browser.offline {
            browser.received.push(received);
            return true;
        }
        let topic = received.headers.get("topic").cloned();
        browser.stored.retain(|one| topic.is_none() || one.headers.get("topic") != topic.as_ref());
        browser.stored.push(received);
        false
    }
}

/// The subscription of a simulated browser at a service.
pub fn subscription(service: &Url, name: &str) -> Subscription {
    let (_, keys) = simulated(name);
    Subscription::of_bytes(endpoint(service, name), &keys.p256dh, &keys.auth)
}

fn endpoint(service: &Url, name: &str) -> String {
    service.join(&format!("{PUSH_PATH}{name}")).expect("a path").to_string()
}

/// A simulated browser's keys: they follow from its name, so that none is kept for millions.
fn simulated(name: &str) -> (PrivateKey, Recipient) {
    let digest = |round: u64| {
        let mut hash = Sha256::new();
        hash.update(round.to_be_bytes());
        hash.update(name.as_bytes());
        <[u8; 32]>::from(hash.finalize())
    };
    // One digest in four thousand million is no private key.
    let private = (0..)
        .find_map(|round| PrivateKey::from_private_key(&ECDH_P256, &digest(round)).ok())
        .expect("the digests do not end");
    let public = private.compute_public_key().expect("a private key has a public one");
    let p256dh: [u8; POINT_BYTES] = public.as_ref().try_into().expect("an uncompressed point");
    let mut auth = [0; AUTH_BYTES];
    auth.copy_from_slice(&digest(u64::MAX)[..AUTH_BYTES]);
    (private, Recipient { p256dh, auth })
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    exp: i64,
    sub: String,
}

#[derive(Deserialize)]
struct Message {
    loa: Data,
}

#[derive(Deserialize)]
struct Data {
    publication: PublicationId,
    chain: ChainId,
    action: Action,
}

impl Webpush {
    /// Judges a request.
    pub fn judge(&self, asked: &Asked) -> Judged {
        let name = asked.path.strip_prefix(PUSH_PATH).unwrap_or_default();
        let (delivered, reply) = match self.check(asked, name) {
            Ok(delivered) => {
                let id =
                    delivered.as_ref().map_or_else(|| name.into(), |one| one.message_id.clone());
                let location = format!("/message/{id}").parse().expect("a path is ASCII");
                let headers = HeaderMap::from_iter([(LOCATION, location)]);
                (delivered, Reply { status: 201, headers, body: Bytes::new() })
            }
            Err(refusal) => (None, self.refuse(&refusal)),
        };
        Judged { service: Service::Webpush, token: name.into(), delivered, reply }
    }

    /// An answer other than 201; a reason takes Apple's form.
    pub fn refuse(&self, refusal: &Refusal) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(wish) = refusal.retry_after.as_ref().and_then(|wish| wish.parse().ok()) {
            headers.insert(RETRY_AFTER, wish);
        }
        let body = match refusal.reason.as_str() {
            "" => Bytes::new(),
            reason => serde_json::json!({ "reason": reason }).to_string().into(),
        };
        Reply { status: refusal.status, headers, body }
    }

    fn check(&self, asked: &Asked, name: &str) -> Result<Option<Delivered>, Refusal> {
        if name.is_empty() || name.contains('/') || asked.method != Method::POST {
            return Err(Refusal::new(404, "NotFound"));
        }
        self.authorize(asked.headers.get(AUTHORIZATION).map(|value| value.as_bytes()), name)?;
        let header = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
        let good = [
            ("BadTtl", header("ttl").is_some_and(|ttl| ttl.parse::<u32>().is_ok())),
            ("BadTopic", header("topic").is_none_or(is_topic)),
            ("BadUrgency", header("urgency").is_none_or(|one| URGENCIES.contains(&one))),
            ("BadEncoding", header(CONTENT_ENCODING.as_str()) == Some("aes128gcm")),
        ];
        if let Some((reason, _)) = good.iter().find(|(_, holds)| !holds) {
            return Err(Refusal::new(400, reason));
        }
        if asked.body.len() > MESSAGE_MAX_BYTES {
            return Err(Refusal::new(413, "PayloadTooLarge"));
        }
        let plaintext = name.starts_with(SIMULATED).then(|| open(&asked.body, name));
        let plaintext = match plaintext {
            // A real service cannot tell, and the browser drops it. Here it must not go unseen.
            Some(None) => return Err(Refusal::new(400, "CannotBeDecrypted")),
            Some(plaintext) => plaintext,
            None => None,
        };
        let message = plaintext.as_deref().and_then(|json| serde_json::from_slice(json).ok());
        let (headers, body) = (asked.headers.clone(), asked.body.clone());
        let arrives = self.browsers.hand(name, Received { headers, body, message });
        let said = plaintext.and_then(|json| serde_json::from_slice::<Message>(&json).ok());
        let topic = header("topic").and_then(uuid_of);
        Ok(arrives.then(|| self.delivered(name, said, topic)))
    }

    fn delivered(&self, name: &str, said: Option<Message>, topic: Option<Uuid>) -> Delivered {
        let Data { publication, chain, action } = said.map_or(
            Data {
                publication: PublicationId(Uuid::nil()),
                chain: ChainId(Uuid::nil()),
                action: Action::Alert,
            },
            |message| message.loa,
        );
        Delivered {
            channel: Channel::Webpush,
            token: name.into(),
            publication,
            chain,
            action,
            at: self.clock.now(),
            collapse_id: topic.map(|chain| chain.to_string().into()),
            message_id: Uuid::new_v4().to_string().into(),
        }
    }

    /// RFC 8292 section 4.2: 401 without a token, 403 with one that is not good for this browser.
    fn authorize(&self, authorization: Option<&[u8]>, name: &str) -> Result<(), Refusal> {
        let Some(value) = authorization else { return Err(Refusal::new(401, "Missing")) };
        let refused = || Refusal::new(403, "BadJwtToken");
        let text = std::str::from_utf8(value).map_err(|_| refused())?;
        let fields = text.strip_prefix("vapid ").ok_or_else(refused)?;
        let field = |wanted: &str| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            fields.find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let (token, key) = field("t").zip(field("k")).ok_or_else(refused)?;
        let own = self.browsers.watched().get(name).and_then(|b| b.application_server_key.clone());
        if key != own.as_ref().unwrap_or(&self.application_server_key) {
            return Err(refused());
        }
        let now = self.clock.now();
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.get(value).is_some_and(|until| now.as_second() < *until) {
            return Ok(());
        }
        let until = self.verify(token, key, now).ok_or_else(refused)?;
        verified.retain(|_, until| now.as_second() < *until);
        verified.insert(value.into(), until);
        Ok(())
    }

    /// Until when a token is good, if it is.
    fn verify(&self, token: &str, key: &str, now: Timestamp) -> Option<i64> {
        let point: [u8; POINT_BYTES] = decode(key)?;
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let key = DecodingKey::from_ec_components(&x, &y).ok()?;
        let mut rules = Validation::new(Algorithm::ES256);
        // The simulator's clock decides, not the machine's.
        rules.validate_exp = false;
        rules.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules).ok()?.claims;
        let origin = self.browsers.service.origin().ascii_serialization();
        let left = claims.exp - now.as_second();
        let contact = claims.sub.starts_with("mailto:") || claims.sub.starts_with("https:");
        (claims.aud == origin && (1..=TOKEN_LIFE_MAX_SECONDS).contains(&left) && contact)
            .then_some(claims.exp)
    }
}

fn is_topic(topic: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=TOPIC_MAX_CHARS).contains(&topic.len()) && topic.bytes().all(base64url)
}

fn uuid_of(topic: &str) -> Option<Uuid> {
    decode(topic).map(Uuid::from_bytes)
}

/// Decrypts a message as the browser would.
fn open(message: &[u8], name: &str) -> Option<Vec<u8>> {
    let (header, record) = message.split_at_checked(HEADER_BYTES)?;
    let (salt, rest) = header.split_at(SALT_BYTES);
    let salt: [u8; SALT_BYTES] = salt.try_into().ok()?;
    let sender: [u8; POINT_BYTES] = rest[5..].try_into().ok()?;
    let record_bytes = u32::from_be_bytes(rest[..4].try_into().ok()?) as usize;
    if usize::from(rest[4]) != POINT_BYTES || record.len() > record_bytes {
        return None;
    }
    let (private, own) = simulated(name);
    let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
    let keys = agree(&private, peer, (), |secret| {
        content_keys(secret, &own, &sender, salt).map_err(|_| ())
    });
    let (key, nonce) = keys.ok()?;
    let mut record = record.to_vec();
    let plaintext = key.open_in_place(nonce, Aad::empty(), &mut record).ok()?;
    let end = plaintext.iter().rposition(|byte| *byte != 0)?;
    (plaintext[end] == 2).then(|| plaintext[..end].to_vec())
}

impl std::fmt::Debug for Webpush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webpush").field("browsers", &self.browsers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::webpush::ece::{PLAINTEXT_MAX_BYTES, seal};

    #[test]
    fn what_was_encrypted_for_a_browser_only_that_browser_reads() {
        let service = Url::parse("https://push.example").unwrap();
        let subscription = subscription(&service, "simulated-1");
        assert_eq!(subscription.broken_rules().count(), 0);
        assert_eq!(subscription.endpoint, "https://push.example/push/simulated-1");
        let keys = Recipient::of(&subscription).unwrap();
        for length in [0, 1, 127, 128, 3969, PLAINTEXT_MAX_BYTES] {
            let message = seal(&vec![b'x'; length], &keys).unwrap();
            assert_eq!(open(&message, "simulated-1"), Some(vec![b'x'; length]));
            assert_eq!(open(&message, "simulated-2"), None);
            assert_eq!(open(&message[..message.len() - 1], "simulated-1"), None);
        }
    }

    #[test]
    fn a_topic_is_short_base64url() {
        assert!(is_topic("AZq3wAAAcACAAAAAAAAAAQ"));
        for bad in ["", "a b", "a+b", "a=", &"x".repeat(33)] {
            assert!(!is_topic(bad), "{bad}");
        }
    }
}
