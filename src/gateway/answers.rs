//! What citizens answer: "I am safe" or "I need help" to an alert, and surveys. Counted by unit for
//! the agency that asked; free text is shown to nobody else.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::citizen::AsDevice;
use crate::domain::ids::PublicationId;
use crate::domain::lint::Grade;
use crate::domain::lint::lint_text;
use crate::domain::publication::{Content, Publication};
use crate::domain::survey;
use crate::gateway::Gateway;
use crate::gateway::receipts::addressed;
use crate::gateway::view::is_for_citizens;
use crate::http::input::Json;
use crate::http::problem::{Code, Document, FieldError, Problem};
use crate::store::answers::{NOTE_CHARS_MAX, Respondent, Safety};

/// People may still say how they are so long after an alert ended.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(24);

/// An answer: one of `answer` and `survey`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerInput {
    /// What is answered.
    #[schema(value_type = String, format = "uuid")]
    publication: PublicationId,
    /// To an alert: `safe` or `help`. The newest of a device counts.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(safe|help)$")]
    answer: Option<Safety>,
    /// A few words with it, for those who help.
    #[serde(default)]
    note: Option<String>,
    /// To a survey: by question id, an option's id, several, a number, or text. The newest of a
    /// citizen counts, or of a device nobody logged in on.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    survey: Option<BTreeMap<String, Value>>,
}

/// Answer an alert or a survey
///
/// Only what was for this device. Safe to repeat.
#[utoipa::path(
    post,
    path = "/v1/answers",
    tag = "devices",
    request_body = AnswerInput,
    responses(
        (status = 202, description = "Counted"),
        (status = 400, description = "Not the JSON that is expected", body = Document),
        (status = 401, description = "Wrong credentials", body = Document),
        (status = 404, description = "Not for this device", body = Document),
        (status = 422, description = "An answer breaks a rule, or comes too late", body = Document)
    ),
    security(("device" = []))
)]
pub(super) async fn post(
    State(gateway): State<Gateway>,
    AsDevice(device): AsDevice,
    Json(input): Json<AnswerInput>,
) -> Result<StatusCode, Problem> {
    let missing = || {
        let detail = format!("no publication {} was for this device", input.publication);
        Problem::new(Code::NotFound, detail)
    };
    let stored = gateway.parts.alerts.get(input.publication).await;
    let stored = stored.map_err(|error| Problem::internal(&error))?.ok_or_else(missing)?;
    let publication = &stored.publication;
    let stays = gateway.stays(&device).await?;
    let unit = addressed(publication, &device, &stays).ok_or_else(missing)?;
    if !is_for_citizens(publication) {
        return Err(missing());
    }
    let subject = device.subject.clone();
    let who = Respondent { device: device.num, subject, unit };
    let (id, now) = (publication.id, gateway.hub.now());
    let answers = &gateway.parts.answers;
    let kept = match (input.answer, input.survey) {
        (Some(safety), None) => {
            let note = note_of(input.note)?;
            answers_an_alert(publication, now)?;
            answers.put_safety(id, who, (safety, note, now)).await
        }
        (None, Some(_)) if input.note.is_some() => {
            let message = "goes with `answer`; a survey has questions of kind text";
            return Err(Problem::field("note", "either", message));
        }
        (None, Some(values)) => {
            let read = read_survey(publication, &values, now)?;
            answers.put_survey(id, who, (read, now)).await
        }
        _ => return Err(Problem::field("answer", "either", "give `answer` or `survey`")),
    };
    kept.map_err(|error| Problem::internal(&error))?;
    Ok(StatusCode::ACCEPTED)
}

fn note_of(note: Option<String>) -> Result<Option<String>, Problem> {
    let Some(note) = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty()) else {
        return Ok(None);
    };
    if note.chars().count() > NOTE_CHARS_MAX {
        let message = format!("must have at most {NOTE_CHARS_MAX} characters");
        return Err(Problem::field("note", "length", message));
    }
    let wrong = lint_text("note", &note).into_iter().find(|one| one.severity == Grade::Error);
    match wrong {
        Some(wrong) => Err(Problem::field("note", wrong.rule, wrong.message)),
        None => Ok(Some(note)),
    }
}

fn answers_an_alert(publication: &Publication, now: jiff::Timestamp) -> Result<(), Problem> {
    if !matches!(publication.content, Content::Alert(_)) {
        return Err(Problem::field("answer", "alert", "only an alert is answered so"));
    }
    let last = publication.expires.checked_add(AFTERWARDS).unwrap_or(publication.expires);
    if now >= last {
        return Err(Problem::new(Code::Expired, "the alert ended more than a day ago"));
    }
    Ok(())
}

fn read_survey(
    publication: &Publication,
    values: &BTreeMap<String, Value>,
    now: jiff::Timestamp,
) -> Result<BTreeMap<String, survey::Answer>, Problem> {
    let questions = match &publication.content {
        Content::Notice(notice) if !notice.questions.is_empty() => &notice.questions,
        _ => return Err(Problem::field("survey", "survey", "this asks no questions")),
    };
    if publication.is_expired(now) {
        return Err(Problem::new(Code::Expired, "the survey is over"));
    }
    survey::read(questions, values).map_err(|found| {
        let errors = found.iter().map(|one| FieldError::new(&one.path, one.rule, &one.message));
        Problem::fields(Code::Invalid, errors.collect())
    })
}
