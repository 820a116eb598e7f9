//! Who may not do what: every act that is not theirs, with its status and code.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_forbidden_act_is_refused_with_its_status_and_code() {
    let house = House::open().await;
    let people = ["lan", "minh", "nga", "hung", "ops"];
    let mut by_name = std::collections::BTreeMap::new();
    for name in people {
        by_name.insert(name, house.login(name).await);
    }
    let nobody = Officer { to: house.to(), headers: Vec::new(), csrf: None };
    by_name.insert("nobody", nobody);
    by_name.insert("key", house.key("a", "plain", &[Right::Write]).await);
    by_name.insert("reader", house.key("a", "reader", &[]).await);
    let draft = by_name["lan"].submitted().await;
    let submitted = format!("/v1/console/drafts/{draft}");
    let calm_draft = json!({"kind": "alert", "body": calm()});
    let made = by_name["lan"].done("/v1/console/drafts", calm_draft.clone()).await;
    let publish = format!("/v1/console/drafts/{}/publish", made["id"].as_str().expect("an id"));
    let published = by_name["lan"].done(&publish, json!({})).await;
    let publication = published["publication"].as_str().expect("an id").to_owned();
    let person = json!({"name": "x", "rights": ["write"], "password": PASSWORD});
    let agency = json!({"name": "x", "jurisdiction": {"highest_severity": "Minor", "kinds": []}});
    let why = json!({"reason": "vì sao"});
    let in_a =
        |rights: Value| json!({"name": "x", "rights": rights, "agency": "a", "password": PASSWORD});
    let step = |name: &str| format!("{submitted}/{name}");
    let shown = |end: &str| format!("/v1/console/publications/{publication}{end}");
    let table: Vec<(&str, &str, String, Option<Value>, u16, &str)> = vec![
        ("nobody", "GET", "/v1/console/session".into(), None, 401, "unauthorized"),
        ("nobody", "GET", "/v1/console/units".into(), None, 401, "unauthorized"),
        ("nobody", "GET", "/v1/console/templates".into(), None, 401, "unauthorized"),
        ("nobody", "GET", "/v1/console/drafts".into(), None, 401, "unauthorized"),
        (
            "nobody",
            "POST",
            "/v1/console/drafts".into(),
            Some(calm_draft.clone()),
            401,
            "unauthorized",
        ),
        ("nobody", "GET", "/v1/console/publications".into(), None, 401, "unauthorized"),
        ("nobody", "GET", "/v1/console/events".into(), None, 401, "unauthorized"),
        ("nobody", "GET", "/v1/console/audit".into(), None, 401, "unauthorized"),
        ("nobody", "POST", step("approve"), Some(json!({})), 401, "unauthorized"),
        (
            "nobody",
            "GET",
            format!("/v1/publications/{publication}/answers"),
            None,
            401,
            "unauthorized",
        ),
        ("reader", "POST", "/v1/console/drafts".into(), Some(calm_draft.clone()), 403, "forbidden"),
        ("reader", "POST", "/v1/console/preview".into(), Some(calm_draft), 403, "forbidden"),
        ("lan", "POST", step("approve"), Some(json!({})), 403, "forbidden"),
        ("lan", "POST", step("reject"), Some(why.clone()), 403, "forbidden"),
        ("lan", "POST", step("override"), Some(why.clone()), 403, "forbidden"),
        ("minh", "POST", step("override"), Some(why.clone()), 403, "forbidden"),
        ("key", "POST", step("approve"), Some(json!({})), 403, "forbidden"),
        ("hung", "GET", submitted.clone(), None, 404, "not_found"),
        ("hung", "POST", step("approve"), Some(json!({})), 404, "not_found"),
        ("hung", "POST", step("return"), Some(why.clone()), 404, "not_found"),
        ("hung", "DELETE", submitted.clone(), None, 404, "not_found"),
        ("hung", "GET", shown(""), None, 404, "not_found"),
        ("hung", "GET", shown("/report.csv"), None, 404, "not_found"),
        ("hung", "POST", shown("/recall"), Some(json!({})), 404, "not_found"),
        ("hung", "GET", format!("/v1/publications/{publication}/answers"), None, 404, "not_found"),
        (
            "hung",
            "GET",
            format!("/v1/publications/{publication}/answers.csv"),
            None,
            404,
            "not_found",
        ),
        ("ops", "POST", step("approve"), Some(json!({})), 403, "forbidden"),
        ("ops", "POST", step("override"), Some(why.clone()), 403, "forbidden"),
        ("ops", "POST", shown("/recall"), Some(json!({})), 403, "forbidden"),
        ("lan", "POST", shown("/recall"), Some(json!({})), 403, "forbidden"),
        ("lan", "GET", "/v1/console/providers".into(), None, 403, "forbidden"),
        ("nga", "GET", "/v1/console/providers".into(), None, 403, "forbidden"),
        ("nga", "GET", "/v1/console/audit".into(), None, 403, "forbidden"),
        ("nga", "GET", "/v1/console/dead-letters".into(), None, 403, "forbidden"),
        ("nga", "POST", "/v1/console/dead-letters/0/0/redrive".into(), None, 403, "forbidden"),
        ("lan", "GET", "/v1/console/people".into(), None, 403, "forbidden"),
        ("lan", "GET", "/v1/console/requests".into(), None, 403, "forbidden"),
        ("lan", "PUT", "/v1/console/people/x".into(), Some(person.clone()), 403, "forbidden"),
        ("minh", "PUT", "/v1/console/people/minh".into(), Some(person), 403, "forbidden"),
        (
            "hung",
            "PUT",
            "/v1/console/people/x".into(),
            Some(in_a(json!(["write"]))),
            403,
            "forbidden",
        ),
        (
            "hung",
            "PUT",
            "/v1/console/people/lan".into(),
            Some(in_a(json!(["admin"]))),
            403,
            "forbidden",
        ),
        ("hung", "GET", "/v1/console/people/lan".into(), None, 404, "not_found"),
        ("lan", "GET", "/v1/console/agencies/a/keys".into(), None, 403, "forbidden"),
        ("hung", "GET", "/v1/console/agencies/a/keys".into(), None, 403, "forbidden"),
        ("hung", "GET", "/v1/console/agencies/a".into(), None, 404, "not_found"),
        (
            "hung",
            "POST",
            "/v1/console/agencies/a/keys".into(),
            Some(json!({"name": "k"})),
            403,
            "forbidden",
        ),
        ("hung", "DELETE", "/v1/console/agencies/a/keys/plain".into(), None, 403, "forbidden"),
        ("nga", "PUT", "/v1/console/agencies/a".into(), Some(agency.clone()), 403, "forbidden"),
        ("hung", "PUT", "/v1/console/agencies/b".into(), Some(agency), 403, "forbidden"),
    ];
    for (who, method, path, body, status, code) in &table {
        let answer = by_name[who].ask(method, path, body.as_ref()).await;
        assert_eq!(refusal(&answer), (*status, (*code).to_owned()), "{who} {method} {path}");
    }
    // Nothing came of any of it.
    let now = by_name["lan"].get(&submitted).await.json();
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
