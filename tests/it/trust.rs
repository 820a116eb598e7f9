//! Trust: what is believed of the log, what leaves with a signature, who may log in.

mod alerts;
mod erasure;
mod forbidden;
mod issuer;
mod oidc;
mod people;
mod privacy;
mod records;
mod retention;
mod rotation;
mod unfinished;

use jiff::Timestamp;
use loa::auth::gate;
use loa::auth::ring::Keyring;
use loa::bus::{Delivery, Record, TopicId};
use loa::domain::ids::PublicationId;
use loa::domain::lane::Lane;
use loa::domain::publication::Publication;
use loa::event;
use serde_json::Value;

use crate::support::node::TestNode;
use crate::support::process::eventually;

/// A publication as a record, sealed by a ring.
pub fn sealed(publication: &Publication, keys: &Keyring) -> Record {
    seal(event::publication::encode(publication).into(), keys)
}

fn seal(mut record: Record, keys: &Keyring) -> Record {
    let Record { key, headers, payload } = &record;
    let parts = gate::Parts { key, headers, payload };
    let seal = gate::seal(keys, parts, Timestamp::now()).expect("a key");
    record.headers.extend(seal);
    record
}

/// The record of a publication, as it lies on the log.
async fn on_the_log(test: &TestNode, lane: Lane, id: PublicationId) -> Delivery {
    let (bus, topic) = (&test.node.parts.bus, TopicId::Publications(lane));
    for partition in 0..bus.partitions(topic) {
        let bounds = bus.bounds(topic, partition).await.expect("bounds");
        let mut reader = bus.reader(topic, partition, bounds.start).await.expect("a reader");
        while reader.offset() < bounds.end {
            for delivery in reader.next_batch(64).await.expect("a batch") {
                let wanted = id.to_string();
                if delivery.headers.iter().any(|(name, id)| name == "ce_id" && *id == wanted) {
                    return delivery;
                }
            }
        }
    }
    panic!("{id} is not on the log");
}

/// Puts a record on a lane's topic, as whoever the brokers let write could.
async fn write(test: &TestNode, lane: Lane, record: Record) {
    let topic = TopicId::Publications(lane);
    test.node.parts.bus.publish(topic, vec![record]).await.expect("published");
}

/// The dead letters, once there are so many.
async fn letters(test: &TestNode, count: usize) -> Vec<Value> {
    eventually(async || {
        let mut found = Vec::new();
        for partition in 0..test.node.parts.bus.partitions(TopicId::DeadLetters) {
            let path = format!("/v1/dead-letters?partition={partition}");
            let answer = test.ask(http::Method::GET, &path, None).await;
            found.extend(answer.json()["letters"].as_array().cloned().unwrap_or_default());
        }
        (found.len() >= count).then_some(found)
    })
    .await
}
