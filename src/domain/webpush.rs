//! Web Push as the domain sees it: a browser's subscription (RFC 8030, 8291), and to which push
//! services anything is sent. The endpoint of a subscription comes from the internet and we connect
//! to it, so a service must be one that the settings know.

use std::fmt;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Bytes of an uncompressed point on P-256.
pub const POINT_BYTES: usize = 65;
/// Bytes of the authentication secret.
pub const AUTH_BYTES: usize = 16;
/// Characters of an endpoint: the longest known ones have about 700.
pub const ENDPOINT_MAX: usize = 2048;
/// The first byte of an uncompressed point (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;
/// Browsers write no padding, some libraries around them do.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A browser's subscription, in the form of `PushSubscription.toJSON()`. Its Debug form never shows
/// it: whoever knows the endpoint may send to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form")]
pub struct Subscription {
    /// Where its messages are posted.
    pub endpoint: String,
    /// With what they are encrypted.
    pub keys: Keys,
}

/// The browser's keys, base64url.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Its public key, an uncompressed point on P-256.
    pub p256dh: String,
    /// The authentication secret.
    pub auth: String,
}

/// What a browser says. When a subscription ends the push service tells us, so its own forecast is
/// not kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    endpoint: String,
    #[serde(default, rename = "expirationTime")]
    _expiration_time: Option<f64>,
    keys: Keys,
}

impl From<Form> for Subscription {
    fn from(form: Form) -> Self {
        Self { endpoint: form.endpoint, keys: form.keys }
    }
}

impl Subscription {
    /// A subscription from its keys' bytes.
    pub fn of_bytes(endpoint: String, p256dh: &[u8], auth: &[u8]) -> Self {
        let keys =
            Keys { p256dh: URL_SAFE_NO_PAD.encode(p256dh), auth: URL_SAFE_NO_PAD.encode(auth) };
        Self { endpoint, keys }
    }

    /// The endpoint: an https URL without user information or fragment, not too long.
    pub fn url(&self) -> Option<Url> {
        let url =
            Url::parse(&self.endpoint).ok().filter(|_| self.endpoint.len() <= ENDPOINT_MAX)?;
        let plain = url.username().is_empty() && url.password().is_none();
        (url.scheme() == "https" && plain && url.fragment().is_none()).then_some(url)
    }

    /// The browser's public key. Whether the point lies on the curve is not looked at here.
    pub fn p256dh(&self) -> Option<[u8; POINT_BYTES]> {
        let point: [u8; POINT_BYTES] = decode(&self.keys.p256dh)?;
        (point[0] == UNCOMPRESSED).then_some(point)
    }

    /// The authentication secret.
    pub fn auth(&self) -> Option<[u8; AUTH_BYTES]> {
        decode(&self.keys.auth)
    }

    /// Every rule it breaks, as (field, rule).
    pub fn broken_rules(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let url = "must be an https URL of at most 2048 characters, without user or fragment";
        let point = "must be an uncompressed P-256 point, 65 bytes as base64url";
        let secret = "must be 16 bytes as base64url";
        [
            (self.url().is_some(), "endpoint", url),
            (self.p256dh().is_some(), "keys.p256dh", point),
            (self.auth().is_some(), "keys.auth", secret),
        ]
        .into_iter()
        .filter(|(holds, ..)| !holds)
        .map(|(_, field, rule)| (field, rule))
    }
}

/// Exactly so many bytes from base64url, padded or not.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // What is longer than padded base64 of N bytes is not worth decoding.
    let bytes = (text.len() <= N.div_ceil(3) * 4).then(|| BASE64URL.decode(text).ok())??;
    bytes.try_into().ok()
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription(redacted)")
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(redacted)")
    }
}

/// What a browser needs to subscribe, and where its subscription may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Our public key, an uncompressed point as base64url: `applicationServerKey`.
    pub application_server_key: String,
    /// Whose subscriptions are taken.
    pub services: PushServices,
}

/// To which push services anything is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushServices {
    /// Known services: `host`, `*.domain` for every name under it, each with `:port` unless 443.
    pub hosts: Vec<String>,
    /// Any other name is taken too, on port 443.
    pub any_public: bool,
    /// `host:port` of services in the operator's own network: any address of theirs is connected.
    pub private: Vec<String>,
}

/// How far a connection to a push service may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// To any address: the operator named the service as one of his own network.
    Any,
    /// To public addresses only, whatever the name resolves to.
    Public,
}

impl PushServices {
    /// Whether an endpoint's service is known, and how far a connection to it may go.
    pub fn admit(&self, endpoint: &Url) -> Option<Addresses> {
        let port = endpoint.port_or_known_default()?;
        let host = endpoint.host_str()?;
        let own = self.private.iter().any(|known| *known == format!("{host}:{port}"));
        if own {
            return Some(Addresses::Any);
        }
        // An address instead of a name has no business here.
        let Some(Host::Domain(name)) = endpoint.host() else { return None };
        let known = self.hosts.iter().any(|pattern| matches(pattern, name, port));
        let public = self.any_public && port == 443 && name.contains('.');
        (known || public).then_some(Addresses::Public)
    }
}

/// Whether a text is a pattern for hosts.
pub fn is_pattern(pattern: &str) -> bool {
    let (host, port) = cut(pattern);
    let name = host.strip_prefix("*.").unwrap_or(host);
    let plain = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let is_name = matches!(Host::parse(name), Ok(Host::Domain(_)));
    port.is_some() && name.split('.').all(plain) && is_name
}

fn matches(pattern: &str, name: &str, port: u16) -> bool {
    let (host, wanted) = cut(pattern);
    let same = match host.strip_prefix('*') {
        // `*.domain`: something must stand before the dot.
        Some(tail) => name.len() > tail.len() && name.ends_with(tail),
        None => name == host,
    };
    same && wanted == Some(port)
}

fn cut(pattern: &str) -> (&str, Option<u16>) {
    match pattern.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (pattern, Some(443)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(endpoint: &str) -> Subscription {
        Subscription::of_bytes(endpoint.into(), &[4; POINT_BYTES], &[7; AUTH_BYTES])
    }

    fn services(any_public: bool) -> PushServices {
        let hosts = ["fcm.googleapis.com", "*.notify.windows.com", "push.example:8443"];
        let private = vec!["127.0.0.1:4443".to_owned(), "push.internal:443".to_owned()];
        PushServices { hosts: hosts.map(String::from).into(), any_public, private }
    }

    #[test]
    fn what_a_browser_says_is_read_and_its_debug_form_shows_nothing() {
        let auth = URL_SAFE_NO_PAD.encode([7; AUTH_BYTES]);
        let point = URL_SAFE_NO_PAD.encode([4; POINT_BYTES]);
        let json = serde_json::json!({
            "endpoint": "https://fcm.googleapis.com/fcm/send/secret",
            "expirationTime": null,
            "keys": {"p256dh": point, "auth": format!("{auth}==")},
        });
        let read: Subscription = serde_json::from_value(json).unwrap();
        assert_eq!(read.broken_rules().count(), 0);
        assert_eq!((read.p256dh(), read.auth()), (Some([4; 65]), Some([7; 16])));
        let shown = format!("{read:?} {:?}", read.keys);
        assert!(!shown.contains("secret") && !shown.contains(&auth), "{shown}");
    }

    #[test]
    fn every_broken_rule_is_named() {
        let fields =
            |one: &Subscription| -> Vec<_> { one.broken_rules().map(|(field, _)| field).collect() };
        for bad in [
            "http://fcm.googleapis.com/x",
            "https://user@fcm.googleapis.com/x",
            "https://:secret@fcm.googleapis.com/x",
            "https://fcm.googleapis.com/x#y",
            "//fcm.googleapis.com/x",
            "",
        ] {
            assert_eq!(fields(&subscription(bad)), ["endpoint"], "{bad}");
        }
        let long = format!("https://fcm.googleapis.com/{}", "x".repeat(ENDPOINT_MAX));
        assert_eq!(fields(&subscription(&long)), ["endpoint"]);
        let keys = Subscription::of_bytes("https://a.b/".into(), &[3; POINT_BYTES], &[0; 15]);
        assert_eq!(fields(&keys), ["keys.p256dh", "keys.auth"]);
    }

    #[test]
    fn only_known_names_on_their_port_are_admitted() {
        let admit = |any, text: &str| services(any).admit(&Url::parse(text).unwrap());
        for good in [
            "https://fcm.googleapis.com/fcm/send/x",
            "https://FCM.googleapis.com:443/x",
            "https://wns2-sg2p.notify.windows.com/w/?token=x",
            "https://push.example:8443/x",
        ] {
            assert_eq!(admit(false, good), Some(Addresses::Public), "{good}");
        }
        for own in ["https://127.0.0.1:4443/x", "https://push.internal/x"] {
            assert_eq!(admit(false, own), Some(Addresses::Any), "{own}");
        }
        for bad in [
            "https://fcm.googleapis.com:8443/x",
            "https://fcm.googleapis.com.evil.example/x",
            "https://notify.windows.com/x",
            "https://evilnotify.windows.com/x",
            "https://fcm.googleapis.com./x",
            "https://push.example/x",
            "https://127.0.0.1/x",
            "https://2130706433:4443x/x",
        ] {
            let admitted = Url::parse(bad).ok().and_then(|url| services(false).admit(&url));
            assert_eq!(admitted, None, "{bad}");
        }
        assert_eq!(admit(true, "https://push.city.example/x"), Some(Addresses::Public));
        for bad in [
            "https://10.0.0.1/x",
            "https://0x7f.1/x",
            "https://[::1]/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://localhost/x",
            "https://push.city.example:8080/x",
        ] {
            assert_eq!(admit(true, bad), None, "{bad}");
        }
    }

    #[test]
    fn patterns_are_names_with_perhaps_a_star_and_a_port() {
        for good in ["fcm.googleapis.com", "*.notify.windows.com", "push.example:8443"] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in ["", "*", "*.", "https://x.y", "10.0.0.1", "a*.b", "x.y:", "X.y", "x.y:99999"] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }
}
