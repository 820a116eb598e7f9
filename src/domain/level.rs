//! The five Vietnamese levels of disaster risk, and what they are in CAP and on a screen.
//!
//! Source: Quyết định 18/2021/QĐ-TTg of 22 April 2021, article 4: the levels, their colours, and
//! the rule for hazards that come together. The decree knows no CAP: the severities are our own
//! table, in the same order, so that no two levels ever sort the other way round than severities.
//!
//! | level | cấp độ rủi ro | in English | colour | CAP severity |
//! | --- | --- | --- | --- | --- |
//! | 1 | thấp | low | light blue | Minor |
//! | 2 | trung bình | medium | light yellow | Moderate |
//! | 3 | lớn | large | orange | Severe |
//! | 4 | rất lớn | very large | red | Extreme |
//! | 5 | thảm họa | catastrophe | purple | Extreme |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Info, Severity};

/// The CAP `parameter` in which an alert carries its level, `1` to `5`.
pub const PARAMETER: &str = "loa:disaster-level";
/// How far hazards that come together may raise a level (article 4).
const RAISE_MAX: u8 = 2;

/// A level of disaster risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Level {
    /// Level 1.
    Low = 1,
    /// Level 2.
    Medium,
    /// Level 3.
    Large,
    /// Level 4.
    VeryLarge,
    /// Level 5.
    Catastrophe,
}

/// A text or number that is no level.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{0}` is no disaster level: 1, 2, 3, 4 or 5")]
pub struct LevelError(pub String);

/// What is fixed about a level.
struct Row {
    level: Level,
    vi: &'static str,
    en: &'static str,
    colour: &'static str,
    hex: &'static str,
    severity: Severity,
}

const fn row(
    level: Level,
    [vi, en]: [&'static str; 2],
    [colour, hex]: [&'static str; 2],
    severity: Severity,
) -> Row {
    Row { level, vi, en, colour, hex, severity }
}

const TABLE: [Row; 5] = [
    row(Level::Low, ["thấp", "low"], ["light blue", "#9BD3F0"], Severity::Minor),
    row(Level::Medium, ["trung bình", "medium"], ["light yellow", "#FFF2A8"], Severity::Moderate),
    row(Level::Large, ["lớn", "large"], ["orange", "#F58A1F"], Severity::Severe),
    row(Level::VeryLarge, ["rất lớn", "very large"], ["red", "#D7191C"], Severity::Extreme),
    row(Level::Catastrophe, ["thảm họa", "catastrophe"], ["purple", "#7B2D8E"], Severity::Extreme),
];

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Level; 5] =
        [Level::Low, Level::Medium, Level::Large, Level::VeryLarge, Level::Catastrophe];

    fn row(self) -> &'static Row {
        &TABLE[usize::from(self.number() - 1)]
    }

    /// 1 to 5.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The level's name in Vietnamese.
    pub fn name_vi(self) -> &'static str {
        self.row().vi
    }

    /// The level's name in English.
    pub fn name_en(self) -> &'static str {
        self.row().en
    }

    /// The name of the colour that the decree gives it.
    pub fn colour(self) -> &'static str {
        self.row().colour
    }

    /// That colour as `#RRGGBB`; the decree names no values, these are ours.
    pub fn hex(self) -> &'static str {
        self.row().hex
    }

    /// The CAP severity an alert of this level has.
    pub fn severity(self) -> Severity {
        self.row().severity
    }

    /// The lowest level of a severity; `Unknown` has none. `Extreme` is at least level 4.
    pub fn of_severity(severity: Severity) -> Option<Self> {
        TABLE.iter().find(|row| row.severity == severity).map(|row| row.level)
    }

    /// The level of hazards that come together: the highest, raised by one for each other hazard,
    /// by two at most, never above 5. No hazard has no level.
    pub fn combined(hazards: &[Level]) -> Option<Self> {
        let highest = hazards.iter().max()?.number();
        let others = u8::try_from(hazards.len() - 1).unwrap_or(u8::MAX);
        Self::try_from((highest + others.min(RAISE_MAX)).min(5)).ok()
    }

    /// The level an `info` carries in [`PARAMETER`]: absent, broken, or there.
    pub fn of_info(info: &Info) -> Option<Result<Self, LevelError>> {
        let parameter = info.parameters.iter().find(|parameter| parameter.name == PARAMETER)?;
        Some(parameter.value.trim().parse())
    }
}

impl TryFrom<u8> for Level {
    type Error = LevelError;

    fn try_from(number: u8) -> Result<Self, LevelError> {
        let found = Self::ALL.into_iter().find(|level| level.number() == number);
        found.ok_or_else(|| LevelError(number.to_string()))
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        level.number()
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let cut = || LevelError(text.chars().take(16).collect());
        text.parse::<u8>().map_err(|_| cut()).and_then(Self::try_from)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_severity_never_falls_as_the_level_rises() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(usize::from(row.level.number()), index + 1);
            assert_eq!(Level::ALL[index], row.level);
            assert_eq!(row.hex.len(), 7);
        }
        // Severity's order is the standard's: the gravest is the least.
        assert!(TABLE.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
        for level in Level::ALL {
            let lowest = Level::of_severity(level.severity()).expect("every level has a severity");
            assert!(lowest <= level);
        }
        assert_eq!(Level::of_severity(Severity::Unknown), None);
    }

    #[test]
    fn combined_hazards_raise_by_one_each_by_two_at_most_and_never_above_five() {
        use Level::{Catastrophe, Large, Low, Medium, VeryLarge};
        let cases: [(&[Level], Option<Level>); 6] = [
            (&[], None),
            (&[Large], Some(Large)),
            (&[Low, Medium], Some(Large)),
            (&[Low, Medium, Low], Some(VeryLarge)),
            (&[Low, Medium, Low, Low, Low], Some(VeryLarge)),
            (&[VeryLarge, Low, Low], Some(Catastrophe)),
        ];
        for (hazards, want) in cases {
            assert_eq!(Level::combined(hazards), want, "{hazards:?}");
        }
    }

    #[test]
    fn only_one_to_five_is_a_level() {
        assert_eq!("3".parse(), Ok(Level::Large));
        for bad in ["0", "6", "-1", "", "ba", "256"] {
            assert!(bad.parse::<Level>().is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&Level::Catastrophe).expect("a number"), "5");
        assert!(serde_json::from_str::<Level>("6").is_err());
    }
}
