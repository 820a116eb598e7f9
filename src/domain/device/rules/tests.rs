use super::*;
use crate::domain::channel::{ApnsEnvironment, FcmAddressKind};
use crate::domain::device::{LocationConsent, Place, QuietHours};

fn profile() -> Profile {
    Profile {
        address: PushAddress::Websocket,
        places: vec![],
        languages: vec!["vi".into()],
        muted: BTreeSet::new(),
        quiet_hours: None,
        location_consent: None,
        exercises: false,
        app_version: None,
    }
}

fn fields(profile: &Profile) -> Vec<String> {
    validate(profile).into_iter().map(|violation| violation.field).collect()
}

fn place(unit: &str, cell: Option<&str>) -> Place {
    let cell = cell.map(|text| text.parse().expect("a cell"));
    Place { unit: unit.parse().expect("a code"), cell }
}

#[test]
fn a_plain_profile_keeps_every_rule() {
    assert_eq!(validate(&profile()), []);
}

#[test]
fn every_broken_rule_is_named_at_once() {
    let broken = Profile {
        languages: vec![],
        quiet_hours: Some(QuietHours { from_minute: 1440, to_minute: 0 }),
        app_version: Some(String::new()),
        ..profile()
    };
    assert_eq!(fields(&broken), ["languages", "quiet_hours.from_minute", "app_version"]);
}

#[test]
fn a_cell_needs_the_consent_to_location() {
    let mut asking = Profile { places: vec![place("1", Some("w3gvk1"))], ..profile() };
    assert_eq!(fields(&asking), ["places[0].cell"]);
    let given_at = jiff::Timestamp::UNIX_EPOCH;
    asking.location_consent = Some(LocationConsent { text_version: "1".into(), given_at });
    assert_eq!(validate(&asking), []);
}

#[test]
fn places_are_few_and_distinct() {
    let twice = Profile { places: vec![place("1", None), place("1", None)], ..profile() };
    assert_eq!(fields(&twice), ["places[1]"]);
    let places = (0..17).map(|unit| place(&unit.to_string(), None)).collect();
    assert_eq!(fields(&Profile { places, ..profile() }), ["places"]);
}

#[test]
fn languages_are_well_formed_few_and_distinct() {
    for good in ["vi", "en-US", "zh-Hant-TW", "khm"] {
        assert_eq!(
            fields(&Profile { languages: vec![good.into()], ..profile() }),
            [""; 0],
            "{good}"
        );
    }
    for bad in ["", "v", "vi_VN", "vi-", "tiếng", "vi-toolongsubtag"] {
        let broken = Profile { languages: vec![bad.into()], ..profile() };
        assert_eq!(fields(&broken), ["languages[0]"], "{bad}");
    }
    let twice = Profile { languages: vec!["vi".into(), "VI".into()], ..profile() };
    assert_eq!(fields(&twice), ["languages[1]"]);
    let languages = ["vi", "en", "fr", "de", "ja", "ko", "zh", "km", "lo"].map(String::from);
    assert_eq!(fields(&Profile { languages: languages.into(), ..profile() }), ["languages"]);
}

#[test]
fn push_addresses_have_their_providers_shape() {
    let apns = |token: String, topic: &str| Profile {
        address: PushAddress::Apns {
            token,
            environment: ApnsEnvironment::Production,
            topic: topic.into(),
        },
        ..profile()
    };
    assert_eq!(validate(&apns("0a".repeat(32), "vn.loa.app")), []);
    assert_eq!(validate(&apns("0a".repeat(100), "vn.loa.app")), []);
    for bad in ["0a".repeat(31), "0a".repeat(101), "0A".repeat(32), "0".repeat(65)] {
        assert_eq!(fields(&apns(bad.clone(), "vn.loa.app")), ["address.token"], "{bad}");
    }
    assert_eq!(fields(&apns("0a".repeat(32), "")), ["address.topic"]);
    let fcm = |value: String| Profile {
        address: PushAddress::Fcm { kind: FcmAddressKind::Token, value },
        ..profile()
    };
    assert_eq!(validate(&fcm("c:APA91b".into())), []);
    for bad in [String::new(), "a b".into(), "a".repeat(4097)] {
        assert_eq!(fields(&fcm(bad)), ["address.value"]);
    }
}
