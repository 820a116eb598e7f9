//! What citizens answer: counted once, by unit, shown to the agency that asked and to nobody else.

use super::*;
use crate::support::citizen::{Citizen, ask_json};

async fn device(house: &House, unit: &str) -> Citizen {
    let body = json!({"address": {"channel": "websocket"}, "languages": ["vi"],
        "places": [{"unit": unit}]});
    Citizen::register(&house.to(), body).await
}

pub(super) async fn says(citizen: &Citizen, body: Value) -> Answer {
    ask_json(&citizen.to, "POST", "/v1/answers", &citizen.auth(), &body).await
}

pub(super) async fn publish(house: &House, body: Value) -> String {
    let lan = house.login("lan").await;
    let draft = lan.done("/v1/console/drafts", body).await;
    let path = format!("/v1/console/drafts/{}/publish", draft["id"].as_str().expect("an id"));
    let done = lan.done(&path, json!({})).await;
    done["publication"].as_str().expect("an id").to_owned()
}

fn alert(unit: &str) -> Value {
    let mut body = calm();
    body["infos"][0]["areas"] = json!([{"description": "Phường thử",
        "geocodes": [{"name": "loa:unit", "value": unit}]}]);
    json!({"kind": "alert", "body": body})
}

pub(super) fn survey(unit: &str) -> Value {
    let option = |id: &str| json!({"id": id, "texts": {"vi": id}});
    let (yes, no) = (option("yes"), option("no"));
    json!({"kind": "notice", "body": {
        "kind": "survey", "texts": {"vi": {"title": "Khảo sát", "body": "Mời trả lời."}},
        "expires": hours(24), "target": {"units": [unit]},
        "questions": [
            {"id": "dry", "kind": "single", "texts": {"vi": "Nhà có ngập?"},
                "options": [yes, no], "required": true},
            {"id": "depth", "kind": "scale", "texts": {"vi": "Mức?"}, "min": 0, "max": 4},
            {"id": "more", "kind": "text", "texts": {"vi": "Thêm?"}}
        ]
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn safe_and_help_count_a_device_once_by_unit_and_the_newest_counts() {
    let house = House::open().await;
    let units = house.test.node.parts.city.units();
    let (here, there) = (units[40].code.to_string(), units[90].code.to_string());
    let (one, two) = (device(&house, &here).await, device(&house, &here).await);
    let stranger = device(&house, &there).await;
    let id = publish(&house, alert(&here)).await;
    let answer = |word: &str| json!({"publication": id, "answer": word});
    assert_eq!(says(&one, answer("help")).await.status, 202);
    assert_eq!(says(&one, answer("safe")).await.status, 202);
    let help = json!({"publication": id, "answer": "help", "note": "kẹt ở tầng hai"});
    assert_eq!(says(&two, help).await.status, 202);
    assert_eq!(refusal(&says(&stranger, answer("safe")).await), (404, "not_found".to_owned()));
    for (body, status, code) in [
        (json!({"publication": id}), 422, "invalid"),
        (json!({"publication": id, "answer": "fine"}), 400, "bad_json"),
        (json!({"publication": id, "answer": "safe", "survey": {}}), 422, "invalid"),
        (json!({"publication": id, "answer": "safe", "note": "x".repeat(301)}), 422, "invalid"),
        (json!({"publication": id, "survey": {"a": "b"}}), 422, "invalid"),
        (json!({"publication": uuid::Uuid::nil(), "answer": "safe"}), 404, "not_found"),
    ] {
        assert_eq!(refusal(&says(&one, body.clone()).await), (status, code.to_owned()), "{body}");
    }
    let minh = house.login("minh").await;
    let seen = minh.get(&format!("/v1/publications/{id}/answers")).await.json();
    assert_eq!(seen["answers"], json!({"safe": {&here: 1}, "help": {&here: 1}}));
    assert_eq!(seen["texts"][0]["text"], "kẹt ở tầng hai");
    let detail = minh.get(&format!("/v1/console/publications/{id}")).await.json();
    assert_eq!(detail["answers"]["help"], json!({&here: 1}));
    // A note is for those who help, and for no public page.
    for path in [format!("/v1/alerts/{id}/public"), "/v1/alerts/recent".into(), "/plain".into()] {
        let public = ask(&house.to(), "GET", &path, &[], &[]).await;
        assert_eq!(public.status, 200, "{path}");
        assert!(!public.text().contains("tầng hai"), "{path}");
    }
    // Whoever answered can read it, and whoever leaves takes their answers along.
    let own = ask(&house.to(), "GET", "/v1/me", &[&two.auth()], &[]).await.json();
    let own = &own["devices"][0]["answers"][0];
    assert_eq!((&own["value"], &own["text"]), (&json!("help"), &json!("kẹt ở tầng hai")));
    assert_eq!(ask(&house.to(), "DELETE", "/v1/me", &[&two.auth()], &[]).await.status, 204);
    let seen = minh.get(&format!("/v1/publications/{id}/answers")).await.json();
    assert_eq!((&seen["answers"]["help"], &seen["texts"]), (&json!({}), &json!([])));
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_is_answered_once_a_respondent_and_tallied_by_question_and_unit() {
    let house = House::open().await;
    let unit = house.test.node.parts.city.units()[40].code.to_string();
    let id = publish(&house, survey(&unit)).await;
    let (one, two) = (device(&house, &unit).await, device(&house, &unit).await);
    let answer = |values: Value| json!({"publication": id, "survey": values});
    let first = says(&one, answer(json!({"dry": "yes", "depth": 4, "more": "=nước cao"}))).await;
    assert_eq!(first.status, 202, "{}", first.text());
    assert_eq!(
        says(&one, answer(json!({"dry": "no", "depth": 1, "more": "=rút"}))).await.status,
        202
    );
    assert_eq!(says(&two, answer(json!({"dry": "no", "depth": 3}))).await.status, 202);
    let bad = says(&two, answer(json!({"depth": 9}))).await;
    assert_eq!(refusal(&bad), (422, "invalid".to_owned()));
    let paths: Vec<_> = bad.json()["errors"].as_array().expect("errors").clone();
    let paths: Vec<_> = paths.iter().map(|one| one["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["survey.dry", "survey.depth"]);
    let seen =
        house.login("minh").await.get(&format!("/v1/publications/{id}/answers")).await.json();
    let survey = &seen["survey"];
    assert_eq!(survey["answered"], 2);
    assert_eq!(survey["questions"][0]["tally"], json!({"no": 2}));
    assert_eq!(survey["questions"][1]["mean"], 2.0);
    assert_eq!(survey["questions"][2]["answers"], json!(["=rút"]));
    let by_unit = json!({"question": "dry", "value": "no", "unit": unit, "count": 2});
    assert!(seen["by_unit"].as_array().is_some_and(|all| all.contains(&by_unit)), "{seen}");
    let minh = house.login("minh").await;
    let csv = minh.get(&format!("/v1/publications/{id}/answers.csv")).await.text();
    assert!(csv.contains(&format!("dry,no,{unit},2")) && csv.contains("'=rút"), "{csv}");
    let inbox = ask(&house.to(), "GET", "/v1/inbox", &[&one.auth()], &[]).await.text();
    assert!(inbox.contains("\"questions\"") && !inbox.contains("=rút"), "{inbox}");
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_break_rules_are_refused_by_name() {
    let house = House::open().await;
    let unit = house.test.node.parts.city.units()[40].code.to_string();
    let lan = house.login("lan").await;
    let mut news = survey(&unit);
    news["body"]["kind"] = json!("news");
    let mut doubled = survey(&unit);
    doubled["body"]["questions"][1]["id"] = json!("dry");
    for (body, path, rule) in
        [(news, "questions", "survey_only"), (doubled, "questions[1].id", "unique")]
    {
        let draft = lan.done("/v1/console/drafts", body).await;
        let publish = format!("/v1/console/drafts/{}/publish", draft["id"].as_str().expect("id"));
        let refused = lan.ask("POST", &publish, Some(&json!({}))).await;
        assert_eq!(refusal(&refused), (422, "invalid".to_owned()));
        let error = &refused.json()["errors"][0];
        assert_eq!((&error["path"], &error["rule"]), (&json!(path), &json!(rule)));
    }
    house.test.stop().await;
}
