//! Notices: news and surveys, on the routine lane.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::geo::{Circle, Ring};
use crate::domain::ids::{UnitCode, Vintage};

/// News or a survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeKind {
    /// Something to know.
    News,
    /// Something to answer.
    Survey,
}

/// What an agency posts to `/v1/notices`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// The agency's own id for it, unique per agency.
    pub identifier: String,
    /// News or survey.
    pub kind: NoticeKind,
    /// Title and body by BCP 47 language; `vi` is required.
    pub texts: BTreeMap<String, NoticeText>,
    /// An absolute https URI with more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
    /// Where; absent means every unit the agency has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<AreaTarget>,
    /// After this nothing of it is sent.
    pub expires: Timestamp,
}

/// A notice's words in one language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeText {
    /// At most 160 characters.
    pub title: String,
    /// At most 4,000 characters.
    pub body: String,
}

/// What a publisher writes as an area: the union of units, polygons and circles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaTarget {
    /// Unit codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<UnitCode>,
    /// The vintage of the codes; absent means the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vintage: Option<Vintage>,
    /// Closed rings, latitude first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polygons: Vec<Ring>,
    /// Circles, radius in kilometres.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub circles: Vec<Circle>,
}
