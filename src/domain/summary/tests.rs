use serde_json::{Value, json};

use super::*;
use crate::domain::ids::PublicationId;

fn info(language: &str, headline: &str) -> Value {
    json!({"language": language, "categories": ["Met"], "event": "Bão", "urgency": "Immediate",
        "severity": "Extreme", "certainty": "Likely", "headline": headline,
        "description": "Gió cấp 12.", "instruction": "Di dời ngay."})
}

fn alert(msg_type: &str, status: &str, infos: Vec<Value>) -> Content {
    let alert = json!({"identifier": "1", "sender": "kttv", "sent": "2026-08-01T16:30:00+07:00",
        "status": status, "msg_type": msg_type, "scope": "Public", "infos": infos});
    Content::Alert(Box::new(serde_json::from_value(alert).expect("an alert")))
}

fn publication(lane: Lane, content: Content) -> Publication {
    let id = PublicationId(uuid::Uuid::from_u128(7));
    Publication {
        id,
        chain: id.into(),
        lane,
        agency: "kttv".parse().expect("an agency"),
        accepted_at: jiff::Timestamp::UNIX_EPOCH,
        expires: jiff::Timestamp::MAX,
        supersedes: vec![],
        audience: crate::domain::audience::Audience::of_subject("c1".parse().expect("a subject")),
        content,
        agency_name: None,
        signature: None,
        signed_by: None,
    }
}

fn say(content: Content, languages: &[&str]) -> Words {
    let languages: Vec<String> = languages.iter().map(ToString::to_string).collect();
    words(&publication(Lane::Emergency, content), &languages, &StatusKinds::default())
}

#[test]
fn the_best_language_is_looked_up_as_rfc_4647_says_then_vietnamese_english_first() {
    let cases: [(&[&str], &[&str], &str); 11] = [
        (&["vi-VN", "en-US"], &["vi-VN"], "vi-VN"),
        (&["vi-VN", "en-US"], &["VI-vn-x-phone"], "vi-VN"),
        (&["vi", "en"], &["vi-Latn-VN"], "vi"),
        (&["vi-VN", "en-US"], &["en"], "en-US"),
        (&["vi-VN", "en-US"], &["en-GB", "vi"], "en-US"),
        (&["vi-VN", "ko"], &["ja", "ko-KR"], "ko"),
        (&["ko", "en-US", "vi-VN"], &["ja"], "vi-VN"),
        (&["ko", "en-US"], &["ja"], "en-US"),
        (&["ko", "km"], &[], "ko"),
        (&["zh", "zh-Hant"], &["zh-Hant-TW"], "zh-Hant"),
        (&["vi-VN", "de"], &["de-x-home"], "de"),
    ];
    for (given, wanted, want) in cases {
        let infos = given.iter().map(|tag| info(tag, "x")).collect();
        assert_eq!(say(alert("Alert", "Actual", infos), wanted).language, want, "{wanted:?}");
    }
}

#[test]
fn what_to_do_comes_first_and_infos_of_one_language_are_joined() {
    let mut second = info("VI-vn", "Sóng cao");
    second["instruction"] = json!("Không ra khơi.");
    let infos = vec![info("vi-VN", "Bão đổ bộ"), info("en", "Storm"), second];
    let words = say(alert("Alert", "Actual", infos), &["vi"]);
    assert_eq!(words.title, "Bão đổ bộ; Sóng cao");
    assert_eq!(words.body, "Di dời ngay.\nGió cấp 12.\n\nKhông ra khơi.\nGió cấp 12.");
    let mut bare = info("vi-VN", " ");
    bare["instruction"] = Value::Null;
    bare["description"] = json!("");
    let words = say(alert("Alert", "Actual", vec![bare]), &["vi"]);
    assert_eq!((words.title.as_str(), words.body.as_str()), ("Bão", ""));
}

#[test]
fn cancels_updates_and_exercises_cannot_be_mistaken() {
    let cases = [
        ("Alert", "Actual", "vi-VN", "X", "X"),
        ("Update", "Actual", "vi-VN", "X", "CẬP NHẬT: X"),
        ("Update", "Actual", "en-US", "X", "UPDATE: X"),
        ("Cancel", "Actual", "vi", "X", "ĐÃ HỦY: X"),
        ("Cancel", "Exercise", "en", "X", "EXERCISE: CANCELLED: X"),
        ("Alert", "Exercise", "vi-VN", "X", "DIỄN TẬP: X"),
        ("Alert", "Exercise", "vi-VN", "Diễn tập sơ tán", "Diễn tập sơ tán"),
        ("Alert", "Test", "en", "X", "TEST: X"),
        ("Alert", "Exercise", "ko", "X", "EXERCISE: X"),
    ];
    for (msg_type, status, language, headline, want) in cases {
        let words = say(alert(msg_type, status, vec![info(language, headline)]), &[language]);
        assert_eq!(words.title, want);
    }
}

#[test]
fn a_cancel_without_info_still_says_so_in_both_languages() {
    let vi = say(alert("Cancel", "Actual", vec![]), &["vi-VN"]);
    assert_eq!((vi.title.as_str(), vi.body.as_str()), ("ĐÃ HỦY", NO_LONGER[0]));
    let en = say(alert("Cancel", "Actual", vec![]), &["en-GB"]);
    assert_eq!((en.title.as_str(), en.body.as_str()), ("CANCELLED", NO_LONGER[1]));
}

#[test]
fn loudness_follows_lane_severity_permission_and_all_clear() {
    use Loudness::{Active, Critical, Passive, TimeSensitive};
    let of = |severity: &str, response: &str| {
        let mut info = info("vi-VN", "X");
        info["severity"] = json!(severity);
        info["response_types"] = json!([response]);
        vec![info]
    };
    let (loud, silent) = (Permission::Loud, Permission::Silent);
    let (hot, calm) = (Lane::Emergency, Lane::Routine);
    let cases = [
        (hot, "Alert", "Extreme", "Shelter", loud, Critical),
        (hot, "Update", "Extreme", "Shelter", loud, Critical),
        (hot, "Alert", "Severe", "Shelter", loud, TimeSensitive),
        (calm, "Alert", "Extreme", "Shelter", loud, Active),
        (hot, "Alert", "Severe", "Shelter", silent, Passive),
        (hot, "Cancel", "Extreme", "Shelter", loud, Passive),
        (hot, "Update", "Extreme", "AllClear", loud, Passive),
    ];
    let kinds = StatusKinds::default();
    for (lane, msg_type, severity, response, permission, want) in cases {
        let content = alert(msg_type, "Actual", of(severity, response));
        let publication = publication(lane, content);
        let key = Phrasebook::new(&publication, &kinds).key(&[], permission, false);
        assert_eq!(key.loudness, want, "{lane} {msg_type} {severity} {response}");
    }
}

#[test]
fn devices_that_see_the_same_push_share_one_key() {
    let infos = vec![info("vi-VN", "Bão"), info("en-US", "Storm")];
    let publication = publication(Lane::Emergency, alert("Alert", "Actual", infos));
    let book = Phrasebook::new(&publication, &StatusKinds::default());
    let key = |tags: &[&str], coarse| {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        book.key(&tags, Permission::Loud, coarse)
    };
    assert_eq!(key(&["vi"], false), key(&["ja", "vi-VN"], false));
    assert_ne!(key(&["vi"], false), key(&["en"], false));
    assert_ne!(key(&["vi"], false), key(&["vi"], true));
    let push = book.content(key(&["en-GB"], true));
    assert_eq!((push.language.as_str(), push.title.as_str()), ("en-US", "Storm"));
    assert!(push.coarse && push.loudness == Loudness::Critical);
    assert_eq!(push.severity, Severity::Extreme);
}

#[test]
fn a_push_about_one_citizen_holds_neither_reference_nor_remark_nor_state() {
    let change = json!({"kind": "report-1022", "reference": "REF-77", "state": "resolved",
        "subject": "c1", "changed_at": "2026-08-01T00:00:00Z", "step": 3, "remark": "SECRET"});
    let change = serde_json::from_value(change).expect("a status change");
    let publication = publication(Lane::Personal, Content::StatusChange(change));
    let book = Phrasebook::new(&publication, &StatusKinds::default());
    for words in book.all() {
        let said = format!("{} {}", words.title, words.body);
        for private in ["REF-77", "SECRET", "Đã xử lý", "Resolved"] {
            assert!(!said.contains(private), "{said}");
        }
    }
    let key = book.key(&["en".to_owned()], Permission::Loud, false);
    let push = book.content(key);
    assert_eq!(push.body, "1022 report. Open the app for details.");
    assert_eq!(push.loudness, Loudness::Active);
}
