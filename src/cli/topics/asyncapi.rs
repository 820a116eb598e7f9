//! The topics as an AsyncAPI 3.0 document, made from their definitions and schemas.

use serde_json::{Map, Value, json};

use crate::bus::AgencyTopic;
use crate::bus::TopicId;
use crate::event::envelope::{Contract, JSON};
use crate::event::submission::CAP_XML;
use crate::event::{audit, dead_letter, dispatch, publication, receipt, submission};

/// The schemas of all payloads, by name.
const SCHEMAS: [(&str, &str); 9] = [
    ("alert.v1", include_str!("../../../topics/schemas/alert.v1.json")),
    ("audit.v1", include_str!("../../../topics/schemas/audit.v1.json")),
    ("dead-letter.v1", include_str!("../../../topics/schemas/dead-letter.v1.json")),
    ("dispatch.v1", include_str!("../../../topics/schemas/dispatch.v1.json")),
    ("notice.v1", include_str!("../../../topics/schemas/notice.v1.json")),
    ("publication.v1", include_str!("../../../topics/schemas/publication.v1.json")),
    ("publication.v2", include_str!("../../../topics/schemas/publication.v2.json")),
    ("receipt.v1", include_str!("../../../topics/schemas/receipt.v1.json")),
    ("status-change.v1", include_str!("../../../topics/schemas/status-change.v1.json")),
];

/// An agency that stands for each of them, and the channel of its own topic.
const ANY: (&str, &str) = ("agency", "loa.submissions.agency");

/// The whole document, with the agencies' own topics if they are known.
pub(super) fn document(own: Option<&[TopicId]>) -> Value {
    let (mut channels, mut operations) = (Map::new(), Map::new());
    let mut put = |name: &str, topic: TopicId, channel: Value| {
        let reference = json!({"$ref": format!("#/channels/{name}")});
        operations.insert(format!("send.{name}"), operation("send", &reference, topic));
        operations.insert(format!("receive.{name}"), operation("receive", &reference, topic));
        channels.insert(name.to_owned(), channel);
    };
    for topic in TopicId::all().chain(own.into_iter().flatten().copied()) {
        put(&topic.name(), topic, channel(topic));
    }
    if own.is_none() {
        let (name, topic, channel) = any_agencys();
        put(name, topic, channel);
    }
    let schemas: Map<String, Value> = SCHEMAS
        .iter()
        .map(|(name, text)| {
            let schema = serde_json::from_str(text).expect("a test reads every schema");
            ((*name).to_owned(), schema)
        })
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Loa's event log",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "CloudEvents 1.0 in Kafka's binary content mode.",
        },
        "defaultContentType": JSON,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages(), "schemas": schemas},
    })
}

/// The topics of agencies that are not known here: one channel with a parameter.
fn any_agencys() -> (&'static str, TopicId, Value) {
    let (agency, name) = ANY;
    let agency = agency.parse().expect("an id");
    let topic = TopicId::SubmissionsOf(AgencyTopic::of(&agency).expect("short enough"));
    let mut channel = channel(topic);
    channel["address"] = json!(format!("loa.submissions.{{{agency}}}"));
    channel["parameters"] = json!({"agency": {
        "description": "an agency's id; bus.kafka.agency_topics names those that have a topic",
    }});
    // The name differs from topic to topic.
    let kafka = channel["bindings"]["kafka"].as_object_mut().expect("an object");
    kafka.remove("topic");
    (name, topic, channel)
}

fn operation(action: &str, channel: &Value, topic: TopicId) -> Value {
    let of = topic.definition();
    let by = if action == "send" { of.writers } else { of.readers };
    json!({"action": action, "channel": channel, "summary": format!("by {}", by.join(", "))})
}

fn channel(topic: TopicId) -> Value {
    let of = topic.definition();
    let messages: Map<String, Value> = contracts(topic)
        .iter()
        .map(|contract| {
            let name = contract.event_type;
            (name.to_owned(), json!({"$ref": format!("#/components/messages/{name}")}))
        })
        .collect();
    let proof = match topic {
        TopicId::SubmissionsOf(_) => {
            " The brokers let this agency's principal alone write it, so no signature is asked for."
        }
        _ => "",
    };
    json!({
        "address": topic.name(),
        "description": format!("{}. Order: {}.{proof}", of.carries, of.order),
        "messages": messages,
        "bindings": {"kafka": {
            "topic": topic.name(),
            "partitions": of.partitions,
            "replicas": of.replication,
            "topicConfiguration": {
                "cleanup.policy": [of.cleanup],
                "retention.ms": of.retention().as_millis() as u64,
                "min.insync.replicas": of.min_in_sync,
            },
        }},
        "x-key": of.key,
    })
}

fn messages() -> Map<String, Value> {
    let all = TopicId::all().flat_map(contracts);
    all.map(|contract| (contract.event_type.to_owned(), message(&contract))).collect()
}

fn message(contract: &Contract) -> Value {
    let name = contract.schema.trim_start_matches("urn:loa:schema:");
    let schema = json!({"$ref": format!("#/components/schemas/{name}")});
    let required = ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"];
    let headers = json!({
        "type": "object",
        "properties": {"ce_type": {"const": contract.event_type}},
        "required": required,
    });
    // The schema of a dead letter is that of its headers: its payload is the original's.
    if *contract == dead_letter::CONTRACT {
        return json!({"name": contract.event_type, "headers": schema});
    }
    let mut message = json!({"name": contract.event_type, "headers": headers, "payload": schema});
    if *contract == submission::ALERT {
        message["description"] = json!(format!("or CAP 1.2 XML, with content-type {CAP_XML}"));
    }
    message
}

fn contracts(topic: TopicId) -> Vec<Contract> {
    match topic {
        TopicId::Submissions | TopicId::SubmissionsOf(_) => {
            vec![submission::ALERT, submission::STATUS_CHANGE, submission::NOTICE]
        }
        TopicId::Publications(_) => vec![publication::CONTRACT, publication::SEALED],
        TopicId::Dispatches(..) => vec![dispatch::CONTRACT],
        TopicId::Receipts => vec![receipt::CONTRACT],
        TopicId::DeadLetters => vec![dead_letter::CONTRACT],
        TopicId::Audit => vec![audit::CONTRACT],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(None);
        let mut waiting = vec![&document];
        let mut references = 0;
        while let Some(value) = waiting.pop() {
            match value {
                Value::Object(members) => waiting.extend(members.values()),
                Value::Array(items) => waiting.extend(items),
                Value::String(text) if text.starts_with("#/c") => {
                    references += 1;
                    let there = document.pointer(text.trim_start_matches('#'));
                    assert!(there.is_some(), "{text}");
                }
                _ => {}
            }
        }
        assert!(references > 50, "{references}");
        let count = TopicId::all().count() + 1;
        assert_eq!(document["channels"].as_object().map(Map::len), Some(count));
    }

    #[test]
    fn an_agencys_own_topic_is_a_channel_with_its_writer() {
        let any = &document(None)["channels"][ANY.1];
        assert_eq!(any["address"], "loa.submissions.{agency}");
        assert!(any["parameters"]["agency"].is_object() && any["bindings"]["kafka"].is_object());
        let pc07 = AgencyTopic::of(&"pc07".parse().expect("an id")).expect("short");
        let document = document(Some(&[TopicId::SubmissionsOf(pc07)]));
        let channels = document["channels"].as_object().expect("an object");
        assert_eq!(channels.len(), TopicId::all().count() + 1);
        let own = &channels["loa.submissions.pc07"];
        assert_eq!(own["address"], "loa.submissions.pc07");
        assert_eq!(own["bindings"]["kafka"]["partitions"], 1);
        assert!(own["messages"]["vn.loa.submission.alert.v1"].is_object(), "{own}");
        let send = &document["operations"]["send.loa.submissions.pc07"]["summary"];
        assert_eq!(send, "by the agency, and nobody else");
        assert_eq!(document["channels"].get(ANY.1), None);
    }
}
