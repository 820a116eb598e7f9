//! Persons: who works in an agency, and what they may do there.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{AgencyId, PersonId};

/// Longest name of a person, in characters.
pub const NAME_CHARS_MAX: usize = 120;
/// Shortest password, in characters: a guess at a few a minute never gets there.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password, in bytes: hashing costs by the byte.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// What a person, or an API key, may do beside reading what is their agency's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Compose and submit.
    Write,
    /// Decide on what others submitted.
    Approve,
    /// Publish a hot alert alone, with a reason.
    Override,
    /// See everything; dead letters, providers, audit.
    Operate,
    /// Agencies, people, keys.
    Admin,
}

impl Right {
    /// Every right.
    pub const ALL: [Right; 5] =
        [Right::Write, Right::Approve, Right::Override, Right::Operate, Right::Admin];

    /// The right's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Write => "write",
            Right::Approve => "approve",
            Right::Override => "override",
            Right::Operate => "operate",
            Right::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{0}` is not one of write, approve, override, operate, admin")]
pub struct UnknownRight(String);

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        let known = Right::ALL.into_iter().find(|right| right.as_str() == text);
        known.ok_or_else(|| UnknownRight(text.chars().take(32).collect()))
    }
}

/// Somebody who works in an agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// What they log in with.
    pub id: PersonId,
    /// Their name for people.
    pub name: String,
    /// Their agency.
    pub agency: AgencyId,
    /// What they may.
    pub rights: BTreeSet<Right>,
    /// Whether they may log in at all. People are switched off, never removed: the audit names
    /// them.
    pub active: bool,
}

impl Person {
    /// Whether they have a right.
    pub fn may(&self, right: Right) -> bool {
        self.active && self.rights.contains(&right)
    }

    /// Rights of another that this person lacks.
    pub fn gains<'a>(&'a self, before: Option<&'a Person>) -> impl Iterator<Item = Right> + 'a {
        let had = move |right: &Right| before.is_some_and(|before| before.may(*right));
        self.rights.iter().copied().filter(move |right| self.active && !had(right))
    }
}

/// What is wrong with a new password, if anything.
pub fn password_problem(password: &str) -> Option<&'static str> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Some("must have at least 12 characters");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Some("must have at most 256 bytes");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_parse_back_and_an_inactive_person_has_none() {
        for right in Right::ALL {
            assert_eq!(right.as_str().parse(), Ok(right));
        }
        assert!("root".parse::<Right>().is_err());
        let mut person = Person {
            id: "lan".parse().expect("an id"),
            name: "Lan".into(),
            agency: "a".parse().expect("an id"),
            rights: [Right::Write, Right::Approve].into(),
            active: true,
        };
        let mut before = person.clone();
        before.rights.remove(&Right::Approve);
        assert_eq!(person.gains(Some(&before)).collect::<Vec<_>>(), [Right::Approve]);
        person.active = false;
        assert!(!person.may(Right::Write) && person.gains(None).next().is_none());
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(password_problem("mười hai ký").is_some());
        assert_eq!(password_problem("mười hai ký tự"), None);
        assert!(password_problem(&"x".repeat(257)).is_some());
    }
}
