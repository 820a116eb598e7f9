//! Notices: news and surveys, on the routine lane, and the rules a notice must hold.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::geo::{Circle, Ring};
use crate::domain::ids::{UnitCode, Vintage};
use crate::domain::lint::{Finding, Grade, lint_text};
use crate::domain::survey::{self, Question};

/// Longest identifier, in characters.
pub const IDENTIFIER_MAX: usize = 64;
/// Longest title, in characters: what a phone shows in a list.
pub const TITLE_MAX: usize = 160;
/// Longest body, in characters: a page; more belongs behind `web`.
pub const BODY_MAX: usize = 4000;
/// Languages a notice may have.
pub const LANGUAGES_MAX: usize = 16;
/// Longest language tag, in bytes (RFC 5646 section 4.4.1).
pub const TAG_MAX: usize = 35;
/// Longest URI, in bytes.
pub const WEB_MAX: usize = 2048;
/// Longest time to expiry: older news is no news.
pub const LIFETIME_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Units a target may name: more than all of the city's, of either vintage.
pub const TARGET_UNITS_MAX: usize = 500;
/// Polygons a target may have, and circles as many.
pub const TARGET_SHAPES_MAX: usize = 100;
/// Points of all polygons together.
pub const TARGET_POINTS_MAX: usize = 10_000;
/// Largest radius of a circle: the city is less than 200 km long.
pub const TARGET_RADIUS_KM_MAX: f64 = 500.0;

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
    /// What a survey asks; news asks nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
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

impl Notice {
    /// Every rule it breaks; empty means that it may be published.
    pub fn check(&self, now: Timestamp) -> Vec<Finding> {
        let mut found = Vec::new();
        check_text("identifier", &self.identifier, IDENTIFIER_MAX, &mut found);
        self.check_texts(&mut found);
        if let Some(web) = &self.web {
            check_web(web, &mut found);
        }
        if self.expires <= now {
            let message = format!("{} is over", self.expires);
            found.push(Finding::error("expires", "expires_past", message));
        } else if self.expires.duration_since(now) > LIFETIME_MAX {
            found.push(Finding::error("expires", "too_long", "at most 30 days from now"));
        }
        if let Some(target) = &self.target {
            target.check(&mut found);
        }
        if self.kind == NoticeKind::News && !self.questions.is_empty() {
            found.push(Finding::error("questions", "survey_only", "only a survey has questions"));
        }
        found.extend(survey::check(&self.questions));
        found
    }

    fn check_texts(&self, found: &mut Vec<Finding>) {
        if !self.texts.keys().any(|tag| crate::domain::summary::is_vietnamese(tag)) {
            found.push(Finding::error("texts", "language_vi", "no text in Vietnamese (vi)"));
        }
        if self.texts.len() > LANGUAGES_MAX {
            let message = format!("{} languages, at most {LANGUAGES_MAX}", self.texts.len());
            found.push(Finding::error("texts", "max_items", message));
        }
        for (tag, text) in self.texts.iter().take(LANGUAGES_MAX) {
            let subtag = |part: &str| {
                (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
            };
            if tag.len() > TAG_MAX || !tag.split('-').all(subtag) {
                let given: String = tag.chars().take(TAG_MAX).collect();
                let message = format!("`{given}` is not a language tag (BCP 47)");
                found.push(Finding::error("texts", "language_tag", message));
                continue;
            }
            check_text(&format!("texts.{tag}.title"), &text.title, TITLE_MAX, found);
            check_text(&format!("texts.{tag}.body"), &text.body, BODY_MAX, found);
        }
    }
}

fn check_text(path: &str, text: &str, max: usize, found: &mut Vec<Finding>) {
    let count = text.chars().count();
    if text.trim().is_empty() {
        found.push(Finding::error(path, "not_empty", "must not be empty"));
    }
    if count > max {
        let message = format!("{count} characters, at most {max} are allowed");
        found.push(Finding::error(path, "max_length", message));
    }
    found.extend(lint_text(path, text).into_iter().filter(|f| f.severity == Grade::Error));
}

fn check_web(web: &str, found: &mut Vec<Finding>) {
    let fine = web.len() <= WEB_MAX
        && Url::parse(web).is_ok_and(|url| {
            url.scheme() == "https" && url.has_host() && url.username().is_empty()
        });
    if !fine {
        let message = format!("must be an absolute https URI of at most {WEB_MAX} bytes");
        found.push(Finding::error("web", "https_uri", message));
    }
}

impl AreaTarget {
    fn check(&self, found: &mut Vec<Finding>) {
        let points = self.polygons.iter().map(|ring| ring.points().len()).sum();
        let counts = [
            ("target.units", self.units.len(), TARGET_UNITS_MAX),
            ("target.polygons", self.polygons.len(), TARGET_SHAPES_MAX),
            ("target.polygons", points, TARGET_POINTS_MAX),
            ("target.circles", self.circles.len(), TARGET_SHAPES_MAX),
        ];
        for (path, count, max) in counts.into_iter().filter(|(_, count, max)| count > max) {
            found.push(Finding::error(path, "max_items", format!("{count}, at most {max}")));
        }
        if self.units.is_empty() && self.polygons.is_empty() && self.circles.is_empty() {
            let message = "names no place; leave it out to mean every unit of the agency";
            found.push(Finding::error("target", "not_empty", message));
        }
        for (index, circle) in self.circles.iter().take(TARGET_SHAPES_MAX).enumerate() {
            if !(0.0..=TARGET_RADIUS_KM_MAX).contains(&circle.radius_km) {
                let path = format!("target.circles[{index}].radius_km");
                let message = format!("0 to {TARGET_RADIUS_KM_MAX} km");
                found.push(Finding::error(path, "range", message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        serde_json::from_value(serde_json::json!({
            "identifier": "HCMC-2026-1", "kind": "news",
            "texts": {"vi": {"title": "Cắt nước", "body": "Từ 22 giờ."}},
            "web": "https://example.org/a", "target": {"units": ["26740"]},
            "expires": "1970-01-31T00:00:00Z"
        }))
        .expect("a notice")
    }

    #[test]
    fn every_broken_rule_is_named_with_its_field() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(notice().check(now), []);
        type Spoil = fn(&mut Notice);
        let cases: [(Spoil, &str, &str); 14] = [
            (|n| n.identifier.clear(), "identifier", "not_empty"),
            (|n| n.identifier = "x".repeat(65), "identifier", "max_length"),
            (|n| title(n, ""), "texts.vi.title", "not_empty"),
            (|n| title(n, &"ạ".repeat(161)), "texts.vi.title", "max_length"),
            (|n| title(n, "a\u{202E}b"), "texts.vi.title", "control_character"),
            (|n| n.texts.clear(), "texts", "language_vi"),
            (|n| tag(n, "v_i"), "texts", "language_tag"),
            (|n| n.web = Some("http://example.org".into()), "web", "https_uri"),
            (|n| n.web = Some("https://a@b.org".into()), "web", "https_uri"),
            (|n| n.expires = Timestamp::UNIX_EPOCH, "expires", "expires_past"),
            (|n| n.expires += SignedDuration::from_secs(1), "expires", "too_long"),
            (|n| n.target = Some(AreaTarget::default()), "target", "not_empty"),
            (|n| circle(n, 501.0), "target.circles[0].radius_km", "range"),
            (|n| circle(n, f64::NAN), "target.circles[0].radius_km", "range"),
        ];
        for (spoil, field, rule) in cases {
            let mut bad = notice();
            spoil(&mut bad);
            let found = bad.check(now);
            let named: Vec<_> = found.iter().map(|f| (f.path.as_str(), f.rule)).collect();
            assert_eq!(named, [(field, rule)], "{found:?}");
        }
    }

    fn title(notice: &mut Notice, title: &str) {
        notice.texts.get_mut("vi").expect("the Vietnamese text").title = title.into();
    }

    fn tag(notice: &mut Notice, tag: &str) {
        let text = notice.texts["vi"].clone();
        notice.texts.insert(tag.into(), text);
    }

    fn circle(notice: &mut Notice, radius_km: f64) {
        let centre = crate::domain::geo::LatLon::new(10.8, 106.7).expect("a point");
        let target = notice.target.get_or_insert_default();
        target.circles.push(Circle { centre, radius_km });
    }
}
