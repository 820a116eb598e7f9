//! What Loa asks of agencies beyond CAP 1.2, so that an alert can be targeted, ends, and is read.
//!
//! Sources: the Google profile (expires and area required, short names of areas) and the WMO
//! guidelines (`expires` after `effective` and `onset`, headline of at most 160 characters, at most
//! 100 vertices).

use super::rules::{Mode, Report, Violation};
use super::{Alert, Area, Info, MsgType, default_language};

/// The longest headline that fits on phones, in characters (WMO).
pub const MAX_HEADLINE: usize = 160;
/// The most vertices a polygon should have (WMO).
pub const MAX_VERTICES: usize = 100;
/// The length an area's name should stay below, in characters (Google).
pub const MAX_AREA_NAME: usize = 50;

/// Every rule of the publishing profile the alert breaks. Only for what agencies publish; feeds are
/// taken as CAP allows.
pub fn profile(alert: &Alert) -> Vec<Violation> {
    let mut report = Report::new(Mode::Strict);
    // Only these two tell people something new and so must say where and how long.
    let informs = matches!(alert.msg_type, MsgType::Alert | MsgType::Update);
    if informs && alert.infos.is_empty() {
        let message = format!("msgType {} needs an info", alert.msg_type);
        report.broken("/alert/info", "info_missing", message);
    }
    for (n, info) in alert.infos.iter().enumerate() {
        let path = format!("/alert/info[{}]", n + 1);
        times(alert, info, &format!("{path}/expires"), &mut report);
        words(info, &path, &mut report);
        if informs && info.areas.is_empty() {
            let message = format!("msgType {} needs an area in every info", alert.msg_type);
            report.broken(&format!("{path}/area"), "area_missing", message);
        }
        for (n, place) in info.areas.iter().enumerate() {
            area(place, &format!("{path}/area[{}]", n + 1), &mut report);
        }
    }
    report.into_violations()
}

fn times(alert: &Alert, info: &Info, path: &str, report: &mut Report) {
    let Some(expires) = info.expires else {
        let message = "expires is required: every alert ends".to_owned();
        return report.broken(path, "expires_missing", message);
    };
    let starts = [("sent", Some(alert.sent)), ("effective", info.effective), ("onset", info.onset)];
    for (name, start) in starts {
        if start.is_some_and(|start| expires.instant() <= start.instant()) {
            let message = format!("{expires} must be after {name}");
            report.broken(path, "expires_too_early", message);
        }
    }
}

/// Whether a sixth of the letters are such as only Vietnamese has. An English text with the names
/// of places stays far below, a Vietnamese one lies above a fifth.
fn is_vietnamese(info: &Info) -> bool {
    let texts = [Some(&info.event), info.headline.as_ref(), info.description.as_ref()];
    let letters =
        || texts.into_iter().flatten().flat_map(|text| text.chars()).filter(|c| c.is_alphabetic());
    let own = |c: &char| matches!(c, '\u{1ea0}'..='\u{1ef9}') || "ăâđêôơưĂÂĐÊÔƠƯ".contains(*c);
    letters().filter(own).count() * 6 > letters().count()
}

fn words(info: &Info, path: &str, report: &mut Report) {
    if info.language == default_language() && is_vietnamese(info) {
        let message = "the words are Vietnamese; CAP assumes en-US of an info without a language, \
                       so write vi-VN"
            .to_owned();
        report.noted(&format!("{path}/language"), "language_default", message);
    }
    let headline = format!("{path}/headline");
    match info.headline.as_ref().map(|headline| headline.chars().count()) {
        None => report.noted(&headline, "headline_missing", "has no headline".to_owned()),
        Some(length) if length > MAX_HEADLINE => {
            let message = format!("{length} characters; phones show {MAX_HEADLINE}");
            report.noted(&headline, "headline_long", message);
        }
        Some(_) => {}
    }
}

fn area(area: &Area, path: &str, report: &mut Report) {
    if area.polygons.is_empty() && area.circles.is_empty() && area.geocodes.is_empty() {
        let message = "an area needs a polygon, a circle or a geocode".to_owned();
        report.broken(path, "area_empty", message);
    }
    let length = area.description.chars().count();
    if length >= MAX_AREA_NAME {
        let message = format!("{length} characters; keep it below {MAX_AREA_NAME}");
        report.noted(&format!("{path}/areaDesc"), "area_name_long", message);
    }
    for (n, ring) in area.polygons.iter().enumerate() {
        // The closing pair is no vertex of its own.
        let vertices = ring.points().len() - 1;
        if vertices > MAX_VERTICES {
            let message = format!("{vertices} vertices; keep it to {MAX_VERTICES}");
            report.noted(&format!("{path}/polygon[{}]", n + 1), "polygon_detailed", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Severity;
    use super::*;

    fn alert(edit: impl FnOnce(&mut serde_json::Value)) -> Alert {
        let mut value = serde_json::json!({
            "identifier": "a", "sender": "b", "sent": "2026-10-09T05:30:00+07:00",
            "status": "Actual", "msg_type": "Alert", "scope": "Public",
            "infos": [{
                "language": "vi-VN", "categories": ["Met"], "event": "Triều cường",
                "urgency": "Expected", "severity": "Severe", "certainty": "Likely",
                "expires": "2026-10-09T20:00:00+07:00", "headline": "Triều cường",
                "areas": [{"description": "Phường Thủ Đức",
                           "circles": [{"centre": [10.8, 106.7], "radius_km": 1.0}]}]
            }]
        });
        edit(&mut value);
        serde_json::from_value(value).expect("an alert")
    }

    fn rules(alert: &Alert) -> Vec<(&'static str, Severity)> {
        profile(alert).into_iter().map(|found| (found.rule, found.severity)).collect()
    }

    #[test]
    fn each_rule_of_the_profile_is_found_where_it_is_broken() {
        use Severity::{Error, Warning};
        assert_eq!(rules(&alert(|_| {})), []);
        let expires = "/infos/0/expires";
        let cases: [(&str, serde_json::Value, &str, Severity); 8] = [
            ("/infos", serde_json::json!([]), "info_missing", Error),
            (expires, serde_json::Value::Null, "expires_missing", Error),
            (expires, "2026-10-09T05:30:00+07:00".into(), "expires_too_early", Error),
            ("/infos/0/areas", serde_json::json!([]), "area_missing", Error),
            ("/infos/0/areas/0/circles", serde_json::json!([]), "area_empty", Error),
            ("/infos/0/language", "en-US".into(), "language_default", Warning),
            ("/infos/0/headline", "x".repeat(161).into(), "headline_long", Warning),
            ("/infos/0/areas/0/description", "x".repeat(50).into(), "area_name_long", Warning),
        ];
        for (pointer, value, rule, severity) in cases {
            let broken = alert(|json| *json.pointer_mut(pointer).expect(pointer) = value);
            assert_eq!(rules(&broken), [(rule, severity)], "{pointer}");
        }
    }

    #[test]
    fn a_cancel_needs_no_area() {
        let cancel = alert(|json| {
            json["msg_type"] = "Cancel".into();
            json["infos"][0]["areas"] = serde_json::json!([]);
        });
        assert_eq!(rules(&cancel), []);
    }
}
