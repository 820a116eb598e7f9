//! Identifiers: one type each, so that none is ever passed for another.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an identifier of the wanted kind.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {rule}")]
pub struct IdError {
    /// What was expected.
    pub kind: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl IdError {
    fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        Self { kind, text: text.chars().take(64).collect(), rule }
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = |_| IdError::new($kind, text, "must be a UUID");
                Uuid::parse_str(text).map(Self).map_err(error)
            }
        }
    };
}

macro_rules! text_id {
    (
        $(#[$doc:meta])* $name:ident($text:ty),
        $kind:literal, $max:literal, $rule:literal, $ok:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name($text);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let fits: fn(char) -> bool = $ok;
                if text.is_empty() || text.len() > $max || !text.chars().all(fits) {
                    return Err(IdError::new($kind, text, $rule));
                }
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }
    };
}

/// A text of at most `N` bytes, none of them zero, that needs no memory of its own: a node holds
/// millions of unit codes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Short<const N: usize>([u8; N]);

impl<const N: usize> From<&str> for Short<N> {
    fn from(text: &str) -> Self {
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self(bytes)
    }
}

impl<const N: usize> Deref for Short<N> {
    type Target = str;

    fn deref(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(N);
        std::str::from_utf8(&self.0[..length]).expect("it was made of a text")
    }
}

uuid_id!(
    /// One accepted publication (UUID version 7, so ids sort by the time of acceptance).
    PublicationId,
    "publication id"
);

impl PublicationId {
    /// The least id of a millisecond since the epoch: the first 48 bits of a UUID version 7 are the
    /// time (RFC 9562, section 5.7).
    pub fn first_of(ms: i64) -> Self {
        Self(Uuid::from_u128((ms.max(0) as u128) << 80))
    }
}
uuid_id!(
    /// A chain of publications about one event: the id of the first of them. Push collapse ids,
    /// notification threads and the order of updates follow it.
    ChainId,
    "chain id"
);
uuid_id!(
    /// One installation of the app or one browser.
    DeviceId,
    "device id"
);
uuid_id!(
    /// What people of an agency edit and decide on.
    DraftId,
    "draft id"
);
text_id!(
    /// A person of an agency: the name they log in with.
    PersonId(Box<str>),
    "person id",
    64,
    "1 to 64 characters of a-z, 0-9, `-`, `_` and `.`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_' || c == '.'
);
text_id!(
    /// An agency: a short lower-case name.
    AgencyId(Box<str>),
    "agency id",
    64,
    "1 to 64 characters of a-z, 0-9, `-` and `.`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.'
);
text_id!(
    /// A citizen, as a pseudonym derived from the identity provider's id; never the id itself.
    SubjectId(Box<str>),
    "subject",
    64,
    "1 to 64 characters of A-Z, a-z, 0-9, `-` and `_`",
    |c| c.is_ascii_alphanumeric() || c == '-' || c == '_'
);
text_id!(
    /// A commune-level unit's official code. It means something only together with its
    /// [`Vintage`]: 167 codes of before July 2025 name another unit after it.
    UnitCode(Short<12>),
    "unit code",
    12,
    "1 to 12 characters of A-Z, a-z, 0-9 and `-`",
    |c| c.is_ascii_alphanumeric() || c == '-'
);
text_id!(
    /// The year and month from which a set of unit codes holds, such as `2025-07`.
    Vintage(Box<str>),
    "vintage",
    16,
    "1 to 16 characters of 0-9, a-z and `-`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

/// A device's number in the registry: small, dense, never reused; fits receipt bitmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceNum(pub u64);

/// The sequence number of one membership (a device in a unit on a channel), rising by one with
/// each membership the registry ever makes. A device that moves gets a new one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl From<PublicationId> for ChainId {
    fn from(first: PublicationId) -> Self {
        Self(first.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ids_hold_their_alphabet_and_length() {
        assert!("kttv-nambo".parse::<AgencyId>().is_ok());
        assert!("KTTV".parse::<AgencyId>().is_err());
        assert!("".parse::<UnitCode>().is_err());
        assert!("2673426734267".parse::<UnitCode>().is_err());
        let longest: UnitCode = "267342673426".parse().expect("12 characters");
        assert_eq!(longest.as_str(), "267342673426");
        let short: UnitCode = "26734".parse().expect("5 characters");
        assert!(short.as_str() == "26734" && short < longest);
        let error = "a b".parse::<SubjectId>().expect_err("a blank");
        assert!(error.to_string().contains("subject"), "{error}");
    }
}
