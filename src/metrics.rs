//! Every metric of ours, its name and meaning, once. Exposed at `/metrics` in Prometheus' text
//! format; labels are closed sets, so their number is bounded.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::domain::channel::Channel;
use crate::domain::lane::Lane;

const PUBLICATIONS: &str = "loa_publications_total";
const REFUSALS: &str = "loa_refusals_total";
const RECORDS_REFUSED: &str = "loa_records_refused_total";
const DISPATCHES: &str = "loa_dispatches_total";
const ATTEMPTS: &str = "loa_attempts_total";
const RECEIPTS: &str = "loa_receipts_total";
const CONNECTIONS: &str = "loa_gateway_connections";
const REBALANCES: &str = "loa_bus_rebalances_total";
const PARTITIONS: &str = "loa_bus_partitions";
const CLIENTS_REPLACED: &str = "loa_bus_clients_replaced_total";
const LAG: &str = "loa_bus_lag_records";
const ADDRESSES_REMOVED: &str = "loa_addresses_removed_total";
const REMOVAL_PAUSED: &str = "loa_removal_paused";
const TOPIC_POSTS: &str = "loa_topic_posts_total";
const ROUTE_SECONDS: &str = "loa_route_seconds";
const ROOM_MICROSECONDS: &str = "loa_room_microseconds_total";
const ROOM_STEPS: &str = "loa_room_steps_total";
const PUSH_LIMIT: &str = "loa_push_limit";
const PUSH_IN_FLIGHT: &str = "loa_push_in_flight";
const PUSH_WAITING: &str = "loa_push_waiting";
const PUSH_WAITS: &str = "loa_push_waits_total";
const RETENTION: &str = "loa_retention_removed_total";
const UNSEALED: &str = "loa_vault_unsealed";
const HANDSHAKES: &str = "loa_tls_handshakes_total";
const CERTIFICATE_DAYS: &str = "loa_tls_certificate_days";
const RENEWAL_FAILED: &str = "loa_tls_renewal_failed";

/// Tells the recorder what each metric means; call once after a recorder is installed.
pub fn describe() {
    describe_counter!(PUBLICATIONS, "Publications accepted, by lane.");
    describe_counter!(REFUSALS, "Submissions refused, by problem code.");
    describe_counter!(
        RECORDS_REFUSED,
        "Publications on the log that were not believed, by stage and code: forged, or outside."
    );
    describe_counter!(DISPATCHES, "Dispatches routed, by channel and lane.");
    describe_counter!(ATTEMPTS, "Attempts answered, by channel, lane and outcome.");
    describe_counter!(RECEIPTS, "Receipts counted for the first time.");
    describe_gauge!(CONNECTIONS, "Open websockets and event streams.");
    describe_gauge!(LAG, "Records a consumer group has not committed, by group and topic.");
    describe_counter!(REBALANCES, "Rebalances of a topic's consumer group seen here (Kafka).");
    describe_gauge!(
        PARTITIONS,
        "Partitions of a topic that this node reads for its group (Kafka)."
    );
    describe_counter!(
        CLIENTS_REPLACED,
        "Clients of Kafka made anew because they forgot its brokers, by kind."
    );
    describe_counter!(ADDRESSES_REMOVED, "Dead addresses taken from devices, by channel.");
    describe_gauge!(REMOVAL_PAUSED, "Apps whose dead addresses are implausibly many, by channel.");
    describe_counter!(TOPIC_POSTS, "Posts to units' FCM topics, by outcome; no device is counted.");
    describe_gauge!(PUSH_LIMIT, "Pushes that may be in flight now, by channel.");
    describe_gauge!(PUSH_IN_FLIGHT, "Pushes in flight, by channel.");
    describe_gauge!(PUSH_WAITING, "Pushes that wait for the throttle, by channel.");
    describe_counter!(PUSH_WAITS, "Pushes that had to wait for the throttle, by channel.");
    describe_counter!(RETENTION, "What was dropped because its time was over, by kind.");
    describe_gauge!(UNSEALED, "1 while vault.unsealed_until lies ahead: addresses are not sealed.");
    describe_counter!(HANDSHAKES, "TLS handshakes of the HTTP faces, by result.");
    describe_gauge!(CERTIFICATE_DAYS, "Days until the certificate of the HTTP faces ends.");
    describe_gauge!(RENEWAL_FAILED, "1 while the TLS files on disk are bad and older ones serve.");
    describe_histogram!(ROUTE_SECONDS, "Seconds from acceptance to the dispatches on the log.");
    describe_counter!(ROOM_MICROSECONDS, "Time in a room of the pipeline, all its steps together.");
    describe_counter!(ROOM_STEPS, "Steps of a room: requests, publications, pages or batches.");
}

/// A publication was accepted.
pub fn publication(lane: Lane) {
    counter!(PUBLICATIONS, "lane" => lane.as_str()).increment(1);
}

/// A submission was refused.
pub fn refusal(code: &'static str) {
    counter!(REFUSALS, "code" => code).increment(1);
}

/// A publication on the log was not believed by a stage.
pub fn record_refused(stage: &'static str, code: &'static str) {
    counter!(RECORDS_REFUSED, "stage" => stage, "code" => code).increment(1);
}

/// Dispatches were put on the log.
pub fn dispatches(channel: Channel, lane: Lane, count: usize) {
    counter!(DISPATCHES, "channel" => channel.as_str(), "lane" => lane.as_str())
        .increment(count as u64);
}

/// Attempts were answered.
pub fn attempts(channel: Channel, lane: Lane, outcome: &'static str, count: u64) {
    counter!(
        ATTEMPTS,
        "channel" => channel.as_str(), "lane" => lane.as_str(), "outcome" => outcome
    )
    .increment(count);
}

/// Dead addresses were taken from their devices.
pub fn addresses_removed(channel: Channel, count: usize) {
    counter!(ADDRESSES_REMOVED, "channel" => channel.as_str()).increment(count as u64);
}

/// Apps and environments of a channel whose dead addresses are not believed.
pub fn removal_paused(channel: Channel, groups: usize) {
    gauge!(REMOVAL_PAUSED, "channel" => channel.as_str()).set(groups as f64);
}

/// A unit's topic was posted to.
pub fn topic_post(outcome: &'static str) {
    counter!(TOPIC_POSTS, "outcome" => outcome).increment(1);
}

/// Receipts said something new.
pub fn receipts(count: u64) {
    counter!(RECEIPTS).increment(count);
}

/// Something was dropped because its time was over.
pub fn retention(kind: &'static str, count: u64) {
    counter!(RETENTION, "kind" => kind).increment(count);
}

/// Whether this node writes people's addresses unsealed.
pub fn unsealed(is: bool) {
    gauge!(UNSEALED).set(if is { 1.0 } else { 0.0 });
}

/// How a TLS handshake came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The connection is open.
    Done,
    /// Protocol or bytes that are not taken.
    Refused,
    /// A client's certificate that is not taken.
    Certificate,
    /// It did not end in time.
    Slow,
    /// Too many were under way, in all or of the address.
    TurnedAway,
    /// The client spoke plain HTTP.
    Plain,
    /// The client went away.
    Gone,
}

/// A TLS handshake of the HTTP faces came out so.
pub fn handshake(outcome: Handshake) {
    let result = match outcome {
        Handshake::Done => "done",
        Handshake::Refused => "refused",
        Handshake::Certificate => "certificate",
        Handshake::Slow => "slow",
        Handshake::TurnedAway => "turned_away",
        Handshake::Plain => "plain",
        Handshake::Gone => "gone",
    };
    counter!(HANDSHAKES, "result" => result).increment(1);
}

/// Days until the faces' certificate ends.
pub fn certificate_days(days: f64) {
    gauge!(CERTIFICATE_DAYS).set(days);
}

/// Whether the files on disk are bad, so that older ones serve.
pub fn renewal_failed(is: bool) {
    gauge!(RENEWAL_FAILED).set(if is { 1.0 } else { 0.0 });
}

/// Open connections of the gateway.
pub fn connections(count: usize) {
    gauge!(CONNECTIONS).set(count as f64);
}

/// What a group has not committed of a topic.
pub fn lag(group: &'static str, topic: String, records: u64) {
    gauge!(LAG, "group" => group, "topic" => topic).set(records as f64);
}

/// A topic's partitions were shared out anew; so many are this node's.
pub fn rebalanced(topic: String, partitions: usize) {
    counter!(REBALANCES, "topic" => topic.clone()).increment(1);
    gauge!(PARTITIONS, "topic" => topic).set(partitions as f64);
}

/// A client of Kafka that forgot its brokers was made anew.
pub fn client_replaced(kind: &'static str) {
    counter!(CLIENTS_REPLACED, "kind" => kind).increment(1);
}

/// How long a publication took from acceptance to its dispatches.
pub fn routed(seconds: f64) {
    histogram!(ROUTE_SECONDS).record(seconds);
}

/// Where the time of a publication goes, from its request to the counted answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A request's durable writes, the log's among them.
    Accept,
    /// Publications onto the log.
    Log,
    /// A publication into dispatches, until these are on the log.
    Route,
    /// A page of members from the registry.
    Fetch,
    /// A batch, from its first push to its last answer.
    Send,
    /// What a batch's answers mean.
    Answer,
    /// Progress into the ledger, durably.
    Ledger,
}

impl Room {
    /// All, in the order of the flow.
    pub const ALL: [Self; 7] =
        [Self::Accept, Self::Log, Self::Route, Self::Fetch, Self::Send, Self::Answer, Self::Ledger];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Log => "log",
            Self::Route => "route",
            Self::Fetch => "fetch",
            Self::Send => "send",
            Self::Answer => "answer",
            Self::Ledger => "ledger",
        }
    }
}

/// A step of a room took so long. Two counters and no histogram: a step comes with every batch, and
/// counters cost the same whether anybody asks for them or not.
pub fn room(room: Room, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    counter!(ROOM_MICROSECONDS, "room" => room.as_str()).increment(micros);
    counter!(ROOM_STEPS, "room" => room.as_str()).increment(1);
}

/// How a channel's throttle stands: limit, in flight, waiting, and all that ever waited.
pub fn throttle(channel: Channel, (limit, in_flight, waiting, waits): (u32, u32, usize, u64)) {
    gauge!(PUSH_LIMIT, "channel" => channel.as_str()).set(f64::from(limit));
    gauge!(PUSH_IN_FLIGHT, "channel" => channel.as_str()).set(f64::from(in_flight));
    gauge!(PUSH_WAITING, "channel" => channel.as_str()).set(waiting as f64);
    counter!(PUSH_WAITS, "channel" => channel.as_str()).absolute(waits);
}
