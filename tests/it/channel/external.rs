//! Workload identity: the platform's token from a file or a URL, the exchange, and acting as a
//! service account, over the simulator's sockets; how tokens are kept, asked for and waited for.

use loa::channel::fcm;
use loa::config::secret::Secret;
use loa::domain::outcome::RetryScope;
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};
use loa::simulator::federation;
use serde_json::{Value, json};

use super::*;
use crate::support::process::eventually;

struct Stage {
    providers: Providers,
    clock: Clock,
}

impl Stage {
    async fn start() -> Self {
        Self::with_tokens_for(Options::default().token_lifetime).await
    }

    async fn with_tokens_for(token_lifetime: Duration) -> Self {
        let clock = Clock::manual(Timestamp::now());
        let options = Options { clock: clock.clone(), token_lifetime, ..Options::default() };
        let providers = Providers::start(options).await.expect("the simulator starts");
        Self { providers, clock }
    }

    fn pass(&self, seconds: u64) {
        self.clock.set(self.clock.now() + Duration::from_secs(seconds));
    }

    fn settings(&self, file: &Value) -> fcm::Settings {
        fcm::Settings {
            service_account: None,
            external_account: Some(Secret::new(file.to_string())),
            project: Some(Options::default().project),
            ..self.providers.fcm_settings()
        }
    }

    fn sender(&self, file: &Value) -> Sender {
        self.open(&self.settings(file))
    }

    fn open(&self, settings: &fcm::Settings) -> Sender {
        Sender::fcm(settings, self.clock.clone(), CancellationToken::new()).expect("opens")
    }

    fn on_googles_machine(&self, metadata_server: url::Url) -> fcm::Settings {
        fcm::Settings {
            service_account: None,
            metadata_server: Some(metadata_server),
            project: Some(Options::default().project),
            ..self.providers.fcm_settings()
        }
    }

    async fn push(&self, sender: &Sender) -> Outcome {
        self.push_within(sender, Duration::from_secs(3600)).await
    }

    async fn push_within(&self, sender: &Sender, life: Duration) -> Outcome {
        let now = self.clock.now();
        let content = PushContent { expires: now + life, ..content() };
        let prepared = sender.prepare(&content).expect("it fits");
        let (expires, lane) = (content.expires, content.lane);
        let delivery = Delivery { id: Uuid::new_v4(), expires, now, lane };
        sender.send(&prepared, &address(Channel::Fcm, 1), &delivery).await
    }

    fn refuse(&self, status: u16, code: &str) {
        let rule = Rule::new(When::Always, Then::Refuse(Refusal::new(status, code)));
        self.providers.faults.set(Service::OAuth, vec![rule]);
    }

    /// Counts what is asked for tokens from now on.
    fn count(&self) {
        let slow = Rule::new(When::Always, Then::Slow(Duration::ZERO));
        self.providers.faults.set(Service::OAuth, vec![slow]);
    }

    fn well(&self) {
        self.providers.faults.set(Service::OAuth, Vec::new());
    }
}

#[tokio::test]
async fn a_token_in_a_file_or_at_a_url_is_exchanged_and_acts_as_a_service_account_or_itself() {
    let stage = Stage::start().await;
    let federation = &stage.providers.federation;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    std::fs::write(&path, federation.subject_token()).expect("written");
    let path = path.to_str().expect("UTF-8");
    for file in [Some(path), None] {
        for impersonates in [true, false] {
            let sender = stage.sender(&federation.external_account(file, impersonates));
            let outcome = stage.push(&sender).await;
            assert_eq!(outcome, Outcome::Accepted, "{file:?}, {impersonates}");
        }
    }
}

#[tokio::test]
async fn the_platforms_token_is_read_anew_for_each_renewal() {
    let stage = Stage::start().await;
    let federation = &stage.providers.federation;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    let config = federation.external_account(path.to_str(), true);
    let sender = stage.sender(&config);
    // The platform has not written it yet: later again, and nothing is given up.
    let outcome = stage.push(&sender).await;
    assert_eq!(reason(&outcome), "oauth_no_subject_token");
    assert!(matches!(outcome, Outcome::Retry { scope: RetryScope::Channel, .. }), "{outcome:?}");
    std::fs::write(&path, federation.subject_token()).expect("written");
    stage.pass(6);
    assert_eq!(stage.push(&sender).await, Outcome::Accepted);
    // Two hours on, the access token and the file's token are both over.
    stage.pass(2 * 3600);
    let outcome = stage.push(&sender).await;
    assert_eq!(outcome, Outcome::Misconfigured { reason: "oauth_invalid_grant" });
    std::fs::write(&path, federation.subject_token()).expect("written");
    stage.pass(6);
    assert_eq!(stage.push(&sender).await, Outcome::Accepted);
}

#[tokio::test]
async fn each_step_that_fails_is_named_and_tried_again_when_it_may_pass() {
    let stage = Stage::start().await;
    let config = stage.providers.federation.external_account(None, true);
    stage.refuse(503, "");
    let sender = stage.sender(&config);
    assert_eq!(reason(&stage.push(&sender).await), "oauth_unavailable");
    stage.well();
    assert_eq!(reason(&stage.push(&sender).await), "oauth_unavailable", "not hammered");
    stage.pass(6);
    assert_eq!(stage.push(&sender).await, Outcome::Accepted);

    let cases = [
        ("credential_source/headers/metadata", json!("False"), "oauth_subject_token_refused"),
        (
            "credential_source/format/subject_token_field_name",
            json!("nothing"),
            "oauth_malformed_subject_token",
        ),
        ("audience", json!("//iam.googleapis.com/another"), "oauth_refused"),
    ];
    for (field, value, expected) in cases {
        let mut config = config.clone();
        *config.pointer_mut(&format!("/{field}")).expect("a field") = value;
        let outcome = stage.push(&stage.sender(&config)).await;
        assert_eq!(outcome, Outcome::Misconfigured { reason: expected }, "{field}");
    }
    let url = config["service_account_impersonation_url"].as_str().expect("a URL");
    let accounts = [
        ("nobody@", "oauth_unknown_service_account"),
        (federation::DENIED, "oauth_impersonation_denied"),
    ];
    for (account, expected) in accounts {
        let mut stranger = config.clone();
        stranger["service_account_impersonation_url"] = json!(url.replace("simulator@", account));
        let outcome = stage.push(&stage.sender(&stranger)).await;
        assert_eq!(outcome, Outcome::Misconfigured { reason: expected }, "{account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_everybody_who_waits_for_it() {
    let stage = Stage::start().await;
    stage.count();
    let sender = stage.open(&stage.on_googles_machine(stage.providers.metadata_url.clone()));
    let pushes = (0..50).map(|_| stage.push(&sender));
    for outcome in futures_util::future::join_all(pushes).await {
        assert_eq!(outcome, Outcome::Accepted);
    }
    assert_eq!(stage.providers.faults.met(), 1, "asked once");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_the_old_one_serves_until_then() {
    // Four minutes before its end is one second from now.
    let stage = Stage::with_tokens_for(Duration::from_secs(241)).await;
    stage.count();
    let sender = stage.open(&stage.on_googles_machine(stage.providers.metadata_url.clone()));
    assert_eq!(stage.push(&sender).await, Outcome::Accepted);
    eventually(async || (stage.providers.faults.met() > 1).then_some(())).await;
    assert_eq!(stage.push(&sender).await, Outcome::Accepted);
}

#[tokio::test]
async fn a_metadata_server_that_says_nothing_holds_no_push_beyond_its_time() {
    let stage = Stage::start().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = silent.local_addr().expect("an address").port();
    let url = format!("http://127.0.0.1:{port}").parse().expect("a URL");
    let sender = stage.open(&stage.on_googles_machine(url));
    let outcome = stage.push_within(&sender, Duration::from_millis(300)).await;
    assert_eq!(reason(&outcome), "oauth_timed_out");
    let _held = silent.accept().await.expect("asked");
    // Whoever has waited long enough gives it up, and the next one asks anew.
    let outcome = stage.push_within(&sender, Duration::from_secs(10)).await;
    assert_eq!(reason(&outcome), "oauth_timed_out");
    stage.pass(6);
    let (outcome, asked) =
        tokio::join!(stage.push_within(&sender, Duration::from_millis(300)), silent.accept());
    assert_eq!(reason(&outcome), "oauth_timed_out");
    asked.expect("asked again");
    // Where nobody listens it is told apart.
    drop(silent);
    let url = format!("http://127.0.0.1:{port}").parse().expect("a URL");
    let sender = stage.open(&stage.on_googles_machine(url));
    assert_eq!(reason(&stage.push(&sender).await), "oauth_no_metadata_server");
}

#[tokio::test]
async fn wrong_settings_are_refused_by_field() {
    let stage = Stage::start().await;
    let good = stage.providers.federation.external_account(None, true);
    let open = |settings: &fcm::Settings| {
        let opened = Sender::fcm(settings, stage.clock.clone(), CancellationToken::new());
        opened.expect_err("wrong").to_string()
    };
    let mut aws = good.clone();
    aws["credential_source"] = json!({ "environment_id": "aws1" });
    let error = open(&stage.settings(&aws));
    let expected = "fcm.external_account: credential_source.environment_id: is not supported";
    assert!(error.starts_with(expected), "{error}");
    let nowhere = fcm::Settings { project: None, ..stage.settings(&good) };
    assert_eq!(open(&nowhere), "fcm.project: must be a project id");
    let account = stage.providers.fcm_settings().service_account;
    let both = fcm::Settings { service_account: account, ..stage.settings(&good) };
    assert!(open(&both).starts_with("fcm.external_account: stands in place"), "{}", open(&both));
    let metadata = Some(stage.providers.metadata_url.clone());
    let both = fcm::Settings { metadata_server: metadata, ..stage.settings(&good) };
    assert!(open(&both).starts_with("fcm.metadata_server: stands in place"), "{}", open(&both));
}
