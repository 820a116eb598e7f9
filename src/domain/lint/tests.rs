use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-08-01T09:30:00Z".parse().expect("an instant")
}

/// A hot alert in both languages at which the linter finds nothing.
fn clean() -> Value {
    let info = |language: &str| {
        json!({"language": language, "categories": ["Met"], "event": "Bão",
            "response_types": ["Evacuate"], "urgency": "Immediate", "severity": "Extreme",
            "certainty": "Likely", "expires": "2026-08-01T22:30:00+07:00",
            "headline": "Bão số 10 đổ bộ", "description": "Gió cấp 12.",
            "instruction": "Di dời ngay.",
            "parameters": [{"name": "loa:disaster-level", "value": "4"}],
            "areas": [{"description": "Xã Cần Giờ"}]})
    };
    json!({"identifier": "1", "sender": "kttv", "sent": "2026-08-01T16:30:00+07:00",
        "status": "Actual", "msg_type": "Alert", "scope": "Public",
        "infos": [info("vi-VN"), info("en-US")]})
}

fn found(alert: Value) -> Vec<Finding> {
    lint(&serde_json::from_value(alert).expect("an alert"), now())
}

#[test]
fn every_rule_is_found_where_it_is_broken_and_nothing_else_is() {
    assert_eq!(found(clean()), []);
    let long = "a".repeat(161);
    let huge = "ạ\n".repeat(1000);
    let cases = [
        ("/infos/0/language", json!("ko"), "infos", "language_vi"),
        ("/infos/1/language", json!("ko"), "infos", "language_en"),
        ("/infos/0/instruction", json!(" "), "infos[0].instruction", "action"),
        ("/infos/0/response_types", json!([]), "infos[0].response_types", "response_type"),
        ("/infos/1/expires", Value::Null, "infos[1].expires", "expires"),
        (
            "/infos/0/expires",
            json!("2026-08-01T16:30:00+07:00"),
            "infos[0].expires",
            "expires_past",
        ),
        ("/infos/0/expires", json!("2026-08-01T16:34:59+07:00"), "infos[0].expires", "too_short"),
        ("/infos/0/expires", json!("2026-08-02T16:30:01+07:00"), "infos[0].expires", "too_long"),
        ("/infos/0/headline", Value::Null, "infos[0].headline", "headline"),
        ("/infos/0/headline", json!(long), "infos[0].headline", "headline_length"),
        ("/infos/0/headline", json!("Xem WWW.a.vn"), "infos[0].headline", "headline_url"),
        (
            "/infos/0/description",
            json!("BÃO SỐ 10 ĐỔ BỘ CẦN GIỜ"),
            "infos[0].description",
            "shouting",
        ),
        ("/infos/0/description", json!(huge), "infos", "payload_bytes"),
        ("/infos/0/event", json!("Ba\u{303}o"), "infos[0].event", "nfc"),
        ("/infos/0/contact", json!("a\u{200B}b"), "infos[0].contact", "zero_width"),
        ("/note", json!("a\u{202E}b"), "note", "control_character"),
        (
            "/infos/1/areas/0/description",
            json!("a\u{1}b"),
            "infos[1].areas[0].description",
            "control_character",
        ),
        ("/infos/0/parameters/0/value", json!("3"), "infos[0].parameters", "disaster_level"),
        ("/infos/0/parameters/0/value", json!("VI"), "infos[0].parameters", "disaster_level"),
    ];
    for (pointer, value, path, rule) in cases {
        let mut alert = clean();
        match alert.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => {
                let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
                alert.pointer_mut(parent).expect("the parent")[field] = value;
            }
        }
        let found = found(alert);
        let named: Vec<_> = found.iter().map(|f| (f.path.as_str(), f.rule)).collect();
        assert_eq!(named, [(path, rule)], "{pointer}: {found:?}");
    }
}

#[test]
fn the_bounds_of_the_duration_are_as_documented() {
    for (expires, want) in [
        ("2026-08-01T16:35:00+07:00", None),
        ("2026-08-02T16:30:00+07:00", None),
        ("2026-08-02T16:30:01+07:00", Some("too_long")),
    ] {
        let mut alert = clean();
        alert["infos"][0]["expires"] = json!(expires);
        assert_eq!(found(alert).first().map(|f| f.rule), want, "{expires}");
    }
}

#[test]
fn a_cancel_needs_neither_info_nor_expiry_nor_action() {
    let mut alert = clean();
    alert["msg_type"] = json!("Cancel");
    alert["infos"] = json!([]);
    assert_eq!(found(alert), []);
    let mut alert = clean();
    alert["msg_type"] = json!("Cancel");
    for index in 0..2 {
        let info = &mut alert["infos"][index];
        info["urgency"] = json!("Past");
        info["expires"] = Value::Null;
        info["instruction"] = Value::Null;
        info["response_types"] = json!(["AllClear"]);
    }
    assert_eq!(found(alert), []);
}

#[test]
fn escaped_length_and_cut_point_are_those_of_the_json_that_is_sent() {
    let text = "Bão \"số\" 10\\\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f} 🌀 ạ\u{2028}";
    let json_len = |text: &str| serde_json::to_string(text).expect("a string").len() - 2;
    assert_eq!(escaped_len(text), json_len(text));
    for budget in 0..=escaped_len(text) {
        let cut = cut_point(text, budget);
        assert!(json_len(&text[..cut]) <= budget);
        if let Some(next) = text[cut..].chars().next() {
            assert!(json_len(&text[..cut + next.len_utf8()]) > budget, "{budget}");
        }
    }
    assert_eq!(cut_point(text, usize::MAX), text.len());
}
