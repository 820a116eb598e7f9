//! The JSON Google wants (FACTS F4, F5, F8), rendered once per push. Only the address and the ttl
//! differ from one request to the next; they are spliced between shared bytes.
//!
//! Google does not say how it counts the 4,096 bytes; here the whole request counts, without the
//! address.
//!
//! Collapse keys: FCM keeps at most four per device and, of what collapses, one message per key
//! while the device is offline. So only the emergency lane has one, its chain: an offline phone
//! gets the newest word of each hot alert. Elsewhere nothing may push out anything else. On the
//! screen the notification's `tag` (the chain, always) lets a later push replace an earlier one.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::settings::NotificationChannels;
use crate::channel::payload::{Error, fit};
use crate::channel::recall::Recall;
use crate::domain::alert::Severity;
use crate::domain::channel::FcmAddressKind;
use crate::domain::ids::PublicationId;
use crate::domain::lane::Lane;
use crate::domain::publication::Action;
use crate::domain::push::{Loudness, PushContent};

/// Longest time FCM stores a message: four weeks.
const TTL_MAX_SECONDS: i64 = 2_419_200;
/// Largest message a topic takes (FACTS F4), in bytes.
pub const TOPIC_MAX_BYTES: usize = 2048;
const BEFORE_TOKEN: &str = r#"{"message":{"token":"#;
const BEFORE_FID: &str = r#"{"message":{"fid":"#;
const BEFORE_TOPIC: &str = r#"{"message":{"topic":"#;

/// What kind of value addresses a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A registration token.
    Token,
    /// A Firebase installation id.
    Fid,
    /// The topic of a unit.
    Topic,
}

impl From<FcmAddressKind> for Kind {
    fn from(kind: FcmAddressKind) -> Self {
        match kind {
            FcmAddressKind::Token => Self::Token,
            FcmAddressKind::Fid => Self::Fid,
        }
    }
}

/// How the app wants its pushes.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// The notification channels it made.
    pub channels: NotificationChannels,
    /// It draws notifications itself.
    pub data_only: bool,
}

/// A push as FCM takes it; all recipients share the bytes.
#[derive(Clone, Debug)]
pub struct Payload {
    /// What follows the ttl.
    suffix: Bytes,
    /// Calls back what waits for a stream.
    pub(super) recall: Recall,
}

impl Payload {
    /// Calls back what waits for a stream.
    pub fn recall(&self) -> &Recall {
        &self.recall
    }

    /// The three pieces of a request: shared, own, shared.
    pub fn pieces(&self, to: super::Address<'_>, expires: Timestamp, now: Timestamp) -> [Bytes; 3] {
        let prefix = match to.kind {
            Kind::Token => BEFORE_TOKEN,
            Kind::Fid => BEFORE_FID,
            Kind::Topic => BEFORE_TOPIC,
        };
        let middle = middle(to.value, expires.as_second() - now.as_second());
        [Bytes::from_static(prefix.as_bytes()), middle.into(), self.suffix.clone()]
    }
}

impl Payload {
    /// Renders a push of at most so many bytes. Without words it becomes a data message, which
    /// wakes the app and shows nothing.
    pub fn render(content: &PushContent, style: &Style, max_bytes: usize) -> Result<Self, Error> {
        let longest = BEFORE_TOKEN.len() + middle("", TTL_MAX_SECONDS).len();
        let suffix = if content.title.is_empty() && content.body.is_empty() {
            suffix(content, style, None)
        } else {
            let empty = Notification { title: "", body: "" };
            let around = longest + suffix(content, style, Some(empty)).len();
            let words = fit(&content.title, &content.body, max_bytes.saturating_sub(around))?;
            let words = Notification { title: &words.title, body: &words.body };
            suffix(content, style, Some(words))
        };
        if longest + suffix.len() > max_bytes {
            return Err(Error::NoRoom { room: 0 });
        }
        Ok(Payload { suffix: suffix.into(), recall: Recall::default() })
    }
}

/// The address and the time to live. Relative to the send, not to the rendering: a push that is
/// tried again must not live longer for it.
fn middle(address: &str, ttl_seconds: i64) -> String {
    let address = serde_json::to_string(address).expect("a string always serialises");
    let ttl = ttl_seconds.clamp(0, TTL_MAX_SECONDS);
    format!(r#"{address},"android":{{"ttl":"{ttl}s","#)
}

#[derive(Serialize)]
struct Rest<'a> {
    android: Android<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<Notification<'a>>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Android<'a> {
    priority: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    collapse_key: Option<Uuid>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    direct_boot_ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<AndroidNotification<'a>>,
}

#[derive(Serialize)]
struct AndroidNotification<'a> {
    channel_id: &'a str,
    tag: Uuid,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default_sound: bool,
    visibility: &'static str,
}

#[derive(Serialize)]
struct Notification<'a> {
    title: &'a str,
    body: &'a str,
}

/// `data` takes strings only.
#[derive(Serialize)]
struct Data<'a> {
    publication: PublicationId,
    chain: Uuid,
    action: Action,
    lane: Lane,
    severity: Severity,
    language: &'a str,
    exercise: &'static str,
    coarse: &'static str,
    expires: Timestamp,
    /// Over the alert's CAP document.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
    /// What an app that draws notifications itself needs for it.
    #[serde(flatten)]
    drawn: Option<Drawn<'a>>,
}

#[derive(Serialize)]
struct Drawn<'a> {
    title: &'a str,
    body: &'a str,
    channel_id: &'a str,
    tag: Uuid,
    sound: &'static str,
    visibility: &'static str,
}

/// Everything behind `"android":{"ttl":"…s",`.
fn suffix(content: &PushContent, style: &Style, words: Option<Notification<'_>>) -> Vec<u8> {
    let emergency = content.lane == Lane::Emergency;
    let shown = words.is_some();
    let urgent = shown && (emergency || content.loudness >= Loudness::TimeSensitive);
    let channel_id = channel_id(content, &style.channels);
    let tag = content.chain.0;
    let default_sound = content.loudness > Loudness::Passive;
    // A warning is for whoever sees the locked phone; a dossier's progress is not.
    let visibility = if content.lane == Lane::Personal { "PRIVATE" } else { "PUBLIC" };
    let flag = |set| if set { "true" } else { "false" };
    let (notification, drawn) = match words {
        Some(Notification { title, body }) if style.data_only => {
            let sound = flag(default_sound);
            (None, Some(Drawn { title, body, channel_id, tag, sound, visibility }))
        }
        words => (words, None),
    };
    let android_notification = notification.is_some().then_some(AndroidNotification {
        channel_id,
        tag,
        default_sound,
        visibility,
    });
    let rest = Rest {
        android: Android {
            priority: if urgent { "HIGH" } else { "NORMAL" },
            collapse_key: emergency.then_some(tag),
            direct_boot_ok: emergency,
            notification: android_notification,
        },
        notification,
        data: Data {
            publication: content.publication,
            chain: content.chain.0,
            action: content.action,
            lane: content.lane,
            severity: content.severity,
            language: &content.language,
            exercise: flag(content.exercise),
            coarse: flag(content.coarse),
            expires: content.expires,
            signature: content.signature.as_deref(),
            drawn,
        },
    };
    let mut json = serde_json::to_vec(&rest).expect("plain data always serialises");
    // `{"android":{` came before the address; the message's and the request's braces close here.
    json.drain(..r#"{"android":{"#.len());
    json.push(b'}');
    json
}

fn channel_id<'a>(content: &PushContent, channels: &'a NotificationChannels) -> &'a str {
    match (content.loudness, content.lane) {
        (Loudness::Passive, _) => &channels.quiet,
        (Loudness::Critical, _) => &channels.critical,
        (_, Lane::Emergency) => &channels.emergency,
        (_, Lane::Personal) => &channels.personal,
        (_, Lane::Routine) => &channels.routine,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Address;
    use super::*;
    use crate::channel::payload::{PAYLOAD_MAX_BYTES, sample};

    const TO: Address<'static> = Address { kind: Kind::Token, value: "a:\"b\"_-" };

    fn now() -> Timestamp {
        "2026-11-22T11:00:00.25Z".parse().unwrap()
    }

    fn rendered(content: &PushContent) -> Payload {
        Payload::render(content, &Style::default(), PAYLOAD_MAX_BYTES).unwrap()
    }

    fn bytes(content: &PushContent, to: Address<'_>) -> Vec<u8> {
        let payload = rendered(content);
        payload.pieces(to, content.expires, now()).concat()
    }

    fn value(content: &PushContent) -> Value {
        serde_json::from_slice(&bytes(content, TO)).unwrap()
    }

    #[test]
    fn a_hot_alert_says_all_that_the_phone_needs() {
        let content = sample();
        let chain = content.chain.to_string();
        let expected = json!({"message": {
            "token": TO.value,
            "android": {
                "ttl": "3600s", "priority": "HIGH", "collapse_key": chain, "direct_boot_ok": true,
                "notification": {
                    "channel_id": "loa_critical", "tag": chain, "default_sound": true,
                    "visibility": "PUBLIC",
                },
            },
            "notification": {"title": content.title, "body": content.body},
            "data": {
                "publication": content.publication, "chain": chain, "action": "alert",
                "lane": "emergency", "severity": "Extreme", "language": "vi",
                "exercise": "false", "coarse": "true", "expires": "2026-11-22T12:00:00Z",
            },
        }});
        assert_eq!(value(&content), expected);
    }

    #[test]
    fn an_installation_id_takes_the_tokens_place() {
        let to = Address { kind: Kind::Fid, value: "cIn" };
        let value: Value = serde_json::from_slice(&bytes(&sample(), to)).unwrap();
        assert_eq!(value["message"]["fid"], "cIn");
        assert_eq!(value["message"]["token"], Value::Null);
    }

    #[test]
    fn ttl_follows_the_time_of_sending_within_fcms_bounds() {
        let payload = rendered(&sample());
        let ttl = |expires: &str| {
            let bytes = payload.pieces(TO, expires.parse().unwrap(), now()).concat();
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            value["message"]["android"]["ttl"].as_str().unwrap().to_owned()
        };
        assert_eq!(ttl("2026-11-22T11:00:30Z"), "30s");
        assert_eq!(ttl("2026-11-22T10:00:00Z"), "0s");
        assert_eq!(ttl("2027-11-22T10:00:00Z"), "2419200s");
    }

    #[test]
    fn other_lanes_neither_collapse_nor_hurry() {
        let content = PushContent { lane: Lane::Routine, loudness: Loudness::Active, ..sample() };
        let android = &value(&content)["message"]["android"];
        assert_eq!(android["priority"], "NORMAL");
        assert_eq!(android["collapse_key"], Value::Null);
        assert_eq!(android["direct_boot_ok"], Value::Null);
        assert_eq!(android["notification"]["channel_id"], "loa_routine");
        assert_eq!(android["notification"]["tag"], content.chain.to_string());
        let quiet = PushContent { loudness: Loudness::Passive, ..content };
        let notification = &value(&quiet)["message"]["android"]["notification"];
        assert_eq!(notification["channel_id"], "loa_quiet");
        assert_eq!(notification["default_sound"], Value::Null);
    }

    #[test]
    fn an_app_that_draws_itself_gets_the_words_as_data_and_as_urgently() {
        let content = sample();
        let style = Style { data_only: true, ..Style::default() };
        let payload = Payload::render(&content, &style, PAYLOAD_MAX_BYTES).unwrap();
        let pieces = payload.pieces(TO, content.expires, now()).concat();
        let message = &serde_json::from_slice::<Value>(&pieces).unwrap()["message"];
        assert_eq!(message["notification"], Value::Null);
        assert_eq!(message["android"]["notification"], Value::Null);
        assert_eq!(message["android"]["priority"], "HIGH");
        assert_eq!(message["android"]["direct_boot_ok"], true);
        let data = message["data"].as_object().unwrap();
        assert_eq!((&data["title"], &data["body"]), (&json!(content.title), &json!(content.body)));
        assert_eq!((&data["channel_id"], &data["sound"]), (&json!("loa_critical"), &json!("true")));
        assert!(data.values().all(Value::is_string), "data takes strings only");
    }

    #[test]
    fn a_topic_takes_half() {
        let content = PushContent { body: "Nước dâng nhanh. ".repeat(2000), ..sample() };
        let payload = Payload::render(&content, &Style::default(), TOPIC_MAX_BYTES).unwrap();
        let to = Address { kind: Kind::Topic, value: "" };
        let pieces = payload.pieces(to, content.expires, now()).concat();
        assert!((TOPIC_MAX_BYTES - 48..=TOPIC_MAX_BYTES).contains(&pieces.len()));
        let to = Address { kind: Kind::Topic, value: "loa-unit-26734" };
        let pieces = payload.pieces(to, content.expires, now()).concat();
        let message = &serde_json::from_slice::<Value>(&pieces).unwrap()["message"];
        assert_eq!(message["topic"], "loa-unit-26734");
    }

    #[test]
    fn a_push_without_words_is_data_only_and_not_urgent() {
        let content = PushContent { title: String::new(), body: String::new(), ..sample() };
        let message = &value(&content)["message"];
        assert_eq!(message["notification"], Value::Null);
        assert_eq!(message["android"]["notification"], Value::Null);
        assert_eq!(message["android"]["priority"], "NORMAL");
    }

    #[test]
    fn long_words_are_cut_to_the_limit() {
        let to = Address { kind: Kind::Token, value: "" };
        for text in ["\"Nước dâng nhanh\" ", "🌊👨‍👩‍👧", "\\\n", "e\u{0302}\u{0301}"]
        {
            let content = PushContent { body: text.repeat(2000), ..sample() };
            let len = bytes(&content, to).len();
            assert!((PAYLOAD_MAX_BYTES - 48..=PAYLOAD_MAX_BYTES).contains(&len), "{len}");
        }
    }

    #[test]
    fn all_requests_share_the_bytes() {
        let payload = rendered(&sample());
        let [_, _, one] = payload.pieces(TO, sample().expires, now());
        let [_, _, other] = payload.pieces(TO, sample().expires, now());
        assert_eq!(one.as_ptr(), other.as_ptr());
    }
}
