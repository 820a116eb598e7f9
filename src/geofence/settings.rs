//! What a match may cost and how it treats the edges of things.

use serde::{Deserialize, Serialize};

/// Settings of a match; the defaults are the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchSettings {
    /// A touched part is a sliver, and dropped, when its share is below this **and** it is thinner
    /// than `sliver_width_m`: a border drawn twice, not a target. Share alone would drop people:
    /// 0.0005 of a large commune is a hamlet.
    pub sliver_share: f64,
    /// Mean width (area over half the perimeter) of a sliver in metres. Half a metre is what
    /// coordinates of five decimals are rounded by.
    pub sliver_width_m: f64,
    /// From this share on a unit counts as whole. The rest is less than boundaries of different
    /// publishers differ by (2.6 % of a unit in the median), and warning it is the safe side.
    pub whole_share: f64,
    /// A polygon or circle that hits no unit is given to the nearest one within this many metres:
    /// points just off a small island or a pier mean that island. 0 switches it off.
    pub nearest_m: f64,
    /// Most points of all polygons together. The largest ring met in a public feed has 34,066.
    pub points_max: usize,
    /// Most polygons and circles together. Public feeds were met with 212 in one area.
    pub shapes_max: usize,
    /// Most unit codes: the country has 3,321 units, so more is a mistake.
    pub codes_max: usize,
}

impl Default for MatchSettings {
    fn default() -> Self {
        Self {
            sliver_share: 0.0005,
            sliver_width_m: 0.5,
            whole_share: 0.9995,
            nearest_m: 1_000.0,
            points_max: 50_000,
            shapes_max: 1_000,
            codes_max: 4_000,
        }
    }
}

impl MatchSettings {
    /// Every problem of these settings, as `key: rule`.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |holds: bool, rule: &str| {
            if !holds {
                found.push(rule.to_owned());
            }
        };
        must((0.0..0.5).contains(&self.sliver_share), "sliver_share: must be 0 to 0.5");
        must((0.0..=100.0).contains(&self.sliver_width_m), "sliver_width_m: must be 0 to 100");
        must((0.5..=1.0).contains(&self.whole_share), "whole_share: must be 0.5 to 1");
        must((0.0..=20_000.0).contains(&self.nearest_m), "nearest_m: must be 0 to 20000");
        must(self.points_max >= 4, "points_max: must be at least 4");
        must(self.shapes_max >= 1, "shapes_max: must be at least 1");
        must(self.codes_max >= 1, "codes_max: must be at least 1");
        found
    }
}
