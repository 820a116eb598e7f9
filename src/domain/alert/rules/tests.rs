use serde_json::{Value, json};

use super::*;

fn base() -> Value {
    json!({
        "identifier": "VN-1", "sender": "kttv@hcm.example.vn", "sent": "2026-10-09T05:30:00+07:00",
        "status": "Actual", "msg_type": "Alert", "scope": "Public", "note": "n",
        "infos": [{
            "language": "vi-VN", "categories": ["Met"], "event": "Triều cường",
            "urgency": "Expected", "severity": "Severe", "certainty": "Likely",
            "web": "https://hcm.example.vn",
            "effective": "2026-10-09T05:30:00+07:00", "expires": "2026-10-09T20:00:00+07:00",
            "parameters": [{"name": "a", "value": ""}],
            "resources": [{"description": "map", "mime_type": "image/png"}],
            "areas": [{
                "description": "Thủ Đức", "altitude_ft": 0.0, "ceiling_ft": 10.0,
                "polygons": [[[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]],
                "circles": [{"centre": [10.8, 106.7], "radius_km": 1.0}]
            }]
        }]
    })
}

fn found(value: Value, mode: Mode) -> Vec<(String, &'static str, Severity)> {
    let alert: Alert = serde_json::from_value(value).expect("an alert");
    check(&alert, mode).into_iter().map(|v| (v.path, v.rule, v.severity)).collect()
}

/// What each mode makes of a broken rule.
#[derive(Clone, Copy)]
enum Verdict {
    Refused,
    Forgiven,
    Noted,
}

use Verdict::{Forgiven, Noted, Refused};

/// One change: the JSON pointer and value, the rule it breaks, the rule's place and the verdict.
type Case = (&'static str, Value, &'static str, &'static str, Verdict);

fn reference(identifier: &str, sent: &str) -> Value {
    json!({"sender": "kttv@hcm.example.vn", "identifier": identifier, "sent": sent})
}

fn head_cases() -> Vec<Case> {
    const EARLIER: &str = "2026-10-08T00:00:00+07:00";
    let blank = json!([reference("a b", EARLIER)]);
    let itself = json!([reference("VN-1", "2026-10-08T22:30:00-00:00")]);
    let later = json!([reference("VN-0", "2027-01-01T00:00:00+07:00")]);
    let twice = json!([reference("VN-0", EARLIER), reference("VN-0", EARLIER)]);
    vec![
        ("/identifier", "a b".into(), "name_characters", "identifier", Refused),
        ("/identifier", "".into(), "name_blank", "identifier", Refused),
        ("/sender", "a,b".into(), "name_characters", "sender", Refused),
        ("/note", " ".into(), "text_blank", "note", Forgiven),
        ("/note", "\u{1}".into(), "text_character", "note", Refused),
        ("/scope", "Private".into(), "addresses_missing", "addresses", Refused),
        ("/scope", "Restricted".into(), "restriction_missing", "restriction", Forgiven),
        ("/restriction", "r".into(), "restriction_unexpected", "restriction", Forgiven),
        ("/addresses", json!(["a\"b"]), "list_quote", "addresses", Refused),
        ("/codes", json!([""]), "text_blank", "code[1]", Forgiven),
        ("/msg_type", "Update".into(), "references_missing", "references", Refused),
        ("/msg_type", "Ack".into(), "references_missing", "references", Refused),
        ("/references", blank, "name_characters", "references", Refused),
        ("/references", itself, "reference_self", "references", Noted),
        ("/references", later, "reference_later", "references", Noted),
        ("/references", twice, "reference_repeated", "references", Noted),
    ]
}

fn info_cases() -> Vec<Case> {
    let now = "2026-10-09T05:30:00+07:00";
    vec![
        ("/language", "vi_VN".into(), "language_malformed", "language", Refused),
        ("/categories", json!([]), "category_missing", "category", Refused),
        ("/event", "".into(), "text_blank", "event", Forgiven),
        ("/web", "hcm.vn/a".into(), "web_not_absolute", "web", Forgiven),
        ("/expires", now.into(), "expires_before_start", "expires", Noted),
        ("/parameters/0/name", "".into(), "text_blank", "parameter[1]/valueName", Forgiven),
        (
            "/resources/0/mime_type",
            Value::Null,
            "mime_type_missing",
            "resource[1]/mimeType",
            Refused,
        ),
    ]
}

fn area_cases() -> Vec<Case> {
    let bowtie = json!([[[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]]);
    let pinched = json!([[
        [0.0, 0.0],
        [0.0, 2.0],
        [1.0, 1.0],
        [2.0, 2.0],
        [2.0, 0.0],
        [1.0, 1.0],
        [0.0, 0.0]
    ]]);
    vec![
        ("/description", "".into(), "text_blank", "areaDesc", Forgiven),
        ("/polygons", bowtie, "polygon_crosses_itself", "polygon[1]", Forgiven),
        ("/polygons", pinched, "polygon_touches_itself", "polygon[1]", Forgiven),
        ("/circles/0/radius_km", json!(-1.0), "circle_radius", "circle[1]", Refused),
        ("/altitude_ft", Value::Null, "ceiling_without_altitude", "ceiling", Refused),
        ("/ceiling_ft", json!(-1.0), "ceiling_below_altitude", "ceiling", Noted),
    ]
}

#[test]
fn each_rule_is_found_where_it_is_broken() {
    assert_eq!(found(base(), Mode::Strict), []);
    for (pointer, path, cases) in [
        ("", "/alert", head_cases()),
        ("/infos/0", "/alert/info[1]", info_cases()),
        ("/infos/0/areas/0", "/alert/info[1]/area[1]", area_cases()),
    ] {
        for (field, value, rule, place, verdict) in cases {
            let mut alert = base();
            set(&mut alert, &format!("{pointer}{field}"), value);
            let (strict, lenient) = match verdict {
                Refused => (Severity::Error, Severity::Error),
                Forgiven => (Severity::Error, Severity::Warning),
                Noted => (Severity::Warning, Severity::Warning),
            };
            for (mode, severity) in [(Mode::Strict, strict), (Mode::Lenient, lenient)] {
                let expected = [(format!("{path}/{place}"), rule, severity)];
                assert_eq!(found(alert.clone(), mode), expected, "{field}");
            }
        }
    }
}

#[test]
fn a_ring_without_an_area_is_refused_and_a_doubled_pair_noted() {
    let mut alert = base();
    let flat = json!([[[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]]);
    set(&mut alert, "/infos/0/areas/0/polygons", flat);
    let rules: Vec<_> = found(alert, Mode::Lenient).into_iter().map(|found| found.1).collect();
    assert_eq!(rules, ["polygon_flat", "polygon_pair_doubled"]);
}

fn set(alert: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match alert.pointer_mut(parent).expect("a parent") {
        Value::Object(fields) => drop(fields.insert(name.to_owned(), value)),
        other => other[name.parse::<usize>().expect("an index")] = value,
    }
}

#[test]
fn a_report_is_bounded_and_says_what_it_left_out() {
    let mut report = Report::new(Mode::Strict);
    for _ in 0..MAX_REPORTED + 7 {
        report.noted("/alert", "text_blank", "a\u{1b}[2Jb".to_owned());
    }
    let found = report.into_violations();
    assert_eq!(found.len(), MAX_REPORTED + 1);
    assert_eq!(found[0].message, "a [2Jb");
    assert_eq!(found[MAX_REPORTED].message, "7 more violations are not listed");
    assert_eq!(found[MAX_REPORTED].severity, Severity::Warning);
}
