//! What citizens answered, for the agency that asked: tallies by unit and question, and the free
//! texts, which are shown nowhere else.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::desk::Caller;
use crate::console::Console;
use crate::console::publications::{cell, csv};
use crate::domain::ids::PublicationId;
use crate::domain::notice::Notice;
use crate::domain::publication::Content;
use crate::domain::survey::QuestionKind;
use crate::http::input::Path;
use crate::http::problem::{Problem, Refused};
use crate::store::answers::{Count, Error, Safety};

/// What citizens answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnswersAnswer {
    /// "I am safe" and "I need help", by unit.
    #[schema(value_type = Object)]
    pub answers: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// A survey's questions with their tallies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub survey: Option<Value>,
    /// How often each option was chosen, by unit.
    pub by_unit: Vec<UnitCount>,
    /// The newest notes and free texts; never public.
    pub texts: Vec<SaidAnswer>,
}

/// How often an option was chosen in a unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UnitCount {
    /// The question.
    pub question: String,
    /// The option or step.
    pub value: String,
    /// The unit; absent where none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How many.
    pub count: u64,
}

/// A free text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SaidAnswer {
    /// The question, or `safe` or `help`.
    pub question: String,
    /// The unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// The text.
    pub text: String,
}

fn internal(error: Error) -> Problem {
    Problem::internal(&error)
}

impl Console {
    /// "I am safe" and "I need help", by unit.
    pub(super) async fn safety(
        &self,
        id: PublicationId,
    ) -> Result<BTreeMap<&'static str, BTreeMap<String, u64>>, Problem> {
        let counts = self.answers.safety(id).await.map_err(internal)?;
        let of = |safety| counts.get(&safety).cloned().unwrap_or_default();
        Ok([Safety::Safe, Safety::Help].map(|safety| (safety.as_str(), of(safety))).into())
    }

    /// A survey's questions with their tallies; none for what is no survey.
    pub(super) async fn survey(
        &self,
        id: PublicationId,
        notice: &Notice,
    ) -> Result<Option<Value>, Problem> {
        if notice.questions.is_empty() {
            return Ok(None);
        }
        let counts = self.answers.tally(id).await.map_err(internal)?;
        let said = self.answers.said(id).await.map_err(internal)?;
        let answered = self.answers.respondents(id).await.map_err(internal)?;
        let questions = notice.questions.iter().map(|question| {
            let tally = tally_of(&counts, &question.id);
            let mut document = json!(question);
            if question.kind == QuestionKind::Text {
                let texts = said.iter().filter(|one| one.question == question.id);
                let texts: Vec<&str> = texts.map(|one| one.text.as_str()).collect();
                document["count"] = json!(texts.len());
                document["answers"] = json!(texts);
                return document;
            }
            if question.kind == QuestionKind::Scale {
                document["mean"] = json!(mean(&tally));
            }
            document["tally"] = json!(tally);
            document
        });
        let questions: Vec<Value> = questions.collect();
        Ok(Some(json!({ "answered": answered, "questions": questions })))
    }
}

fn tally_of(counts: &[Count], question: &str) -> BTreeMap<String, u64> {
    let mut tally = BTreeMap::new();
    for one in counts.iter().filter(|one| one.question == question) {
        *tally.entry(one.value.clone()).or_default() += one.count;
    }
    tally
}

fn mean(tally: &BTreeMap<String, u64>) -> Option<f64> {
    let steps = tally.iter().filter_map(|(step, count)| Some((step.parse::<f64>().ok()?, *count)));
    let (sum, total) = steps
        .fold((0.0, 0), |(sum, total), (step, count)| (sum + step * count as f64, total + count));
    (total > 0).then(|| sum / total as f64)
}

/// What citizens answered to a publication.
#[utoipa::path(get, path = "/v1/publications/{id}/answers", tag = "agency",
    params(("id" = String, Path, format = "uuid", description = "Publication id")),
    responses((status = 200, description = "Tallies and texts", body = AnswersAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn read(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<AnswersAnswer>, Problem> {
    let stored = console.publication(&caller, &id).await?;
    let id = stored.publication.id;
    let survey = match &stored.publication.content {
        Content::Notice(notice) => console.survey(id, notice).await?,
        _ => None,
    };
    let counts = console.answers.tally(id).await.map_err(internal)?;
    let by_unit = counts.into_iter().map(|Count { question, value, unit, count }| UnitCount {
        question,
        value,
        unit,
        count,
    });
    let said = console.answers.said(id).await.map_err(internal)?;
    let texts = said.into_iter().map(|one| SaidAnswer {
        question: one.question,
        unit: one.unit,
        at: one.at,
        text: one.text,
    });
    let (by_unit, texts) = (by_unit.collect(), texts.collect());
    Ok(axum::Json(AnswersAnswer { answers: console.safety(id).await?, survey, by_unit, texts }))
}

/// What citizens answered, as CSV: a row for each question, value and unit, then the free texts.
#[utoipa::path(get, path = "/v1/publications/{id}/answers.csv", tag = "agency",
    params(("id" = String, Path, format = "uuid", description = "Publication id")),
    responses((status = 200, description = "CSV", body = String, content_type = "text/csv"),
        Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn export(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let axum::Json(all) = read(State(console), caller, Path(id.clone())).await?;
    let mut out = String::from("question,value,unit,count,at,text\r\n");
    let mut line = |columns: [&str; 6]| {
        let cells = columns.map(cell);
        writeln!(out, "{}\r", cells.join(",")).expect("writing to a string cannot fail");
    };
    for (safety, units) in &all.answers {
        for (unit, count) in units {
            line(["safety", safety, unit, &count.to_string(), "", ""]);
        }
    }
    for UnitCount { question, value, unit, count } in &all.by_unit {
        let unit = unit.as_deref().unwrap_or_default();
        line([question, value, unit, &count.to_string(), "", ""]);
    }
    for SaidAnswer { question, unit, at, text } in &all.texts {
        let unit = unit.as_deref().unwrap_or_default();
        line([question, "", unit, "", &at.to_string(), text]);
    }
    Ok(csv(&format!("answers-{id}.csv"), out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_a_mean_and_nobody_has_none() {
        assert_eq!(mean(&BTreeMap::new()), None);
        let tally = BTreeMap::from([("1".to_owned(), 1), ("4".to_owned(), 2)]);
        assert_eq!(mean(&tally), Some(3.0));
    }
}
