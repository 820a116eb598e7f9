//! The agencies' HTTP face: `Authorization: Bearer loa_…` on every request; what people do at the
//! desk, by a session's cookie as well.

mod answers;
mod drafts;
mod drills;
mod publish;
mod read;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware::from_fn_with_state;
use utoipa::OpenApi;
use utoipa_axum::routes;

use crate::auth::api_key::Keys;
use crate::auth::desk::Desk;
use crate::http::Router;
use crate::http::idempotency::idempotent;
use crate::ingest::Ingest;

pub use drafts::{DraftChange, DraftInput, StepInput};
pub use publish::{StatusChanges, UpdateRequest};

/// A CAP document or its JSON may be this large, in bytes.
pub const BODY_MAX: usize = 1024 * 1024;

impl FromRef<Ingest> for Keys {
    fn from_ref(ingest: &Ingest) -> Self {
        Keys { agencies: ingest.agencies.clone(), clock: ingest.clock.clone() }
    }
}

impl FromRef<Ingest> for Desk {
    fn from_ref(ingest: &Ingest) -> Self {
        ingest.desk.clone()
    }
}

/// What the routes' shared answers refer to: the routes do not bring it with them.
#[derive(OpenApi)]
#[openapi(components(schemas(answers::AcceptedAnswer, answers::DryRunAnswer)))]
struct Schemas;

/// The agencies' routes.
pub fn router(ingest: Ingest) -> Router {
    Router::with_openapi(Schemas::openapi())
        .routes(routes!(publish::post_alert))
        .routes(routes!(publish::update_alert))
        .routes(routes!(publish::cancel_alert))
        .routes(routes!(publish::post_status_changes))
        .routes(routes!(publish::post_notice))
        .routes(routes!(read::get_alert))
        .routes(routes!(read::funnel))
        .routes(routes!(read::recipients))
        .routes(routes!(drafts::list, drafts::create))
        .routes(routes!(drafts::read, drafts::change, drafts::remove))
        .routes(routes!(drafts::preview))
        .routes(routes!(drafts::step))
        .routes(routes!(drafts::decide))
        .routes(routes!(drafts::preview_unsaved))
        .routes(routes!(drafts::recall))
        .routes(routes!(drills::list, drills::add))
        .routes(routes!(drills::remove))
        .routes(routes!(drills::run))
        .layer(from_fn_with_state(ingest.replies.clone(), idempotent))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(ingest)
}
