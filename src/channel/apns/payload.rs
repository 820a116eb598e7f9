//! The JSON Apple wants (FACTS A3, A5, A6), rendered once per push with the headers that go with
//! it.

use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::heads::Heads;
use super::settings::App;
use crate::channel::payload::{Error, PAYLOAD_MAX_BYTES, fit};
use crate::channel::recall::Recall;
use crate::domain::alert::Severity;
use crate::domain::ids::PublicationId;
use crate::domain::lane::Lane;
use crate::domain::publication::Action;
use crate::domain::push::{Loudness, PushContent};

/// A push as APNs takes it; all recipients share the bytes.
#[derive(Clone, Debug)]
pub struct Payload {
    /// One for each style of the channel.
    pub(super) forms: Vec<Form>,
    /// `apns-collapse-id`: the chain.
    pub(super) collapse_id: HeaderValue,
    /// Calls back what waits for a stream.
    pub(super) recall: Recall,
    /// The headers that all recipients share, by app.
    pub(super) heads: Heads,
}

impl Payload {
    /// Calls back what waits for a stream.
    pub fn recall(&self) -> &Recall {
        &self.recall
    }

    /// The JSON in every style.
    pub fn bodies(&self) -> impl Iterator<Item = &Bytes> {
        self.forms.iter().map(|form| &form.body)
    }

    /// Renders a push in every style.
    pub fn render(content: &PushContent, styles: &[Style], apps: usize) -> Result<Self, Error> {
        let forms: Result<Vec<Form>, Error> =
            styles.iter().map(|style| render(content, style)).collect();
        let collapse_id = content.chain.0.hyphenated().to_string();
        Ok(Self {
            forms: forms?,
            collapse_id: HeaderValue::try_from(collapse_id).expect("a UUID is plain ASCII"),
            recall: Recall::default(),
            heads: Heads::new(apps),
        })
    }
}

/// A push in one style.
#[derive(Clone, Debug)]
pub struct Form {
    /// The JSON.
    pub(super) body: Bytes,
    /// `apns-push-type`, in agreement with the JSON.
    pub(super) push_type: HeaderValue,
    /// `apns-priority`.
    pub(super) priority: HeaderValue,
}

/// In what the pushes of two apps may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// Critical alerts are allowed.
    pub critical: bool,
    /// The sound file of critical alerts.
    pub critical_sound: String,
    /// Kinds of status change whose texts the app has.
    pub localised_kinds: Vec<String>,
}

impl Style {
    /// The style of an app.
    pub fn of(app: &App) -> Self {
        Self {
            critical: app.critical_entitlement,
            critical_sound: app.critical_sound.clone(),
            localised_kinds: app.localised_kinds.clone(),
        }
    }
}

#[derive(Serialize)]
struct Root<'a> {
    aps: Aps<'a>,
    loa: Custom<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aps<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Alert<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<Sound<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relevance_score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutable_content: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_available: Option<u8>,
    thread_id: Uuid,
}

/// Our words, or the names of the app's own: Apple reads a `loc-key` in place of the text.
#[derive(Serialize)]
#[serde(untagged)]
enum Alert<'a> {
    Words {
        title: &'a str,
        body: &'a str,
    },
    #[serde(rename_all = "kebab-case")]
    Keys {
        title_loc_key: &'static str,
        loc_key: String,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Sound<'a> {
    Plain(&'static str),
    Critical { critical: u8, name: &'a str, volume: f32 },
}

#[derive(Serialize)]
struct Custom<'a> {
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
    /// Our words beside the names of the app's: what its notification service extension shows
    /// where an older version of the app lacks a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<[&'a str; 2]>,
}

/// Renders a push. Without words it becomes a background push, which wakes the app and shows
/// nothing.
fn render(content: &PushContent, style: &Style) -> Result<Form, Error> {
    let background = content.title.is_empty() && content.body.is_empty();
    let body = if background {
        json(content, style, None)
    } else {
        let around = json(content, style, Some(("", ""))).len();
        let room = PAYLOAD_MAX_BYTES.saturating_sub(around);
        let words = fit(&content.title, &content.body, room)?;
        json(content, style, Some((&words.title, &words.body)))
    };
    if body.len() > PAYLOAD_MAX_BYTES {
        return Err(Error::NoRoom { room: 0 });
    }
    let at_once =
        !background && (content.lane == Lane::Emergency || content.loudness > Loudness::Passive);
    Ok(Form {
        body: body.into(),
        push_type: HeaderValue::from_static(if background { "background" } else { "alert" }),
        // 5 lets the phone save power, and is the only one a background push may have.
        priority: HeaderValue::from_static(if at_once { "10" } else { "5" }),
    })
}

fn json(content: &PushContent, style: &Style, words: Option<(&str, &str)>) -> Vec<u8> {
    let shown = words.is_some();
    let level = interruption_level(content.loudness, style);
    let loc_key = loc_key(content, style);
    let localised = loc_key.is_some();
    let alert = words.map(|(title, body)| match loc_key {
        Some(loc_key) => Alert::Keys { title_loc_key: "loa.status.title", loc_key },
        None => Alert::Words { title, body },
    });
    let root = Root {
        aps: Aps {
            alert,
            sound: sound(content.loudness, style).filter(|_| shown),
            interruption_level: shown.then_some(level),
            relevance_score: shown.then(|| relevance(content.severity)),
            category: shown.then(|| category(content.lane)),
            mutable_content: shown.then_some(1),
            content_available: (!shown).then_some(1),
            thread_id: content.chain.0,
        },
        loa: Custom {
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
            words: words.filter(|_| localised).map(|(title, body)| [title, body]),
        },
    };
    serde_json::to_vec(&root).expect("plain data with string keys always serialises")
}

/// The name of the app's own text, where it ships one.
fn loc_key(content: &PushContent, style: &Style) -> Option<String> {
    let kind = content.kind.as_ref().filter(|kind| style.localised_kinds.contains(kind))?;
    Some(format!("loa.status.{kind}"))
}

fn interruption_level(loudness: Loudness, style: &Style) -> &'static str {
    match loudness {
        Loudness::Passive => "passive",
        Loudness::Active => "active",
        Loudness::Critical if style.critical => "critical",
        Loudness::TimeSensitive | Loudness::Critical => "time-sensitive",
    }
}

fn sound(loudness: Loudness, style: &Style) -> Option<Sound<'_>> {
    match loudness {
        Loudness::Passive => None,
        Loudness::Critical if style.critical => {
            Some(Sound::Critical { critical: 1, name: &style.critical_sound, volume: 1.0 })
        }
        _ => Some(Sound::Plain("default")),
    }
}

/// Sorts notifications in a summary, 0 to 1.
fn relevance(severity: Severity) -> f32 {
    match severity {
        Severity::Extreme => 1.0,
        Severity::Severe => 0.75,
        Severity::Moderate => 0.5,
        Severity::Minor => 0.25,
        Severity::Unknown => 0.0,
    }
}

/// Which buttons the app shows.
fn category(lane: Lane) -> &'static str {
    match lane {
        Lane::Emergency => "loa.emergency",
        Lane::Personal => "loa.personal",
        Lane::Routine => "loa.routine",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::payload::sample;

    const PLAIN: Style =
        Style { critical: false, critical_sound: String::new(), localised_kinds: Vec::new() };

    fn value(content: &PushContent, style: &Style) -> Value {
        serde_json::from_slice(&render(content, style).unwrap().body).unwrap()
    }

    #[test]
    fn a_hot_alert_says_all_that_the_phone_needs() {
        let content = sample();
        let app = Style { critical: true, critical_sound: "siren.caf".into(), ..PLAIN };
        let chain = content.chain.to_string();
        let expected = json!({
            "aps": {
                "alert": {"title": content.title, "body": content.body},
                "sound": {"critical": 1, "name": "siren.caf", "volume": 1.0},
                "interruption-level": "critical",
                "relevance-score": 1.0,
                "category": "loa.emergency",
                "mutable-content": 1,
                "thread-id": chain,
            },
            "loa": {
                "publication": content.publication, "chain": chain, "action": "alert",
                "lane": "emergency", "severity": "Extreme", "language": "vi",
                "exercise": false, "coarse": true, "expires": "2026-11-22T12:00:00Z",
            },
        });
        assert_eq!(value(&content, &app), expected);
        let payload = Payload::render(&content, &[PLAIN, app], 2).unwrap();
        assert_eq!(payload.forms[1].push_type, "alert");
        assert_eq!(payload.forms[1].priority, "10");
        assert_eq!(payload.collapse_id, chain.as_str());
        assert_ne!(payload.forms[0].body, payload.forms[1].body, "each style has its own");
    }

    #[test]
    fn without_the_entitlement_the_gravest_is_time_sensitive() {
        let aps = &value(&sample(), &PLAIN)["aps"];
        assert_eq!(aps["interruption-level"], "time-sensitive");
        assert_eq!(aps["sound"], "default");
    }

    #[test]
    fn quiet_pushes_have_no_sound_and_only_emergencies_stay_urgent() {
        let mut content = PushContent { loudness: Loudness::Passive, ..sample() };
        assert_eq!(value(&content, &PLAIN)["aps"]["sound"], Value::Null);
        assert_eq!(render(&content, &PLAIN).unwrap().priority, "10");
        content.lane = Lane::Routine;
        assert_eq!(render(&content, &PLAIN).unwrap().priority, "5");
    }

    #[test]
    fn a_push_without_words_is_a_background_push_and_says_so_everywhere() {
        let content = PushContent { title: String::new(), body: String::new(), ..sample() };
        let payload = render(&content, &PLAIN).unwrap();
        assert_eq!(
            (&payload.push_type, &payload.priority),
            (&"background".parse().unwrap(), &"5".parse().unwrap())
        );
        let aps = json!({"content-available": 1, "thread-id": content.chain});
        assert_eq!(value(&content, &PLAIN)["aps"], aps);
    }

    #[test]
    fn an_app_that_ships_the_texts_gets_their_names_and_our_words_to_fall_back_on() {
        let kind = Some("dossier".to_owned());
        let content = PushContent { kind, lane: Lane::Personal, ..sample() };
        let ships = Style { localised_kinds: vec!["dossier".into()], ..PLAIN };
        let push = value(&content, &ships);
        let keys = json!({"title-loc-key": "loa.status.title", "loc-key": "loa.status.dossier"});
        assert_eq!(push["aps"]["alert"], keys);
        assert_eq!(push["loa"]["words"], json!([content.title, content.body]));
        let words = json!({"title": content.title, "body": content.body});
        assert_eq!(value(&content, &PLAIN)["aps"]["alert"], words);
        let other = PushContent { kind: Some("report-1022".to_owned()), ..content };
        assert_eq!(value(&other, &ships)["aps"]["alert"], words);
        assert_eq!(value(&other, &ships)["loa"]["words"], Value::Null);
    }

    #[test]
    fn long_words_are_cut_to_exactly_the_limit() {
        let mut content = sample();
        for text in ["\"Nước dâng nhanh\" ", "🌊👨‍👩‍👧", "\\\n", "e\u{0302}\u{0301}"]
        {
            content.body = text.repeat(2000);
            let payload = render(&content, &PLAIN).unwrap();
            let len = payload.body.len();
            assert!((PAYLOAD_MAX_BYTES - 40..=PAYLOAD_MAX_BYTES).contains(&len), "{len}");
            let body = value(&content, &PLAIN)["aps"]["alert"]["body"].as_str().unwrap().to_owned();
            assert!(body.ends_with('…'));
            assert!(content.body.starts_with(body.trim_end_matches('…')));
        }
    }
}
