//! Reports followed without a login: whoever knows the secret code of an anonymous report reads
//! what became of it.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::unauthorized;
use crate::domain::publication::{Content, Publication};
use crate::domain::secret_code::{CodeHash, SecretCode};
use crate::domain::status_change::{Owner, StatusChange};
use crate::domain::status_kinds::{Kind, Text};
use crate::gateway::Gateway;
use crate::http::input::Path;
use crate::http::limits::ClientAddress;
use crate::http::problem::{Code, Document, Problem};

/// The scheme of the `Authorization` header.
const SCHEME: &str = "Loa-Report ";
/// The newest steps that are answered; a report has a dozen.
const STEPS_MAX: usize = 100;
/// Words change with a restart of the node at the most.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=600");
/// What belongs to one person is kept by nobody in between.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An anonymous report and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReportView {
    /// The kind of thing that moves.
    kind: String,
    /// What people call it.
    name: Words,
    /// The agency's number of it.
    reference: String,
    /// Its steps, the newest first.
    steps: Vec<ReportStep>,
}

/// A short text in both languages.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Words {
    /// In Vietnamese.
    vi: String,
    /// In English.
    en: String,
}

/// Everything that can move.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Kinds {
    /// By code.
    kinds: BTreeMap<String, KindView>,
}

/// One kind of thing that moves.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KindView {
    /// What people call it.
    name: Words,
    /// Its states by code, and what people call them.
    states: BTreeMap<String, Words>,
}

/// One step of a report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReportStep {
    /// Rises with each step.
    step: u64,
    /// The state's code.
    state: String,
    /// What people call it.
    title: Words,
    /// Nothing more is expected.
    terminal: bool,
    /// When it moved.
    #[schema(value_type = String, format = "date-time")]
    changed_at: Timestamp,
    /// When Loa was told.
    #[schema(value_type = String, format = "date-time")]
    accepted_at: Timestamp,
    /// A remark for whoever reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

/// The kinds of report and dossier, and the words for their states
#[utoipa::path(get, path = "/v1/status-kinds", tag = "public",
    responses((status = 200, description = "Every kind", body = Kinds)))]
pub(super) async fn kinds(State(gateway): State<Gateway>) -> impl IntoResponse {
    let kinds = gateway.parts.kinds.iter().map(|(code, kind)| {
        let states = kind.states.iter();
        let states = states.map(|(code, state)| (code.clone(), words(&state.title))).collect();
        (code.to_owned(), KindView { name: words(&kind.name), states })
    });
    ([(CACHE_CONTROL, KEPT)], axum::Json(Kinds { kinds: kinds.collect() }))
}

/// An anonymous report, by its secret code
#[utoipa::path(get, path = "/v1/reports/{kind}/{reference}", tag = "public",
    params(("kind" = String, Path, description = "The kind, such as `report-1022`"),
        ("reference" = String, Path, description = "The agency's number of the report"),
        ("Authorization" = String, Header, description = "`Loa-Report <secret code>`")),
    responses((status = 200, description = "What became of it", body = ReportView),
        (status = 401, description = "No code, or a text that cannot be one", body = Document),
        (status = 404, description = "No such report, or not its code", body = Document),
        (status = 429, description = "Too many tries from this address", body = Document)))]
pub(super) async fn read(
    State(gateway): State<Gateway>,
    address: Option<Extension<ClientAddress>>,
    Path((kind, reference)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    if let Some(Extension(address)) = address {
        gateway.tries.take(&address).await?;
    }
    let given = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let code = given.and_then(|header| header.strip_prefix(SCHEME));
    let code = code.and_then(|code| SecretCode::parse(code).ok());
    let code = code.ok_or_else(|| unauthorized("`Authorization: Loa-Report <secret code>`"))?;
    let hash = code.hash(&kind, &reference);
    let stored = gateway.parts.alerts.for_subject(&hash.subject(), None, STEPS_MAX).await;
    let stored = stored.map_err(|error| Problem::internal(&error))?;
    let mut steps: Vec<(&Publication, &StatusChange)> = stored
        .iter()
        .filter_map(|stored| step_of(&stored.publication, &hash))
        .filter(|(_, change)| change.kind == kind && change.reference == reference)
        .collect();
    let known = gateway.parts.kinds.get(&kind).filter(|_| !steps.is_empty());
    // One answer, whichever is wrong.
    let missing = || Problem::new(Code::NotFound, "no report has this number and this code");
    let known = known.ok_or_else(missing)?;
    steps.sort_by_key(|(_, change)| std::cmp::Reverse(change.step));
    let view = ReportView {
        name: words(&known.name),
        steps: steps.into_iter().map(|(publication, one)| view(known, publication, one)).collect(),
        kind,
        reference,
    };
    Ok(([(CACHE_CONTROL, NO_STORE)], axum::Json(view)))
}

/// A publication as a step of the report with this code.
fn step_of<'a>(
    publication: &'a Publication,
    hash: &CodeHash,
) -> Option<(&'a Publication, &'a StatusChange)> {
    let Content::StatusChange(change) = &publication.content else { return None };
    let Owner::Code(kept) = &change.owner else { return None };
    kept.matches(hash).then_some((publication, &**change))
}

fn words(text: &Text) -> Words {
    Words { vi: text.vi.clone(), en: text.en.clone() }
}

/// A state that is no longer in the data is shown by its code.
fn view(kind: &Kind, publication: &Publication, change: &StatusChange) -> ReportStep {
    let state = kind.states.get(&change.state);
    let code = || Words { vi: change.state.clone(), en: change.state.clone() };
    ReportStep {
        step: change.step,
        state: change.state.clone(),
        title: state.map_or_else(code, |state| words(&state.title)),
        terminal: state.is_some_and(|state| state.terminal),
        changed_at: change.changed_at,
        accepted_at: publication.accepted_at,
        remark: change.remark.clone(),
    }
}
