//! Stolen sessions, forged requests, tokens that prove nothing, and devices that ask for what is
//! another's.

use serde_json::json;

use super::{Row, Tried, row};

/// Stolen sessions, requests of another site's making, tokens that prove nothing, and devices that
/// ask for what is another's.
pub fn impostors(tried: &Tried) -> Vec<Row> {
    let (draft, device) = (&tried.draft, format!("/v1/devices/{}", tried.device));
    let approve = format!("{draft}/approve");
    let session = "/v1/console/session".to_owned();
    let empty = || Some(json!({}));
    let secret = || Some(json!({"secret": "A".repeat(43)}));
    let own = |path: &str| format!("{device}{path}");
    let mut rows: Vec<Row> = vec![
        row("stolen", "GET", session.clone(), None, (401, "unauthorized")),
        row("stolen", "POST", approve.clone(), empty(), (401, "unauthorized")),
        row("invented", "GET", session.clone(), None, (401, "unauthorized")),
        row("doubled", "GET", session, None, (401, "unauthorized")),
        row("framed", "POST", approve.clone(), empty(), (403, "csrf")),
        row("framed", "POST", "/v1/console/logout", None, (403, "csrf")),
        row("framed", "PUT", "/v1/console/people/x", empty(), (403, "csrf")),
        row("framed", "DELETE", draft.clone(), None, (403, "csrf")),
        row("mixed", "POST", approve, empty(), (403, "csrf")),
        row("phone", "GET", own(""), None, (403, "forbidden")),
        row("phone", "PUT", own(""), Some(json!({"places": []})), (403, "forbidden")),
        row("phone", "DELETE", own(""), None, (403, "forbidden")),
        row("phone", "POST", own("/release"), None, (403, "forbidden")),
        row("phone", "POST", own("/claim"), secret(), (401, "unauthorized")),
        row("phone", "GET", "/v1/console/drafts", None, (401, "unauthorized")),
        row("phone", "POST", "/v1/alerts", empty(), (401, "unauthorized")),
        row("key", "GET", "/v1/inbox", None, (401, "unauthorized")),
        row("key", "GET", own(""), None, (401, "unauthorized")),
        row("lan", "GET", "/v1/inbox", None, (401, "unauthorized")),
        row("nobody", "POST", "/v1/logout", None, (401, "unauthorized")),
        row("nobody", "GET", "/v1/session", None, (401, "unauthorized")).untold(),
        row("nobody", "GET", "/v1/login", None, (404, "not_found")).untold(),
    ];
    for who in ["guess", "alg none", "forged cookie"] {
        for path in ["/v1/inbox", "/v1/me"] {
            rows.push(row(who, "GET", path, None, (401, "unauthorized")));
        }
        rows.push(row(who, "DELETE", "/v1/me", None, (401, "unauthorized")));
    }
    rows
}
