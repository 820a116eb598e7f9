//! Drafts, their previews and their decisions.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::desk::Caller;
use crate::domain::draft::{Draft, DraftKind, Move, State as DraftState};
use crate::domain::ids::{AgencyId, DraftId, PublicationId};
use crate::domain::person::Right;
use crate::http::input::{Json, Path, Query, page_limit, whole, whole_or_none};
use crate::http::problem::{Code, Problem, Refused};
use crate::ingest::Ingest;
use crate::ingest::cancel::{CancelRequest, CancelText};
use crate::ingest::desk::complete::Wording;
use crate::ingest::desk::preview::Preview;
use crate::ingest::desk::{NewDraft, Order, draft_problem};
use crate::ingest::http::answers::AcceptedAnswer;
use crate::store::drafts::{Filter, PAGE_MAX};

/// Which drafts to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only in this state.
    #[param(value_type = Option<String>,
        pattern = "^(editing|submitted|returned|approved|rejected|published)$")]
    pub state: Option<DraftState>,
    /// Only of this agency; for operators, who see every agency's.
    #[param(value_type = Option<String>, pattern = "^[a-z0-9.-]{1,64}$")]
    pub agency: Option<AgencyId>,
    /// At most so many.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// Drafts, the newest change first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DraftsAnswer {
    /// The drafts.
    #[schema(value_type = Vec<Object>)]
    pub drafts: Vec<Draft>,
}

/// The words of a draft.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftInput {
    /// `alert`, `update`, `cancel` or `notice`.
    #[schema(value_type = String, pattern = "^(alert|update|cancel|notice)$")]
    pub kind: DraftKind,
    /// What an update or cancel is of.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub of: Option<PublicationId>,
    /// A CAP alert or a notice in the JSON form of docs/API.md; may be unfinished.
    #[schema(value_type = Object)]
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Only for those who take part in exercises.
    #[serde(default)]
    pub exercise: bool,
}

impl From<DraftInput> for NewDraft {
    fn from(input: DraftInput) -> Self {
        let DraftInput { kind, of, body, exercise } = input;
        Self { kind, of, body: body.into(), exercise }
    }
}

/// A draft's new words.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftChange {
    /// The version they were made from.
    #[serde(deserialize_with = "whole")]
    pub version: u64,
    /// The words.
    #[schema(value_type = Object)]
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Another kind; absent means as before.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(alert|update|cancel|notice)$")]
    pub kind: Option<DraftKind>,
    /// What an update or cancel is of; absent means as before.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub of: Option<PublicationId>,
    /// Whether it is an exercise; absent means as before.
    #[serde(default)]
    pub exercise: Option<bool>,
}

/// A step.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StepInput {
    /// The version that was seen; a newer one refuses the step.
    #[serde(deserialize_with = "whole_or_none")]
    pub version: Option<u64>,
    /// Why; asked for by `return`, `reject` and `override`.
    pub reason: Option<String>,
}

/// The version that was seen.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// A newer one refuses the step.
    pub version: Option<u64>,
}

/// The steps of a draft's path.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepName {
    Submit,
    Approve,
    Return,
    Reject,
    Override,
    Publish,
}

impl From<StepName> for Move {
    fn from(name: StepName) -> Self {
        match name {
            StepName::Submit => Move::Submit,
            StepName::Approve => Move::Approve,
            StepName::Return => Move::Return,
            StepName::Reject => Move::Reject,
            StepName::Override => Move::Override,
            StepName::Publish => Move::Publish,
        }
    }
}

fn draft_id(text: &str) -> Result<DraftId, Problem> {
    text.parse().map_err(|error| Problem::field("id", "draft_id", error))
}

/// Lists drafts of one's agency; operators see every agency's.
#[utoipa::path(get, path = "/v1/console/drafts", tag = "desk", params(ListQuery),
    responses((status = 200, description = "Drafts", body = DraftsAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(ingest): State<Ingest>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<DraftsAnswer>, Problem> {
    let own = (!caller.operates()).then(|| caller.agency.id.clone());
    let agency = own.or(query.agency);
    let limit = page_limit(query.limit, (PAGE_MAX, PAGE_MAX))?;
    let filter = Filter { agency, state: query.state, limit };
    let drafts = ingest.drafts.list(filter).await.map_err(draft_problem)?;
    Ok(axum::Json(DraftsAnswer { drafts }))
}

/// Begins a draft.
#[utoipa::path(post, path = "/v1/console/drafts", tag = "desk", request_body = DraftInput,
    responses((status = 201, description = "The draft", body = Object), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn create(
    State(ingest): State<Ingest>,
    caller: Caller,
    Json(input): Json<DraftInput>,
) -> Result<(StatusCode, axum::Json<Draft>), Problem> {
    let draft = ingest.begin_draft(&caller, input.into()).await?;
    Ok((StatusCode::CREATED, axum::Json(draft)))
}

/// One draft.
#[utoipa::path(get, path = "/v1/console/drafts/{id}", tag = "desk",
    params(("id" = String, Path, format = "uuid", description = "Draft id")),
    responses((status = 200, description = "The draft", body = Object), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn read(
    State(ingest): State<Ingest>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Draft>, Problem> {
    Ok(axum::Json(ingest.draft(&caller, draft_id(&id)?).await?))
}

/// Changes a draft's words.
#[utoipa::path(put, path = "/v1/console/drafts/{id}", tag = "desk", request_body = DraftChange,
    params(("id" = String, Path, format = "uuid", description = "Draft id")),
    responses((status = 200, description = "The draft", body = Object), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn change(
    State(ingest): State<Ingest>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<DraftChange>,
) -> Result<axum::Json<Draft>, Problem> {
    let id = draft_id(&id)?;
    let known = ingest.draft(&caller, id).await?;
    let new = NewDraft {
        kind: input.kind.unwrap_or(known.kind),
        of: input.of.or(known.of),
        body: input.body.into(),
        exercise: input.exercise.unwrap_or(known.exercise),
    };
    Ok(axum::Json(ingest.edit_draft(&caller, (id, input.version), new).await?))
}

/// Throws a draft away.
#[utoipa::path(delete, path = "/v1/console/drafts/{id}", tag = "desk",
    params(("id" = String, Path, format = "uuid", description = "Draft id"), VersionQuery),
    responses((status = 204, description = "Gone"), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn remove(
    State(ingest): State<Ingest>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<VersionQuery>,
) -> Result<StatusCode, Problem> {
    let order = Order { step: Move::Drop, version: query.version, reason: None };
    ingest.take(&caller, draft_id(&id)?, order).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a step: `submit`, `approve`, `return`, `reject`, `override` or `publish`.
#[utoipa::path(post, path = "/v1/console/drafts/{id}/{step}", tag = "desk",
    request_body = StepInput,
    params(("id" = String, Path, format = "uuid", description = "Draft id"),
        ("step" = String, Path, pattern = "^(submit|approve|return|reject|override|publish)$",
            description = "`submit`, `approve`, `return`, `reject`, `override` or `publish`")),
    responses((status = 200, description = "The draft after it", body = Object), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn step(
    State(ingest): State<Ingest>,
    caller: Caller,
    Path((id, step)): Path<(String, StepName)>,
    Json(input): Json<StepInput>,
) -> Result<axum::Json<Draft>, Problem> {
    let order = Order { step: step.into(), version: input.version, reason: input.reason };
    Ok(axum::Json(ingest.take(&caller, draft_id(&id)?, order).await?))
}

/// Decides on a hot alert that came over the API and waits: `approve`, `return` or `reject`, by
/// another person or key than the one that sent it.
#[utoipa::path(post, path = "/v1/alerts/{id}/{decision}", tag = "agency",
    request_body = StepInput,
    params(("id" = String, Path, format = "uuid", description = "The id that the 202 gave"),
        ("decision" = String, Path, pattern = "^(approve|return|reject)$",
            description = "`approve`, `return` or `reject`")),
    responses((status = 200, description = "The draft after it", body = Object), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn decide(
    State(ingest): State<Ingest>,
    caller: Caller,
    Path((id, decision)): Path<(String, StepName)>,
    Json(input): Json<StepInput>,
) -> Result<axum::Json<Draft>, Problem> {
    if !matches!(decision, StepName::Approve | StepName::Return | StepName::Reject) {
        return Err(Problem::new(Code::NotFound, "decide by approve, return or reject"));
    }
    let order = Order { step: decision.into(), version: input.version, reason: input.reason };
    Ok(axum::Json(ingest.take(&caller, draft_id(&id)?, order).await?))
}

/// Shows what a draft would do.
#[utoipa::path(post, path = "/v1/console/drafts/{id}/preview", tag = "desk",
    params(("id" = String, Path, format = "uuid", description = "Draft id")),
    responses((status = 200, description = "What it would do", body = Preview), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn preview(
    State(ingest): State<Ingest>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Preview>, Problem> {
    let draft = ingest.draft(&caller, draft_id(&id)?).await?;
    let NewDraft { kind, of, body, exercise } =
        NewDraft { kind: draft.kind, of: draft.of, body: draft.body, exercise: draft.exercise };
    let at = draft.decided_at.unwrap_or_else(|| ingest.clock.now());
    let wording = Wording { id: draft.id, kind, of, body: &body, exercise, at };
    Ok(axum::Json(ingest.preview(&caller.agency, &wording).await?))
}

/// Shows what words that are not saved would do.
#[utoipa::path(post, path = "/v1/console/preview", tag = "desk", request_body = DraftInput,
    responses((status = 200, description = "What it would do", body = Preview), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn preview_unsaved(
    State(ingest): State<Ingest>,
    caller: Caller,
    Json(input): Json<DraftInput>,
) -> Result<axum::Json<Preview>, Problem> {
    caller.need(Right::Write)?;
    let NewDraft { kind, of, body, exercise } = input.into();
    let (id, at) = (DraftId(uuid::Uuid::nil()), ingest.clock.now());
    let wording = Wording { id, kind, of, body: &body, exercise, at };
    Ok(axum::Json(ingest.preview(&caller.agency, &wording).await?))
}

/// Why an alert is withdrawn, and in which words.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecallInput {
    /// Why, for the record and as CAP `note`.
    pub reason: Option<String>,
    /// Words by BCP 47 language, as for `POST /v1/alerts/{id}/cancel`.
    pub texts: std::collections::BTreeMap<String, CancelText>,
}

/// Withdraws an alert of one's agency with one click.
#[utoipa::path(post, path = "/v1/console/publications/{id}/recall", tag = "desk",
    request_body = RecallInput,
    params(("id" = String, Path, format = "uuid", description = "Any publication of the chain")),
    responses((status = 202, description = "Withdrawn", body = AcceptedAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn recall(
    State(ingest): State<Ingest>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<RecallInput>,
) -> Result<(StatusCode, axum::Json<AcceptedAnswer>), Problem> {
    let id = id.parse().map_err(|error| Problem::field("id", "publication_id", error))?;
    let request = CancelRequest { note: input.reason, texts: input.texts };
    let (published, warnings) = ingest.recall(&caller, id, request).await?;
    let answer = AcceptedAnswer::of(&published, None, warnings);
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}
