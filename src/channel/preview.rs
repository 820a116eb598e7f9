//! What a push will say, for its author's eyes: rendered as each channel renders it, and sent to
//! nobody.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::channel::payload::PAYLOAD_MAX_BYTES;
use crate::channel::{apns, fcm, webpush};
use crate::domain::channel::Channel;
use crate::domain::push::{PushContent, Rendered};

/// Renders a push for every push channel; see [`crate::domain::push::Render`].
pub fn render(content: &PushContent) -> BTreeMap<Channel, Rendered> {
    let rendered = [
        (Channel::Apns, of_apns(content)),
        (Channel::Fcm, of_fcm(content)),
        (Channel::Webpush, of_webpush(content)),
    ];
    rendered.into_iter().filter_map(|(channel, one)| Some((channel, one?))).collect()
}

fn of_apns(content: &PushContent) -> Option<Rendered> {
    let style = apns::payload::Style {
        critical: true,
        critical_sound: "default".to_owned(),
        localised_kinds: Vec::new(),
    };
    let payload = apns::payload::Payload::render(content, &[style], 1).ok()?;
    said(payload.bodies().next()?, "/aps/alert")
}

fn of_fcm(content: &PushContent) -> Option<Rendered> {
    let style = fcm::payload::Style::default();
    let payload = fcm::payload::Payload::render(content, &style, PAYLOAD_MAX_BYTES).ok()?;
    let to = fcm::Address { kind: fcm::payload::Kind::Token, value: "" };
    said(&payload.pieces(to, content.expires, content.expires).concat(), "/message/notification")
}

fn of_webpush(content: &PushContent) -> Option<Rendered> {
    said(webpush::payload::render(content).ok()?.plaintext(), "")
}

/// The words at a place of a payload, and its size.
fn said(payload: &[u8], at: &str) -> Option<Rendered> {
    let document: Value = serde_json::from_slice(payload).ok()?;
    let words = document.pointer(at)?;
    let text = |name: &str| words[name].as_str().unwrap_or_default().to_owned();
    Some(Rendered { title: text("title"), body: text("body"), bytes: payload.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::payload::sample;

    #[test]
    fn every_channel_shows_its_words_and_counts_its_bytes() {
        let content = sample();
        let shown = render(&content);
        assert_eq!(shown.keys().copied().collect::<Vec<_>>(), Channel::PUSH);
        for (channel, one) in shown {
            assert_eq!((&one.title, &one.body), (&content.title, &content.body), "{channel}");
            assert!((1..=PAYLOAD_MAX_BYTES).contains(&one.bytes), "{channel}: {}", one.bytes);
        }
    }
}
