//! The rules a profile must keep, each named by its field, so that a refusal can say all of them.

use std::collections::BTreeSet;
use std::fmt;

use crate::domain::channel::PushAddress;
use crate::domain::device::{LANGUAGES_MAX, PLACES_MAX, Profile};

/// Characters of an APNs token. Apple says that its size may change; today it is 64, and tokens
/// of up to 100 bytes (200 characters) are documented for newer systems.
pub const APNS_TOKEN_CHARS: std::ops::RangeInclusive<usize> = 64..=200;
/// Characters of an app's bundle id: Apple's limit is 155.
pub const APNS_TOPIC_MAX: usize = 155;
/// Characters of an FCM registration token; Google names no limit, 4,096 is what it accepts.
pub const FCM_VALUE_MAX: usize = 4096;
/// Characters of a version text (the app's, a consent text's).
pub const VERSION_MAX: usize = 64;
/// Minutes of a day.
const DAY_MINUTES: u16 = 1440;
/// Characters of a BCP 47 tag: RFC 5646, 4.4.1 asks for at least 35.
const LANGUAGE_MAX: usize = 35;

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, as a path in the profile's JSON, such as `places[1].cell`.
    pub field: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.rule)
    }
}

/// Every rule a profile breaks; empty when it may be stored.
pub fn validate(profile: &Profile) -> Vec<Violation> {
    let mut found = Findings::default();
    address(&profile.address, &mut found);
    places(profile, &mut found);
    languages(&profile.languages, &mut found);
    if let Some(hours) = profile.quiet_hours {
        let rule = "must be a minute of the day, 0..1440";
        found.unless(hours.from_minute < DAY_MINUTES, "quiet_hours.from_minute", rule);
        found.unless(hours.to_minute < DAY_MINUTES, "quiet_hours.to_minute", rule);
    }
    let version = "must be 1 to 64 characters";
    let fits = |text: &String| (1..=VERSION_MAX).contains(&text.len());
    if let Some(consent) = &profile.location_consent {
        found.unless(fits(&consent.text_version), "location_consent.text_version", version);
    }
    found.unless(profile.app_version.as_ref().is_none_or(fits), "app_version", version);
    found.0
}

#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn unless(&mut self, holds: bool, field: impl Into<String>, rule: &'static str) {
        if !holds {
            self.0.push(Violation { field: field.into(), rule });
        }
    }
}

fn address(address: &PushAddress, found: &mut Findings) {
    match address {
        PushAddress::Websocket => {}
        PushAddress::Apns { token, topic, .. } => {
            let hex = token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            found.unless(hex, "address.token", "must be lower-case hexadecimal");
            let length = APNS_TOKEN_CHARS.contains(&token.len()) && token.len() % 2 == 0;
            found.unless(length, "address.token", "must be 64 to 200 characters, an even number");
            let bundle = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
            let fits = (1..=APNS_TOPIC_MAX).contains(&topic.len()) && topic.bytes().all(bundle);
            found.unless(
                fits,
                "address.topic",
                "must be 1 to 155 characters of A-Z, a-z, 0-9, - .",
            );
        }
        PushAddress::Fcm { value, .. } => {
            let fits = (1..=FCM_VALUE_MAX).contains(&value.len())
                && value.bytes().all(|byte| byte.is_ascii_graphic());
            let rule = "must be 1 to 4096 printable ASCII characters without blanks";
            found.unless(fits, "address.value", rule);
        }
        PushAddress::Webpush(subscription) => {
            for (field, rule) in subscription.broken_rules() {
                found.unless(false, format!("address.{field}"), rule);
            }
        }
    }
}

fn places(profile: &Profile, found: &mut Findings) {
    let places = &profile.places;
    found.unless(places.len() <= PLACES_MAX, "places", "may hold at most 16 places");
    let mut seen = BTreeSet::new();
    for (index, place) in places.iter().enumerate() {
        let first = seen.insert(place);
        found.unless(first, format!("places[{index}]"), "repeats an earlier place");
        let allowed = place.cell.is_none() || profile.location_consent.is_some();
        found.unless(allowed, format!("places[{index}].cell"), "needs location_consent");
    }
}

fn languages(languages: &[String], found: &mut Findings) {
    found.unless(!languages.is_empty(), "languages", "must name at least one language");
    found.unless(languages.len() <= LANGUAGES_MAX, "languages", "may hold at most 8 languages");
    let mut seen = BTreeSet::new();
    for (index, tag) in languages.iter().enumerate() {
        let field = || format!("languages[{index}]");
        found.unless(is_language_tag(tag), field(), "must be a BCP 47 language tag");
        found.unless(seen.insert(tag.to_ascii_lowercase()), field(), "repeats an earlier tag");
    }
}

/// The shape of RFC 5646: a language of 2 to 8 letters, then subtags of 1 to 8 letters or digits.
fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    tag.len() <= LANGUAGE_MAX
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests;
