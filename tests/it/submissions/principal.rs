//! Agencies with topics of their own: a broker that knows its users lets each write to one, and so
//! proves who a record is from.

use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{Desk, xml};
use crate::support::clients::npm_package;
use crate::support::kafka::Kafka;
use crate::support::port::free_port;
use crate::support::shape::Shape;

/// How long a broker may take to know of a new right.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker at whose second listener users log in, and where only what was allowed is allowed;
/// whoever comes over the first is its operator.
async fn broker() -> (Kafka, u16) {
    let secure = free_port();
    let listen = format!(
        "PLAIN://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},\
         SECURE://127.0.0.1:{secure}"
    );
    let users = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 user_test=\"test-secret\" user_other=\"other-secret\";";
    let settings = [
        ("listeners", listen),
        ("advertised.listeners", format!("PLAIN://127.0.0.1:{{port}},SECURE://127.0.0.1:{secure}")),
        (
            "listener.security.protocol.map",
            "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_PLAINTEXT".to_owned(),
        ),
        ("sasl.enabled.mechanisms", "PLAIN".to_owned()),
        ("listener.name.secure.plain.sasl.jaas.config", users.to_owned()),
        (
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
        ),
        ("super.users", "User:ANONYMOUS".to_owned()),
    ];
    (Kafka::start(1, &settings).await, secure)
}

/// Lets users write to topics, as an operator does.
async fn allow(kafka: &Kafka, pairs: &[(&str, &str)]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/acl.mjs");
    let mut command = tokio::process::Command::new("node");
    command.arg(script).arg(npm_package("kafkajs").await).arg(kafka.brokers.join(","));
    for (user, topic) in pairs {
        command.args([user, topic]);
    }
    let done = command.output().await.expect("node is needed for this test");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// An agency's program, logged in as its user.
struct Program(FutureProducer);

impl Program {
    fn of(user: &str, port: u16) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
        config.set("security.protocol", "sasl_plaintext").set("sasl.mechanisms", "PLAIN");
        config.set("sasl.username", user).set("sasl.password", format!("{user}-secret"));
        Self(config.create().expect("a producer"))
    }

    /// Writes an alert in an agency's name, unsigned.
    async fn write(&self, topic: &str, (agency, name): (&str, &str)) -> Result<(), KafkaError> {
        let said = xml(name);
        let submission = loa::event::submission::Submission {
            id: name.to_owned(),
            agency: agency.parse().expect("an id"),
            at: None,
            said,
        };
        let encoded = loa::event::submission::encode(&submission);
        let headers = encoded.headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: Some(value) })
        });
        let record = FutureRecord::to(topic).key(&encoded.key).headers(headers);
        let record = record.payload(&encoded.payload[..]);
        self.0.send(record, PATIENCE).await.map(drop).map_err(|(error, _)| error)
    }
}

fn is_refused(written: &Result<(), KafkaError>) -> bool {
    let code = written.as_ref().err().and_then(KafkaError::rdkafka_error_code);
    code == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_an_agencys_own_topic_is_that_agencys_and_nobody_else_may_write_it() {
    let (kafka, port) = broker().await;
    let mut settings = kafka.settings("city.");
    settings.agency_topics = ["test", "other"].map(|id| id.parse().expect("an id")).into();
    kafka.apply(&settings).await;
    let (mine, others) = ("city.loa.submissions.test", "city.loa.submissions.other");
    allow(&kafka, &[("test", mine), ("other", others)]).await;
    let bus = loa::bus::Shape::Kafka(Box::new(settings));
    let desk = Desk::open(Shape { bus, ..Shape::default() }).await;
    let (test, other) = (Program::of("test", port), Program::of("other", port));

    test.write(mine, ("test", "by-principal")).await.expect("its own topic");
    assert_eq!(desk.published("by-principal").await, 1);
    // The broker itself refuses a stranger, and so the topic proves the agency.
    let stranger = other.write(mine, ("test", "stranger")).await;
    assert!(is_refused(&stranger), "{stranger:?}");
    let strayed = test.write(others, ("other", "strayed")).await;
    assert!(is_refused(&strayed), "{strayed:?}");
    // Nobody speaks for another on a topic of their own, and an agency that is none is nobody.
    test.write(mine, ("other", "in-anothers-name")).await.expect("the broker cannot know");
    other.write(others, ("other", "unknown-agency")).await.expect("its own topic");
    let letters = desk.letters(2).await;
    assert_eq!(letters.len(), 2, "{letters:?}");
    for letter in &letters {
        assert_eq!(letter["code"], "unauthorized", "{letter}");
        assert_eq!(letter["field"], "ce_source", "{letter}");
        assert!(letter["source"].as_str().is_some_and(|from| from.contains("submissions.")));
    }
    let live = desk.test.node.parts.alerts.live(jiff::Timestamp::now());
    assert_eq!(live.len(), 1, "{live:?}");
    desk.test.stop().await;
}
