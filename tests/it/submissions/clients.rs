//! Agencies' own programs against the real Kafka: kcat from a shell, and confluent-kafka in Python.

use std::ffi::OsString;
use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use super::{Desk, listen, private_key};
use crate::support::kafka::Kafka;
use crate::support::node::{AlertXml, CENTRE};
use crate::support::shape::Shape;

const ALERT: &str = "vn.loa.submission.alert.v1";
const XML: &str = "application/cap+xml";
const JSON: &str = "application/json";

/// A program that writes one signed document.
enum Program {
    /// kcat and openssl, in a shell.
    Kcat,
    /// confluent-kafka in Python.
    Confluent,
}

impl Program {
    /// How it is started.
    async fn command(&self) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients");
        let (program, script) = match self {
            Program::Kcat => {
                assert!(runs("kcat", &["-V"]).await, "{}", missing("kcat", "kcat"));
                ("sh", "agency.sh")
            }
            Program::Confluent => (python().await, "agency.py"),
        };
        let mut command = Command::new(program);
        command.arg(scripts.join(script));
        command
    }
}

fn missing(what: &str, package: &str) -> String {
    format!("{what} is needed for this test: run deploy/setup.sh test (Debian: {package})")
}

async fn runs(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output().await;
    output.is_ok_and(|output| output.status.success())
}

/// A Python that has confluent-kafka: the first on the path, or the system's own.
async fn python() -> &'static str {
    for python in ["python3", "/usr/bin/python3"] {
        if runs(python, &["-c", "import confluent_kafka"]).await {
            return python;
        }
    }
    panic!("{}", missing("confluent-kafka for Python 3", "python3-confluent-kafka"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_publishes_with_kcat_and_its_garbage_is_refused_by_name() {
    publishes(Program::Kcat, "kcat").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_publishes_with_confluent_kafka_and_its_garbage_is_refused_by_name() {
    publishes(Program::Confluent, "confluent").await;
}

async fn publishes(program: Program, name: &str) {
    let desk = Desk::open(Shape::cluster().await).await;
    let xml = AlertXml::hot(&format!("xml-{name}"), CENTRE).render();
    let document = AlertXml::hot(&format!("json-{name}"), CENTRE).render();
    let form = loa::ingest::alert::Form::Xml;
    let (read, _) = loa::ingest::alert::read(document.as_bytes(), form).expect("a good alert");
    let json = serde_json::to_string(&read).expect("JSON");
    let replies = format!("agency-{}", uuid::Uuid::new_v4().simple());
    let mut heard = listen(&replies).await;
    write(&program, &desk, ("1", XML, &xml), None).await;
    // Once more, as after a lost answer.
    write(&program, &desk, ("1", XML, &xml), None).await;
    write(&program, &desk, ("2", JSON, &json), None).await;
    write(&program, &desk, ("3", XML, "<garbage/>"), Some(&replies)).await;
    write(&program, &desk, ("4", JSON, "{\"garbage\": true}"), None).await;
    assert_eq!(desk.published(&format!("json-{name}")).await, 1);
    let letters = desk.letters(2).await;
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(letters[0]["code"], "bad_cap", "{letters:?}");
    assert!(letters[1]["detail"].as_str().is_some_and(|why| !why.is_empty()), "{letters:?}");
    assert_eq!(desk.published(&format!("xml-{name}")).await, 1, "a repeat publishes nothing");
    let (id, problem) = heard.recv().await.expect("the refusal is told");
    assert_eq!((&*id, &problem["code"]), ("3", &json!("bad_cap")), "{problem}");
    desk.test.stop().await;
}

async fn write(
    program: &Program,
    desk: &Desk,
    (id, content, document): (&str, &str, &str),
    reply: Option<&str>,
) {
    let dir = tempfile::tempdir().expect("a directory");
    let (key, file) = (dir.path().join("key.pem"), dir.path().join("document"));
    std::fs::write(&key, private_key(desk)).expect("written");
    std::fs::write(&file, document).expect("written");
    let loa::bus::Bus::Kafka(log) = &desk.test.node.parts.bus else { panic!("on Kafka") };
    let topic = log.topic_name(loa::bus::TopicId::Submissions);
    let brokers = Kafka::shared().await.brokers.join(",");
    let mut command = program.command().await;
    command.args([&brokers, &topic]).arg(&key).args(["test", id, ALERT, content]);
    command.arg(&file).args(reply.map(OsString::from));
    let written = command.output().await.expect("it starts");
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
}
