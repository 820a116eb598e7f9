//! What citizens see of a publication: the same document in streams, inbox and public lists.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::alert::{Info, Severity, Status};
use crate::domain::audience::{Audience, Coverage};
use crate::domain::ids::PublicationId;
use crate::domain::level::Level;
use crate::domain::notice::{Notice, NoticeKind};
use crate::domain::publication::{Action, Content, Publication};
use crate::domain::survey::Question;

/// A publication, for citizens.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Publication)]
pub struct View {
    /// Its id: a client that sees it twice drops the second.
    #[schema(value_type = String, format = "uuid")]
    pub id: PublicationId,
    /// Its chain: a later one of the chain takes the earlier one's place on the screen.
    #[schema(value_type = String, format = "uuid")]
    pub chain: String,
    /// `alert`, `status_change` or `notice`.
    pub kind: &'static str,
    /// `alert`, `update` or `cancel`.
    #[schema(value_type = String)]
    pub action: Action,
    /// `emergency`, `personal` or `routine`.
    pub lane: &'static str,
    /// CAP severity, for an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub severity: Option<Severity>,
    /// Level of disaster risk, 1 to 5, where an alert names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u8>)]
    pub level: Option<Level>,
    /// `news` or `survey`, for a notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub notice: Option<NoticeKind>,
    /// Who published it.
    pub agency: String,
    /// What people call them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency_name: Option<String>,
    /// When it was accepted.
    #[schema(value_type = String, format = "date-time")]
    pub accepted_at: Timestamp,
    /// After this it says nothing any more.
    #[schema(value_type = String, format = "date-time")]
    pub expires: Timestamp,
    /// What it replaces or withdraws.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub supersedes: Vec<PublicationId>,
    /// An exercise; only devices that take part get it.
    pub exercise: bool,
    /// The unit is covered in part and your place is the whole unit: it may not concern you.
    pub coarse: bool,
    /// To be shown without sound: your quiet hours.
    pub silent: bool,
    /// Where; absent for what concerns you alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area: Option<AreaView>,
    /// The words, by language.
    pub texts: Vec<TextView>,
    /// The step of your report or dossier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusView>,
    /// What a survey asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub questions: Vec<Question>,
    /// The whole CAP message, for an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("/v1/cap/0197c7a2-0000-7000-8000-000000000000.xml"))]
    pub cap: Option<String>,
    /// Over that message, byte for byte: a detached JWS (RFC 7515, appendix F) by a key of
    /// `/.well-known/jwks.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Where a publication applies.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Area)]
pub struct AreaView {
    /// `approximate` or `imported`: how true the boundaries were.
    pub boundaries: &'static str,
    /// Which set of codes the units are of.
    pub vintage: String,
    /// Codes of units, covered whole or in part.
    pub units: Vec<String>,
    /// The areas in the publisher's words, of all languages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub descriptions: Vec<String>,
}

/// The words in one language.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Text)]
pub struct TextView {
    /// BCP 47.
    pub language: String,
    /// One line.
    pub title: String,
    /// What happened.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// What kind of event, for an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The originator's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The areas in words of this language, for an alert.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<String>,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
    /// Whom to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

/// One step of a citizen's own report or dossier.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = StatusStep)]
pub struct StatusView {
    /// The kind of thing that moved.
    pub kind: String,
    /// The agency's number of it.
    pub reference: String,
    /// The state it is in now.
    pub state: String,
    /// When it moved.
    #[schema(value_type = String, format = "date-time")]
    pub changed_at: Timestamp,
    /// Rises with each step of this reference.
    pub step: u64,
    /// A remark for you.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Which of a publication's languages are shown, a bit each in their order; all bits set means all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Languages(u32);

impl Languages {
    /// Every language.
    pub const ALL: Languages = Languages(u32::MAX);

    /// Those that a person reads, by primary subtag; all of them if the person reads none.
    pub fn chosen<'a, 'b>(
        offered: impl Iterator<Item = &'a str>,
        wanted: impl Iterator<Item = &'b str> + Clone,
    ) -> Self {
        let bits = offered.take(32).enumerate().fold(0u32, |bits, (index, language)| {
            let same = |tag| primary(tag).eq_ignore_ascii_case(primary(language));
            let reads = wanted.clone().any(same);
            bits | u32::from(reads) << index
        });
        if bits == 0 { Self::ALL } else { Self(bits) }
    }

    fn includes(self, index: usize) -> bool {
        self == Self::ALL || (index < 32 && self.0 >> index & 1 == 1)
    }
}

fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

/// The languages a publication is written in, in its order.
pub fn languages(publication: &Publication) -> Box<dyn Iterator<Item = &str> + '_> {
    match &publication.content {
        Content::Alert(alert) => Box::new(alert.infos.iter().map(|info| info.language.as_str())),
        Content::Notice(notice) => Box::new(notice.texts.keys().map(String::as_str)),
        Content::StatusChange(_) => Box::new(std::iter::empty()),
    }
}

impl View {
    /// A publication as a citizen sees it in these languages.
    pub fn of(publication: &Publication, languages: Languages) -> Self {
        let kind = match &publication.content {
            Content::Alert(_) => "alert",
            Content::StatusChange(_) => "status_change",
            Content::Notice(_) => "notice",
        };
        let is_alert = kind == "alert";
        Self {
            id: publication.id,
            chain: publication.chain.to_string(),
            kind,
            action: publication.action(),
            lane: publication.lane.as_str(),
            severity: is_alert.then(|| publication.severity()),
            level: level(publication),
            notice: notice(publication).map(|notice| notice.kind),
            agency: publication.agency.to_string(),
            agency_name: publication.agency_name.clone(),
            accepted_at: publication.accepted_at,
            expires: publication.expires,
            supersedes: publication.supersedes.clone(),
            exercise: publication.is_exercise(),
            coarse: false,
            silent: false,
            area: area(publication),
            texts: texts(publication, languages),
            status: status(publication),
            questions: notice(publication).map(|one| one.questions.clone()).unwrap_or_default(),
            cap: is_alert.then(|| format!("/v1/cap/{}.xml", publication.id)),
            signature: publication.signature.clone(),
        }
    }

    /// Every language, as the public lists show it.
    pub fn whole(publication: &Arc<Publication>) -> Self {
        Self::of(publication, Languages::ALL)
    }
}

/// Whether the public may see it at all: neither tests, drafts and system messages, nor what is
/// addressed to some only. Exercises are for devices that take part.
pub fn is_for_citizens(publication: &Publication) -> bool {
    match &publication.content {
        Content::Alert(alert) => {
            matches!(alert.status, Status::Actual | Status::Exercise)
                && alert.scope == crate::domain::alert::Scope::Public
        }
        Content::StatusChange(_) | Content::Notice(_) => true,
    }
}

fn notice(publication: &Publication) -> Option<&Notice> {
    match &publication.content {
        Content::Notice(notice) => Some(notice),
        _ => None,
    }
}

fn level(publication: &Publication) -> Option<Level> {
    let Content::Alert(alert) = &publication.content else { return None };
    let levels = alert.infos.iter().filter_map(Level::of_info);
    levels.filter_map(Result::ok).max()
}

fn area(publication: &Publication) -> Option<AreaView> {
    let Audience::Area(area) = &publication.audience else { return None };
    let descriptions = match &publication.content {
        Content::Alert(alert) => described(&alert.infos),
        _ => Vec::new(),
    };
    Some(AreaView {
        boundaries: area.boundaries.as_str(),
        vintage: area.vintage.to_string(),
        // Of a unit that only cells stick out of nothing is inside.
        units: (area.units.iter())
            .filter(|unit| !matches!(unit.coverage, Coverage::Cells { .. }))
            .map(|unit| unit.code.to_string())
            .collect(),
        descriptions,
    })
}

/// The areas' words, each once.
fn described(infos: &[Info]) -> Vec<String> {
    let mut descriptions = Vec::new();
    for area in infos.iter().flat_map(|info| &info.areas) {
        if !descriptions.contains(&area.description) {
            descriptions.push(area.description.clone());
        }
    }
    descriptions
}

fn texts(publication: &Publication, languages: Languages) -> Vec<TextView> {
    match &publication.content {
        Content::Alert(alert) => {
            let infos = alert.infos.iter().enumerate();
            infos.filter(|(index, _)| languages.includes(*index)).map(|(_, i)| of_info(i)).collect()
        }
        Content::Notice(notice) => {
            let texts = notice.texts.iter().enumerate();
            let chosen = texts.filter(|(index, _)| languages.includes(*index));
            chosen
                .map(|(_, (language, text))| TextView {
                    language: language.clone(),
                    title: text.title.clone(),
                    body: text.body.clone(),
                    instruction: None,
                    event: None,
                    sender: None,
                    areas: Vec::new(),
                    web: notice.web.clone(),
                    contact: None,
                })
                .collect()
        }
        Content::StatusChange(_) => Vec::new(),
    }
}

fn of_info(info: &Info) -> TextView {
    TextView {
        language: info.language.clone(),
        title: info.headline.clone().unwrap_or_else(|| info.event.clone()),
        body: info.description.clone().unwrap_or_default(),
        instruction: info.instruction.clone(),
        event: Some(info.event.clone()),
        sender: info.sender_name.clone(),
        areas: described(std::slice::from_ref(info)),
        web: info.web.clone(),
        contact: info.contact.clone(),
    }
}

fn status(publication: &Publication) -> Option<StatusView> {
    let Content::StatusChange(change) = &publication.content else { return None };
    Some(StatusView {
        kind: change.kind.clone(),
        reference: change.reference.clone(),
        state: change.state.clone(),
        changed_at: change.changed_at,
        step: change.step,
        remark: change.remark.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_the_languages_they_read_or_all() {
        let offered = ["vi-VN", "en-US", "km"];
        let chosen = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
            let languages =
                Languages::chosen(offered.iter().copied(), wanted.iter().map(String::as_str));
            (0..3).map(|index| languages.includes(index)).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&["EN", "vi"]), [true, true, false]);
        assert_eq!(chosen(&["km-KH"]), [false, false, true]);
        assert_eq!(chosen(&["fr"]), [true, true, true]);
        assert_eq!(chosen(&[]), [true, true, true]);
    }
}
