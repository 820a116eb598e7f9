//! What was published: a list with filters, one publication with everything that became of it, and
//! its report as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::desk::Caller;
use crate::console::Console;
use crate::console::rates::Rate;
use crate::console::rows::Row;
use crate::domain::alert::{Alert, Severity};
use crate::domain::certificate::SignedBy;
use crate::domain::draft::{Draft, State as DraftState};
use crate::domain::funnel::{Counts, Funnel, Latency};
use crate::domain::ids::{AgencyId, PublicationId, UnitCode};
use crate::domain::notice::Notice;
use crate::domain::publication::Content;
use crate::geofence::fold;
use crate::http::answers::FunnelAnswer;
use crate::http::input::{Path, Query, page_limit};
use crate::http::problem::{Code, Problem, Refused};
use crate::store::alerts::Stored;

/// Rows in one answer.
const LIMIT_MAX: usize = 200;
/// Publications one list reads before it answers what it has; the page asks on with `before`.
const SCANNED_MAX: usize = 2_000;
/// Publications read at once.
const SCAN_PAGE: usize = 200;

/// Which publications to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// `alert` or `notice`.
    #[param(pattern = "^(alert|notice)$")]
    pub kind: Option<String>,
    /// `live` or `ended`.
    #[param(pattern = "^(live|ended)$")]
    pub state: Option<String>,
    /// Of one agency.
    #[param(value_type = Option<String>, pattern = "^[a-z0-9.-]{1,64}$")]
    pub agency: Option<AgencyId>,
    /// Of one CAP severity.
    #[param(value_type = Option<String>,
        pattern = "^(Extreme|Severe|Moderate|Minor|Unknown)$")]
    pub severity: Option<Severity>,
    /// That touch a unit.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9-]{1,12}$")]
    pub unit: Option<UnitCode>,
    /// Accepted at or after.
    #[param(value_type = Option<String>, format = "date-time")]
    pub from: Option<Timestamp>,
    /// Accepted before.
    #[param(value_type = Option<String>, format = "date-time")]
    pub to: Option<Timestamp>,
    /// Words of the headline, with or without accents.
    pub q: Option<String>,
    /// Go on below this id.
    #[param(value_type = Option<String>, format = "uuid")]
    pub before: Option<PublicationId>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
}

/// A page of publications, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PublicationsAnswer)]
pub struct ListAnswer {
    /// The rows.
    pub publications: Vec<Row>,
    /// Ask again with `before` at this; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl ListQuery {
    fn takes(&self, row: &Row) -> bool {
        let text = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has);
        let folded = self.q.as_deref().map(fold);
        let live = row.state == "live";
        text(&self.kind, row.kind)
            && self.agency.as_ref().is_none_or(|agency| agency.as_str() == row.agency)
            && self.severity.is_none_or(|severity| row.severity == Some(severity))
            && self.unit.as_ref().is_none_or(|unit| row.units.iter().any(|of| of == unit.as_str()))
            && self.from.is_none_or(|from| row.accepted_at >= from)
            && self.to.is_none_or(|to| row.accepted_at < to)
            && folded.is_none_or(|words| fold(&row.headline).contains(&words))
            && match self.state.as_deref() {
                Some("live") => live,
                Some(_) => !live,
                None => true,
            }
    }

    fn check(&self) -> Result<(), Problem> {
        let one_of = |name: &str, given: &Option<String>, known: &[&str]| match given {
            Some(given) if !known.contains(&given.as_str()) => {
                let rule = format!("must be one of {}", known.join(", "));
                Err(Problem::parameter(name, "known", rule))
            }
            _ => Ok(()),
        };
        one_of("kind", &self.kind, &["alert", "notice"])?;
        one_of("state", &self.state, &["live", "ended"])
    }
}

/// Lists publications of one's agency; operators see every agency's.
#[utoipa::path(get, path = "/v1/console/publications", tag = "desk", params(ListQuery),
    responses((status = 200, description = "A page", body = ListAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<ListAnswer>, Problem> {
    query.check()?;
    let limit = page_limit(query.limit, (100, LIMIT_MAX))?;
    let (mut rows, mut before, mut scanned) = (Vec::new(), query.before, 0);
    loop {
        let page = console.alerts.recent(before, SCAN_PAGE).await;
        let page = page.map_err(|error| Problem::internal(&error))?;
        let end = page.len() < SCAN_PAGE;
        scanned += page.len();
        for stored in page {
            let publication = &stored.publication;
            before = Some(publication.id);
            if !caller.sees(&publication.agency) {
                continue;
            }
            let row = console.row(&stored).await?;
            if query.takes(&row) {
                rows.push(row);
            }
            if rows.len() == limit {
                return Ok(answer(rows, before));
            }
        }
        if end {
            return Ok(answer(rows, None));
        }
        if scanned >= SCANNED_MAX {
            return Ok(answer(rows, before));
        }
    }
}

fn answer(publications: Vec<Row>, next: Option<PublicationId>) -> axum::Json<ListAnswer> {
    axum::Json(ListAnswer { publications, next: next.map(|id| id.to_string()) })
}

/// A publication and everything that became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DetailAnswer {
    /// The publication.
    pub publication: Detailed,
    /// The funnel as it is now.
    pub funnel: FunnelAnswer,
    /// Milliseconds from acceptance to the provider's answer.
    pub latency: LatencyAnswer,
    /// Everything of its chain, the oldest first.
    pub chain: Vec<Row>,
    /// Devices a second: one entry a second of the last ten minutes, then one a minute.
    pub rates: Vec<Rate>,
    /// Devices that have not said that they received it, by unit, the most first.
    pub unreached: Vec<Unreached>,
    /// "I am safe" and "I need help", by unit.
    #[schema(value_type = Object)]
    pub answers: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// What a survey's questions were answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub survey: Option<serde_json::Value>,
}

/// A publication with its words and how it was decided.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Detailed {
    /// The row.
    #[serde(flatten)]
    pub row: Row,
    /// The alert, in the JSON form of docs/API.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub alert: Option<Alert>,
    /// The notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub notice: Option<Notice>,
    /// Who decided, where it was a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
    /// The certificate that its agency's own signature was verified with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub signed_by: Option<SignedBy>,
}

/// How a draft was decided.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Decided {
    /// Who handed it to a second person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// Who approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Who published it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden_by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub at: Option<Timestamp>,
}

impl From<Draft> for Decided {
    fn from(draft: Draft) -> Self {
        let alone = draft.state == DraftState::Overridden;
        Self {
            submitted_by: draft.submitted_by,
            approved_by: draft.decided_by.clone().filter(|_| !alone),
            overridden_by: draft.decided_by.filter(|_| alone),
            reason: draft.reason,
            at: draft.decided_at,
        }
    }
}

/// Milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct LatencyAnswer {
    /// Half of them were faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<u64>,
    /// 99 of 100 were faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<u64>,
    /// The last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
}

impl From<&Latency> for LatencyAnswer {
    fn from(latency: &Latency) -> Self {
        let (p50, p99) = (latency.quantile_ms(0.5), latency.quantile_ms(0.99));
        Self { p50, p99, last: latency.last_ms }
    }
}

/// Devices of a unit that have not said that they received it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Unreached {
    /// The unit.
    pub unit: String,
    /// How many.
    pub count: u64,
}

/// Targeted, not left out, and not known to have it on the device. What a provider accepted counts
/// here until the app says that it came.
fn unreached(counts: &Counts) -> u64 {
    counts.targeted.saturating_sub(counts.skipped).saturating_sub(counts.received)
}

fn unreached_units(funnel: &Funnel) -> Vec<Unreached> {
    let units = funnel
        .units
        .iter()
        .map(|(unit, counts)| Unreached { unit: unit.to_string(), count: unreached(counts) });
    let mut left: Vec<_> = units.filter(|unit| unit.count > 0).collect();
    left.sort_by(|one, other| other.count.cmp(&one.count).then(one.unit.cmp(&other.unit)));
    left
}

impl Console {
    /// A publication the caller may see.
    pub(super) async fn publication(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Arc<Stored>, Problem> {
        let id: PublicationId =
            id.parse().map_err(|error| Problem::field("id", "publication_id", error))?;
        let stored = self.alerts.get(id).await.map_err(|error| Problem::internal(&error))?;
        let stored = stored.filter(|stored| caller.sees(&stored.publication.agency));
        stored.ok_or_else(|| Problem::new(Code::NotFound, format!("no publication {id}")))
    }

    pub(super) async fn funnel(&self, id: PublicationId) -> Result<Funnel, Problem> {
        self.ledger.funnel(id).await.map_err(|error| Problem::internal(&error))
    }
}

/// A publication and everything that became of it.
#[utoipa::path(get, path = "/v1/console/publications/{id}", tag = "desk",
    params(("id" = String, Path, format = "uuid", description = "Publication id")),
    responses((status = 200, description = "Everything", body = DetailAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn read(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<DetailAnswer>, Problem> {
    let internal = |error: &dyn std::fmt::Display| Problem::internal(error);
    let stored = console.publication(&caller, &id).await?;
    let publication = &stored.publication;
    let funnel = console.funnel(publication.id).await?;
    let chain = console.alerts.chain(publication.chain).await.map_err(|error| internal(&error))?;
    let mut rows = Vec::with_capacity(chain.len());
    for one in &chain {
        rows.push(console.row(one).await?);
    }
    let draft = console.drafts.of_publication(publication.id).await;
    let draft = draft.map_err(|error| internal(&error))?;
    let (alert, notice) = match &publication.content {
        Content::Alert(alert) => (Some((**alert).clone()), None),
        Content::Notice(notice) => (None, Some((**notice).clone())),
        Content::StatusChange(_) => (None, None),
    };
    let row = console.row(&stored).await?;
    let decided = draft.map(Decided::from);
    let survey = match &notice {
        Some(notice) => console.survey(publication.id, notice).await?,
        None => None,
    };
    Ok(axum::Json(DetailAnswer {
        publication: Detailed {
            row,
            alert,
            notice,
            decided,
            signed_by: publication.signed_by.clone(),
        },
        latency: (&funnel.accepted_ms).into(),
        chain: rows,
        rates: console.pulse.rates(publication.id),
        unreached: unreached_units(&funnel),
        answers: console.safety(publication.id).await?,
        survey,
        funnel: FunnelAnswer::of(funnel, &publication.audience, &console.outlook),
    }))
}

/// The report of a publication, a row for each unit, as CSV.
#[utoipa::path(get, path = "/v1/console/publications/{id}/report.csv", tag = "desk",
    params(("id" = String, Path, format = "uuid", description = "Publication id")),
    responses((status = 200, description = "CSV", body = String, content_type = "text/csv"),
        Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn report(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = console.publication(&caller, &id).await?;
    let funnel = console.funnel(stored.publication.id).await?;
    let mut out = String::from(
        "unit,name,targeted,skipped,sent,accepted,received,shown,acknowledged,failed,expired,\
         superseded,dead,waiting,unreached\r\n",
    );
    for (unit, counts) in &funnel.units {
        let name = console.city.unit(unit).map_or("", |unit| unit.name.as_str());
        line(&mut out, (unit.as_str(), name), counts);
    }
    line(&mut out, ("total", ""), &funnel.total);
    Ok(csv(&format!("report-{}.csv", stored.publication.id), out))
}

fn line(out: &mut String, (unit, name): (&str, &str), counts: &Counts) {
    let Counts { targeted, skipped, sent, accepted, received, shown, acknowledged, .. } = counts;
    let failed = counts.failed_total();
    let Counts { expired, superseded, dead, waiting, .. } = counts;
    let left = unreached(counts);
    writeln!(
        out,
        "{},{},{targeted},{skipped},{sent},{accepted},{received},{shown},{acknowledged},{failed},\
         {expired},{superseded},{dead},{waiting},{left}\r",
        cell(unit),
        cell(name),
    )
    .expect("writing to a string cannot fail");
}

/// A cell of a table: quoted where it must be, and never taken for a formula by a spreadsheet.
pub(super) fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guarded = if formula { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", guarded.replace('"', "\"\""));
    }
    guarded
}

/// A table as a file. It begins with a byte order mark, so that spreadsheets read it as UTF-8.
pub(super) fn csv(name: &str, text: String) -> Response {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment"))),
        (HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store")),
    ];
    (headers, format!("\u{feff}{text}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula_is_let_through() {
        assert_eq!(cell("Phường Sài Gòn"), "Phường Sài Gòn");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(cell("-1\n"), "\"'-1\n\"");
    }

    #[test]
    fn accepted_is_not_reached() {
        let counts =
            Counts { targeted: 10, skipped: 2, accepted: 8, received: 5, ..Counts::default() };
        assert_eq!(unreached(&counts), 3);
    }
}
