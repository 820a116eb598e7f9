//! `GET /plain`: the active alerts as a small page without a script, in Vietnamese, for browsers so
//! old that nothing else works.

use std::fmt::Write;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

use crate::domain::audience::Boundaries;
use crate::domain::summary::is_vietnamese;
use crate::gateway::Gateway;
use crate::gateway::public::{CACHE_SECONDS, is_public};
use crate::gateway::view::{TextView, View};

/// The page loads its style and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
                      frame-ancestors 'none'; form-action 'none'";

/// The page.
pub(super) async fn page(State(gateway): State<Gateway>) -> Response {
    let live = gateway.parts.alerts.live(gateway.hub.now());
    let mut alerts: Vec<View> = live.iter().filter(|one| is_public(one)).map(View::whole).collect();
    alerts.sort_by(|one, other| {
        (one.lane != "emergency", other.id).cmp(&(other.lane != "emergency", one.id))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, CACHE_SECONDS),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, written(&alerts, gateway.parts.city.boundaries())).into_response()
}

fn written(alerts: &[View], boundaries: Boundaries) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"vi\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Cảnh báo</title><link rel=\"stylesheet\" href=\"/plain.css\"></head><body>\n\
         <h1>Cảnh báo đang có hiệu lực</h1>\n",
    );
    if alerts.is_empty() {
        out.push_str("<p>Hiện không có cảnh báo nào.</p>\n");
    }
    for alert in alerts {
        alert_written(&mut out, alert);
    }
    if boundaries == Boundaries::Approximate {
        out.push_str("<p>Ranh giới các đơn vị là gần đúng.</p>\n");
    }
    out.push_str(
        "<p><a href=\"/plain\">Tải lại</a> · Khẩn cấp: gọi 112, 113, 114 hoặc 115</p>\n\
         </body></html>\n",
    );
    out
}

fn alert_written(out: &mut String, alert: &View) {
    let vietnamese = alert.texts.iter().find(|text| is_vietnamese(&text.language));
    let Some(text) = vietnamese.or_else(|| alert.texts.first()) else { return };
    let TextView { title, body, instruction, sender, areas, .. } = text;
    let areas = areas.join("; ");
    let agency = alert.agency_name.as_deref().unwrap_or(&alert.agency);
    let lines = [
        ("Việc cần làm", instruction.as_deref().unwrap_or_default()),
        ("Diễn biến", body.as_str()),
        ("Khu vực", areas.as_str()),
        ("Nguồn", sender.as_deref().unwrap_or(agency)),
    ];
    let hot = if alert.lane == "emergency" { " class=\"hot\"" } else { "" };
    let _ = writeln!(out, "<article{hot}><h2>{}</h2>", escaped(title));
    for (name, line) in lines.into_iter().filter(|(_, line)| !line.is_empty()) {
        let _ = writeln!(out, "<p><b>{name}:</b> {}</p>", escaped(line));
    }
    let _ = writeln!(out, "<p><b>Hết hiệu lực:</b> {}</p></article>", local(alert.expires));
}

/// The time in the city: Vietnam has had UTC+7 and no other since 1975.
fn local(at: jiff::Timestamp) -> String {
    let zone = jiff::tz::Offset::constant(7).to_time_zone();
    at.to_zoned(zone).strftime("%H:%M ngày %d/%m/%Y").to_string()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("<br>"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cannot_become_markup_and_times_are_local() {
        assert_eq!(escaped("<b>\"a\" & b\n"), "&lt;b&gt;&quot;a&quot; &amp; b<br>");
        let at = "2026-11-22T20:05:00Z".parse().expect("an instant");
        assert_eq!(local(at), "03:05 ngày 23/11/2026");
        assert!(written(&[], Boundaries::Imported).contains("không có cảnh báo nào"));
    }
}
