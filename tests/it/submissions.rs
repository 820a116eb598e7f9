//! Submissions on the log: what an agency signs and writes itself is published as if it had come
//! over HTTP, and what is refused is refused by name.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use loa::auth::submission::{KEY_ID, SIGNATURE, signed};
use loa::bus::{Record, TopicId};
use loa::domain::agency::PublicKey;
use loa::event::submission::{self, Said, Submission};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Headers, Message};
use serde_json::{Value, json};

use crate::support::clients::npm_package;
use crate::support::kafka::Kafka;
use crate::support::node::{AlertXml, CENTRE, TestNode};
use crate::support::process::eventually;
use crate::support::shape::{Shape, in_every_shape};

mod clients;
mod principal;

/// An agency's own key pair, registered with a node.
pub struct Desk {
    pub test: TestNode,
    pair: Ed25519KeyPair,
}

impl Desk {
    pub async fn open(shape: Shape) -> Self {
        let test = TestNode::shaped(&shape, |config| {
            config.submissions.reply_prefixes = vec!["agency-".to_owned()];
        });
        let test = test.await;
        let pair = Ed25519KeyPair::generate().expect("a pair");
        let public: [u8; 32] = pair.public_key().as_ref().try_into().expect("32 bytes");
        let agencies = &test.node.parts.agencies;
        let id = "test".parse().expect("an id");
        let mut agency = agencies.get(&id).await.expect("a store").expect("it is known");
        agency.submission_keys.insert("desk".to_owned(), PublicKey::from(public));
        agencies.put(agency).await.expect("stored");
        Self { test, pair }
    }

    pub fn record(&self, id: &str, said: Said) -> Record {
        let agency = "test".parse().expect("an id");
        let at = Some(Timestamp::now());
        submission::encode(&Submission { id: id.to_owned(), agency, at, said }).into()
    }

    pub fn sign(&self, mut record: Record) -> Record {
        let of = |name: &str| {
            let found = record.headers.iter().find(|(given, _)| given == name);
            found.map(|(_, value)| value.clone()).expect("given")
        };
        let (id, source, event_type) = (of("ce_id"), of("ce_source"), of("ce_type"));
        let text = signed((&id, &source, &event_type), &record.payload).expect("plain");
        let signature = STANDARD.encode(self.pair.sign(&text));
        record.headers.push((KEY_ID.to_owned(), "desk".to_owned()));
        record.headers.push((SIGNATURE.to_owned(), signature));
        record
    }

    pub async fn write(&self, record: Record) {
        let bus = &self.test.node.parts.bus;
        bus.publish(TopicId::Submissions, vec![record]).await.expect("published");
    }

    /// The dead letters, once there are so many.
    pub async fn letters(&self, count: usize) -> Vec<Value> {
        eventually(async || {
            let answer = self.test.ask(Method::GET, "/v1/dead-letters", None).await;
            let letters = answer.json()["letters"].as_array().cloned().unwrap_or_default();
            (letters.len() >= count).then_some(letters)
        })
        .await
    }

    /// Waits until an alert's publication is known, and answers its id and the number of its like.
    pub async fn published(&self, identifier: &str) -> usize {
        eventually(async || {
            let live = self.test.node.parts.alerts.live(Timestamp::now());
            let mine = live.iter().filter(|one| {
                matches!(&one.content, loa::domain::publication::Content::Alert(alert)
                    if alert.identifier == identifier)
            });
            let count = mine.count();
            (count > 0).then_some(count)
        })
        .await
    }
}

fn xml(identifier: &str) -> Said {
    Said::AlertXml(Bytes::from(AlertXml::hot(identifier, CENTRE).render()))
}

in_every_shape!(
    signed_submissions_are_published_once_and_the_rest_refused_by_name,
    a_hot_alert_that_needs_a_second_person_does_not_come_in_over_the_log,
);

async fn a_hot_alert_that_needs_a_second_person_does_not_come_in_over_the_log(shape: Shape) {
    let desk = Desk::open(shape).await;
    let agencies = &desk.test.node.parts.agencies;
    let id = "test".parse().expect("an id");
    let mut agency = agencies.get(&id).await.expect("a store").expect("it is known");
    agency.second_person = true;
    agencies.put(agency).await.expect("stored");
    desk.write(desk.sign(desk.record("s-1", xml("alone")))).await;
    let letters = desk.letters(1).await;
    assert_eq!((letters.len(), &letters[0]["code"]), (1, &json!("second_person_needed")));
    let live = desk.test.node.parts.alerts.live(Timestamp::now());
    assert!(live.is_empty(), "{live:?}");
    desk.test.stop().await;
}

async fn signed_submissions_are_published_once_and_the_rest_refused_by_name(shape: Shape) {
    let desk = Desk::open(shape).await;
    let good = desk.sign(desk.record("s-1", xml("signed-1")));
    desk.write(good.clone()).await;
    assert_eq!(desk.published("signed-1").await, 1);
    // The same record again, then every way to be refused; in one partition, so in this order.
    desk.write(good).await;
    desk.write(desk.record("s-2", xml("unsigned"))).await;
    let mut forged = desk.sign(desk.record("s-3", xml("forged")));
    forged.payload = Bytes::from(AlertXml::hot("other words", CENTRE).render());
    desk.write(forged).await;
    desk.write(desk.sign(desk.record("s-4", Said::AlertXml(Bytes::from("<alert>"))))).await;
    let empty = AlertXml::hot(
        "nowhere",
        "<geocode><valueName>loa:unit</valueName>\
        <value>99999</value></geocode>",
    );
    desk.write(desk.sign(desk.record("s-5", Said::AlertXml(Bytes::from(empty.render()))))).await;
    let garbage = Record { key: "test".into(), headers: Vec::new(), payload: "garbage".into() };
    desk.write(garbage).await;
    let letters = desk.letters(5).await;
    let of = |index: usize, name: &str| letters[index][name].as_str().unwrap_or_default();
    assert_eq!(letters.len(), 5, "the repeat is no letter: {letters:?}");
    assert_eq!((of(0, "code"), of(0, "field")), ("unauthorized", KEY_ID));
    assert_eq!((of(1, "code"), of(1, "field")), ("unauthorized", SIGNATURE));
    assert_eq!(of(2, "code"), "bad_cap");
    assert!(of(3, "field").contains("geocode") || of(3, "detail").contains("99999"), "{letters:?}");
    assert_eq!((of(4, "code"), of(4, "field")), ("header_missing", "ce_specversion"));
    assert!(of(4, "source").starts_with("loa.submissions/"), "{letters:?}");
    assert_eq!(desk.published("signed-1").await, 1, "a repeat publishes nothing");
    desk.test.stop().await;
}

/// A desk's private key, in PEM.
fn private_key(desk: &Desk) -> String {
    let der: Pkcs8V1Der<'_> = desk.pair.as_der().expect("a key");
    let text = STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

/// Writes documents as an agency's own program does, with kafkajs.
async fn kafkajs(desk: &Desk, documents: &[Value]) {
    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("key.pem");
    std::fs::write(&key, private_key(desk)).expect("written");
    let loa::bus::Bus::Kafka(log) = &desk.test.node.parts.bus else { panic!("on Kafka") };
    let topic = log.topic_name(TopicId::Submissions);
    let brokers = Kafka::shared().await.brokers.join(",");
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/agency.mjs");
    let written = tokio::process::Command::new("node")
        .arg(script)
        .arg(npm_package("kafkajs").await)
        .args([&brokers, &topic])
        .arg(&key)
        .args(documents.iter().map(Value::to_string))
        .output()
        .await
        .expect("node is needed for this test");
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
}

/// Makes an agency's own topic, and gives what comes there: `ce_id` and problem document.
async fn listen(topic: &str) -> tokio::sync::mpsc::UnboundedReceiver<(String, Value)> {
    let mut config = rdkafka::ClientConfig::new();
    let brokers = Kafka::shared().await.brokers.join(",");
    config.set("bootstrap.servers", brokers).set("group.id", topic);
    config.set("auto.offset.reset", "earliest").set("allow.auto.create.topics", "false");
    let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin");
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    admin.create_topics(&[new], &AdminOptions::new()).await.expect("made");
    let consumer: StreamConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribed");
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        // The brokers tell of a new topic a moment later; until then the client says so.
        loop {
            let Ok(message) = consumer.recv().await else { continue };
            let headers = message.headers().expect("headers");
            let id = headers.iter().find(|header| header.key == "ce_id").and_then(|h| h.value);
            let id = String::from_utf8_lossy(id.expect("an id")).into_owned();
            let problem = serde_json::from_slice(message.payload().expect("a payload"));
            if tell.send((id, problem.expect("JSON"))).is_err() {
                return;
            }
        }
    });
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_publishes_with_kafkajs_and_its_garbage_is_refused_by_name() {
    let desk = Desk::open(Shape::cluster().await).await;
    let alert = "vn.loa.submission.alert.v1";
    let document = |id: &str, (kind, content_type): (&str, &str), payload: String| {
        json!({"id": id, "agency": "test", "type": kind, "contentType": content_type,
            "payload": payload, "signed": true})
    };
    let text = AlertXml::hot("from-kafkajs", CENTRE).render();
    let (read, _) = loa::ingest::alert::read(
        AlertXml::hot("json-kafkajs", CENTRE).render().as_bytes(),
        loa::ingest::alert::Form::Xml,
    )
    .expect("a good alert");
    let json = serde_json::to_string(&read).expect("JSON");
    let replies = format!("agency-{}", uuid::Uuid::new_v4().simple());
    let mut heard = listen(&replies).await;
    let told = |mut document: Value, topic: &str| {
        document["replyTopic"] = json!(topic);
        document
    };
    let documents = [
        document("k-1", (alert, "application/cap+xml"), text),
        document("k-2", (alert, "application/json"), json),
        told(document("k-3", (alert, "application/cap+xml"), "<garbage/>".to_owned()), &replies),
        document("k-4", ("vn.loa.submission.rumour.v1", "application/json"), "{}".to_owned()),
    ];
    kafkajs(&desk, &documents).await;
    assert_eq!(desk.published("from-kafkajs").await, 1);
    assert_eq!(desk.published("json-kafkajs").await, 1);
    let letters = desk.letters(2).await;
    assert_eq!(letters[0]["code"], "bad_cap", "{letters:?}");
    assert_eq!(
        (&letters[1]["code"], &letters[1]["field"]),
        (&json!("header_invalid"), &json!("ce_type"))
    );
    let (id, problem) = heard.recv().await.expect("the refusal is told");
    assert_eq!((&*id, &problem["code"]), ("k-3", &json!("bad_cap")), "{problem}");
    assert!(!problem["errors"].as_array().expect("rules").is_empty(), "{problem}");
    desk.test.stop().await;
}
