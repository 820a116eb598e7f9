use serde_json::{Value, json};

use super::*;

fn base() -> Value {
    json!({
        "identifier": "VN-1", "sender": "kttv@hcm.example.vn", "sent": "2026-10-09T05:30:00+07:00",
        "status": "Actual", "msg_type": "Alert", "scope": "Public", "note": "n",
        "infos": [{
            "language": "vi-VN", "categories": ["Met"], "event": "Triều cường", "urgency": "Expected",
            "severity": "Severe", "certainty": "Likely", "web": "https://hcm.example.vn",
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

/// One change a row: the JSON pointer and value, the rule it breaks, its place, and whether a
/// lenient reader forgives it.
#[test]
fn each_rule_is_found_where_it_is_broken() {
    let info = "/alert/info[1]";
    let reference = |id: &str, sent: &str| json!([{"sender": "kttv@hcm.example.vn", "identifier": id, "sent": sent}]);
    let earlier = "2026-10-08T00:00:00+07:00";
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
    let flat = json!([[[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]]);
    let area = format!("{info}/area[1]");
    let refused = Some(Severity::Error);
    let forgiven = Some(Severity::Warning);
    let cases: Vec<(&str, Value, &str, String, Option<Severity>)> = vec![
        ("/identifier", "a b".into(), "name_characters", "/alert/identifier".into(), refused),
        ("/identifier", "".into(), "name_blank", "/alert/identifier".into(), refused),
        ("/sender", "a,b".into(), "name_characters", "/alert/sender".into(), refused),
        ("/note", " ".into(), "text_blank", "/alert/note".into(), forgiven),
        ("/note", "\u{1}".into(), "text_character", "/alert/note".into(), refused),
        ("/scope", "Private".into(), "addresses_missing", "/alert/addresses".into(), refused),
        (
            "/scope",
            "Restricted".into(),
            "restriction_missing",
            "/alert/restriction".into(),
            forgiven,
        ),
        (
            "/restriction",
            "r".into(),
            "restriction_unexpected",
            "/alert/restriction".into(),
            forgiven,
        ),
        ("/addresses", json!(["a\"b"]), "list_quote", "/alert/addresses".into(), refused),
        ("/codes", json!([""]), "text_blank", "/alert/code[1]".into(), forgiven),
        ("/msg_type", "Update".into(), "references_missing", "/alert/references".into(), refused),
        ("/msg_type", "Ack".into(), "references_missing", "/alert/references".into(), refused),
        (
            "/references",
            reference("a b", earlier),
            "name_characters",
            "/alert/references".into(),
            refused,
        ),
        (
            "/references",
            reference("VN-1", "2026-10-08T22:30:00-00:00"),
            "reference_self",
            "/alert/references".into(),
            None,
        ),
        (
            "/references",
            reference("VN-0", "2027-01-01T00:00:00+07:00"),
            "reference_later",
            "/alert/references".into(),
            None,
        ),
        (
            "/infos/0/language",
            "vi_VN".into(),
            "language_malformed",
            format!("{info}/language"),
            refused,
        ),
        ("/infos/0/categories", json!([]), "category_missing", format!("{info}/category"), refused),
        ("/infos/0/event", "".into(), "text_blank", format!("{info}/event"), forgiven),
        ("/infos/0/web", "hcm.vn/a".into(), "web_not_absolute", format!("{info}/web"), forgiven),
        (
            "/infos/0/expires",
            "2026-10-09T05:30:00+07:00".into(),
            "expires_before_start",
            format!("{info}/expires"),
            None,
        ),
        (
            "/infos/0/parameters/0/name",
            "".into(),
            "text_blank",
            format!("{info}/parameter[1]/valueName"),
            forgiven,
        ),
        (
            "/infos/0/resources/0/mime_type",
            Value::Null,
            "mime_type_missing",
            format!("{info}/resource[1]/mimeType"),
            refused,
        ),
        (
            "/infos/0/areas/0/description",
            "".into(),
            "text_blank",
            format!("{area}/areaDesc"),
            forgiven,
        ),
        (
            "/infos/0/areas/0/polygons",
            bowtie,
            "polygon_crosses_itself",
            format!("{area}/polygon[1]"),
            forgiven,
        ),
        (
            "/infos/0/areas/0/polygons",
            pinched,
            "polygon_touches_itself",
            format!("{area}/polygon[1]"),
            forgiven,
        ),
        (
            "/infos/0/areas/0/circles/0/radius_km",
            json!(-1.0),
            "circle_radius",
            format!("{area}/circle[1]"),
            refused,
        ),
        (
            "/infos/0/areas/0/altitude_ft",
            Value::Null,
            "ceiling_without_altitude",
            format!("{area}/ceiling"),
            refused,
        ),
        (
            "/infos/0/areas/0/ceiling_ft",
            json!(-1.0),
            "ceiling_below_altitude",
            format!("{area}/ceiling"),
            None,
        ),
    ];
    assert_eq!(found(base(), Mode::Strict), []);
    for (pointer, value, rule, path, lenient) in cases {
        let mut alert = base();
        set(&mut alert, pointer, value);
        let strict = if lenient.is_some() { Severity::Error } else { Severity::Warning };
        assert_eq!(found(alert.clone(), Mode::Strict), [(path.clone(), rule, strict)], "{pointer}");
        let lenient = lenient.unwrap_or(Severity::Warning);
        assert_eq!(found(alert, Mode::Lenient), [(path, rule, lenient)], "{pointer}");
    }
    let mut doubled = base();
    set(&mut doubled, "/infos/0/areas/0/polygons", flat);
    let rules: Vec<_> = found(doubled, Mode::Strict).into_iter().map(|found| found.1).collect();
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
