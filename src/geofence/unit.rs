//! A commune-level unit: what is known of it without its boundary.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::domain::geo::LatLon;
use crate::domain::ids::UnitCode;

/// The kinds of commune-level unit since July 2025.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UnitKind {
    /// Phường, urban.
    Phuong,
    /// Xã, rural.
    Xa,
    /// Đặc khu, an island zone.
    DacKhu,
}

impl UnitKind {
    /// The kind as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phuong => "Phường",
            Self::Xa => "Xã",
            Self::DacKhu => "Đặc khu",
        }
    }
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for UnitKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match fold(text).as_str() {
            "phuong" => Ok(Self::Phuong),
            "xa" => Ok(Self::Xa),
            "dac khu" => Ok(Self::DacKhu),
            _ => Err(format!("kind `{text}` is not Phường, Xã or Đặc khu")),
        }
    }
}

impl TryFrom<String> for UnitKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<UnitKind> for String {
    fn from(kind: UnitKind) -> Self {
        kind.as_str().to_owned()
    }
}

/// A unit of the present vintage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unit {
    /// Its code.
    pub code: UnitCode,
    /// Its full name, kind included: `Phường Sài Gòn`.
    pub name: String,
    /// Its kind.
    pub kind: UnitKind,
    /// Stated area in square kilometres.
    pub area_km2: f64,
    /// A point that stands for it; in built-in lists the published centre.
    pub centre: LatLon,
    /// The name for searching, see [`fold`].
    #[serde(skip)]
    pub folded: String,
}

impl Unit {
    /// The columns of `units.csv`: code, name, kind, area, latitude, longitude.
    pub(crate) fn from_csv(line: &str) -> Result<Self, String> {
        let columns: Vec<&str> = line.split(',').collect();
        let [code, name, kind, area, lat, lon] = columns[..] else {
            return Err(format!("`{line}` has not 6 columns"));
        };
        let number = |text: &str| text.parse::<f64>().map_err(|error| error.to_string());
        Ok(Self {
            code: code.parse().map_err(|error| format!("{error}"))?,
            name: name.to_owned(),
            kind: kind.parse()?,
            area_km2: number(area)?,
            centre: LatLon::new(number(lat)?, number(lon)?).map_err(|error| error.to_string())?,
            folded: fold(name),
        })
    }
}

/// A name for comparing: lower case, without accents, `đ` as `d`, blanks single. `Hoà` and `Hòa`
/// fold alike, and so do composed and decomposed spellings.
pub fn fold(name: &str) -> String {
    let plain: String = name
        .nfd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .map(|c| if c == 'đ' { 'd' } else { c })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_fold_alike() {
        assert_eq!(fold("Phường  Hoà Hưng"), fold("phuong HÒA hưng"));
        assert_eq!(fold("Đặc khu Côn Đảo"), "dac khu con dao");
    }

    #[test]
    fn a_line_of_the_list_is_read_or_refused_by_name() {
        let unit = Unit::from_csv("26740,Phường Sài Gòn,Phường,3.038,10.7,106.7").expect("good");
        assert_eq!((unit.kind, unit.folded.as_str()), (UnitKind::Phuong, "phuong sai gon"));
        for bad in ["26740,Phường", "26740,x,Quận,1,10,106", "26740,x,Xã,1,106,10"] {
            assert!(Unit::from_csv(bad).is_err(), "{bad}");
        }
    }
}
