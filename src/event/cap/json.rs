//! The model's JSON form: the same alert, the same rules, places given as JSON pointers.

use serde_json::Value;

use super::limits::Limits;
use super::{Severity, Violation, shape, signature};
use crate::domain::alert::Alert;
use crate::domain::alert::rules::{self, Mode, Report};

/// Reads an alert from JSON, strictly and within [`Limits::default`], or names everything that is
/// wrong with it, each with the JSON pointer of its field.
pub fn read_json(bytes: &[u8]) -> Result<Alert, Vec<Violation>> {
    let limits = Limits::default();
    limits.check_bytes(bytes).map_err(|violation| vec![violation])?;
    let document: Value = serde_json::from_slice(bytes)
        .map_err(|error| vec![Violation::error("", "not_json", error.to_string())])?;
    let mut report = Report::new(Mode::Strict);
    shape::check(&document, &mut report);
    if report.refuses() {
        return Err(report.into_violations());
    }
    // From the bytes, not from the value, which has lost fields that were given twice.
    let alert: Alert = serde_json::from_slice(bytes)
        .map_err(|error| vec![Violation::error("", "field_form", error.to_string())])?;
    limits.check_alert(&alert).map_err(|violation| vec![violation])?;
    for (at, text) in alert.signatures.iter().enumerate() {
        if let Err(violation) = signature::check(text) {
            report.add(Violation { path: format!("/signatures/{at}"), ..violation });
        }
    }
    for violation in rules::check(&alert, Mode::Strict) {
        report.add(Violation { path: pointer(&violation.path), ..violation });
    }
    if report.refuses() {
        let mut violations = report.into_violations();
        violations.retain(|violation| violation.severity == Severity::Error);
        return Err(violations);
    }
    Ok(alert)
}

/// An element path as a JSON pointer into the model.
fn pointer(path: &str) -> String {
    let mut pointer = String::new();
    for step in path.split('/').filter(|step| !matches!(*step, "" | "alert")) {
        let (name, ordinal) = match step.split_once('[') {
            Some((name, ordinal)) => (name, ordinal.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        pointer.push('/');
        pointer.push_str(field(name));
        if let Some(ordinal) = ordinal {
            pointer.push_str(&format!("/{}", ordinal.saturating_sub(1)));
        }
    }
    pointer
}

/// The model's name of an element, where it has another.
fn field(element: &str) -> &str {
    match element {
        "msgType" => "msg_type",
        "code" => "codes",
        "info" => "infos",
        "category" => "categories",
        "eventCode" => "event_codes",
        "senderName" => "sender_name",
        "parameter" => "parameters",
        "resource" => "resources",
        "area" => "areas",
        "valueName" => "name",
        "resourceDesc" | "areaDesc" => "description",
        "mimeType" => "mime_type",
        "derefUri" => "deref_uri",
        "polygon" => "polygons",
        "circle" => "circles",
        "geocode" => "geocodes",
        "altitude" => "altitude_ft",
        "ceiling" => "ceiling_ft",
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(document: &Value) -> Vec<(String, &'static str)> {
        match read_json(document.to_string().as_bytes()) {
            Ok(_) => vec![],
            Err(found) => found.into_iter().map(|found| (found.path, found.rule)).collect(),
        }
    }

    fn base() -> Value {
        json!({
            "identifier": "VN-1", "sender": "kttv@hcm.example.vn",
            "sent": "2026-10-09T05:30:00+07:00", "status": "Actual", "msg_type": "Alert",
            "scope": "Public",
            "infos": [{
                "categories": ["Met"], "event": "Triều cường", "urgency": "Expected",
                "severity": "Severe", "certainty": "Likely", "headline": null,
                "areas": [{"description": "Thủ Đức",
                    "polygons": [[[10.8, 106.7], [10.8, 106.8], [10.9, 106.8], [10.8, 106.7]]]}]
            }]
        })
    }

    #[test]
    fn every_wrong_field_is_named_with_its_pointer() {
        assert_eq!(places(&base()), []);
        let mut wrong = base();
        wrong["msg_type"] = "Alarm".into();
        wrong["colour"] = 1.into();
        wrong["infos"][0]["urgency"] = Value::Null;
        wrong["infos"][0]["areas"][0]["polygons"][0][1] = json!([106.8, 10.8]);
        wrong.as_object_mut().expect("an object").remove("sender");
        let expected = [
            ("/sender", "field_missing"),
            ("/msg_type", "field_form"),
            ("/infos/0/urgency", "field_form"),
            ("/infos/0/areas/0/polygons/0/1", "field_form"),
            ("/colour", "field_unknown"),
        ];
        assert_eq!(places(&wrong), expected.map(|(path, rule)| (path.to_owned(), rule)));
    }

    #[test]
    fn the_rules_of_the_model_hold_for_json_too() {
        let mut wrong = base();
        wrong["msg_type"] = "Cancel".into();
        wrong["infos"][0]["areas"][0]["ceiling_ft"] = json!(3.5);
        wrong["signatures"] = json!(["</alert><alert>"]);
        let expected = [
            ("/signatures/0", "not_well_formed"),
            ("/references", "references_missing"),
            ("/infos/0/areas/0/ceiling_ft", "ceiling_without_altitude"),
        ];
        assert_eq!(places(&wrong), expected.map(|(path, rule)| (path.to_owned(), rule)));
    }

    #[test]
    fn a_field_given_twice_and_what_is_no_json_are_refused() {
        let twice = base().to_string().replacen("{", r#"{"status":"Test","#, 1);
        for (bytes, rule) in [(twice.as_bytes(), "field_form"), (&b"<alert/>"[..], "not_json")] {
            let found = read_json(bytes).expect_err("refused");
            assert_eq!((found[0].path.as_str(), found[0].rule), ("", rule));
        }
    }
}
