//! Each kind of answer, end to end: what the provider says becomes the outcome of its table.

use loa::domain::outcome::{Arrival, RetryScope};
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};

use super::*;

fn retry(scope: RetryScope, seconds: u64, reason: &'static str) -> Outcome {
    let after = Some(Duration::from_secs(seconds));
    Outcome::Retry { after, scope, arrival: Arrival::Excluded, reason }
}

#[tokio::test]
async fn a_push_arrives_with_all_it_should_carry() {
    for channel in Channel::PUSH {
        let bench = Bench::start(channel).await;
        let mut phones = bench.providers.deliveries(16);
        assert!(bench.sender.ready().await);
        assert_eq!(bench.send(7).await, Outcome::Accepted);
        let got = phones.recv().await.expect("the simulator runs");
        assert_eq!((got.channel, &*got.token), (channel, token(channel, 7).as_str()));
        assert_eq!(got.publication, bench.content.publication);
        assert_eq!((got.chain, got.action), (bench.content.chain, Action::Alert));
        assert_eq!(got.collapse_id.as_deref(), Some(bench.content.chain.to_string().as_str()));
        if channel == Channel::Apns {
            assert_eq!(*got.message_id, *bench.delivery(7).id.to_string());
        }
        assert!(bench.sender.health().last_success.is_some());
    }
}

#[tokio::test]
async fn an_installation_id_and_the_sandbox_are_reached_too() {
    let fcm = Bench::start(Channel::Fcm).await;
    let fid = PushAddress::Fcm { kind: FcmAddressKind::Fid, value: "cInstallation".into() };
    let outcome = fcm.sender.send(&fcm.prepared, &fid, &fcm.delivery(1)).await;
    assert_eq!(outcome, Outcome::Accepted);
    assert_eq!(fcm.providers.record.of("cInstallation").len(), 1);
    let apns = Bench::start(Channel::Apns).await;
    let sandbox = PushAddress::Apns {
        token: "ab".repeat(32),
        environment: ApnsEnvironment::Sandbox,
        topic: apns.providers.topic.clone(),
    };
    let outcome = apns.sender.send(&apns.prepared, &sandbox, &apns.delivery(1)).await;
    assert_eq!(outcome, Outcome::Accepted);
}

#[tokio::test]
async fn what_apple_refuses_becomes_its_outcome() {
    let bench = Bench::start(Channel::Apns).await;
    let since = Timestamp::from_millisecond(1_700_000_000_123).ok();
    let rows = [
        (400, "BadDeviceToken", Outcome::DeadAddress { reason: "BadDeviceToken", since: None }),
        (400, "BadTopic", Outcome::Rejected { reason: "BadTopic" }),
        (403, "InvalidProviderToken", Outcome::Misconfigured { reason: "InvalidProviderToken" }),
        (
            403,
            "BadEnvironmentKeyIdInToken",
            Outcome::Misconfigured { reason: "BadEnvironmentKeyIdInToken" },
        ),
        (404, "BadPath", Outcome::Rejected { reason: "BadPath" }),
        (405, "MethodNotAllowed", Outcome::Rejected { reason: "MethodNotAllowed" }),
        (410, "Unregistered", Outcome::DeadAddress { reason: "Unregistered", since }),
        (410, "ExpiredToken", Outcome::DeadAddress { reason: "ExpiredToken", since }),
        (413, "PayloadTooLarge", Outcome::Rejected { reason: "PayloadTooLarge" }),
        (429, "TooManyRequests", retry(RetryScope::Device, 30, "TooManyRequests")),
        (
            429,
            "TooManyProviderTokenUpdates",
            retry(RetryScope::Channel, 10, "TooManyProviderTokenUpdates"),
        ),
        (500, "InternalServerError", retry(RetryScope::Device, 1, "InternalServerError")),
        (503, "Shutdown", retry(RetryScope::Device, 1, "Shutdown")),
        (500, "Novelty", retry(RetryScope::Device, 1, "http_500")),
    ];
    for (status, name, expected) in rows {
        let refusal = Refusal { since, ..Refusal::new(status, name) };
        bench.providers.faults.set(Service::Apns, vec![Rule::once(Then::Refuse(refusal))]);
        assert_eq!(bench.send(1).await, expected, "{status} {name}");
    }
    assert_eq!(bench.send(1).await, Outcome::Accepted, "a fault leaves nothing behind");
    assert_eq!(bench.providers.record.total(), 1);
}

#[tokio::test]
async fn what_google_refuses_becomes_its_outcome() {
    let bench = Bench::start(Channel::Fcm).await;
    let named = "The registration token is not a valid FCM registration token";
    let dead = |reason| Outcome::DeadAddress { reason, since: None };
    let rows = [
        (400, "INVALID_ARGUMENT", named, dead("INVALID_ARGUMENT")),
        (400, "INVALID_ARGUMENT", "message.data", Outcome::Rejected { reason: "INVALID_ARGUMENT" }),
        (401, "THIRD_PARTY_AUTH_ERROR", "", Outcome::Rejected { reason: "THIRD_PARTY_AUTH_ERROR" }),
        (403, "SENDER_ID_MISMATCH", "", dead("SENDER_ID_MISMATCH")),
        (404, "UNREGISTERED", "", dead("UNREGISTERED")),
        (404, "NOT_FOUND", "", Outcome::Misconfigured { reason: "NOT_FOUND" }),
        (429, "QUOTA_EXCEEDED", "", retry(RetryScope::Channel, 60, "QUOTA_EXCEEDED")),
        (500, "INTERNAL", "", retry(RetryScope::Device, 10, "INTERNAL")),
        (503, "UNAVAILABLE", "", retry(RetryScope::Device, 10, "UNAVAILABLE")),
    ];
    for (status, code, message, expected) in rows {
        let refusal = Refusal { message: message.into(), ..Refusal::new(status, code) };
        bench.providers.faults.set(Service::Fcm, vec![Rule::once(Then::Refuse(refusal))]);
        assert_eq!(bench.send(1).await, expected, "{status} {code} {message}");
    }
    assert_eq!(bench.send(1).await, Outcome::Accepted);
}

#[tokio::test]
async fn retry_after_slows_the_channel_as_long_as_the_provider_says() {
    for (channel, service, name) in [
        (Channel::Apns, Service::Apns, "ServiceUnavailable"),
        (Channel::Fcm, Service::Fcm, "UNAVAILABLE"),
    ] {
        let bench = Bench::start(channel).await;
        let refusal = Refusal { retry_after: Some("42".to_owned()), ..Refusal::new(503, name) };
        bench.providers.faults.set(service, vec![Rule::once(Then::Refuse(refusal))]);
        assert_eq!(bench.send(1).await, retry(RetryScope::Channel, 42, name));
        assert_eq!(bench.sender.health().consecutive_failures, 1);
    }
}

#[tokio::test]
async fn a_quota_lets_through_what_it_allows_and_no_good_address_dies() {
    let start: Timestamp = Timestamp::now();
    let options = Options { clock: Clock::manual(start), ..Options::default() };
    let bench = Bench::start_with(Channel::Fcm, options, |_| {}).await;
    bench.providers.faults.limit(|limits| limits.quota_per_second = Some(100));
    let outcomes = bench.send_all(300, 50).await;
    let accepted = outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
    let waiting = outcomes.iter().filter(|outcome| reason(outcome) == "QUOTA_EXCEEDED").count();
    assert_eq!((accepted, waiting), (100, 200));
}

#[tokio::test]
async fn an_expired_provider_token_is_renewed_and_the_push_sent_again_once() {
    let bench = Bench::start(Channel::Apns).await;
    let refusal = Then::Refuse(Refusal::new(403, "ExpiredProviderToken"));
    bench.providers.faults.set(Service::Apns, vec![Rule::once(refusal.clone())]);
    assert_eq!(bench.send(1).await, Outcome::Accepted);
    bench.providers.faults.set(Service::Apns, vec![Rule::new(When::Always, refusal)]);
    let expired = Outcome::Misconfigured { reason: "ExpiredProviderToken" };
    assert_eq!(bench.send(2).await, expired);
    assert_eq!(bench.providers.faults.met(), 3, "each push goes out twice at most");
    assert_eq!(bench.sender.health().misconfigured, Some("ExpiredProviderToken"));
}

#[tokio::test]
async fn tokens_are_renewed_before_the_providers_find_them_old() {
    for channel in Channel::PUSH {
        let start = Timestamp::now();
        let clock = Clock::manual(start);
        let options = Options { clock: clock.clone(), ..Options::default() };
        let mut bench = Bench::start_with(channel, options, |_| {}).await;
        bench.content.expires = start + Duration::from_secs(86_400);
        for minutes in (0..600).step_by(7) {
            clock.set(start + Duration::from_secs(minutes * 60));
            assert_eq!(bench.send(minutes).await, Outcome::Accepted, "{channel} {minutes} min");
        }
        assert_eq!(bench.providers.faults.met(), 0);
    }
}

#[tokio::test]
async fn an_access_token_that_google_forgot_is_fetched_anew() {
    let bench = Bench::start(Channel::Fcm).await;
    let refusal = Then::Refuse(Refusal::new(401, "UNAUTHENTICATED"));
    bench.providers.faults.set(Service::Fcm, vec![Rule::once(refusal)]);
    assert_eq!(bench.send(1).await, Outcome::Accepted);
}

#[tokio::test]
async fn without_an_access_token_the_channel_waits_or_calls_for_help() {
    let bench = Bench::start(Channel::Fcm).await;
    let unavailable = Refusal { retry_after: Some("9".into()), ..Refusal::new(503, "") };
    let rules = vec![Rule::once(Then::Refuse(unavailable))];
    bench.providers.faults.set(Service::OAuth, rules);
    assert_eq!(bench.send(1).await, retry(RetryScope::Channel, 9, "oauth_unavailable"));

    let refused = Bench::start(Channel::Fcm).await;
    let rules = vec![Rule::new(When::Always, Then::Refuse(Refusal::new(400, "invalid_grant")))];
    refused.providers.faults.set(Service::OAuth, rules);
    let outcomes = refused.send_all(50, 50).await;
    let expected = Outcome::Misconfigured { reason: "oauth_invalid_grant" };
    assert!(outcomes.iter().all(|outcome| *outcome == expected), "{outcomes:?}");
    assert_eq!(refused.providers.faults.met(), 1, "fifty waiters share one request");
}

#[tokio::test]
async fn wrong_credentials_are_found_out() {
    let ours = Providers::start(Options::default()).await.expect("it starts");
    let theirs = Providers::start(Options::default()).await.expect("it starts");
    let mut settings = ours.apns_settings();
    settings.credentials.key = Some(theirs.apns_key.pem.clone());
    let sender = Sender::apns(&settings, Clock::System, CancellationToken::new()).expect("opens");
    let content = content();
    let prepared = sender.prepare(&content).expect("it fits");
    let (expires, lane) = (content.expires, content.lane);
    let delivery = Delivery { id: Uuid::new_v4(), expires, now: Timestamp::now(), lane };
    let outcome = sender.send(&prepared, &address(Channel::Apns, 1), &delivery).await;
    assert_eq!(outcome, Outcome::Misconfigured { reason: "InvalidProviderToken" });

    let mut settings = ours.fcm_settings();
    let token_uri = ours.fcm_url.join("/token").expect("a path");
    settings.service_account = Some(theirs.fcm_service_account_json.clone());
    settings.token_uri = Some(token_uri);
    let sender = Sender::fcm(&settings, Clock::System, CancellationToken::new()).expect("opens");
    let prepared = sender.prepare(&content).expect("it fits");
    let outcome = sender.send(&prepared, &address(Channel::Fcm, 1), &delivery).await;
    assert_eq!(outcome, Outcome::Misconfigured { reason: "oauth_invalid_grant" });
    assert_eq!(ours.record.total(), 0);
}

#[tokio::test]
async fn the_longest_words_are_cut_to_what_the_providers_take() {
    for channel in Channel::PUSH {
        let mut bench = Bench::start(channel).await;
        for words in ["Nước dâng \"rất nhanh\", ", "🌊👨‍👩‍👧", "\\ \n", "\u{1}"]
        {
            bench.content.title = words.repeat(20);
            bench.content.body = words.repeat(3000);
            bench.prepared = bench.sender.prepare(&bench.content).expect("it is cut");
            assert_eq!(bench.send(1).await, Outcome::Accepted, "{channel} {words}");
        }
    }
}

#[tokio::test]
async fn nothing_goes_out_after_expiry_or_to_what_is_no_address() {
    let bench = Bench::start(Channel::Apns).await;
    let mut late = bench.delivery(1);
    late.now = late.expires;
    let outcome = bench.sender.send(&bench.prepared, &bench.address(1), &late).await;
    assert_eq!(outcome, Outcome::Expired);
    let strange = PushAddress::Apns {
        token: "../../../x".into(),
        environment: ApnsEnvironment::Production,
        topic: bench.providers.topic.clone(),
    };
    let outcome = bench.sender.send(&bench.prepared, &strange, &bench.delivery(1)).await;
    assert_eq!(outcome, Outcome::Rejected { reason: "malformed_address" });
    let other = address(Channel::Fcm, 1);
    let outcome = bench.sender.send(&bench.prepared, &other, &bench.delivery(1)).await;
    assert_eq!(outcome, Outcome::Rejected { reason: "address_of_another_channel" });
    assert_eq!(bench.providers.faults.connections(), 0);
}
