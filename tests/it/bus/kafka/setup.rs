//! Topics: a cluster that lacks them is told so, `loa topics` makes them and refuses what loses.

use std::io::Write;

use loa::bus::{Bus, Error, Settings};
use loa::clock::Clock;
use rdkafka::admin::TopicReplication;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use crate::support::kafka::Kafka;
use crate::support::process::{Done, eventually, path, run};

struct Site {
    file: tempfile::NamedTempFile,
    prefix: String,
    brokers: String,
}

impl Site {
    async fn new() -> Self {
        let brokers = Kafka::shared().await.brokers.join(",");
        let prefix = format!("{}.", uuid::Uuid::new_v4().simple());
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        write!(
            file,
            "[bus]\nkind = \"kafka\"\n[bus.kafka]\nbrokers = [\"{brokers}\"]\n\
             topic_prefix = \"{prefix}\"\nreplication = 1\n"
        )
        .expect("written");
        Self { file, prefix, brokers }
    }

    async fn topics(&self, more: &'static [&'static str]) -> Done {
        let file = path(self.file.path()).to_owned();
        let work = move || run(&[&["topics"], more, &["--config", &file]].concat());
        tokio::task::spawn_blocking(work).await.expect("no panic")
    }

    async fn open(&self) -> Result<Bus, Error> {
        let config = loa::config::load(Some(self.file.path()), &[]).expect("valid");
        let settings = Settings { shape: config.bus.shape, ..Settings::default() };
        Bus::open(&settings, Clock::System).await
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.create().expect("an admin")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_topics_is_told_what_to_run_and_that_makes_them() {
    let site = Site::new().await;
    let error = site.open().await.expect_err("no topics").to_string();
    let missing = format!("{}loa.publications.emergency is missing", site.prefix);
    assert!(error.contains(&missing) && error.contains("loa topics apply"), "{error}");
    let check = site.topics(&["check"]).await;
    assert_eq!(check.code, 1, "{check:?}");
    assert!(check.out.contains("+ ") && check.out.contains("loa.audit"), "{}", check.out);
    let apply = site.topics(&["apply"]).await;
    assert_eq!(apply.code, 0, "{apply:?}");
    let check = site.topics(&["check", "--json"]).await;
    assert_eq!((check.code, &check.json()["ok"]), (0, &true.into()), "{check:?}");
    let bus = site.open().await.expect("it opens");
    bus.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_grows_partitions_keeps_foreign_settings_and_refuses_what_loses_records() {
    let site = Site::new().await;
    let name = format!("{}loa.receipts", site.prefix);
    let admin = site.admin();
    let topic = NewTopic::new(&name, 2, TopicReplication::Fixed(1))
        .set("retention.ms", "999999999999")
        .set("segment.ms", "3600000");
    let options = AdminOptions::new();
    admin.create_topics(&[topic], &options).await.expect("answered");
    // The brokers tell of it a moment later.
    let told = async || site.topics(&["check"]).await.out.contains("2 -> 8").then_some(());
    eventually(told).await;
    let refused = site.topics(&["apply"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.out.contains("retention.ms 999999999999 -> 259200000 (LOSSY)"), "{refused:?}");
    assert!(refused.out.contains("partitions 2 -> 8"), "{refused:?}");
    let error = site.open().await.expect_err("nothing was changed").to_string();
    assert!(error.contains("has 2 partitions of 8"), "{error}");

    let longer = AlterConfig::new(ResourceSpecifier::Topic(&name))
        .set("retention.ms", "1000")
        .set("segment.ms", "3600000");
    admin.alter_configs(&[longer], &options).await.expect("altered");
    let apply = site.topics(&["apply"]).await;
    assert_eq!(apply.code, 0, "{apply:?}");
    site.open().await.expect("it opens");
    let told = admin.describe_configs(&[ResourceSpecifier::Topic(&name)], &options).await;
    let told = told.expect("told").remove(0).expect("described");
    let value = |key| told.get(key).and_then(|entry| entry.value.clone());
    assert_eq!(value("retention.ms").as_deref(), Some("259200000"));
    assert_eq!(value("segment.ms").as_deref(), Some("3600000"), "what others set stays");
}

#[test]
fn without_a_cluster_the_topics_are_listed_and_described_all_the_same() {
    let list = run(&["topics", "list"]);
    assert!(list.code == 0 && list.out.contains("loa.dispatches.fcm.emergency"), "{list:?}");
    let document = run(&["topics", "asyncapi"]);
    assert_eq!(document.json()["asyncapi"], "3.0.0");
    let check = run(&["topics", "check"]);
    assert_eq!(check.code, 2, "{check:?}");
    assert!(check.err.contains("bus.kind"), "{check:?}");
}
