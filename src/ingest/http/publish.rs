//! Publishing.

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::auth::api_key::AsAgency;
use crate::domain::alert::{Alert, CapTime, Info, MsgType};
use crate::domain::audience::Audience;
use crate::domain::audit::Act;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::notice::Notice;
use crate::domain::person::Right;
use crate::domain::publication::Publication;
use crate::domain::status_change::StatusChange;
use crate::http::input::{Json, Path, Query, parse_json};
use crate::http::problem::{Code, Problem, Refused};
use crate::ingest::Ingest;
use crate::ingest::alert::{Form, Reviewed, Warning, read};
use crate::ingest::cancel::{CancelRequest, alert_of, references, second};
use crate::ingest::desk::needs_second_person;
use crate::ingest::desk::waiting::actor;
use crate::ingest::http::answers::{AcceptedAnswer, DryRunAnswer, Publishing, WaitingAnswer};
use crate::ingest::publish::{Published, store_problem};
use crate::trail::Deed;

/// The media type of CAP (CAP 1.2, registered with IANA).
const CAP_XML: &str = "application/cap+xml";

/// What a publisher may ask.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct PublishQuery {
    /// Only check, and estimate the audience.
    pub dry_run: bool,
    /// Publish a hot alert without a second person, for this reason; needs the right `override`.
    pub override_reason: Option<String>,
}

/// Publishes a CAP alert, update or cancel.
#[utoipa::path(
    post, path = "/v1/alerts", tag = "agency", params(PublishQuery),
    request_body(
        description = "CAP 1.2 as XML, or the JSON form of the same model (docs/API.md)",
        content((String = "application/cap+xml"), (Object = "application/json"))
    ),
    responses(Publishing),
    security(("api_key" = []))
)]
pub async fn post_alert(
    State(ingest): State<Ingest>,
    caller: AsAgency,
    Query(query): Query<PublishQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let message = Message::whole(body, form(&headers)?)?;
    submit(&ingest, &caller, message, query).await
}

/// The new facts of an update; identifier, references and the rest follow from the chain.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRequest {
    /// The whole new `info` blocks, one a language (JSON form of CAP).
    #[schema(value_type = Vec<Object>)]
    pub infos: Vec<Info>,
    /// Why (CAP `note`).
    #[serde(default)]
    pub note: Option<String>,
}

/// Replaces an alert by new facts. Everyone who got it, or may have, and everyone newly targeted
/// gets the update.
#[utoipa::path(
    post, path = "/v1/alerts/{id}/update", tag = "agency",
    params(("id" = String, Path, format = "uuid", description = "Any publication of the chain"),
        PublishQuery),
    request_body(
        description = "A whole CAP Update as XML, or only the new infos as JSON",
        content((String = "application/cap+xml"), (UpdateRequest = "application/json"))
    ),
    responses(Publishing),
    security(("api_key" = []))
)]
pub async fn update_alert(
    State(ingest): State<Ingest>,
    caller: AsAgency,
    Path(id): Path<String>,
    Query(query): Query<PublishQuery>,
    (headers, body): (HeaderMap, Bytes),
) -> Result<Response, Problem> {
    let publication = own(&ingest, &caller, &id).await?;
    let message = match form(&headers)? {
        Form::Xml => Message::whole(body, Form::Xml)?.of_type(MsgType::Update)?,
        Form::Json => Message::ours(update_of(&ingest, &publication, parse_json(&body)?).await?),
    };
    submit(&ingest, &caller, message.of_chain(publication.chain), query).await
}

/// Withdraws an alert. Everyone who got it, or may have, gets the cancel; nobody else does.
#[utoipa::path(
    post, path = "/v1/alerts/{id}/cancel", tag = "agency",
    params(("id" = String, Path, format = "uuid", description = "Any publication of the chain"),
        PublishQuery),
    request_body(
        description = "Nothing, words as JSON, or a whole CAP Cancel as XML",
        content((CancelRequest = "application/json"), (String = "application/cap+xml"))
    ),
    responses(Publishing),
    security(("api_key" = []))
)]
pub async fn cancel_alert(
    State(ingest): State<Ingest>,
    caller: AsAgency,
    Path(id): Path<String>,
    Query(query): Query<PublishQuery>,
    (headers, body): (HeaderMap, Bytes),
) -> Result<Response, Problem> {
    let publication = own(&ingest, &caller, &id).await?;
    let message = if body.is_empty() {
        Message::ours(ingest.cancel_of(&publication, CancelRequest::default()).await?)
    } else {
        match form(&headers)? {
            Form::Xml => Message::whole(body, Form::Xml)?.of_type(MsgType::Cancel)?,
            Form::Json => Message::ours(ingest.cancel_of(&publication, parse_json(&body)?).await?),
        }
    };
    submit(&ingest, &caller, message.of_chain(publication.chain), query).await
}

/// No parameter at all: a `dry_run` here must not be taken for one.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// A batch of status changes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusChanges {
    /// At most 500.
    #[schema(value_type = Vec<Object>)]
    pub changes: Vec<StatusChange>,
}

/// What became of a batch.
#[derive(Clone, Debug, serde::Serialize, ToSchema)]
pub struct BatchAnswer {
    /// In the order of the changes.
    pub accepted: Vec<AcceptedAnswer>,
}

/// Publishes steps of citizens' reports and dossiers; the batch is accepted or refused as a whole.
#[utoipa::path(
    post, path = "/v1/status-changes", tag = "agency", request_body = StatusChanges,
    responses(
        (status = 202, description = "Accepted and durable", body = BatchAnswer),
        Refused
    ),
    security(("api_key" = []))
)]
pub async fn post_status_changes(
    State(ingest): State<Ingest>,
    caller: AsAgency,
    Query(NoQuery {}): Query<NoQuery>,
    Json(batch): Json<StatusChanges>,
) -> Result<Response, Problem> {
    ingest.key_needs(&caller, Right::Write).await?;
    let checked = ingest.review_changes(&caller.agency, batch.changes)?;
    let published = ingest.publish(&caller.agency, checked).await?;
    let accepted = published.iter().map(|one| AcceptedAnswer::of(one, None, Vec::new())).collect();
    Ok((StatusCode::ACCEPTED, axum::Json(BatchAnswer { accepted })).into_response())
}

/// Publishes news or a survey.
#[utoipa::path(
    post, path = "/v1/notices", tag = "agency", params(PublishQuery),
    request_body(description = "A notice (docs/API.md)", content = Object),
    responses(Publishing),
    security(("api_key" = []))
)]
pub async fn post_notice(
    State(ingest): State<Ingest>,
    caller: AsAgency,
    Query(query): Query<PublishQuery>,
    Json(notice): Json<Notice>,
) -> Result<Response, Problem> {
    let checked = ingest.review_notice(&caller.agency, notice)?;
    let reviewed = Reviewed { checked, warnings: Vec::new() };
    finish(&ingest, &caller, reviewed, query).await
}

/// A CAP message on its way in.
struct Message {
    alert: Alert,
    /// As it came, if it was XML.
    raw: Option<Bytes>,
    /// What its author should know of how it was read.
    warnings: Vec<Warning>,
    /// The chain that the path names; the references must name it too.
    chain: Option<ChainId>,
}

impl Message {
    /// A message that its author wrote.
    fn whole(body: Bytes, form: Form) -> Result<Self, Problem> {
        let (alert, warnings) = read(&body, form)?;
        let raw = (form == Form::Xml).then_some(body);
        Ok(Self { alert, raw, warnings, chain: None })
    }

    /// A message that we wrote from what its author said.
    fn ours(alert: Alert) -> Self {
        Self { alert, raw: None, warnings: Vec::new(), chain: None }
    }

    fn of_type(self, wanted: MsgType) -> Result<Self, Problem> {
        if self.alert.msg_type == wanted {
            return Ok(self);
        }
        let message = format!("expected {wanted}, got {}", self.alert.msg_type);
        Err(Problem::field("/alert/msgType", "msg_type_of_path", message))
    }

    fn of_chain(self, chain: ChainId) -> Self {
        Self { chain: Some(chain), ..self }
    }
}

async fn submit(
    ingest: &Ingest,
    caller: &AsAgency,
    message: Message,
    query: PublishQuery,
) -> Result<Response, Problem> {
    let (identifier, dry_run) = (message.alert.identifier.clone(), query.dry_run);
    let outcome = submitted(ingest, caller, message, query).await;
    if let Err(problem) = &outcome
        && problem.code.status() == StatusCode::FORBIDDEN
        && !dry_run
    {
        let (act, code) = (Act::Publish, problem.code.as_str());
        ingest.trail.note(Deed::refused(actor(caller), act, identifier, code)).await;
        return outcome.map_err(Problem::noted);
    }
    outcome
}

async fn submitted(
    ingest: &Ingest,
    caller: &AsAgency,
    message: Message,
    query: PublishQuery,
) -> Result<Response, Problem> {
    let Message { alert, raw, mut warnings, chain } = message;
    if !query.dry_run
        && let Some((known, remarks)) = ingest.repeated(&caller.agency, &alert).await?
        && chain.is_none_or(|chain| chain == known.chain)
    {
        let published = Published::before(&known);
        warnings.extend(remarks);
        return Ok(accepted(&published, &known.audience, warnings));
    }
    let mut reviewed = ingest.review_received(&caller.agency, alert, raw).await?;
    if chain.is_some() && reviewed.checked.chain != chain {
        let message = "the message's references name another chain";
        return Err(Problem::field("/alert/references", "reference_this_chain", message));
    }
    warnings.append(&mut reviewed.warnings);
    finish(ingest, caller, Reviewed { warnings, ..reviewed }, query).await
}

async fn finish(
    ingest: &Ingest,
    caller: &AsAgency,
    reviewed: Reviewed,
    query: PublishQuery,
) -> Result<Response, Problem> {
    let Reviewed { checked, warnings } = reviewed;
    let audience = checked.audience.clone();
    if query.dry_run {
        let Audience::Area(area) = &audience else {
            return Err(Problem::new(Code::BadParameter, "a dry run needs an area"));
        };
        let estimate = ingest.registry.estimate(&audience).await;
        let estimate = estimate.map_err(|error| Problem::internal(&error))?;
        let answer = DryRunAnswer::of(checked.lane, area, (&estimate, &ingest.outlook), warnings);
        return Ok((StatusCode::OK, axum::Json(answer)).into_response());
    }
    ingest.key_needs(caller, Right::Write).await?;
    if let Some(draft) = ingest.held(caller, &checked, query.override_reason.as_deref()).await? {
        let answer = WaitingAnswer::of(&draft, (checked.lane, &audience), warnings);
        return Ok((StatusCode::ACCEPTED, axum::Json(answer)).into_response());
    }
    let alone = needs_second_person(&checked);
    let published = ingest.publish(&caller.agency, vec![checked]).await?;
    let deed = Deed::done(actor(caller), Act::Publish, published[0].id).alone(alone);
    ingest.trail.note(deed).await;
    ingest.note_signature(actor(caller), &published[0]).await;
    Ok(accepted(&published[0], &audience, warnings))
}

fn accepted(published: &Published, audience: &Audience, warnings: Vec<Warning>) -> Response {
    let place = [(LOCATION, format!("/v1/alerts/{}", published.id))];
    let answer = AcceptedAnswer::of(published, Some(audience), warnings);
    (StatusCode::ACCEPTED, place, axum::Json(answer)).into_response()
}

fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        CAP_XML | "application/xml" | "text/xml" => Ok(Form::Xml),
        "application/json" => Ok(Form::Json),
        _ => {
            let detail = format!("expected {CAP_XML} or application/json, got `{given}`");
            Err(Problem::new(Code::UnsupportedMediaType, detail))
        }
    }
}

/// A publication of the caller's own agency; another's is not found.
pub(super) async fn own(
    ingest: &Ingest,
    caller: &AsAgency,
    id: &str,
) -> Result<Publication, Problem> {
    let id: PublicationId =
        id.parse().map_err(|error| Problem::field("id", "publication_id", error))?;
    let stored = ingest.alerts.get(id).await.map_err(store_problem)?;
    stored
        .filter(|stored| stored.publication.agency == caller.agency.id || caller.agency.operator)
        .map(|stored| (*stored.publication).clone())
        .ok_or_else(|| Problem::new(Code::NotFound, format!("no publication {id}")))
}

async fn update_of(
    ingest: &Ingest,
    publication: &Publication,
    request: UpdateRequest,
) -> Result<Alert, Problem> {
    let continued = ingest.in_force(publication.chain).await?;
    let alerts: Vec<&Alert> = continued.in_force.iter().filter_map(alert_of).collect();
    let last = *alerts
        .last()
        .ok_or_else(|| Problem::new(Code::Conflict, "the publication is not an alert"))?;
    let now = ingest.clock.now();
    Ok(Alert {
        identifier: format!("{}.update.{}", last.identifier, now.as_millisecond()),
        sent: CapTime::new(second(now), last.sent.offset_minutes()),
        msg_type: MsgType::Update,
        note: request.note.or_else(|| last.note.clone()),
        references: references(&alerts),
        infos: request.infos,
        signatures: Vec::new(),
        ..last.clone()
    })
}
