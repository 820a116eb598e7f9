//! Reading what became of a publication.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::api_key::AsAgency;
use crate::domain::channel::Channel;
use crate::domain::dispatch::{DispatchId, Scope};
use crate::domain::ids::{Seq, UnitCode};
use crate::domain::publication::Publication;
use crate::http::answers::{FunnelAnswer, boundaries};
use crate::http::input::{Path, Query};
use crate::http::problem::{Code, Problem, Refused};
use crate::ingest::Ingest;
use crate::ingest::http::publish::own;
use crate::ingest::publish::store_problem;
use crate::store::reach::{Standing, standing};
use crate::store::registry::Range;

/// Recipients in one page.
const PAGE_MAX: usize = 1_000;

/// A publication and where it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PublicationAnswer {
    /// The publication as it was accepted.
    #[schema(value_type = Object)]
    pub publication: Publication,
    /// The update or cancel that came after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
    /// Its time is over.
    pub expired: bool,
    /// Where to watch it.
    pub funnel: String,
}

/// A publication and where it stands.
#[utoipa::path(
    get, path = "/v1/alerts/{id}", tag = "agency",
    params(("id" = String, Path, format = "uuid", description = "Publication id")),
    responses(
        (status = 200, description = "The publication", body = PublicationAnswer),
        Refused
    ),
    security(("api_key" = []))
)]
pub async fn get_alert(
    State(ingest): State<Ingest>,
    caller: AsAgency,
    Path(id): Path<String>,
) -> Result<axum::Json<PublicationAnswer>, Problem> {
    let publication = own(&ingest, &caller, &id).await?;
    let stored = ingest.alerts.get(publication.id).await.map_err(store_problem)?;
    let superseded_by = stored.and_then(|stored| stored.superseded_by);
    Ok(axum::Json(PublicationAnswer {
        superseded_by: superseded_by.map(|id| id.to_string()),
        expired: publication.is_expired(ingest.clock.now()),
        funnel: format!("/v1/publications/{}/funnel", publication.id),
        publication,
    }))
}

/// The funnel: counts per unit and channel, and latencies.
#[utoipa::path(
    get, path = "/v1/publications/{id}/funnel", tag = "agency",
    params(("id" = String, Path, format = "uuid", description = "Publication id")),
    responses(
        (status = 200, description = "The funnel as it is now", body = FunnelAnswer),
        Refused
    ),
    security(("api_key" = []))
)]
pub async fn funnel(
    State(ingest): State<Ingest>,
    caller: AsAgency,
    Path(id): Path<String>,
) -> Result<axum::Json<FunnelAnswer>, Problem> {
    let publication = own(&ingest, &caller, &id).await?;
    let funnel = ingest.ledger.funnel(publication.id).await;
    let funnel = funnel.map_err(|error| Problem::internal(&error))?;
    Ok(axum::Json(FunnelAnswer::of(funnel, &publication.audience, &ingest.outlook)))
}

/// Which recipients to list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RecipientsQuery {
    /// The unit's code.
    pub unit: String,
    /// The push channel.
    #[param(value_type = String, pattern = "^(websocket|apns|fcm|webpush)$")]
    pub channel: Channel,
    /// The shard, from 0.
    #[serde(default)]
    #[param(maximum = 65535)]
    pub shard: u16,
    /// Go on after this membership.
    #[serde(default)]
    pub after: u64,
}

/// Who of a unit was reached: a page of memberships in the order they were sent to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecipientsAnswer {
    /// `approximate` or `imported`: how true the boundaries were; absent for one citizen's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundaries: Option<&'static str>,
    /// Shards this unit has; ask for each.
    pub shards: u16,
    /// The members of this page.
    pub recipients: Vec<Recipient>,
    /// Ask again with `after` at this; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One member of an audience.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recipient {
    /// The registry's number of the device; its id and address are the citizen's own.
    pub device: u64,
    /// `reached` (or possibly, where a crash hid the answer), `pending` or `not_reached`.
    pub standing: &'static str,
    /// What the app said: received, shown or acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
}

/// Who was reached, asked afterwards.
#[utoipa::path(
    get, path = "/v1/publications/{id}/recipients", tag = "agency",
    params(("id" = String, Path, format = "uuid", description = "Publication id"), RecipientsQuery),
    responses(
        (status = 200, description = "A page", body = RecipientsAnswer),
        Refused
    ),
    security(("api_key" = []))
)]
pub async fn recipients(
    State(ingest): State<Ingest>,
    caller: AsAgency,
    Path(id): Path<String>,
    Query(query): Query<RecipientsQuery>,
) -> Result<axum::Json<RecipientsAnswer>, Problem> {
    let publication = own(&ingest, &caller, &id).await?;
    let unit: UnitCode =
        query.unit.parse().map_err(|error| Problem::field("unit", "unit_code", error))?;
    let internal = |error: &dyn std::fmt::Display| Problem::internal(error);
    let scope = Scope::Range { unit: unit.clone(), shard: query.shard, upto: Seq(0) };
    let row = DispatchId::of(publication.id, query.channel, &scope, false);
    let row = ingest.ledger.get(&row).await.map_err(|error| internal(&error))?;
    let Some(row) = row else {
        let detail = "no dispatch of this publication covers that unit, channel and shard";
        return Err(Problem::new(Code::NotFound, detail));
    };
    let range = Range {
        unit,
        channel: query.channel,
        shard: query.shard,
        after: Seq(query.after),
        upto: row.dispatch.scope.last(),
    };
    let numbers = ingest.registry.numbers(&range, PAGE_MAX).await;
    let numbers = numbers.map_err(|error| internal(&error))?;
    let next = (numbers.len() == PAGE_MAX).then(|| numbers.last().map(|last| last.0.0)).flatten();
    let mut recipients = Vec::with_capacity(numbers.len());
    for (seq, num) in numbers {
        let stage = ingest.ledger.stage_of(publication.id, num).await;
        recipients.push(Recipient {
            device: num.0,
            standing: match standing(&row, seq) {
                Standing::Reached => "reached",
                Standing::Pending => "pending",
                Standing::Open => "not_reached",
            },
            stage: stage.map_err(|error| internal(&error))?.map(|stage| stage.as_str()),
        });
    }
    let shards = ingest.registry.shards();
    let boundaries = boundaries(&publication.audience);
    Ok(axum::Json(RecipientsAnswer { boundaries, shards, recipients, next }))
}
