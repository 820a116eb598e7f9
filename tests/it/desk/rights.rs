//! Who may not do what: every act that is not theirs, with its status and code.

use std::collections::BTreeMap;

use super::*;
use crate::support::citizen::Citizen;

/// Who, how, where, with what; and what it must be answered with.
type Row = (&'static str, &'static str, String, Option<Value>, u16, &'static str);

/// What people try on.
struct Tried {
    /// A submitted draft of agency `a`.
    draft: String,
    /// A publication of agency `a`.
    publication: String,
    /// The device of a citizen who is none of them.
    device: String,
}

fn calm_draft() -> Value {
    json!({"kind": "alert", "body": calm()})
}

fn why() -> Value {
    json!({"reason": "vì sao"})
}

/// Those without credentials, and a key without rights.
fn strangers(tried: &Tried) -> Vec<Row> {
    let get = |path: &str| -> Row { ("nobody", "GET", path.to_owned(), None, 401, "unauthorized") };
    let paths = [
        "session",
        "units",
        "templates",
        "drafts",
        "publications",
        "events",
        "audit",
        "people",
        "providers",
        "drills",
        "agencies",
        "requests",
    ];
    let mut rows: Vec<Row> = paths.iter().map(|path| get(&format!("/v1/console/{path}"))).collect();
    let (draft, id) = (&tried.draft, &tried.publication);
    let drafts = "/v1/console/drafts".to_owned();
    rows.extend([
        get(&format!("/v1/publications/{id}/answers")),
        ("nobody", "POST", drafts.clone(), Some(calm_draft()), 401, "unauthorized"),
        ("nobody", "POST", format!("{draft}/approve"), Some(json!({})), 401, "unauthorized"),
        ("nobody", "POST", "/v1/answers".into(), Some(json!({})), 401, "unauthorized"),
        ("reader", "POST", drafts, Some(calm_draft()), 403, "forbidden"),
        ("reader", "POST", "/v1/console/preview".into(), Some(calm_draft()), 403, "forbidden"),
    ]);
    rows
}

/// Colleagues without the right, other agencies, and operators, who see and do not decide.
fn deciders(tried: &Tried) -> Vec<Row> {
    let draft = &tried.draft;
    let step = |name: &str| format!("{draft}/{name}");
    let id = &tried.publication;
    let shown = |end: &str| format!("/v1/console/publications/{id}{end}");
    let answers = |end: &str| format!("/v1/publications/{id}/answers{end}");
    vec![
        ("lan", "POST", step("approve"), Some(json!({})), 403, "forbidden"),
        ("lan", "POST", step("reject"), Some(why()), 403, "forbidden"),
        ("lan", "POST", step("override"), Some(why()), 403, "forbidden"),
        ("minh", "POST", step("override"), Some(why()), 403, "forbidden"),
        ("key", "POST", step("approve"), Some(json!({})), 403, "forbidden"),
        ("lan", "POST", shown("/recall"), Some(json!({})), 403, "forbidden"),
        ("hung", "GET", draft.clone(), None, 404, "not_found"),
        ("hung", "POST", step("approve"), Some(json!({})), 404, "not_found"),
        ("hung", "POST", step("return"), Some(why()), 404, "not_found"),
        ("hung", "POST", step("preview"), None, 404, "not_found"),
        ("hung", "DELETE", draft.clone(), None, 404, "not_found"),
        ("hung", "GET", shown(""), None, 404, "not_found"),
        ("hung", "GET", shown("/report.csv"), None, 404, "not_found"),
        ("hung", "POST", shown("/recall"), Some(json!({})), 404, "not_found"),
        ("hung", "GET", answers(""), None, 404, "not_found"),
        ("hung", "GET", answers(".csv"), None, 404, "not_found"),
        ("ops", "POST", step("approve"), Some(json!({})), 403, "forbidden"),
        ("ops", "POST", step("override"), Some(why()), 403, "forbidden"),
        ("ops", "POST", shown("/recall"), Some(json!({})), 403, "forbidden"),
    ]
}

/// Who is no operator, and admins beyond their agency.
fn admins() -> Vec<Row> {
    let at = |path: &str| format!("/v1/console/{path}");
    let person = |agency: Value| {
        let rights = ["admin"];
        Some(json!({"name": "x", "rights": rights, "agency": agency, "password": PASSWORD}))
    };
    let agency = Some(json!({"name": "x", "jurisdiction": {"highest_severity": "Minor",
        "kinds": []}}));
    let key = Some(json!({"name": "k"}));
    vec![
        ("lan", "GET", at("providers"), None, 403, "forbidden"),
        ("nga", "GET", at("providers"), None, 403, "forbidden"),
        ("nga", "GET", at("audit"), None, 403, "forbidden"),
        ("nga", "GET", at("dead-letters"), None, 403, "forbidden"),
        ("nga", "POST", at("dead-letters/0/0/redrive"), None, 403, "forbidden"),
        ("nga", "GET", at("drills"), None, 403, "forbidden"),
        ("nga", "POST", at("drills/link-test"), None, 403, "forbidden"),
        ("lan", "GET", at("people"), None, 403, "forbidden"),
        ("lan", "GET", at("requests"), None, 403, "forbidden"),
        ("lan", "PUT", at("people/x"), person(Value::Null), 403, "forbidden"),
        ("minh", "PUT", at("people/minh"), person(Value::Null), 403, "forbidden"),
        ("hung", "PUT", at("people/x"), person(json!("a")), 403, "forbidden"),
        ("hung", "PUT", at("people/lan"), person(json!("b")), 403, "forbidden"),
        ("hung", "GET", at("people/lan"), None, 404, "not_found"),
        ("lan", "GET", at("agencies/a/keys"), None, 403, "forbidden"),
        ("hung", "GET", at("agencies/a/keys"), None, 403, "forbidden"),
        ("hung", "GET", at("agencies/a"), None, 404, "not_found"),
        ("hung", "POST", at("agencies/a/keys"), key, 403, "forbidden"),
        ("hung", "DELETE", at("agencies/a/keys/plain"), None, 403, "forbidden"),
        ("nga", "PUT", at("agencies/a"), agency.clone(), 403, "forbidden"),
        ("hung", "PUT", at("agencies/b"), agency, 403, "forbidden"),
    ]
}

/// Stolen sessions, requests of another site's making, tokens that prove nothing, and devices that
/// ask for what is another's.
fn impostors(tried: &Tried) -> Vec<Row> {
    let (draft, device) = (&tried.draft, format!("/v1/devices/{}", tried.device));
    let approve = format!("{draft}/approve");
    let session = "/v1/console/session".to_owned();
    let empty = || Some(json!({}));
    let secret = || Some(json!({"secret": "A".repeat(43)}));
    let own = |path: &str| format!("{device}{path}");
    let mut rows: Vec<Row> = vec![
        ("stolen", "GET", session.clone(), None, 401, "unauthorized"),
        ("stolen", "POST", approve.clone(), empty(), 401, "unauthorized"),
        ("invented", "GET", session.clone(), None, 401, "unauthorized"),
        ("doubled", "GET", session, None, 401, "unauthorized"),
        ("framed", "POST", approve.clone(), empty(), 403, "csrf"),
        ("framed", "POST", "/v1/console/logout".into(), None, 403, "csrf"),
        ("framed", "PUT", "/v1/console/people/x".into(), empty(), 403, "csrf"),
        ("framed", "DELETE", draft.clone(), None, 403, "csrf"),
        ("mixed", "POST", approve, empty(), 403, "csrf"),
        ("phone", "GET", own(""), None, 403, "forbidden"),
        ("phone", "PUT", own(""), Some(json!({"places": []})), 403, "forbidden"),
        ("phone", "DELETE", own(""), None, 403, "forbidden"),
        ("phone", "POST", own("/release"), None, 403, "forbidden"),
        ("phone", "POST", own("/claim"), secret(), 401, "unauthorized"),
        ("phone", "GET", "/v1/console/drafts".into(), None, 401, "unauthorized"),
        ("phone", "POST", "/v1/alerts".into(), empty(), 401, "unauthorized"),
        ("key", "GET", "/v1/inbox".into(), None, 401, "unauthorized"),
        ("key", "GET", own(""), None, 401, "unauthorized"),
        ("lan", "GET", "/v1/inbox".into(), None, 401, "unauthorized"),
        ("nobody", "POST", "/v1/logout".into(), None, 401, "unauthorized"),
        ("nobody", "GET", "/v1/session".into(), None, 401, "unauthorized"),
        ("nobody", "GET", "/v1/login".into(), None, 404, "not_found"),
    ];
    for who in ["guess", "alg none", "forged cookie"] {
        for path in ["/v1/inbox", "/v1/me"] {
            rows.push((who, "GET", path.to_owned(), None, 401, "unauthorized"));
        }
        rows.push((who, "DELETE", "/v1/me".into(), None, 401, "unauthorized"));
    }
    rows
}

/// Who they are, and what they show.
async fn cast(house: &House) -> BTreeMap<&'static str, Officer> {
    let mut by_name = BTreeMap::new();
    for name in ["lan", "minh", "nga", "hung", "ops"] {
        by_name.insert(name, house.login(name).await);
    }
    by_name.insert("key", house.key("a", "plain", &[Right::Write]).await);
    by_name.insert("reader", house.key("a", "reader", &[]).await);
    let of = |headers: Vec<String>, csrf: Option<String>| Officer { to: house.to(), headers, csrf };
    by_name.insert("nobody", of(Vec::new(), None));
    let stolen = house.login("minh").await;
    assert_eq!(stolen.ask("POST", "/v1/console/logout", None).await.status, 204);
    by_name.insert("stolen", stolen);
    let (minh, lan) = (by_name["minh"].clone(), by_name["lan"].clone());
    by_name.insert("invented", of(vec![format!("cookie: loa_session={}", "A".repeat(43))], None));
    let doubled = [minh.headers.clone(), lan.headers.clone()].concat();
    by_name.insert("doubled", of(doubled, minh.csrf.clone()));
    by_name.insert("framed", of(minh.headers.clone(), None));
    by_name.insert("mixed", of(minh.headers, lan.csrf));
    let phone = Citizen::register(&house.to(), json!({"places": []})).await;
    by_name.insert("phone", of(vec![phone.auth()], None));
    let guess = format!("authorization: Loa-Device {}:{}", phone.id, "A".repeat(43));
    by_name.insert("guess", of(vec![guess], None));
    // {"alg":"none"} and {"sub":"079090000001"}
    let none = "authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIwNzkwOTAwMDAwMDEifQ.";
    by_name.insert("alg none", of(vec![none.to_owned()], None));
    let forged =
        "cookie: loa_citizen=eyJzdWJqZWN0IjoiYSIsImVuZHNfcyI6OTk5OTk5OTk5OSwic2FsdCI6MX0.AA";
    by_name.insert("forged cookie", of(vec![forged.to_owned()], None));
    by_name
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forbidden_act_is_refused_with_its_status_and_code() {
    let house = House::open().await;
    let by_name = cast(&house).await;
    let lan = &by_name["lan"];
    let draft = format!("/v1/console/drafts/{}", lan.submitted().await);
    let made = lan.done("/v1/console/drafts", calm_draft()).await;
    let publish = format!("/v1/console/drafts/{}/publish", made["id"].as_str().expect("an id"));
    let published = lan.done(&publish, json!({})).await;
    let publication = published["publication"].as_str().expect("an id").to_owned();
    let device = Citizen::register(&house.to(), json!({"places": []})).await.id;
    let tried = Tried { draft, publication, device };
    let table = [strangers(&tried), deciders(&tried), admins(), impostors(&tried)].concat();
    assert!(table.len() >= 85, "{}", table.len());
    for (who, method, path, body, status, code) in &table {
        let answer = by_name[who].ask(method, path, body.as_ref()).await;
        assert_eq!(refusal(&answer), (*status, (*code).to_owned()), "{who} {method} {path}");
    }
    // Nothing came of any of it.
    let now = lan.get(&tried.draft).await.json();
    assert_eq!((&now["state"], &now["version"]), (&json!("submitted"), &json!(2)));
    let keys = house.test.node.parts.agencies.keys(&"a".parse().expect("an id")).await;
    assert!(keys.expect("read").iter().all(|key| key.revoked.is_none() && key.name != "k"));
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_submitter_cannot_approve_but_may_take_back() {
    let house = House::open().await;
    let minh = house.login("minh").await;
    let id = minh.submitted().await;
    let path = |step: &str| format!("/v1/console/drafts/{id}/{step}");
    let same = (403, "same_person".to_owned());
    assert_eq!(minh.refused(&path("approve"), json!({})).await, same);
    // Not in another session either.
    let elsewhere = house.login("minh").await;
    assert_eq!(elsewhere.refused(&path("approve"), json!({})).await, same);
    let refused = Verdict::Refused { code: "same_person".to_owned() };
    assert_eq!(house.audited("minh", Act::ApproveDraft).await, Some(refused));
    let lan = house.login("lan").await;
    let reason = json!({"reason": "nhầm khu vực"});
    assert_eq!(lan.refused(&path("return"), reason.clone()).await.1, "forbidden");
    let back = minh.done(&path("return"), reason).await;
    assert_eq!(back["state"], "returned");
    house.test.stop().await;
}
