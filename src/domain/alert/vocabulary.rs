//! CAP 1.2's closed vocabularies, spelled as the standard spells them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text outside a closed CAP vocabulary.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{given}` is not one of {allowed}")]
pub struct UnknownTerm {
    /// What was given, cut to 64 characters.
    pub given: String,
    /// The terms the standard allows.
    pub allowed: &'static str,
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident: $($(#[$term_doc:meta])* $term:ident),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$term_doc])* $term),+
        }

        impl $name {
            /// Every term, in the standard's order.
            pub const ALL: &'static [$name] = &[$($name::$term),+];

            /// The term as the standard spells it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$term => stringify!($term)),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownTerm;

            fn from_str(text: &str) -> Result<Self, UnknownTerm> {
                match text {
                    $(stringify!($term) => Ok($name::$term),)+
                    _ => Err(UnknownTerm {
                        given: text.chars().take(64).collect(),
                        allowed: concat!($(stringify!($term), " "),+).trim_ascii_end(),
                    }),
                }
            }
        }
    };
}

vocabulary!(
    /// CAP `status`.
    Status:
    /// Actionable by all targeted recipients.
    Actual,
    /// Only for designated exercise participants.
    Exercise,
    /// For messages that support alert network internal functions.
    System,
    /// Technical testing only; all recipients disregard.
    Test,
    /// A preliminary template, not actionable.
    Draft,
);
vocabulary!(
    /// CAP `msgType`.
    MsgType:
    /// Initial information.
    Alert,
    /// Updates and supersedes the earlier messages named in `references`.
    Update,
    /// Cancels the earlier messages named in `references`.
    Cancel,
    /// Acknowledges receipt.
    Ack,
    /// Rejects the messages named in `references`.
    Error,
);
vocabulary!(
    /// CAP `scope`.
    Scope:
    /// For general dissemination.
    Public,
    /// Only to users with a known operational requirement.
    Restricted,
    /// Only to the listed addresses.
    Private,
);
vocabulary!(
    /// CAP `category`.
    Category:
    /// Geophysical.
    Geo,
    /// Meteorological, floods included.
    Met,
    /// General emergency and public safety.
    Safety,
    /// Law enforcement, military, homeland and local security.
    Security,
    /// Rescue and recovery.
    Rescue,
    /// Fire suppression and rescue.
    Fire,
    /// Medical and public health.
    Health,
    /// Pollution and other environmental.
    Env,
    /// Public and private transportation.
    Transport,
    /// Utility, telecommunication and other infrastructure.
    Infra,
    /// Chemical, biological, radiological, nuclear or high-yield explosive.
    CBRNE,
    /// Other events.
    Other,
);
vocabulary!(
    /// CAP `responseType`.
    ResponseType:
    /// Take shelter in place.
    Shelter,
    /// Relocate.
    Evacuate,
    /// Make preparations.
    Prepare,
    /// Carry out a pre-planned activity.
    Execute,
    /// Avoid the subject event.
    Avoid,
    /// Attend to information sources.
    Monitor,
    /// Evaluate the information; not for the public.
    Assess,
    /// The subject event no longer poses a threat.
    AllClear,
    /// No action recommended.
    None,
);
vocabulary!(
    /// CAP `urgency`.
    Urgency:
    /// Act at once.
    Immediate,
    /// Act within the next hour.
    Expected,
    /// Act in the near future.
    Future,
    /// No longer required.
    Past,
    /// Not known.
    Unknown,
);
vocabulary!(
    /// CAP `severity`, the gravest first.
    Severity:
    /// Extraordinary threat to life or property.
    Extreme,
    /// Significant threat.
    Severe,
    /// Possible threat.
    Moderate,
    /// Minimal to no known threat.
    Minor,
    /// Not known.
    Unknown,
);
vocabulary!(
    /// CAP `certainty`.
    Certainty:
    /// Has occurred or is ongoing.
    Observed,
    /// More than about 50 %.
    Likely,
    /// Up to about 50 %.
    Possible,
    /// About 0 %.
    Unlikely,
    /// Not known.
    Unknown,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_case_sensitive_and_errors_list_them() {
        assert_eq!("Extreme".parse(), Ok(Severity::Extreme));
        let error = "extreme".parse::<Severity>().expect_err("CAP is case-sensitive");
        assert_eq!(error.allowed, "Extreme Severe Moderate Minor Unknown");
        assert_eq!(Category::ALL.len(), 12);
    }
}
