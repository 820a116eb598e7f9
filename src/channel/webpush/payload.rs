//! The JSON a page's service worker gets, rendered once per push and encrypted for each browser.
//!
//! Topic: while a browser is offline its push service keeps one message per topic, and the topic is
//! the chain: an update takes the place of what it updates. Other chains are not pushed out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::ece::PLAINTEXT_MAX_BYTES;
use crate::channel::payload::{Error, fit};
use crate::channel::recall::Recall;
use crate::domain::alert::Severity;
use crate::domain::ids::PublicationId;
use crate::domain::lane::Lane;
use crate::domain::publication::Action;
use crate::domain::push::{Loudness, PushContent};

/// A push as a service worker takes it; all browsers share the bytes, before their encryption.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The message.
    pub(super) plaintext: Bytes,
    /// `Urgency` (RFC 8030 section 5.3).
    pub(super) urgency: &'static str,
    /// `Topic` (section 5.4).
    pub(super) topic: HeaderValue,
    /// Calls back what waits for a stream.
    pub(super) recall: Recall,
}

impl Payload {
    /// Calls back what waits for a stream.
    pub fn recall(&self) -> &Recall {
        &self.recall
    }

    /// The message before its encryption.
    pub fn plaintext(&self) -> &Bytes {
        &self.plaintext
    }
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    body: &'a str,
    silent: bool,
    loa: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    publication: PublicationId,
    chain: Uuid,
    action: Action,
    lane: Lane,
    severity: Severity,
    language: &'a str,
    exercise: bool,
    coarse: bool,
    expires: Timestamp,
    /// Over the alert's CAP document.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// Renders a push. Of a citizen's own affairs it says only that there is news: a browser may be
/// shared, and its notifications lie open.
pub fn render(content: &PushContent) -> Result<Payload, Error> {
    let said = if content.lane == Lane::Personal { "" } else { &content.body };
    let around = write(content, (".", ".")).len() - 2;
    let room = PLAINTEXT_MAX_BYTES.saturating_sub(around);
    let words = fit(&content.title, said, room)?;
    Ok(Payload {
        plaintext: write(content, (&words.title, &words.body)).into(),
        urgency: urgency(content),
        topic: topic(content.chain.0),
        recall: Recall::default(),
    })
}

fn write(content: &PushContent, (title, body): (&str, &str)) -> Vec<u8> {
    let message = Message {
        title,
        body,
        silent: content.loudness == Loudness::Passive,
        loa: Data {
            publication: content.publication,
            chain: content.chain.0,
            action: content.action,
            lane: content.lane,
            severity: content.severity,
            language: &content.language,
            exercise: content.exercise,
            coarse: content.coarse,
            expires: content.expires,
            signature: content.signature.as_deref(),
            url: content.public.then(|| format!("/v1/cap/{}.xml", content.publication)),
        },
    };
    serde_json::to_vec(&message).expect("plain data always serialises")
}

/// A browser on battery may put off what is not `high`.
fn urgency(content: &PushContent) -> &'static str {
    match (content.loudness, content.lane) {
        (Loudness::Critical | Loudness::TimeSensitive, _) => "high",
        (Loudness::Active, _) | (_, Lane::Emergency) => "normal",
        (Loudness::Passive, _) => "low",
    }
}

/// At most 32 characters of base64url: a UUID's bytes are 22.
fn topic(chain: Uuid) -> HeaderValue {
    HeaderValue::try_from(URL_SAFE_NO_PAD.encode(chain.as_bytes())).expect("base64url is ASCII")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::payload::sample;

    fn value(content: &PushContent) -> Value {
        serde_json::from_slice(&render(content).unwrap().plaintext).unwrap()
    }

    #[test]
    fn a_hot_alert_says_all_that_the_page_needs() {
        let content = sample();
        let expected = json!({
            "title": content.title, "body": content.body, "silent": false,
            "loa": {
                "publication": content.publication, "chain": content.chain, "action": "alert",
                "lane": "emergency", "severity": "Extreme", "language": "vi",
                "exercise": false, "coarse": true, "expires": "2026-11-22T12:00:00Z",
                "url": format!("/v1/cap/{}.xml", content.publication),
            },
        });
        assert_eq!(value(&content), expected);
        let payload = render(&content).unwrap();
        assert_eq!((payload.urgency, payload.topic.len()), ("high", 22));
    }

    #[test]
    fn of_a_citizens_own_affairs_only_that_there_is_news() {
        let content = PushContent { lane: Lane::Personal, public: false, ..sample() };
        let value = value(&content);
        assert_eq!(value["title"], content.title);
        assert_eq!((&value["body"], &value["loa"]["url"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn urgency_follows_loudness_and_lane() {
        let urgency = |lane, loudness| urgency(&PushContent { lane, loudness, ..sample() });
        assert_eq!(urgency(Lane::Emergency, Loudness::TimeSensitive), "high");
        assert_eq!(urgency(Lane::Emergency, Loudness::Passive), "normal");
        assert_eq!(urgency(Lane::Personal, Loudness::Active), "normal");
        assert_eq!(urgency(Lane::Routine, Loudness::Passive), "low");
    }

    #[test]
    fn long_words_are_cut_to_the_limit() {
        for text in ["\"Nước dâng nhanh\" ", "🌊👨‍👩‍👧", "\\\n"] {
            let content = PushContent { body: text.repeat(2000), ..sample() };
            let len = render(&content).unwrap().plaintext.len();
            assert!((PLAINTEXT_MAX_BYTES - 48..=PLAINTEXT_MAX_BYTES).contains(&len), "{len}");
        }
    }
}
