//! Any valid alert is the same after being written as XML, and as JSON, and read again.

use loa::domain::alert::{
    Alert, Area, CapTime, Category, Certainty, Info, MsgType, NamedValue, Reference, Resource,
    ResponseType, Scope, Severity, Status, Urgency,
};
use loa::domain::geo::{Circle, LatLon, Ring};
use loa::event::cap::{Mode, read_json};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::assert_round_trip;

/// Text that is hard on XML: markup, line ends, controls XML can carry, astral characters.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9 .,;]{1,8}",
        select(vec!["&", "<", ">", "]]>", "\"", "'", "\r\n", "\r", "\n", "\t", "\u{85}", "\u{7f}"])
            .prop_map(str::to_owned),
        select(vec!["Thủ Đức", "Thu\u{309} Đư\u{301}c", "🚨", "\u{200b}", "\u{a0}", "&amp;", "--"])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..6).prop_map(|pieces| format!("x{}", pieces.concat()))
}

/// No blanks around it, for what the schema collapses.
fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9:/._-]{1,20}"
}

fn item() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace('"', ""))
}

fn time() -> impl Strategy<Value = CapTime> {
    (0i64..4_000_000_000, -56i16..=56).prop_map(|(second, quarter)| {
        CapTime::new(jiff::Timestamp::from_second(second).expect("in range"), quarter * 15)
    })
}

fn pairs() -> impl Strategy<Value = Vec<NamedValue>> {
    let pair = (text(), prop_oneof![text(), Just(String::new())]);
    vec(pair.prop_map(|(name, value)| NamedValue { name, value }), 0..3)
}

/// To a tenth of a metre, as agencies write; JSON numbers of 17 digits may come back one unit in
/// the last place off.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

fn point(lat: f64, lon: f64) -> LatLon {
    LatLon::new(rounded(lat), rounded(lon)).expect("in range")
}

/// Triangles, because they cannot cross themselves.
fn ring() -> impl Strategy<Value = Ring> {
    (-80.0..80.0, -170.0..170.0, 0.001..9.0).prop_map(|(lat, lon, size)| {
        let first = point(lat, lon);
        let points = vec![first, point(lat, lon + size), point(lat + size, lon), first];
        Ring::new(points).expect("closed")
    })
}

fn area() -> impl Strategy<Value = Area> {
    let circle = (-90.0..=90.0, -180.0..=180.0, 0.0..20_000.0).prop_map(|(lat, lon, radius_km)| {
        Circle { centre: point(lat, lon), radius_km: rounded(radius_km) }
    });
    let heights = option::of((-1e4..1e5, option::of(0.0..1e4)));
    (text(), vec(ring(), 0..3), vec(circle, 0..3), pairs(), heights).prop_map(
        |(description, polygons, circles, geocodes, heights)| Area {
            description,
            polygons,
            circles,
            geocodes,
            altitude_ft: heights.map(|(altitude, _)| rounded(altitude)),
            ceiling_ft: heights
                .and_then(|(altitude, above)| above.map(|above| rounded(altitude + above))),
        },
    )
}

fn resource() -> impl Strategy<Value = Resource> {
    let texts = (option::of(token()), option::of(token()), option::of(token()));
    (text(), token(), option::of(any::<u64>()), texts).prop_map(
        |(description, mime_type, size_bytes, (uri, deref_uri, digest))| Resource {
            description,
            mime_type: Some(mime_type),
            size_bytes,
            uri,
            deref_uri,
            digest,
        },
    )
}

fn info() -> impl Strategy<Value = Info> {
    let terms = (
        vec(select(Category::ALL), 1..3),
        vec(select(ResponseType::ALL), 0..3),
        select(Urgency::ALL),
        select(Severity::ALL),
        select(Certainty::ALL),
    );
    let texts = vec(option::of(text()), 6);
    let times = (option::of(time()), option::of(time()), option::of(time()));
    let language = select(vec!["vi-VN", "en-US", "zh-Hant-TW", "dv"]);
    let lists = (pairs(), pairs(), vec(resource(), 0..2), vec(area(), 0..3));
    (terms, text(), texts, times, language, lists).prop_map(
        |(terms, event, mut texts, times, language, lists)| {
            let mut text = || texts.pop().expect("six texts");
            let (effective, onset, expires) = times;
            let (event_codes, parameters, resources, areas) = lists;
            Info {
                language: language.to_owned(),
                categories: terms.0,
                event,
                response_types: terms.1,
                urgency: terms.2,
                severity: terms.3,
                certainty: terms.4,
                audience: text(),
                event_codes,
                effective,
                onset,
                expires,
                sender_name: text(),
                headline: text(),
                description: text(),
                instruction: text(),
                web: Some("https://hcm.example.vn/?a=1&b=<2>".to_owned()),
                contact: text(),
                parameters,
                resources,
                areas,
            }
        },
    )
}

fn alert() -> impl Strategy<Value = Alert> {
    let reference = (token(), token(), time()).prop_map(|(sender, identifier, sent)| Reference {
        sender,
        identifier,
        sent,
    });
    let terms = (select(Status::ALL), select(MsgType::ALL), select(Scope::ALL));
    let texts = (option::of(text()), text(), option::of(text()));
    let lists = (vec(item(), 1..4), vec(text(), 0..3), vec(item(), 0..3));
    (token(), time(), terms, texts, lists, vec(reference, 1..4), vec(info(), 0..3)).prop_map(
        |(name, sent, terms, texts, lists, references, infos)| Alert {
            identifier: name.clone(),
            sender: name,
            sent,
            status: terms.0,
            msg_type: terms.1,
            source: texts.0,
            scope: terms.2,
            restriction: (terms.2 == Scope::Restricted).then_some(texts.1),
            addresses: lists.0,
            codes: lists.1,
            note: texts.2,
            references,
            incidents: lists.2,
            infos,
            signatures: Vec::new(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    })]

    #[test]
    fn a_valid_alert_is_the_same_after_xml(alert in alert()) {
        assert_round_trip(&alert, Mode::Strict, "generated");
    }

    #[test]
    fn a_valid_alert_is_the_same_after_json(alert in alert()) {
        let json = serde_json::to_vec(&alert).expect("a model is JSON");
        let again = read_json(&json);
        prop_assert_eq!(again.as_ref(), Ok(&alert));
    }
}
