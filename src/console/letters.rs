//! Dead letters: listed with their reasons, and sent again once the cause is mended.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::bus::{Delivery, Record, TopicId};
use crate::console::{AsOperator, Console};
use crate::domain::audit::Act;
use crate::event::dead_letter::{self, DeadLetter};
use crate::http::input::{Path, Query};
use crate::http::problem::{Code, Problem, Refused};
use crate::trail::Deed;

/// Letters in one page.
const PAGE_MAX: usize = 100;

/// The log counts in 63 bits (Kafka's offsets are signed).
const OFFSET_MAX: u64 = i64::MAX as u64;

/// Which letters to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct ListQuery {
    /// Partition of the dead letters' topic.
    pub partition: u32,
    /// Go on from this offset.
    pub from: u64,
}

/// A page of dead letters.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LettersAnswer {
    /// Partitions there are; ask for each.
    pub partitions: u32,
    /// The letters, the oldest first.
    pub letters: Vec<LetterAnswer>,
    /// Ask again with `from` at this; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One dead letter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LetterAnswer {
    /// Its partition of the dead letters' topic.
    pub partition: u32,
    /// Its offset in the dead letters' topic.
    pub offset: u64,
    /// Where the record was read: topic, partition and offset.
    pub source: String,
    /// A stable word.
    pub code: String,
    /// Why it is here.
    pub detail: String,
    /// The field or header at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// When it was set aside (RFC 3339).
    pub at: String,
    /// How often it was tried.
    pub tries: u32,
    /// Size of the original's payload, in bytes.
    pub payload_bytes: usize,
}

/// Lists dead letters.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "ops", params(ListQuery),
    responses(
        (status = 200, description = "A page", body = LettersAnswer),
        Refused
    ),
    security(("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    _: AsOperator,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<LettersAnswer>, Problem> {
    if query.from > OFFSET_MAX {
        return Err(Problem::parameter("from", "offset", "an offset is below 2^63"));
    }
    let deliveries = read(&console, query.partition, query.from).await?;
    let next = (deliveries.len() == PAGE_MAX)
        .then(|| deliveries.last().map(|last| last.position.offset + 1))
        .flatten();
    let letters = deliveries.iter().map(answer).collect();
    let partitions = console.bus.partitions(TopicId::DeadLetters);
    Ok(axum::Json(LettersAnswer { partitions, letters, next }))
}

/// A letter that was sent again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RedriveAnswer {
    /// The topic it went back to.
    pub topic: String,
    /// Its new offset there, unless the log cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// Sends a dead letter's original to its topic again.
#[utoipa::path(post, path = "/v1/dead-letters/{partition}/{offset}/redrive", tag = "ops",
    params(("partition" = u32, Path, description = "Partition of the dead letters' topic"),
        ("offset" = u64, Path, description = "Offset of the letter")),
    responses(
        (status = 200, description = "Sent again", body = RedriveAnswer),
        Refused
    ),
    security(("api_key" = [])))]
pub async fn redrive(
    State(console): State<Console>,
    AsOperator(caller): AsOperator,
    Path((partition, offset)): Path<(u32, u64)>,
) -> Result<axum::Json<RedriveAnswer>, Problem> {
    let found = read(&console, partition, offset).await?;
    let not_found = || Problem::new(Code::NotFound, format!("no letter at {partition}/{offset}"));
    let delivery = found.iter().find(|one| one.position.offset == offset).ok_or_else(not_found)?;
    let letter = decode(delivery).map_err(|why| Problem::new(Code::Conflict, why))?;
    let topic: TopicId = letter
        .topic
        .parse()
        .map_err(|_| Problem::new(Code::Conflict, format!("topic {} is gone", letter.topic)))?;
    let record: Record = letter.original.into();
    let positions = console.bus.publish(topic, vec![record]).await;
    let positions = positions.map_err(|error| Problem::internal(&error))?;
    tracing::info!(letter.partition = partition, letter.offset = offset, "dead letter sent again");
    let object = format!("{}/{partition}/{offset}", TopicId::DeadLetters);
    console.trail.note(Deed::done(caller.actor(), Act::RedriveDeadLetters, object)).await;
    let offset = positions.first().copied().flatten().map(|position| position.offset);
    Ok(axum::Json(RedriveAnswer { topic: letter.topic, offset }))
}

/// Lists dead letters, for the page of the desk.
#[utoipa::path(get, path = "/v1/console/dead-letters", tag = "desk", params(ListQuery),
    responses((status = 200, description = "A page", body = LettersAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list_desk(
    console: State<Console>,
    operator: AsOperator,
    query: Query<ListQuery>,
) -> Result<axum::Json<LettersAnswer>, Problem> {
    list(console, operator, query).await
}

/// Sends a dead letter's original to its topic again, from the page of the desk.
#[utoipa::path(post, path = "/v1/console/dead-letters/{partition}/{offset}/redrive", tag = "desk",
    params(("partition" = u32, Path, description = "Partition of the dead letters' topic"),
        ("offset" = u64, Path, description = "Offset of the letter")),
    responses((status = 200, description = "Sent again", body = RedriveAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn redrive_desk(
    console: State<Console>,
    operator: AsOperator,
    at: Path<(u32, u64)>,
) -> Result<axum::Json<RedriveAnswer>, Problem> {
    redrive(console, operator, at).await
}

async fn read(console: &Console, partition: u32, from: u64) -> Result<Vec<Delivery>, Problem> {
    let topic = TopicId::DeadLetters;
    if partition >= console.bus.partitions(topic) {
        return Err(Problem::field("partition", "known_partition", "there is no such partition"));
    }
    let internal = |error| Problem::internal(&error);
    let bounds = console.bus.bounds(topic, partition).await.map_err(internal)?;
    let mut at = from.max(bounds.start);
    let mut letters = Vec::new();
    if at >= bounds.end {
        return Ok(letters);
    }
    let mut reader = console.bus.reader(topic, partition, at).await.map_err(internal)?;
    while at < bounds.end && letters.len() < PAGE_MAX {
        let batch = reader.next_batch(PAGE_MAX - letters.len()).await.map_err(internal)?;
        at = reader.offset();
        letters.extend(batch);
    }
    Ok(letters)
}

fn decode(delivery: &Delivery) -> Result<DeadLetter, String> {
    dead_letter::decode(&delivery.key, &delivery.headers, &delivery.payload)
        .map_err(|error| error.to_string())
}

fn answer(delivery: &Delivery) -> LetterAnswer {
    let (partition, offset) = (delivery.position.partition, delivery.position.offset);
    let payload_bytes = delivery.payload.len();
    match decode(delivery) {
        Ok(letter) => LetterAnswer {
            partition,
            offset,
            source: format!("{}/{}/{}", letter.topic, letter.partition, letter.offset),
            code: letter.reason.code,
            detail: letter.reason.detail,
            field: letter.reason.field,
            at: letter.at.to_string(),
            tries: letter.tries,
            payload_bytes,
        },
        Err(why) => LetterAnswer {
            partition,
            offset,
            source: "unknown".to_owned(),
            code: "letter_unreadable".to_owned(),
            detail: why,
            field: None,
            at: delivery.at.to_string(),
            tries: 0,
            payload_bytes,
        },
    }
}
