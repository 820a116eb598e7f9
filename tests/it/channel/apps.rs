//! Apps and credentials: several apps, certificates, the metadata server, dry runs, topics.

use loa::channel::apns::{App, Credentials, Settings};
use loa::channel::{Error, fcm};
use loa::config::secret::Secret;
use loa::domain::outcome::Outcome;
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};

use super::*;
use crate::support::process::run;

const OTHER: &str = "vn.loa.staff";

async fn providers() -> Providers {
    let other_topics = vec![OTHER.to_owned()];
    let options = Options { other_topics, ..Options::default() };
    Providers::start(options).await.expect("the simulator starts")
}

fn open(settings: &Settings) -> Result<Sender, Error> {
    Sender::apns(settings, Clock::System, CancellationToken::new())
}

fn open_fcm(settings: &fcm::Settings) -> Result<Sender, Error> {
    Sender::fcm(settings, Clock::System, CancellationToken::new())
}

fn app(bundle_id: &str) -> App {
    App { bundle_id: bundle_id.to_owned(), ..App::default() }
}

fn certificate(providers: &Providers, index: usize) -> Credentials {
    let certificate = Some(providers.apns_certificates[index].clone());
    Credentials { certificate, ..Credentials::default() }
}

fn phone(topic: &str, environment: ApnsEnvironment) -> PushAddress {
    PushAddress::Apns { token: format!("{:064x}", 7), environment, topic: topic.to_owned() }
}

async fn push(sender: &Sender, address: &PushAddress) -> Outcome {
    let content = content();
    let prepared = sender.prepare(&content).expect("it fits");
    let (expires, lane) = (content.expires, content.lane);
    let delivery = Delivery { id: Uuid::new_v4(), expires, now: Timestamp::now(), lane };
    sender.send(&prepared, address, &delivery).await
}

/// The problems that a check finds.
async fn problems(sender: &Sender) -> Vec<Option<String>> {
    sender.check().await.into_iter().map(|one| one.problem).collect()
}

#[tokio::test]
async fn a_topic_selects_the_app_with_its_credentials_and_an_unknown_one_is_never_sent() {
    let providers = providers().await;
    let staff = App { credentials: Some(certificate(&providers, 1)), ..app(OTHER) };
    let only_production = App { environments: vec![ApnsEnvironment::Production], ..staff };
    let mut settings = providers.apns_settings();
    settings.apps.push(only_production);
    let sender = open(&settings).expect("opens");
    let (production, sandbox) = (ApnsEnvironment::Production, ApnsEnvironment::Sandbox);
    let accepted = [
        (providers.topic.as_str(), production),
        (providers.topic.as_str(), sandbox),
        (OTHER, production),
    ];
    for (topic, environment) in accepted {
        assert_eq!(push(&sender, &phone(topic, environment)).await, Outcome::Accepted, "{topic}");
    }
    assert_eq!(providers.faults.connections(), 3, "credentials and environments share none");
    for (topic, environment) in [(OTHER, sandbox), ("vn.else", production)] {
        let outcome = push(&sender, &phone(topic, environment)).await;
        assert_eq!(outcome, Outcome::Rejected { reason: "unknown_app" }, "{topic}");
    }
    assert_eq!(providers.record.total(), 3);
    assert_eq!(problems(&sender).await, [None, None, None]);
    assert_eq!(providers.record.total(), 3, "a check reaches nobody");
}

#[tokio::test]
async fn an_app_whose_credentials_are_refused_neither_asks_on_nor_holds_up_the_others() {
    let providers = providers().await;
    let mut settings = providers.apns_settings();
    assert!(open(&settings).expect("opens").one_account());
    let wrong = Credentials { key_id: "WRONGKEY01".to_owned(), ..settings.credentials.clone() };
    settings.apps.push(App { credentials: Some(wrong), ..app(OTHER) });
    let sender = open(&settings).expect("opens");
    assert!(!sender.one_account());
    let slow = Rule::new(When::Always, Then::Slow(Duration::ZERO));
    providers.faults.set(Service::Apns, vec![slow]);
    let refused = Outcome::Misconfigured { reason: "InvalidProviderToken" };
    for _ in 0..5 {
        let outcome = push(&sender, &phone(OTHER, ApnsEnvironment::Production)).await;
        assert_eq!(outcome, refused);
    }
    assert_eq!(providers.faults.met(), 1, "asked once");
    let outcome = push(&sender, &phone(&providers.topic, ApnsEnvironment::Production)).await;
    assert_eq!(outcome, Outcome::Accepted);
}

#[tokio::test]
async fn a_certificate_speaks_in_place_of_a_token_and_for_its_own_app_only() {
    let providers = providers().await;
    let settings = |index, bundle_id| Settings {
        credentials: certificate(&providers, index),
        apps: vec![app(bundle_id)],
        ..providers.apns_settings()
    };
    let topic = providers.topic.clone();
    let sender = open(&settings(0, &topic)).expect("opens");
    let outcome = push(&sender, &phone(&topic, ApnsEnvironment::Production)).await;
    assert_eq!(outcome, Outcome::Accepted);
    let error = open(&settings(1, &topic)).expect_err("another app's").to_string();
    assert!(error.contains(OTHER) && error.contains(&topic), "{error}");

    // Where it names no app, Apple has the last word; here it has no certificate of ours at all.
    let stranger = Providers::start(Options::default()).await.expect("it starts");
    let foreign = Settings { credentials: certificate(&stranger, 0), ..settings(0, &topic) };
    let sender = open(&foreign).expect("opens");
    let checked = problems(&sender).await;
    assert!(checked.iter().all(Option::is_some), "{checked:?}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let providers = providers().await;
    let good = providers.apns_settings();
    let secret = |text: &str| Some(Secret::new(text));
    let with = |credentials| Settings { credentials, ..good.clone() };
    let both = Credentials { key: good.credentials.key.clone(), ..certificate(&providers, 0) };
    let short = Credentials { team_id: "SHORT".to_owned(), ..good.credentials.clone() };
    let empty = Credentials { certificate: secret("nothing"), ..Credentials::default() };
    let twice = vec![app(&providers.topic), app(&providers.topic)];
    let nowhere = App { environments: vec![], ..app("vn.x") };
    let rows = [
        (Settings { apps: vec![], ..good.clone() }, "apns.apps: name at least one app"),
        (Settings { apps: twice, ..good.clone() }, "twice"),
        (Settings { apps: vec![nowhere], ..good.clone() }, "environments"),
        (Settings { apps: vec![app("vn x")], ..good.clone() }, "bundle_id"),
        (with(both), "apns.certificate: stands in place of a key"),
        (with(short), "apns.team_id: must be 10"),
        (with(empty), "holds no certificate"),
    ];
    for (settings, words) in rows {
        let error = open(&settings).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_check_tells_whose_credentials_are_refused() {
    let providers = providers().await;
    let mut settings = providers.apns_settings();
    settings.credentials.key_id = "WRONGKEY01".to_owned();
    let refused = Some("403 InvalidProviderToken".to_owned());
    assert_eq!(problems(&open(&settings).expect("opens")).await, [refused.clone(), refused]);
    let mut settings = providers.fcm_settings();
    assert_eq!(problems(&open_fcm(&settings).expect("opens")).await, [None]);
    assert_eq!(providers.record.total(), 0, "a dry run reaches nobody");
    settings.project = Some("another".to_owned());
    let missing = Some("404 NOT_FOUND".to_owned());
    assert_eq!(problems(&open_fcm(&settings).expect("opens")).await, [missing]);
    let rule = Rule::new(When::Always, Then::Refuse(Refusal::new(400, "invalid_grant")));
    providers.faults.set(Service::OAuth, vec![rule]);
    let refused = Some("oauth_invalid_grant".to_owned());
    assert_eq!(problems(&open_fcm(&settings).expect("opens")).await, [refused]);
}

#[tokio::test]
async fn on_googles_machines_the_metadata_server_gives_the_tokens() {
    let providers = providers().await;
    let settings = fcm::Settings {
        service_account: None,
        metadata_server: Some(providers.metadata_url.clone()),
        project: Some(Options::default().project),
        ..providers.fcm_settings()
    };
    let sender = open_fcm(&settings).expect("opens");
    for device in 0..3 {
        let outcome = push(&sender, &address(Channel::Fcm, device)).await;
        assert_eq!(outcome, Outcome::Accepted);
    }
    let unavailable = Rule::new(When::Always, Then::Refuse(Refusal::new(503, "")));
    providers.faults.set(Service::OAuth, vec![unavailable]);
    assert_eq!(problems(&sender).await, [None], "the token is still good");
    let fresh = open_fcm(&settings).expect("opens");
    assert_eq!(reason(&push(&fresh, &address(Channel::Fcm, 9)).await), "oauth_unavailable");
    let refused = Rule::new(When::Always, Then::Refuse(Refusal::new(404, "")));
    providers.faults.set(Service::OAuth, vec![refused]);
    let fresh = open_fcm(&settings).expect("opens");
    let outcome = push(&fresh, &address(Channel::Fcm, 9)).await;
    assert_eq!(outcome, Outcome::Misconfigured { reason: "oauth_refused" });

    let nobody = fcm::Settings { project: None, ..settings.clone() };
    assert!(open_fcm(&nobody).is_err(), "nothing else names the project");
    let both =
        fcm::Settings { metadata_server: settings.metadata_server, ..providers.fcm_settings() };
    assert!(open_fcm(&both).is_err(), "one source of tokens");
}

#[tokio::test]
async fn an_app_that_draws_for_itself_takes_data_messages() {
    let providers = providers().await;
    let settings = fcm::Settings { data_only: true, ..providers.fcm_settings() };
    let sender = open_fcm(&settings).expect("opens");
    let outcome = push(&sender, &address(Channel::Fcm, 1)).await;
    assert_eq!(outcome, Outcome::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_checks_every_app_and_exits_by_what_it_found() {
    let providers = providers().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let ca = file("ca.pem", &providers.ca_pem);
    let key = file("key.p8", providers.apns_key.pem.expose());
    let account = file("account.json", providers.fcm_service_account_json.expose());
    let settings = |key_id: &str| {
        format!(
            "[channel.apns]\nproduction = \"{0}\"\nsandbox = \"{0}\"\n\
             [channel.apns.http2]\nca_file = \"{ca}\"\n[channel.apns.credentials]\n\
             team_id = \"{1}\"\nkey_id = \"{key_id}\"\nkey_file = \"{key}\"\n\
             [[channel.apns.apps]]\nbundle_id = \"{2}\"\n\
             [channel.fcm]\nendpoint = \"{3}\"\nservice_account_file = \"{account}\"\n\
             [channel.fcm.http2]\nca_file = \"{ca}\"\n",
            providers.apns_url, providers.apns_key.team_id, providers.topic, providers.fcm_url
        )
    };
    let good = file("good.toml", &settings(&providers.apns_key.key_id));
    let bad = file("bad.toml", &settings("WRONGKEY01"));
    let check = async |config: String| {
        let run = move || run(&["channels", "check", "--json", "--config", &config]);
        let done = tokio::task::spawn_blocking(run).await.expect("no panic");
        let answer: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
        (done.code, answer)
    };
    let (code, answer) = check(good).await;
    assert_eq!((code, &answer["ok"]), (0, &true.into()), "{answer}");
    assert_eq!(answer["channels"].as_array().map(Vec::len), Some(3), "{answer}");
    let (code, answer) = check(bad).await;
    assert_eq!((code, &answer["ok"]), (1, &false.into()), "{answer}");
    assert_eq!(answer["channels"][0]["problem"], "403 InvalidProviderToken");
    assert_eq!(answer["channels"][2]["problem"], serde_json::Value::Null);
    assert_eq!(providers.record.total(), 0);
}
