use super::*;

fn xml(body: &str) -> String {
    format!("<alert xmlns=\"{}\">{body}</alert>", Version::V1_2.namespace())
}

const HEAD: &str = "<identifier>VN-1</identifier><sender>kttv@hcm.example.vn</sender>\
    <sent>2026-10-09T05:30:00+07:00</sent><status>Actual</status><msgType>Alert</msgType>\
    <scope>Public</scope>";

fn rules(text: &str, mode: Mode) -> Result<Vec<&'static str>, Vec<&'static str>> {
    let names = |found: Vec<Violation>| found.into_iter().map(|found| found.rule).collect();
    read(text.as_bytes(), mode, &Limits::default()).map(|read| names(read.liberties)).map_err(names)
}

fn strict(text: &str) -> Result<Vec<&'static str>, Vec<&'static str>> {
    rules(text, Mode::Strict)
}

#[test]
fn nothing_is_ever_expanded_included_or_fetched() {
    let with = |note: &str| xml(&format!("{HEAD}<note>{note}</note>"));
    let doctype = format!("<!DOCTYPE alert [<!ENTITY a \"b\">]>{}", with("&a;"));
    let include = "<x:include xmlns:x=\"http://www.w3.org/2001/XInclude\" href=\"/etc/passwd\"/>";
    for mode in [Mode::Strict, Mode::Lenient] {
        assert_eq!(rules(&doctype, mode), Err(vec!["doctype"]));
        assert_eq!(rules(&with("&nbsp;"), mode), Err(vec!["entity"]));
        assert_eq!(rules(&with("&#0;"), mode), Err(vec!["not_well_formed"]));
        assert_eq!(rules(&with(include), mode), Err(vec!["xinclude"]));
        assert_eq!(rules(&xml(&format!("{HEAD}{include}")), mode), Err(vec!["xinclude"]));
    }
    let read = read(with("&lt;&amp;&#x1F6A8;").as_bytes(), Mode::Strict, &Limits::default());
    assert_eq!(read.expect("references are text").alert.note.as_deref(), Some("<&🚨"));
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_line() {
    let open = format!("<alert xmlns=\"{}\">{HEAD}", Version::V1_2.namespace());
    for text in [
        open.clone(),
        format!("{open}</alarm>"),
        format!("{}<alert/>", xml(HEAD)),
        format!("{}text", xml(HEAD)),
        xml(&format!("{HEAD}<x:note/>")),
        xml(&format!("{HEAD}<note>]]></note>")),
        xml(&format!("{HEAD}<note a=\"1\" a=\"2\"/>")),
        format!(" <?xml version=\"1.0\"?>{}", xml(HEAD)),
    ] {
        let found = read(text.as_bytes(), Mode::Lenient, &Limits::default()).expect_err(&text);
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].rule, "not_well_formed", "{text}");
        assert!(found[0].message.contains("line 1, column "), "{}", found[0]);
    }
    assert_eq!(strict("{\"a\": 1}"), Err(vec!["not_xml"]));
}

#[test]
fn structure_is_held_strictly_and_forgiven_where_unambiguous() {
    let foreign = "<f:x xmlns:f=\"urn:f\"/>";
    for (body, rule, forgiven) in [
        (
            HEAD.replace("<status>Actual</status>", "") + "<status>Actual</status>",
            "element_order",
            true,
        ),
        (format!("{HEAD}{foreign}"), "element_foreign", true),
        (format!("{HEAD}<reference/>"), "element_unknown", true),
        (format!("{HEAD}text"), "text_stray", true),
        (HEAD.replace("<status>", "<status a=\"b\">"), "attribute_unknown", true),
        (HEAD.replace("Actual", " actual"), "term_spelling", true),
        (HEAD.replace("VN-1", "VN-1\n"), "name_blanks", true),
        (HEAD.replace("+07:00", "Z"), "time_form", true),
        (HEAD.replace("00+07:00", "00.25+07:00"), "time_form", true),
        (HEAD.replace("00+07:00", "00"), "time_form", false),
        (HEAD.replace("<status>Actual</status>", ""), "element_missing", false),
        (format!("{HEAD}<note>a</note><note>b</note>"), "element_repeated", false),
        (format!("{HEAD}<note>a<b/></note>"), "element_nested", false),
        (HEAD.replace(">Alert<", ">Alarm<"), "term_unknown", false),
        (HEAD.replace("VN-1", "VN,1"), "name_characters", false),
        (format!("{HEAD}<references>a,b</references>"), "reference_form", false),
        (format!("{HEAD}<addresses>\"a</addresses>"), "list_quote", false),
    ] {
        let text = xml(&body);
        assert_eq!(strict(&text), Err(vec![rule]), "{body}");
        let lenient = rules(&text, Mode::Lenient);
        assert_eq!(lenient, if forgiven { Ok(vec![rule]) } else { Err(vec![rule]) }, "{body}");
    }
}

#[test]
fn all_broken_rules_are_named_with_their_places() {
    let body = format!(
        "{}<info><category>Flood</category><event>e</event><urgency>Now</urgency>\
         <severity>Severe</severity><certainty>Likely</certainty><expires>soon</expires>\
         <area><areaDesc>a</areaDesc><polygon>0,0 1,1 0,1 1,0 0,0</polygon>\
         <polygon>106.7,10.8 1,1 0,1 106.7,10.8</polygon></area></info>",
        HEAD.replace("VN-1", "VN 1")
    );
    let found = read(xml(&body).as_bytes(), Mode::Strict, &Limits::default()).expect_err("bad");
    let errors = found.iter().filter(|found| found.severity == Severity::Error);
    let places: Vec<_> = errors.map(|found| (found.path.as_str(), found.rule)).collect();
    assert_eq!(
        places,
        [
            ("/alert/info[1]/category[1]", "term_unknown"),
            ("/alert/info[1]/urgency", "term_unknown"),
            ("/alert/info[1]/expires", "time_form"),
            ("/alert/info[1]/area[1]/polygon[2]", "polygon_pair"),
            ("/alert/identifier", "name_characters"),
            ("/alert/info[1]/area[1]/polygon[1]", "polygon_crosses_itself"),
        ]
    );
}

#[test]
fn what_is_no_cap_is_refused_by_name() {
    for (text, rule, named) in [
        ("<feed xmlns=\"http://www.w3.org/2005/Atom\"/>", "root_wrapper", "Atom"),
        ("<rss/>", "root_wrapper", "RSS"),
        ("<EDXLDistribution xmlns=\"u\"/>", "root_wrapper", "EDXL"),
        ("<alerts/>", "root_wrapper", "list of alerts"),
        ("<html/>", "root_unknown", "html"),
        ("<alert/>", "namespace_missing", "1.2"),
        ("<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.3\"/>", "namespace_unknown", "1.3"),
    ] {
        let found = read(text.as_bytes(), Mode::Lenient, &Limits::default()).expect_err(text);
        assert_eq!((found.len(), found[0].rule), (1, rule));
        assert!(found[0].message.contains(named), "{}", found[0]);
    }
}

#[test]
fn each_limit_stops_the_reading() {
    let area = "<area><areaDesc>a</areaDesc><polygon>0,0 0,1 1,1 0,0</polygon></area>";
    let info = format!("<info>{area}{area}</info>");
    let signature = "<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\"/>";
    let text = xml(&format!("{HEAD}{info}{info}{signature}{signature}"));
    let base = Limits::default();
    for (limits, rule) in [
        (Limits { bytes: 100, ..base.clone() }, "limit_bytes"),
        (Limits { depth: 3, ..base.clone() }, "limit_depth"),
        (Limits { elements: 10, ..base.clone() }, "limit_elements"),
        (Limits { name_bytes: 9, ..base.clone() }, "limit_name"),
        (Limits { signatures: 1, ..base.clone() }, "limit_signatures"),
        (Limits { text_bytes: 5, ..base.clone() }, "limit_text"),
        (Limits { infos: 1, ..base.clone() }, "limit_infos"),
        (Limits { areas: 3, ..base.clone() }, "limit_areas"),
        (Limits { polygons: 3, ..base.clone() }, "limit_polygons"),
        (Limits { vertices: 15, ..base.clone() }, "limit_vertices"),
    ] {
        let found = read(text.as_bytes(), Mode::Lenient, &limits).expect_err(rule);
        assert_eq!(found.iter().map(|found| found.rule).collect::<Vec<_>>(), [rule]);
    }
}

#[test]
fn a_signature_survives_with_the_namespaces_around_it() {
    let signature = "<ds:Signature Id=\"s\"><ds:SignedInfo>\n<!-- as is -->&amp;</ds:SignedInfo>\
                     </ds:Signature>";
    let text = format!(
        "<cap:alert xmlns:cap=\"{}\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{}{signature}\
         </cap:alert>",
        Version::V1_2.namespace(),
        HEAD.replace('<', "<cap:").replace("<cap:/", "</cap:")
    );
    let first = read(text.as_bytes(), Mode::Strict, &Limits::default()).expect("signed");
    let kept = &first.alert.signatures[0];
    assert!(kept.starts_with("<ds:Signature xmlns:cap=\"urn:oasis"), "{kept}");
    assert!(kept.contains(" xmlns=\"\" Id=\"s\">"), "{kept}");
    assert!(kept.ends_with(signature.split_once(" Id").expect("an attribute").1), "{kept}");
    let again = read(write(&first.alert).as_bytes(), Mode::Strict, &Limits::default());
    assert_eq!(again.expect("written").alert, first.alert);
}

#[test]
fn a_text_in_place_of_a_signature_is_never_written() {
    let mut alert = read(xml(HEAD).as_bytes(), Mode::Strict, &Limits::default()).expect("ok").alert;
    let clean = write(&alert);
    alert.signatures = vec!["<note>injected</note>".into(), "</alert><alert>".into()];
    assert_eq!(write(&alert), clean);
}

#[test]
fn older_versions_are_read_by_their_own_rules() {
    let info = "<info><category>Geo</category><event>e</event><urgency>Past</urgency>\
        <severity>Minor</severity><certainty>Very Likely</certainty>\
        <parameter>Magnitude=3.4 Ml</parameter>\
        <resource><resourceDesc>map</resourceDesc></resource></info>";
    let text = xml(&format!("{}{info}", HEAD.replace("+07:00", "Z")));
    let old = text.replace(Version::V1_2.namespace(), Version::V1_0.namespace());
    let read = read(old.as_bytes(), Mode::Strict, &Limits::default()).expect("CAP 1.0");
    assert_eq!(read.version, Version::V1_0);
    assert_eq!(read.alert.infos[0].parameters[0].value, "3.4 Ml");
    let names: Vec<_> = read.liberties.iter().map(|found| found.rule).collect();
    let expected = ["time_rewritten", "certainty_very_likely", "language_absent"];
    assert_eq!(names, [&expected[..], &["mime_type_assumed"]].concat());
    assert!(strict(&text).is_err());
}
