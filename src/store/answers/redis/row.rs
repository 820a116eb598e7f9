//! What somebody said as one value, and the name under which it is found.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{PublicationId, SubjectId};
use crate::domain::survey::Answer;
use crate::store::Failure;
use crate::store::answers::{Own, Respondent, Safety, Said};

/// Which of the two questions is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// "Are you safe?"
    Safety,
    /// A survey.
    Survey,
}

impl Kind {
    /// What names of this kind begin with.
    pub fn letter(self) -> &'static str {
        match self {
            Kind::Safety => "a",
            Kind::Survey => "s",
        }
    }

    /// The key of its rows.
    pub fn rows(self) -> &'static str {
        match self {
            Kind::Safety => "safety",
            Kind::Survey => "survey",
        }
    }

    /// The key of its counts.
    pub fn counts(self) -> &'static str {
        match self {
            Kind::Safety => "safety-counts",
            Kind::Survey => "survey-counts",
        }
    }
}

/// Where a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The publication.
    pub publication: PublicationId,
    /// The question.
    pub kind: Kind,
    /// The device or the respondent.
    pub name: String,
}

impl Name {
    /// From a letter and a name.
    pub fn in_publication(publication: PublicationId, member: &str) -> Result<Self, Failure> {
        let kind = match member.get(..1) {
            Some("a") => Kind::Safety,
            Some("s") => Kind::Survey,
            _ => return Err(Failure::new("an answer's name is damaged")),
        };
        Ok(Self { publication, kind, name: member[1..].to_owned() })
    }
}

impl Name {
    /// The name of a citizen; a row that goes by its device keeps its name.
    pub fn citizens(subject: &str) -> String {
        format!("subject:{subject}")
    }

    /// The same row, once its citizen is called otherwise.
    pub fn of_citizen(&self, (from, to): (&SubjectId, &SubjectId)) -> Self {
        let named = self.kind == Kind::Survey && self.name == Self::citizens(from.as_str());
        let name = if named { Self::citizens(to.as_str()) } else { self.name.clone() };
        Self { name, ..*self }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.publication, self.kind.letter(), self.name)
    }
}

impl FromStr for Name {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let damaged = || Failure::new("an answer's name is damaged");
        let (publication, member) = text.split_once('/').ok_or_else(damaged)?;
        Self::in_publication(publication.parse().map_err(Failure::new)?, member)
    }
}

/// What is counted: an option of a question, in a unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// The question.
    #[serde(rename = "q")]
    pub question: String,
    /// The option or step.
    #[serde(rename = "v")]
    pub value: String,
    /// The unit.
    #[serde(rename = "u")]
    pub unit: Option<String>,
}

impl Counted {
    /// From its field.
    pub fn parse(field: &str) -> Result<Self, Failure> {
        serde_json::from_str(field).map_err(Failure::new)
    }
}

/// Question, value, text.
type Spoken = (String, Option<String>, Option<String>);

/// What somebody said. Scripts read the first three.
#[derive(Clone, Debug)]
pub struct Row {
    counted: Vec<String>,
    /// The device's number.
    pub device: String,
    /// The citizen.
    pub subject: Option<String>,
    unit: Option<String>,
    /// When.
    pub at_ms: i64,
    /// Every option, step and text.
    pub said: Vec<Spoken>,
}

type Form = (Vec<String>, String, String, Option<String>, i64, Vec<Spoken>);

impl Row {
    /// How somebody is.
    pub fn safety(
        who: &Respondent,
        (safety, note, at): (Safety, Option<String>, Timestamp),
    ) -> Result<Self, Failure> {
        let said = vec![("safety".to_owned(), Some(safety.as_str().to_owned()), note)];
        Self::new(who, said, at)
    }

    /// A survey's answers.
    pub fn survey(
        who: &Respondent,
        (answers, at): (BTreeMap<String, Answer>, Timestamp),
    ) -> Result<Self, Failure> {
        let mut said = Vec::new();
        for (question, answer) in answers {
            match answer {
                Answer::Chosen(ids) => {
                    said.extend(ids.into_iter().map(|id| (question.clone(), Some(id), None)));
                }
                Answer::Text(text) => said.push((question, None, Some(text))),
            }
        }
        Self::new(who, said, at)
    }

    fn new(who: &Respondent, said: Vec<Spoken>, at: Timestamp) -> Result<Self, Failure> {
        let unit = who.unit.as_ref().map(ToString::to_string);
        let chosen = said.iter().filter_map(|(question, value, _)| {
            let (question, unit) = (question.clone(), unit.clone());
            Some(Counted { question, value: value.clone()?, unit })
        });
        let counted = chosen.map(|counted| serde_json::to_string(&counted).map_err(Failure::new));
        Ok(Self {
            counted: counted.collect::<Result<_, _>>()?,
            device: who.device.0.to_string(),
            subject: who.subject.as_ref().map(ToString::to_string),
            unit,
            at_ms: at.as_millisecond(),
            said,
        })
    }

    /// From its text.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let (counted, device, subject, unit, at_ms, said): Form =
            serde_json::from_str(text).map_err(Failure::new)?;
        let subject = Some(subject).filter(|subject| !subject.is_empty());
        Ok(Self { counted, device, subject, unit, at_ms, said })
    }

    /// Its text; empty if nothing was said.
    pub fn text(&self) -> Result<String, Failure> {
        if self.said.is_empty() {
            return Ok(String::new());
        }
        let subject = self.subject.as_deref().unwrap_or_default();
        let form = (&self.counted, &self.device, subject, &self.unit, self.at_ms, &self.said);
        serde_json::to_string(&form).map_err(Failure::new)
    }

    /// Whether a free text or a note is in it.
    pub fn has_text(&self) -> bool {
        self.said.iter().any(|(_, _, text)| text.is_some())
    }

    fn at(&self) -> Result<Timestamp, Failure> {
        Timestamp::from_millisecond(self.at_ms).map_err(Failure::new)
    }

    /// Its free texts.
    pub fn texts(self, kind: Kind) -> Result<Vec<Said>, Failure> {
        let (at, unit) = (self.at()?, self.unit);
        let texts = self.said.into_iter().filter_map(|(question, value, text)| {
            let named = match kind {
                Kind::Safety => value?,
                Kind::Survey => question,
            };
            Some(Said { question: named, unit: unit.clone(), at, text: text? })
        });
        Ok(texts.collect())
    }

    /// All of it, for who said it.
    pub fn own(self, name: &Name) -> Result<Vec<Own>, Failure> {
        let at = self.at()?;
        let own = self.said.into_iter().map(|(question, value, text)| {
            let publication = name.publication;
            Own { publication, question, value, text, at }
        });
        Ok(own.collect())
    }
}
