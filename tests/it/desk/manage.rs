//! Agencies, people and keys: what gives somebody more waits for a second admin.

use super::*;

async fn put(officer: &Officer, path: &str, body: Value) -> Answer {
    officer.ask("PUT", path, Some(&body)).await
}

fn person(rights: Value) -> Value {
    json!({"name": "Hoa", "agency": "a", "rights": rights, "password": PASSWORD})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gives_more_waits_for_another_admin_and_what_takes_away_does_not() {
    let house = House::open().await;
    let (ops, ops2) = (house.login("ops").await, house.login("ops2").await);
    let wide = json!({"name": "Đội", "jurisdiction": {"highest_severity": "Severe",
        "kinds": ["alert"], "categories": ["Fire", "Met"]}});
    let asked = put(&ops, "/v1/console/agencies/pc07", wide.clone()).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let request = asked.json()["request"].as_str().expect("a request").to_owned();
    assert_eq!(ops.get("/v1/console/agencies/pc07").await.status, 404, "not before");
    let path = |decision: &str| format!("/v1/console/requests/{request}/{decision}");
    let same = (403, "same_person".to_owned());
    assert_eq!(ops.refused(&path("confirm"), json!({})).await, same);
    let strangers = house.login("hung").await;
    assert_eq!(strangers.refused(&path("confirm"), json!({})).await, (403, "forbidden".to_owned()));
    let confirmed = ops2.done(&path("confirm"), json!({})).await;
    assert_eq!(confirmed["state"], "confirmed");
    assert_eq!(ops.get("/v1/console/agencies/pc07").await.status, 200);
    let again = (409, "illegal_transition".to_owned());
    assert_eq!(ops2.refused(&path("confirm"), json!({})).await, again);
    assert_eq!(ops2.refused(&path("refuse"), json!({})).await, again);
    let mut narrow = wide.clone();
    narrow["jurisdiction"]["categories"] = json!(["Fire"]);
    assert_eq!(put(&ops, "/v1/console/agencies/pc07", narrow).await.status, 200, "at once");
    assert_eq!(put(&ops, "/v1/console/agencies/pc07", wide).await.status, 202, "wider again");
    assert_eq!(house.audited("ops", Act::RequestAdmin).await, Some(Verdict::Done));
    assert_eq!(house.audited("ops2", Act::ConfirmAdmin).await, Some(Verdict::Done));
    let unknown = json!({"name": "x", "jurisdiction": {"highest_severity": "Minor", "kinds": [],
        "units": ["99999"]}});
    let refused = put(&ops, "/v1/console/agencies/x", unknown).await;
    assert_eq!(refusal(&refused), (422, "invalid".to_owned()));
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_to_the_admin_who_confirms_and_works_with_its_rights() {
    let house = House::open().await;
    let (ops, ops2) = (house.login("ops").await, house.login("ops2").await);
    let keys = "/v1/console/agencies/a/keys";
    let asked = ops.done(keys, json!({"name": "desk", "rights": ["approve"], "days": 30})).await;
    let request = asked["request"].as_str().expect("a request");
    let path = format!("/v1/console/requests/{request}/confirm");
    let key = ops2.done(&path, json!({})).await["key"].as_str().expect("a key").to_owned();
    let headers = vec![format!("authorization: Bearer {key}")];
    let program = Officer { to: house.to(), headers, csrf: None };
    let lan = house.login("lan").await;
    let draft = lan.submitted().await;
    let approve = format!("/v1/console/drafts/{draft}/approve");
    assert_eq!(program.done(&approve, json!({})).await["decided_by"], "key:desk");
    let body = json!({"kind": "alert", "body": calm()});
    assert_eq!(program.refused("/v1/console/drafts", body).await.1, "forbidden");
    let listed = ops.get(keys).await.text();
    assert!(listed.contains("\"desk\"") && !listed.contains(&key), "{listed}");
    let requests = ops.get("/v1/console/requests").await.text();
    assert!(!requests.contains(&key), "the key is nowhere else");
    let taken = ops.refused(keys, json!({"name": "desk"})).await;
    assert_eq!(taken, (409, "conflict".to_owned()));
    assert_eq!(ops.ask("DELETE", &format!("{keys}/desk"), None).await.status, 204);
    assert_eq!(program.get("/v1/console/session").await.status, 401);
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_approver_waits_and_so_does_a_new_password_of_one() {
    let house = House::open().await;
    let nga = house.login("nga").await;
    let path = "/v1/console/people/hoa";
    assert_eq!(put(&nga, path, person(json!(["write"]))).await.status, 200, "a writer: at once");
    let mut more = person(json!(["write", "approve"]));
    more["password"] = Value::Null;
    let asked = put(&nga, path, more).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let hoa = house.login("hoa").await;
    let rights = &hoa.get("/v1/console/session").await.json()["person"]["rights"];
    assert_eq!(*rights, json!(["write"]), "not before");
    // An admin who could set an approver's password could approve what they wrote themselves.
    let minh = json!({"name": "minh", "agency": "a", "rights": ["write", "approve"],
        "password": "một mật khẩu mà nga biết"});
    assert_eq!(put(&nga, "/v1/console/people/minh", minh).await.status, 202);
    assert_eq!(house.try_login("minh", PASSWORD).await.status, 200, "the old one still holds");
    let requests = nga.get("/v1/console/requests").await.text();
    assert!(!requests.contains("argon2") && requests.contains("new_password"), "{requests}");
    let short = put(
        &nga,
        "/v1/console/people/x",
        json!({"name": "x", "rights": [],
        "password": "ngắn"}),
    );
    assert_eq!(refusal(&short.await), (422, "invalid".to_owned()));
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_admin_acts_alone_and_the_audit_says_so() {
    let house = House::open().await;
    let people = &house.test.node.parts.people;
    for id in ["ops2", "ops"] {
        let known = people.get(&id.parse().expect("an id")).await.expect("read").expect("there");
        people.put(Person { active: false, ..known }, None).await.expect("stored");
    }
    let nga = house.login("nga").await;
    let made = nga.done("/v1/console/agencies/a/keys", json!({"name": "only"})).await;
    assert_eq!(made["alone"], true);
    assert!(made["key"].as_str().is_some_and(|key| key.starts_with("loa_")), "{made}");
    assert_eq!(house.audited("nga", Act::CreateKey).await, Some(Verdict::Alone));
    house.test.stop().await;
}

fn certificate(name: &str) -> Value {
    let pair = rcgen::KeyPair::generate().expect("a pair");
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    json!({"pem": params.self_signed(&pair).expect("a certificate").pem()})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_waits_for_a_second_admin_and_is_removed_by_one() {
    let house = House::open().await;
    let (ops, ops2) = (house.login("ops").await, house.login("ops2").await);
    let all = "/v1/console/agencies/a/certificates";
    let (desk, pem) = (format!("{all}/desk"), certificate("desk"));
    let asked = put(&ops, &desk, pem.clone()).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let confirm = |asked: &Answer| {
        let request = asked.json()["request"].as_str().expect("a request").to_owned();
        format!("/v1/console/requests/{request}/confirm")
    };
    assert_eq!(ops.get(all).await.json()["certificates"], json!([]), "not before");
    let same = (403, "same_person".to_owned());
    assert_eq!(ops.refused(&confirm(&asked), json!({})).await, same);
    ops2.done(&confirm(&asked), json!({})).await;
    let known = ops.get(all).await.json()["certificates"][0].clone();
    assert_eq!((&known["name"], &known["subject"]), (&json!("desk"), &json!("CN=desk")));
    assert_eq!((&known["kind"], &known["bits"]), (&json!("p256"), &json!(256)));
    assert_eq!(house.audited("ops2", Act::RegisterCertificate).await, Some(Verdict::Done));
    let refused =
        async |name: &str, body: Value| refusal(&put(&ops, &format!("{all}/{name}"), body).await);
    assert_eq!(refused("desk", certificate("another")).await, (409, "conflict".to_owned()));
    assert_eq!(refused("a%20b", pem.clone()).await, (422, "invalid".to_owned()));
    assert_eq!(refused("x", json!({"pem": "nothing"})).await, (422, "invalid".to_owned()));
    let lan = house.login("lan").await;
    assert_eq!(put(&lan, &desk, pem).await.status, 403, "no admin");
    // A wider agency waits; meanwhile the certificate is removed, and stays so.
    let wide = json!({"name": "A", "jurisdiction": {"highest_severity": "Extreme",
        "kinds": ["alert", "notice", "status-change"]}, "signature_required": true});
    assert_eq!(put(&ops, "/v1/console/agencies/a", wide.clone()).await.status, 200);
    let mut free = wide;
    free["signature_required"] = json!(false);
    let asked = put(&ops, "/v1/console/agencies/a", free).await;
    assert_eq!(asked.status, 202, "no longer required gives more: {}", asked.text());
    assert_eq!(ops.ask("DELETE", &desk, None).await.status, 204);
    assert_eq!(ops.ask("DELETE", &desk, None).await.status, 404);
    assert_eq!(house.audited("ops", Act::RemoveCertificate).await, Some(Verdict::Done));
    let agency = ops.get("/v1/console/agencies/a").await.json();
    assert_eq!(agency["signature_required"], true, "not before it is confirmed");
    ops2.done(&confirm(&asked), json!({})).await;
    assert_eq!(ops.get(all).await.json()["certificates"], json!([]), "what was removed stays so");
    let agency = ops.get("/v1/console/agencies/a").await.json();
    assert_eq!(agency["signature_required"], false);
    house.test.stop().await;
}
