//! `/openapi.json`: what all faces of this node offer, and the ways to authenticate.

use axum::routing::get;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi};

use crate::http::Router;

/// Splits the faces into axum's router and the document that describes it, which it serves too.
pub fn publish(faces: Router) -> axum::Router {
    let (router, described) = faces.split_for_parts();
    let document = described_with_credentials(described);
    let text = document.to_json().expect("the document consists of strings and lists");
    router.route(
        "/openapi.json",
        get(move || {
            let body = text.clone();
            async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], body) }
        }),
    )
}

fn described_with_credentials(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Loa")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Realtime notification and emergency alerts for a whole city."))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    let bearer = || HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let agency = bearer().description(Some("An agency's API key, `loa_…`")).build();
    components.add_security_scheme("api_key", SecurityScheme::Http(agency));
    let session = ApiKeyValue::with_description(
        crate::auth::desk::COOKIE_NAME,
        "A person's session; with X-Loa-Csrf on whatever changes something",
    );
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    let citizen =
        bearer().bearer_format("JWT").description(Some("A citizen's access token")).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(citizen));
    let device = ApiKeyValue::with_description("Authorization", "Loa-Device <id>:<secret>");
    components.add_security_scheme("device", SecurityScheme::ApiKey(ApiKey::Header(device)));
    document
}
