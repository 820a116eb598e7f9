//! What a publication says in one person's language, and how loudly: the words of a push.
//!
//! Fan-out makes one [`Phrasebook`] per publication. For each device it asks a [`PushKey`], which
//! costs a few comparisons and no allocation; there are only a handful of different keys, and a
//! channel renders its payload once for each.

use std::borrow::Cow;

use crate::domain::alert::{Alert, Info, MsgType, ResponseType, Severity, Status};
use crate::domain::device::Permission;
use crate::domain::lane::Lane;
use crate::domain::publication::{Action, Content, Publication};
use crate::domain::push::{Loudness, PushContent};
use crate::domain::status_kinds::StatusKinds;

/// What a publication says in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// BCP 47 tag of the words.
    pub language: String,
    /// One line.
    pub title: String,
    /// What to do first, then what happened; may be empty.
    pub body: String,
}

/// Everything in which the pushes of one publication differ. Only meaningful together with the
/// [`Phrasebook`] that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PushKey {
    /// Which of the phrasebook's languages.
    language: usize,
    /// How loudly.
    pub loudness: Loudness,
    /// Whether it is marked coarse.
    pub coarse: bool,
}

/// A publication's words in all its languages.
#[derive(Clone, Debug)]
pub struct Phrasebook<'a> {
    publication: &'a Publication,
    words: Vec<Words>,
    kind: Option<String>,
    loudness: Loudness,
}

impl<'a> Phrasebook<'a> {
    /// The words of a publication; those of a status change come from its kind.
    pub fn new(publication: &'a Publication, kinds: &StatusKinds) -> Self {
        let words = match &publication.content {
            Content::Alert(alert) => alert_words(alert),
            Content::StatusChange(change) => ["vi", "en"]
                .map(|language| {
                    let (title, body) = kinds.push_text(&change.kind, language == "vi");
                    Words { language: language.to_owned(), title, body }
                })
                .into(),
            Content::Notice(notice) => notice
                .texts
                .iter()
                .map(|(language, text)| Words {
                    language: language.clone(),
                    title: text.title.clone(),
                    body: text.body.clone(),
                })
                .collect(),
        };
        let kind = match &publication.content {
            Content::StatusChange(change) => Some(&change.kind),
            _ => None,
        };
        let kind = kind.filter(|kind| kinds.get(kind).is_some_and(|kind| !kind.discreet)).cloned();
        Self { publication, words, kind, loudness: loudness(publication) }
    }

    /// Every language's words.
    pub fn all(&self) -> &[Words] {
        &self.words
    }

    /// The words for a person with these languages, the preferred first.
    pub fn words(&self, languages: &[String]) -> Option<&Words> {
        self.words.get(self.pick(languages))
    }

    /// What the push to one device depends on.
    pub fn key(&self, languages: &[String], permission: Permission, coarse: bool) -> PushKey {
        let loudness = match permission {
            Permission::Loud => self.loudness,
            Permission::Silent | Permission::Muted => Loudness::Passive,
        };
        PushKey { language: self.pick(languages), loudness, coarse }
    }

    /// The push for all devices of one key.
    pub fn content(&self, key: PushKey) -> PushContent {
        let publication = self.publication;
        let Words { language, title, body } =
            self.words.get(key.language).cloned().unwrap_or_else(|| Words {
                language: "vi".to_owned(),
                title: String::new(),
                body: String::new(),
            });
        PushContent {
            publication: publication.id,
            chain: publication.chain,
            action: publication.action(),
            lane: publication.lane,
            severity: publication.severity(),
            language,
            title,
            body,
            loudness: key.loudness,
            public: matches!(publication.content, Content::Alert(_)) && !publication.is_exercise(),
            kind: self.kind.clone(),
            exercise: publication.is_exercise(),
            coarse: key.coarse,
            expires: publication.expires,
            signature: publication.signature.clone(),
        }
    }

    fn pick(&self, languages: &[String]) -> usize {
        pick(&self.words, languages)
    }
}

/// The words of a publication for a person with these languages, the preferred first.
pub fn words(publication: &Publication, languages: &[String], kinds: &StatusKinds) -> Words {
    let book = Phrasebook::new(publication, kinds);
    let none = || Words { language: "vi".to_owned(), title: String::new(), body: String::new() };
    book.words(languages).cloned().unwrap_or_else(none)
}

/// The words of an alert in each of its languages, in the alert's order.
pub fn alert_words(alert: &Alert) -> Vec<Words> {
    let mut languages: Vec<&str> = Vec::new();
    for info in &alert.infos {
        if !languages.iter().any(|known| known.eq_ignore_ascii_case(&info.language)) {
            languages.push(&info.language);
        }
    }
    if languages.is_empty() {
        // A cancel may come without any info: it still has to be said.
        languages = vec!["vi", "en"];
    }
    languages.into_iter().map(|language| in_language(alert, language)).collect()
}

fn in_language(alert: &Alert, language: &str) -> Words {
    let infos = || alert.infos.iter().filter(|info| info.language.eq_ignore_ascii_case(language));
    let vietnamese = is_vietnamese(language);
    let title = join(infos().map(|info| filled(&info.headline).unwrap_or(&info.event)), "; ");
    let mut body = join(infos().map(info_body), "\n\n");
    if body.is_empty() && alert.msg_type == MsgType::Cancel {
        body = NO_LONGER[usize::from(!vietnamese)].to_owned();
    }
    Words { language: language.to_owned(), title: marked(alert, title, vietnamese), body }
}

/// What to do comes first: it must survive when a small screen or a payload limit cuts the rest.
fn info_body(info: &Info) -> Cow<'_, str> {
    match (filled(&info.instruction), filled(&info.description)) {
        (Some(instruction), Some(description)) => format!("{instruction}\n{description}").into(),
        (Some(only), None) | (None, Some(only)) => only.into(),
        (None, None) => "".into(),
    }
}

/// CAP 1.2 section 3.2.2: several `info` in one language are read as one list.
fn join<T: AsRef<str>>(parts: impl Iterator<Item = T>, between: &str) -> String {
    let mut seen: Vec<T> = Vec::new();
    for part in parts {
        if !part.as_ref().is_empty() && !seen.iter().any(|known| known.as_ref() == part.as_ref()) {
            seen.push(part);
        }
    }
    seen.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(between)
}

fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// What the body of a cancel says when the agency says nothing: Vietnamese, English.
const NO_LONGER: [&str; 2] =
    ["Cảnh báo trước đó không còn hiệu lực.", "The earlier alert no longer applies."];

/// Marks before the title: Vietnamese, English.
const EXERCISE: [&str; 2] = ["DIỄN TẬP", "EXERCISE"];
const TEST: [&str; 2] = ["THỬ NGHIỆM", "TEST"];
const CANCELLED: [&str; 2] = ["ĐÃ HỦY", "CANCELLED"];
const UPDATE: [&str; 2] = ["CẬP NHẬT", "UPDATE"];

/// A title with what it must not be mistaken without; a mark the agency wrote is not repeated.
fn marked(alert: &Alert, title: String, vietnamese: bool) -> String {
    let status = match alert.status {
        Status::Exercise => Some(EXERCISE),
        Status::Test | Status::System | Status::Draft => Some(TEST),
        Status::Actual => None,
    };
    let action = match alert.msg_type {
        MsgType::Cancel => Some(CANCELLED),
        MsgType::Update => Some(UPDATE),
        MsgType::Alert | MsgType::Ack | MsgType::Error => None,
    };
    let shouted = title.to_uppercase();
    let mut parts: Vec<&str> = [status, action]
        .into_iter()
        .flatten()
        .map(|mark| mark[usize::from(!vietnamese)])
        .filter(|mark| !shouted.starts_with(mark))
        .collect();
    if !title.is_empty() {
        parts.push(&title);
    }
    parts.join(": ")
}

/// How loudly a publication is said to those who allow it.
fn loudness(publication: &Publication) -> Loudness {
    let all_clear = match &publication.content {
        Content::Alert(alert) => {
            let clears = |info: &Info| info.response_types.contains(&ResponseType::AllClear);
            !alert.infos.is_empty() && alert.infos.iter().all(clears)
        }
        _ => false,
    };
    match (publication.lane, publication.severity()) {
        _ if all_clear || publication.action() == Action::Cancel => Loudness::Passive,
        (Lane::Emergency, Severity::Extreme) => Loudness::Critical,
        (Lane::Emergency, _) => Loudness::TimeSensitive,
        (Lane::Personal | Lane::Routine, _) => Loudness::Active,
    }
}

/// Whether a tag means Vietnamese.
pub fn is_vietnamese(tag: &str) -> bool {
    primary(tag).eq_ignore_ascii_case("vi")
}

/// The first subtag.
fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

/// The best language for a person: for each wanted tag in turn RFC 4647 lookup (section 3.4:
/// `vi-Latn-VN`, then `vi-Latn`, then `vi`), then any region of the same language, since a phone
/// says `vi` where agencies write `vi-VN`. Nobody's language: Vietnamese, English, the first.
fn pick(words: &[Words], languages: &[String]) -> usize {
    let wanted = languages.iter().map(String::as_str);
    wanted.chain(["vi", "en"]).find_map(|range| lookup(words, range)).unwrap_or(0)
}

fn lookup(words: &[Words], range: &str) -> Option<usize> {
    let mut range = range;
    loop {
        let found = words.iter().position(|words| words.language.eq_ignore_ascii_case(range));
        if found.is_some() {
            return found;
        }
        let Some((shorter, _)) = range.rsplit_once('-') else { break };
        // RFC 4647: a single letter introduces what follows it and goes with it.
        range = match shorter.rsplit_once('-') {
            Some((before, single)) if single.len() == 1 => before,
            _ => shorter,
        };
    }
    words.iter().position(|words| primary(&words.language).eq_ignore_ascii_case(range))
}

#[cfg(test)]
mod tests;
