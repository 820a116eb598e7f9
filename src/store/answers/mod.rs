//! What citizens answered: "I am safe" and "I need help" to an alert, and surveys.
//!
//! One answer of a device to an alert counts, the newest; one answer of a respondent (a citizen, or
//! a device nobody logged in on) to a survey. They are kept apart from the registry, and go with
//! the device or citizen when they go.

mod embedded;
mod redis;

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{DeviceNum, PublicationId, SubjectId, UnitCode};
use crate::domain::survey::Answer;
use crate::store::Failure;
use crate::store::redis::Redis;

/// The most free texts a page answers.
pub const PAGE_MAX: usize = 1_000;
/// Longest note with an answer, in characters.
pub const NOTE_CHARS_MAX: usize = 300;

/// A shorthand for results of this store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in this store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The storage failed.
    #[error("answers: {0}")]
    Storage(#[from] Failure),
}

/// Where the store lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; the store is `answers.db` in it.
    pub dir: PathBuf,
}

/// How somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// "Tôi an toàn."
    Safe,
    /// "Tôi cần giúp."
    Help,
}

impl Safety {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Safety::Safe => "safe",
            Safety::Help => "help",
        }
    }
}

/// Who answers. A citizen counts once on all their devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respondent {
    /// The device.
    pub device: DeviceNum,
    /// The citizen, if one is logged in.
    pub subject: Option<SubjectId>,
    /// Where the device was addressed; absent when it is nowhere in the audience any more.
    pub unit: Option<UnitCode>,
}

/// How often an answer to a question was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The question.
    pub question: String,
    /// The option or step.
    pub value: String,
    /// The unit.
    pub unit: Option<String>,
    /// How many respondents.
    pub count: u64,
}

/// A free text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The question; for a note with "safe" or "help", that word.
    pub question: String,
    /// The unit.
    pub unit: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The text.
    pub text: String,
}

/// Something a device answered, for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// To what.
    pub publication: PublicationId,
    /// The survey's question; `safety` for an alert.
    pub question: String,
    /// The option, the step, `safe` or `help`.
    pub value: Option<String>,
    /// A free text or a note.
    pub text: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// By answer, then unit (empty where none is known).
pub type SafetyCounts = BTreeMap<Safety, BTreeMap<String, u64>>;

/// The store. A cheap handle; clones share it.
#[derive(Clone, Debug)]
pub enum Answers {
    /// One file of this process.
    Embedded(embedded::Store),
    /// Redis, shared by the nodes of a cluster.
    Redis(redis::Store),
}

impl Answers {
    /// Opens the store, and makes it where there is none.
    pub async fn open(settings: &Settings) -> Result<Answers> {
        Ok(Answers::Embedded(embedded::Store::open(settings).await?))
    }

    /// The store of a cluster.
    pub fn shared(redis: &Redis) -> Answers {
        Answers::Redis(redis::Store::open(redis))
    }

    /// Remembers how somebody is; what the device said before is replaced.
    pub async fn put_safety(
        &self,
        publication: PublicationId,
        who: Respondent,
        (safety, note, at): (Safety, Option<String>, Timestamp),
    ) -> Result<()> {
        match self {
            Answers::Embedded(store) => {
                store.put_safety(publication, who, (safety, note, at)).await
            }
            Answers::Redis(store) => store.put_safety(publication, who, (safety, note, at)).await,
        }
    }

    /// How many are safe, and how many need help.
    pub async fn safety(&self, publication: PublicationId) -> Result<SafetyCounts> {
        match self {
            Answers::Embedded(store) => store.safety(publication).await,
            Answers::Redis(store) => store.safety(publication).await,
        }
    }

    /// Remembers a survey's answers; what the respondent said before is replaced.
    pub async fn put_survey(
        &self,
        publication: PublicationId,
        who: Respondent,
        (answers, at): (BTreeMap<String, Answer>, Timestamp),
    ) -> Result<()> {
        match self {
            Answers::Embedded(store) => store.put_survey(publication, who, (answers, at)).await,
            Answers::Redis(store) => store.put_survey(publication, who, (answers, at)).await,
        }
    }

    /// How often each option and step was chosen, by unit.
    pub async fn tally(&self, publication: PublicationId) -> Result<Vec<Count>> {
        match self {
            Answers::Embedded(store) => store.tally(publication).await,
            Answers::Redis(store) => store.tally(publication).await,
        }
    }

    /// How many respondents a survey has.
    pub async fn respondents(&self, publication: PublicationId) -> Result<u64> {
        match self {
            Answers::Embedded(store) => store.respondents(publication).await,
            Answers::Redis(store) => store.respondents(publication).await,
        }
    }

    /// The newest free texts and notes, at most [`PAGE_MAX`].
    pub async fn said(&self, publication: PublicationId) -> Result<Vec<Said>> {
        match self {
            Answers::Embedded(store) => store.said(publication).await,
            Answers::Redis(store) => store.said(publication).await,
        }
    }

    /// Everything a device answered, the newest first, at most [`PAGE_MAX`].
    pub async fn of(&self, device: DeviceNum) -> Result<Vec<Own>> {
        match self {
            Answers::Embedded(store) => store.of(device).await,
            Answers::Redis(store) => store.of(device).await,
        }
    }

    /// Forgets everything a device said, and a citizen.
    pub async fn erase(&self, device: Option<DeviceNum>, subject: Option<SubjectId>) -> Result<()> {
        match self {
            Answers::Embedded(store) => store.erase(device, subject).await,
            Answers::Redis(store) => store.erase(device, subject).await,
        }
    }

    /// Whether a citizen answered anything.
    pub async fn knows(&self, subject: &SubjectId) -> Result<bool> {
        match self {
            Answers::Embedded(store) => store.knows(subject).await,
            Answers::Redis(store) => store.knows(subject).await,
        }
    }

    /// Gives what a citizen answered to another pseudonym of theirs; what they answered under both
    /// stays as it was under the other. `devices` are all of theirs. Safe to repeat.
    pub async fn rename(
        &self,
        (from, to): (&SubjectId, &SubjectId),
        devices: &[DeviceNum],
    ) -> Result<()> {
        match self {
            Answers::Embedded(store) => store.rename((from, to)).await,
            Answers::Redis(store) => store.rename((from, to), devices).await,
        }
    }

    /// Forgets every citizen with such a pseudonym.
    pub async fn erase_all(&self, of: impl Fn(&SubjectId) -> bool) -> Result<()> {
        let citizens = match self {
            Answers::Embedded(store) => store.citizens(of).await?,
            Answers::Redis(store) => store.citizens(of).await?,
        };
        for subject in citizens {
            self.erase(None, Some(subject)).await?;
        }
        match self {
            // What a move took away is in the journal until then.
            Answers::Embedded(store) => store.scrub().await,
            Answers::Redis(_) => Ok(()),
        }
    }

    /// Drops answers given before an instant, and answers how many.
    pub async fn forget(&self, before: Timestamp) -> Result<u64> {
        match self {
            Answers::Embedded(store) => store.forget(before).await,
            Answers::Redis(store) => store.forget(before).await,
        }
    }
}
