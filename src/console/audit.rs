//! The audit, as operators read it.

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::console::{AsOperator, Console};
use crate::domain::audit::{Act, Verdict, hex};
use crate::http::input::{Query, page_limit};
use crate::http::problem::{Problem, Refused};
use crate::store::audit::{Filter, actor_id};
use crate::trail::verify::verify;

/// Entries in one answer.
const LIMIT_MAX: usize = 500;

/// Entries are counted in 63 bits, as SQLite and the description of the API count.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// Which entries to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Of one publication, draft, agency, person or key.
    pub object: Option<String>,
    /// Of one actor: a person's id, `AGENCY/KEY`, or `system`.
    pub actor: Option<String>,
    /// Go on before this number.
    pub before: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// Entries, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListAnswer {
    /// The entries.
    pub entries: Vec<EntryAnswer>,
    /// The whole chain was verified just now, and is whole.
    pub verified: bool,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// The end of the chain, `NUMBER:HASH`: worth writing down elsewhere (`loa audit verify
    /// --expect`).
    pub head: String,
}

/// One entry.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntryAnswer {
    /// Its number.
    pub seq: u64,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    #[schema(value_type = String)]
    pub act: Act,
    /// To what.
    pub object: String,
    /// `done`, `alone`, or `refused: CODE`.
    pub verdict: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The hash of it and all before, in hexadecimal.
    pub hash: String,
}

/// The audit, the newest entry first.
#[utoipa::path(get, path = "/v1/console/audit", tag = "desk", params(ListQuery),
    responses((status = 200, description = "Entries", body = ListAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    _: AsOperator,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<ListAnswer>, Problem> {
    let ListQuery { object, actor, before, limit } = query;
    if before.is_some_and(|before| before > NUMBER_MAX) {
        return Err(Problem::parameter("before", "number", "a number is below 2^63"));
    }
    let limit = page_limit(limit, (100, LIMIT_MAX))?;
    let filter = Filter { object, actor, before, limit };
    let audit = console.trail.audit();
    let links = audit.list(filter).await.map_err(|error| Problem::internal(&error))?;
    let report = verify(audit, &console.trail.seal().public(), None).await;
    let report = report.map_err(|error| Problem::internal(&error))?;
    let entries = links.into_iter().map(|link| EntryAnswer {
        seq: link.seq,
        at: link.entry.at,
        actor: actor_id(&link.entry.actor),
        act: link.entry.act,
        object: link.entry.object,
        verdict: match link.entry.verdict {
            Verdict::Done => "done".to_owned(),
            Verdict::Alone => "alone".to_owned(),
            Verdict::Refused { code } => format!("refused: {code}"),
        },
        reason: link.entry.reason,
        hash: hex(&link.hash),
    });
    Ok(axum::Json(ListAnswer {
        entries: entries.collect(),
        verified: report.is_whole(),
        head: format!("{}:{}", report.seq, report.head),
        findings: report.findings,
    }))
}
