//! The embedded web pages: the citizens' at `/`, the console's at `/console`.
//!
//! `make console` builds them into `console/dist`; a release holds them, a debug build reads the
//! folder. Without built pages a plain one says how to build them. Nothing is loaded from anywhere
//! else and no script stands in a page: the policy that goes with each says so to the browser.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::problem::{Code, Problem};

/// What a page's browser features may do: a position when it is asked for, and nothing else.
const PERMISSIONS: &str = "camera=(), microphone=(), payment=(), usb=(), geolocation=(self)";

#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Dist;

/// What is said in place of pages that were not built.
const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
    <title>Loa</title><h1>Loa</h1>\n<p>The pages are not built into this program. Build them with \
    <code>make console</code> (it needs Node), then build Loa again.</p>\n\
    <p lang=\"vi\">Trang chưa được dựng vào chương trình này: chạy <code>make console</code> rồi \
    dựng lại Loa.</p>\n<p>The interfaces work all the same: \
    <a href=\"/openapi.json\">openapi.json</a>, \
    <a href=\"/v1/alerts/active\">active alerts</a>.</p>\n";

#[derive(Clone, Debug)]
struct Pages {
    policy: HeaderValue,
}

/// The pages' routes. Map tiles may come from `tile_origin`, if there is one.
pub fn router(tile_origin: Option<&str>) -> Router {
    let tiles = tile_origin.map(|origin| format!(" {origin}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:{tiles}; \
         font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy);
    let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let pages = Arc::new(Pages { policy });
    Router::new()
        .route("/", get(citizens))
        .route("/alerts/{id}", get(citizens))
        .route("/console", get(console))
        .route("/console/", get(console))
        .route("/console/{*path}", get(console_file))
        .route("/assets/{*path}", get(asset))
        .route("/{file}", get(root_file))
        .with_state(pages)
}

async fn citizens(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    page(&pages, "index.html", &headers)
}

async fn console(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    page(&pages, "console/index.html", &headers)
}

async fn console_file(
    State(pages): State<Arc<Pages>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let name = format!("console/{path}");
    match file(&pages, &name, &headers) {
        Some(found) => found,
        // A place within the console, which its script finds by itself.
        None => page(&pages, "console/index.html", &headers),
    }
}

async fn asset(
    State(pages): State<Arc<Pages>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    file(&pages, &format!("assets/{path}"), &headers).unwrap_or_else(missing)
}

async fn root_file(
    State(pages): State<Arc<Pages>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    file(&pages, &name, &headers).unwrap_or_else(missing)
}

fn missing() -> Response {
    Problem::new(Code::NotFound, "this path does not exist").into_response()
}

fn page(pages: &Pages, name: &str, headers: &HeaderMap) -> Response {
    if let Some(found) = file(pages, name, headers) {
        return found;
    }
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    let mut response = (kind, NOT_BUILT).into_response();
    protect(pages, &mut response);
    response
}

/// A file with the encoding the browser takes best.
fn file(pages: &Pages, name: &str, headers: &HeaderMap) -> Option<Response> {
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return None;
    }
    let plain = Dist::get(name)?;
    let (found, encoding) = packed(name, headers).unwrap_or((plain, None));
    let tag = tag(&found, encoding);
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let same = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let mut response = if same {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        found.data.into_owned().into_response()
    };
    let answered = response.headers_mut();
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    answered.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    let hashed = name.starts_with("assets/");
    let cached = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    answered.insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answered.insert(ETAG, tag);
    }
    if let Some(encoding) = encoding.filter(|_| !same) {
        answered.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    protect(pages, &mut response);
    Some(response)
}

fn packed(name: &str, headers: &HeaderMap) -> Option<(EmbeddedFile, Option<&'static str>)> {
    let accepted = headers.get(ACCEPT_ENCODING)?.to_str().ok()?;
    let takes = |encoding: &str| {
        accepted.split(',').any(|one| {
            let (name, weight) = one.trim().split_once(';').unwrap_or((one.trim(), ""));
            name == encoding && !weight.replace(' ', "").starts_with("q=0")
        })
    };
    [("br", "br"), ("gzip", "gz")]
        .into_iter()
        .filter(|(encoding, _)| takes(encoding))
        .find_map(|(encoding, end)| Some((Dist::get(&format!("{name}.{end}"))?, Some(encoding))))
}

fn tag(file: &EmbeddedFile, encoding: Option<&str>) -> String {
    let hash = file.metadata.sha256_hash();
    let hash: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hash}{}\"", encoding.unwrap_or_default())
}

/// The headers that keep a page from being used against those who look at it.
fn protect(pages: &Pages, response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, pages.policy.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let permissions = HeaderName::from_static("permissions-policy");
    headers.insert(permissions, HeaderValue::from_static(PERMISSIONS));
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    headers.insert(opener, HeaderValue::from_static("same-origin"));
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_sent_only_to_those_who_take_them_and_nothing_hidden_is_found() {
        let pages = Pages { policy: HeaderValue::from_static("x") };
        let headers = HeaderMap::new();
        for bad in ["", "../Cargo.toml", ".env", "a//b", "console/../x"] {
            assert!(file(&pages, bad, &headers).is_none(), "{bad}");
        }
        assert!(packed("index.html", &headers).is_none());
        assert_eq!(kind("a/b.min.js"), "text/javascript; charset=utf-8");
        assert_eq!(kind("data.bin"), "application/octet-stream");
    }
}
