//! `/openapi.json`: what all faces of this node offer, and the ways to authenticate.

use axum::routing::get;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Content, InfoBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use crate::http::Router;
use crate::http::problem::MEDIA_TYPE;

const JSON: &str = "application/json";

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
    components.add_security_scheme("citizen", SecurityScheme::Http(citizen));
    let device = ApiKeyValue::with_description("Authorization", "Loa-Device <id>:<secret>");
    components.add_security_scheme("device", SecurityScheme::ApiKey(ApiKey::Header(device)));
    document.paths.paths.values_mut().flat_map(operations).for_each(refuse_in_one_form);
    document
}

/// Every operation of a path that this crate's routes can have.
fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = path;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

/// Whatever is refused, is refused as problem details; and any request may be, before its route
/// is asked: too many, too large, in a form that is not taken.
fn refuse_in_one_form(operation: &mut Operation) {
    let answers = &mut operation.responses.responses;
    for answer in answers.values_mut() {
        let RefOr::T(answer) = answer else { continue };
        if answer.content.get(JSON).is_some_and(is_problem) {
            let problem = answer.content.swap_remove(JSON).expect("it was looked at just now");
            answer.content.insert(MEDIA_TYPE.to_owned(), problem);
        }
    }
    answers.entry("4XX".to_owned()).or_insert_with(|| {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        ResponseBuilder::new()
            .description("Refused by name: problem details (RFC 9457)")
            .content(MEDIA_TYPE, problem)
            .build()
            .into()
    });
}

fn is_problem(content: &RefOr<Content>) -> bool {
    let RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) = content else {
        return false;
    };
    schema.ref_location.ends_with("/Problem")
}
