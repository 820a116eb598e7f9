//! Anonymous reports: whoever has the secret code reads what became of theirs, and nobody else.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use loa::domain::secret_code::SecretCode;
use serde_json::{Value, json};

use crate::support::http::{Answer, ask};
use crate::support::node::TestNode;
use crate::support::shape::{Shape, in_every_shape};

const KIND: &str = "report-1022";
const REFERENCE: &str = "1022-2026-0918871";
const CODE: &str = "K7QM2XR9PDWA4T6H";

in_every_shape!(an_anonymous_report_is_followed_with_its_secret_code_and_with_nothing_else);

fn change(reference: &str, code: &str, step: u64, state: &str) -> Value {
    let code = SecretCode::parse(code).expect("a code");
    json!({
        "kind": KIND, "reference": reference, "state": state, "step": step,
        "code_hash": code.hash(KIND, reference), "changed_at": Timestamp::now().to_string(),
        "remark": format!("step {step} of {reference}")
    })
}

async fn tell(test: &TestNode, changes: &[Value]) -> Answer {
    let body = Bytes::from(json!({ "changes": changes }).to_string());
    test.ask(Method::POST, "/v1/status-changes", Some(("application/json", body))).await
}

async fn follow(test: &TestNode, reference: &str, credentials: Option<&str>) -> Answer {
    let path = format!("/v1/reports/{KIND}/{reference}");
    ask(test.node.address, (Method::GET, &path), credentials, None).await.expect("an answer")
}

fn with(code: &str) -> Option<String> {
    Some(format!("Loa-Report {code}"))
}

/// Whether any file below a directory holds a text.
fn holds(directory: &Path, text: &[u8]) -> bool {
    std::fs::read_dir(directory).expect("a directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text)
    })
}

async fn an_anonymous_report_is_followed_with_its_secret_code_and_with_nothing_else(shape: Shape) {
    let test = TestNode::shaped(&shape, |_| {}).await;
    let other = "1022-2026-0918872";
    let changes = [
        change(REFERENCE, CODE, 1, "received"),
        change(REFERENCE, CODE, 3, "resolved"),
        change(REFERENCE, CODE, 2, "assigned"),
        // Another's report, with the same code by chance.
        change(other, CODE, 1, "rejected"),
        // Somebody else of the agency's guesses that it is theirs.
        change(REFERENCE, "ZZZZZZZZZZZZ", 9, "reopened"),
    ];
    let told = tell(&test, &changes).await;
    assert_eq!(told.status, 202, "{}", told.text());

    // As people write it.
    let answer = follow(&test, REFERENCE, with("k7qm-2xr9-pdwa-4t6h").as_deref()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["cache-control"], "no-store");
    let report = answer.json();
    assert_eq!(report["name"], json!({"vi": "Phản ánh 1022", "en": "1022 report"}));
    let steps = report["steps"].as_array().expect("steps");
    let seen: Vec<_> = steps.iter().map(|one| (&one["step"], &one["state"])).collect();
    let wanted =
        [(3, "resolved"), (2, "assigned"), (1, "received")].map(|(n, s)| (json!(n), json!(s)));
    assert_eq!(seen, wanted.iter().map(|(n, s)| (n, s)).collect::<Vec<_>>());
    assert_eq!(steps[0]["title"], json!({"vi": "Đã xử lý", "en": "Resolved"}));
    assert_eq!((&steps[0]["terminal"], &steps[2]["terminal"]), (&json!(true), &json!(false)));
    assert_eq!(steps[2]["remark"], format!("step 1 of {REFERENCE}"));
    for field in ["subject", "code_hash", "agency", "id"] {
        assert!(!answer.text().contains(&format!("\"{field}\"")), "{field}: {}", answer.text());
    }

    // A wrong code, an unknown number and an unknown kind are told apart by nobody.
    let wrong = follow(&test, REFERENCE, with("K7QM2XR9PDWA4T6J").as_deref()).await;
    let unknown = follow(&test, "1022-2026-0000000", with(CODE).as_deref()).await;
    let (path, code) = (format!("/v1/reports/taxi/{REFERENCE}"), with(CODE));
    let kind = ask(test.node.address, (Method::GET, &path), code.as_deref(), None).await;
    let kind = kind.expect("an answer");
    for answer in [&wrong, &unknown, &kind] {
        assert_eq!((answer.status.as_u16(), &answer.body), (404, &wrong.body));
    }
    let garbage = ["", "Loa-Report", "Loa-Report ", "Loa-Report short", "Loa-Report ☂☂☂☂☂☂☂☂☂☂☂☂"];
    for text in garbage.into_iter().chain(["Bearer K7QM2XR9PDWA4T6H", "Loa-Report \u{e9}"]) {
        let answer = follow(&test, REFERENCE, Some(text)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthorized"));
    }
    assert_eq!(follow(&test, REFERENCE, None).await.status, 401);
    let traversal = follow(&test, "..%2f..%2f%00%ff", with(CODE).as_deref()).await;
    assert!(traversal.status.is_client_error(), "{}", traversal.text());

    assert!(!holds(test.dir.path(), CODE.as_bytes()), "the code lies on the disk");
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_tries_many_codes_waits() {
    let test = TestNode::with(|config| config.gateway.report_tries_burst = 3).await;
    tell(&test, &[change(REFERENCE, CODE, 1, "received")]).await;
    for _ in 0..3 {
        let wrong = follow(&test, REFERENCE, with("AAAAAAAAAAAA").as_deref()).await;
        assert_eq!(wrong.status, 404);
    }
    // Also with the right one: the answer would tell.
    let answer = follow(&test, REFERENCE, with(CODE).as_deref()).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (429, "rate_limited"));
    let wait: u64 = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    // Everything else goes on.
    let path = "/v1/alerts/active";
    let others = ask(test.node.address, (Method::GET, path), None, None).await.expect("answered");
    assert_eq!(others.status, 200);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_says_of_exactly_one_whose_it_is() {
    let test = TestNode::start().await;
    let fine = change(REFERENCE, CODE, 1, "received");
    let mut nobody = fine.clone();
    nobody.as_object_mut().expect("an object").remove("code_hash");
    let mut two = fine.clone();
    two["subject"] = json!("citizen-1");
    let mut clear = fine.clone();
    clear["code_hash"] = json!(CODE);
    for (broken, field) in
        [(nobody, "changes[0]"), (two, "changes[0]"), (clear, "changes[0].code_hash")]
    {
        let answer = tell(&test, &[broken]).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad_json"));
        assert_eq!(answer.json()["errors"][0]["path"], field, "{}", answer.text());
        assert!(!answer.text().contains(CODE), "a code comes back: {}", answer.text());
    }
    let mut reserved = fine;
    reserved.as_object_mut().expect("an object").remove("code_hash");
    let code = SecretCode::parse(CODE).expect("a code");
    reserved["subject"] = json!(code.hash(KIND, REFERENCE).subject());
    let answer = tell(&test, &[reserved]).await;
    assert_eq!(answer.json()["errors"][0]["rule"], "not_reserved", "{}", answer.text());
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_release_cannot_read_is_refused_while_there_may_be_one() {
    let until = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let test = TestNode::with(|config| config.vault.unsealed_until = Some(until)).await;
    let anonymous = change(REFERENCE, CODE, 1, "received");
    let answer = tell(&test, std::slice::from_ref(&anonymous)).await;
    let error = &answer.json()["errors"][0];
    assert_eq!(error["rule"], "not_while_unsealed", "{}", answer.text());
    assert_eq!(error["path"], "changes[0].code_hash");
    let mut named = anonymous;
    named.as_object_mut().expect("an object").remove("code_hash");
    named["subject"] = json!("citizen-1");
    assert_eq!(tell(&test, &[named]).await.status, 202);
    let ready = ask(test.node.address, (Method::GET, "/readyz"), None, None).await;
    let ready = ready.expect("an answer").json();
    assert_eq!(ready["unsealed_until"], until.to_string(), "{ready}");
    test.stop().await;
}
