//! What a network does to connections: none lost, none doubled.

use loa::domain::outcome::Arrival;
use loa::simulator::faults::{Rule, Service, Then, When};

use super::*;
use crate::support::road::Road;

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;

/// Every device got it exactly once, and we know it.
fn assert_all_once(bench: &Bench, outcomes: &[Outcome]) {
    let failed: Vec<_> =
        outcomes.iter().filter(|outcome| **outcome != Outcome::Accepted).take(3).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let record = &bench.providers.record;
    assert_eq!((record.devices(), record.repeats()), (outcomes.len(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goaway_every_hundred_requests_loses_and_doubles_nothing() {
    for (channel, count) in [(Channel::Apns, 20_000), (Channel::Fcm, 5000)] {
        let bench = Bench::start(channel).await;
        bench.providers.faults.limit(|limits| limits.goaway_every = Some(100));
        let outcomes = bench.send_all(count, 200).await;
        assert_all_once(&bench, &outcomes);
        let connections = bench.providers.faults.connections();
        assert!(connections >= count / 100, "{connections}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_streams_go_out_again_at_once() {
    let bench = Bench::start(Channel::Apns).await;
    let rule = Rule::new(When::Every(3), Then::Reset(REFUSED_STREAM));
    bench.providers.faults.set(Service::Apns, vec![rule]);
    let outcomes = bench.send_all(3000, 200).await;
    assert_all_once(&bench, &outcomes);
    assert!(bench.providers.faults.met() >= 1499);
}

#[tokio::test]
async fn a_lost_answer_is_told_and_never_sent_again_unasked() {
    for then in [Then::ResetAfter(INTERNAL_ERROR), Then::CutAfter] {
        let bench = Bench::start(Channel::Fcm).await;
        assert_eq!(bench.send(0).await, Outcome::Accepted);
        let expected = if then == Then::CutAfter { "connection_lost" } else { "stream_reset" };
        bench.providers.faults.set(Service::Fcm, vec![Rule::once(then)]);
        let outcome = bench.send(1).await;
        let doubtful = matches!(outcome, Outcome::Retry { arrival: Arrival::Possible, .. });
        assert!(doubtful, "{outcome:?}");
        assert_eq!(reason(&outcome), expected);
        assert_eq!(bench.providers.record.of(&token(Channel::Fcm, 1)).len(), 1);
        assert_eq!(bench.send(2).await, Outcome::Accepted, "a new connection serves");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing_silently() {
    let bench = Bench::start(Channel::Apns).await;
    let rules = vec![
        Rule::new(When::Every(301), Then::CutBefore),
        Rule::new(When::Every(173), Then::Reset(INTERNAL_ERROR)),
    ];
    bench.providers.faults.set(Service::Apns, rules);
    let outcomes = bench.send_all(5000, 100).await;
    let record = &bench.providers.record;
    assert_eq!(record.repeats(), 0);
    for (device, outcome) in (0..).zip(&outcomes) {
        let got = record.of(&token(Channel::Apns, device)).len();
        match outcome {
            Outcome::Accepted => assert_eq!(got, 1, "{device}"),
            Outcome::Retry { .. } => {}
            other => panic!("{device}: {other:?}"),
        }
    }
    let accepted = outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
    assert!(accepted > 2500, "{accepted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peers_stream_limit_holds_as_it_changes() {
    let adjust = |settings: &mut http2::Settings| settings.connections = 1;
    let bench = Bench::start_with(Channel::Fcm, Options::default(), adjust).await;
    assert_all_once(&bench, &bench.send_all(200, 100).await);
    let faults = &bench.providers.faults;
    assert!(faults.take_peak_streams() > 1);

    faults.limit(|limits| limits.max_concurrent_streams = 1);
    // The sender knows once it answered a request that came after the change.
    for device in 0..20 {
        assert_eq!(bench.send(device).await, Outcome::Accepted);
    }
    faults.take_peak_streams();
    let outcomes = bench.send_all(200, 100).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Accepted));
    assert_eq!(faults.take_peak_streams(), 1);

    faults.limit(|limits| limits.max_concurrent_streams = 100);
    for device in 0..20 {
        assert_eq!(bench.send(device).await, Outcome::Accepted);
    }
    let outcomes = bench.send_all(500, 100).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Accepted));
    assert!(faults.take_peak_streams() > 1);
    assert_eq!(faults.connections(), 2, "one to FCM and one for the access token");
}

#[tokio::test]
async fn a_new_apns_connection_carries_one_stream_until_a_push_is_accepted() {
    let adjust = |settings: &mut http2::Settings| settings.connections = 1;
    let bench = Bench::start_with(Channel::Apns, Options::default(), adjust).await;
    let refusal = loa::simulator::faults::Refusal::new(400, "BadDeviceToken");
    let rules = vec![Rule::new(When::Always, Then::Refuse(refusal))];
    bench.providers.faults.set(Service::Apns, rules);
    bench.send_all(100, 50).await;
    assert_eq!(bench.providers.faults.take_peak_streams(), 1);
    bench.providers.faults.clear();
    let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(20)));
    bench.providers.faults.set(Service::Apns, vec![slow]);
    assert_all_once(&bench, &bench.send_all(100, 50).await);
    assert!(bench.providers.faults.take_peak_streams() > 1);
}

#[tokio::test]
async fn a_silent_connection_is_replaced_by_the_ping_deadline() {
    let adjust = |settings: &mut http2::Settings| {
        settings.connections = 1;
        settings.ping_quiet_ms = 100;
        settings.ping_timeout_ms = 500;
    };
    let bench = Bench::start_with(Channel::Apns, Options::default(), adjust).await;
    assert_eq!(bench.send(0).await, Outcome::Accepted);
    bench.providers.faults.set(Service::Apns, vec![Rule::once(Then::Stall)]);
    let outcome = bench.send(1).await;
    assert_eq!(reason(&outcome), "connection_lost", "long before the request's own time limit");
    assert_eq!(bench.send(2).await, Outcome::Accepted);
    assert_eq!(bench.providers.faults.connections(), 2);
}

#[tokio::test]
async fn slow_answers_are_not_taken_for_a_dead_connection() {
    let adjust = |settings: &mut http2::Settings| {
        settings.ping_quiet_ms = 10;
        settings.ping_timeout_ms = 5000;
    };
    let bench = Bench::start_with(Channel::Apns, Options::default(), adjust).await;
    let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(300)));
    bench.providers.faults.set(Service::Apns, vec![slow]);
    assert_all_once(&bench, &bench.send_all(3, 3).await);
    assert_eq!(bench.providers.faults.connections(), 1);
}

#[tokio::test]
async fn a_request_gives_up_at_its_limit_and_at_the_pushs_expiry() {
    let adjust = |settings: &mut http2::Settings| settings.request_timeout_ms = 100;
    let mut bench = Bench::start_with(Channel::Apns, Options::default(), adjust).await;
    assert!(bench.sender.ready().await);
    let slow = Rule::new(When::Always, Then::Slow(Duration::from_secs(600)));
    bench.providers.faults.set(Service::Apns, vec![slow.clone()]);
    assert_eq!(reason(&bench.send(1).await), "timed_out");

    bench = Bench::start(Channel::Apns).await;
    assert!(bench.sender.ready().await);
    bench.providers.faults.set(Service::Apns, vec![slow]);
    bench.content.expires = Timestamp::now() + Duration::from_millis(200);
    assert_eq!(reason(&bench.send(1).await), "timed_out");
}

#[tokio::test]
async fn an_unknown_root_is_not_trusted() {
    let bench = Bench::start(Channel::Apns).await;
    let other = Providers::start(Options::default()).await.expect("it starts");
    let settings = loa::channel::apns::Settings {
        production: other.apns_url.clone(),
        ..bench.providers.apns_settings()
    };
    let sender = Sender::apns(&settings, Clock::System, CancellationToken::new()).expect("opens");
    let expires = Timestamp::now() + Duration::from_millis(300);
    let delivery = Delivery { expires, ..bench.delivery(1) };
    let outcome = sender.send(&bench.prepared, &bench.address(1), &delivery).await;
    let after = Some(Duration::from_secs(1));
    let scope = loa::domain::outcome::RetryScope::Channel;
    assert_eq!(
        outcome,
        Outcome::Retry { after, scope, arrival: Arrival::Excluded, reason: "no_connection" }
    );
    assert_eq!(other.record.total(), 0);
}

#[tokio::test]
async fn a_provider_that_comes_back_is_found_again() {
    let bench = Bench::start(Channel::Apns).await;
    let mut road = Road::to(&bench.providers.apns_url).await;
    let settings = loa::channel::apns::Settings {
        production: road.url(),
        http2: http2::Settings {
            backoff_min_ms: 1,
            backoff_max_ms: 20,
            ..bench.providers.apns_settings().http2
        },
        ..bench.providers.apns_settings()
    };
    let sender = Sender::apns(&settings, Clock::System, CancellationToken::new()).expect("opens");
    let send = async |device| {
        sender.send(&bench.prepared, &bench.address(device), &bench.delivery(device)).await
    };
    assert_eq!(send(1).await, Outcome::Accepted);
    road.close().await;
    let expires = Timestamp::now() + Duration::from_millis(200);
    let delivery = Delivery { expires, ..bench.delivery(2) };
    let outcome = sender.send(&bench.prepared, &bench.address(2), &delivery).await;
    assert!(["no_connection", "connection_lost"].contains(&reason(&outcome)), "{outcome:?}");
    let (outcome, ()) = tokio::join!(send(3), road.open());
    assert_eq!(outcome, Outcome::Accepted, "whoever waits is served as soon as the road is open");
    assert_eq!(bench.providers.record.devices(), 2);
}

#[tokio::test]
async fn draining_waits_for_answers_and_takes_nothing_new() {
    let bench: Shared = Arc::new(Bench::start(Channel::Apns).await);
    assert_eq!(bench.send(0).await, Outcome::Accepted);
    let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(100)));
    bench.providers.faults.set(Service::Apns, vec![slow]);
    let sending = tokio::spawn({
        let bench = bench.clone();
        async move { bench.send_all(20, 20).await }
    });
    eventually("all are in flight", || bench.providers.faults.met() == 20).await;
    bench.sender.drain().await;
    assert_eq!(reason(&bench.send(21).await), "closing");
    let outcomes = sending.await.expect("no panic");
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Accepted), "{outcomes:?}");
}

#[tokio::test]
async fn a_slow_phone_slows_the_provider_and_misses_nothing() {
    let bench: Shared = Arc::new(Bench::start(Channel::Fcm).await);
    let mut phones = bench.providers.deliveries(1);
    let sending = tokio::spawn({
        let bench = bench.clone();
        async move { bench.send_all(500, 100).await }
    });
    for _ in 0..500 {
        assert!(phones.recv().await.is_some());
    }
    assert_all_once(&bench, &sending.await.expect("no panic"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_are_opened_when_streams_run_out_and_no_more_than_the_setting() {
    let options = Options { max_concurrent_streams: 10, ..Options::default() };
    let adjust = |settings: &mut http2::Settings| {
        (settings.connections, settings.reserved_connections) = (4, 0);
    };
    let bench = Bench::start_with(Channel::Fcm, options, adjust).await;
    assert_eq!(bench.send(0).await, Outcome::Accepted);
    let faults = &bench.providers.faults;
    assert_eq!(faults.connections(), 2, "one to FCM and one for the access token");
    let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(50)));
    faults.set(Service::Fcm, vec![slow]);
    bench.providers.record.clear();
    assert_all_once(&bench, &bench.send_all(400, 200).await);
    assert_eq!(faults.connections(), 5, "four to FCM");
    bench.providers.record.clear();
    assert_all_once(&bench, &bench.send_all(400, 200).await);
    assert_eq!(faults.connections(), 5, "the same");
    // Nor before the peer's limit came (RFC 9113, 6.5.2).
    assert!(faults.take_peak_streams() <= 10, "never more streams than the peer allows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_has_its_time_however_long_the_push_waited_for_a_stream() {
    let options = Options { max_concurrent_streams: 1, ..Options::default() };
    let adjust = |settings: &mut http2::Settings| {
        (settings.connections, settings.request_timeout_ms) = (1, 2_000);
    };
    let bench = Bench::start_with(Channel::Apns, options, adjust).await;
    assert_eq!(bench.send(0).await, Outcome::Accepted);
    bench.providers.record.clear();
    let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(1_200)));
    bench.providers.faults.set(Service::Apns, vec![slow]);
    // The second gets the stream with 800 ms left; cut there, it would have to go out again.
    assert_all_once(&bench, &bench.send_all(2, 2).await);
}
