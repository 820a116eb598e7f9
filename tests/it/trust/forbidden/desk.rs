//! The desk: strangers, colleagues without the right, other agencies, admins beyond theirs.

use loa::domain::audit::Act;
use serde_json::{Value, json};

use super::{Row, Tried, row};
use crate::desk::{PASSWORD, calm};

fn calm_draft() -> Value {
    json!({"kind": "alert", "body": calm()})
}

fn why() -> Value {
    json!({"reason": "vì sao"})
}

/// Those without credentials, and a key without rights.
pub fn strangers(tried: &Tried) -> Vec<Row> {
    let get = |path: &str| -> Row { row("nobody", "GET", path, None, (401, "unauthorized")) };
    let paths = [
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
    rows.push(get("/v1/console/session").untold());
    let (draft, id) = (&tried.draft, &tried.publication);
    let drafts = "/v1/console/drafts".to_owned();
    rows.extend([
        get(&format!("/v1/publications/{id}/answers")),
        row("nobody", "POST", drafts.clone(), Some(calm_draft()), (401, "unauthorized")),
        row("nobody", "POST", format!("{draft}/approve"), Some(json!({})), (401, "unauthorized")),
        row("nobody", "POST", "/v1/answers", Some(json!({})), (401, "unauthorized")),
        row("reader", "POST", drafts, Some(calm_draft()), (403, "forbidden")),
        row("reader", "POST", "/v1/console/preview", Some(calm_draft()), (403, "forbidden")),
    ]);
    rows
}

/// Colleagues without the right, other agencies, and operators, who see and do not decide.
pub fn deciders(tried: &Tried) -> Vec<Row> {
    let draft = &tried.draft;
    let step = |name: &str| format!("{draft}/{name}");
    let id = &tried.publication;
    let shown = |end: &str| format!("/v1/console/publications/{id}{end}");
    let answers = |end: &str| format!("/v1/publications/{id}/answers{end}");
    vec![
        row("lan", "POST", step("approve"), Some(json!({})), (403, "forbidden"))
            .noted(Act::ApproveDraft),
        row("lan", "POST", step("reject"), Some(why()), (403, "forbidden")).noted(Act::RejectDraft),
        row("lan", "POST", step("override"), Some(why()), (403, "forbidden")).noted(Act::Override),
        row("minh", "POST", step("override"), Some(why()), (403, "forbidden")).noted(Act::Override),
        row("key", "POST", step("approve"), Some(json!({})), (403, "forbidden"))
            .noted(Act::ApproveDraft),
        row("lan", "POST", shown("/recall"), Some(json!({})), (403, "forbidden")),
        row("hung", "GET", draft.clone(), None, (404, "not_found")),
        row("hung", "POST", step("approve"), Some(json!({})), (404, "not_found")),
        row("hung", "POST", step("return"), Some(why()), (404, "not_found")),
        row("hung", "POST", step("preview"), None, (404, "not_found")),
        row("hung", "DELETE", draft.clone(), None, (404, "not_found")),
        row("hung", "GET", shown(""), None, (404, "not_found")),
        row("hung", "GET", shown("/report.csv"), None, (404, "not_found")),
        row("hung", "POST", shown("/recall"), Some(json!({})), (404, "not_found")),
        row("hung", "GET", answers(""), None, (404, "not_found")),
        row("hung", "GET", answers(".csv"), None, (404, "not_found")),
        row("ops", "POST", step("approve"), Some(json!({})), (403, "forbidden"))
            .noted(Act::ApproveDraft),
        row("ops", "POST", step("override"), Some(why()), (403, "forbidden")).noted(Act::Override),
        row("ops", "POST", shown("/recall"), Some(json!({})), (403, "forbidden")),
    ]
}

/// Who is no operator, and admins beyond their agency.
pub fn admins() -> Vec<Row> {
    let at = |path: &str| format!("/v1/console/{path}");
    let person = |agency: Value| {
        let rights = ["admin"];
        Some(json!({"name": "x", "rights": rights, "agency": agency, "password": PASSWORD}))
    };
    let agency = Some(json!({"name": "x", "jurisdiction": {"highest_severity": "Minor",
        "kinds": []}}));
    let key = Some(json!({"name": "k"}));
    vec![
        row("lan", "GET", at("providers"), None, (403, "forbidden")),
        row("nga", "GET", at("providers"), None, (403, "forbidden")),
        row("nga", "GET", at("audit"), None, (403, "forbidden")),
        row("nga", "GET", at("dead-letters"), None, (403, "forbidden")),
        row("nga", "POST", at("dead-letters/0/0/redrive"), None, (403, "forbidden")),
        row("nga", "GET", at("drills"), None, (403, "forbidden")),
        row("nga", "POST", at("drills/link-test"), None, (403, "forbidden")),
        row("lan", "GET", at("people"), None, (403, "forbidden")),
        row("lan", "GET", at("requests"), None, (403, "forbidden")),
        row("lan", "PUT", at("people/x"), person(Value::Null), (403, "forbidden")),
        row("minh", "PUT", at("people/minh"), person(Value::Null), (403, "forbidden")),
        row("hung", "PUT", at("people/x"), person(json!("a")), (403, "forbidden")),
        row("hung", "PUT", at("people/lan"), person(json!("b")), (403, "forbidden")),
        row("hung", "GET", at("people/lan"), None, (404, "not_found")),
        row("lan", "GET", at("agencies/a/keys"), None, (403, "forbidden")),
        row("hung", "GET", at("agencies/a/keys"), None, (403, "forbidden")),
        row("hung", "GET", at("agencies/a"), None, (404, "not_found")),
        row("hung", "POST", at("agencies/a/keys"), key, (403, "forbidden")),
        row("hung", "DELETE", at("agencies/a/keys/plain"), None, (403, "forbidden")),
        row("nga", "PUT", at("agencies/a"), agency.clone(), (403, "forbidden")),
        row("hung", "PUT", at("agencies/b"), agency, (403, "forbidden")),
    ]
}
