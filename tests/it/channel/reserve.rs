//! The emergency lane's reserve over real sockets: whatever holds up routine work, an emergency has
//! a connection and room of its own.

use loa::channel::throttle;
use loa::simulator::faults::{Rule, Service, Then, When};

use super::*;

/// Routine pushes that hang: more than one connection may have in flight, and more than the
/// throttle lets in beside its reserve.
const ROUTINE: u64 = 60;
const HOT: u64 = 30;

/// A bench with one ordinary and one reserved connection, and room for twenty pushes at once.
async fn bench(channel: Channel) -> Shared {
    let options = Options::default();
    let clock = options.clock.clone();
    let providers = Providers::start(options).await.expect("the simulator starts");
    let http2 = |settings: &mut http2::Settings| {
        (settings.connections, settings.reserved_connections, settings.streams) = (2, 1, 10);
        // Nobody comes to their help: neither a ping nor a time limit ends what hangs.
        (settings.ping_quiet_ms, settings.ping_timeout_ms) = (60_000, 60_000);
        settings.request_timeout_ms = 60_000;
    };
    let throttle = throttle::Settings {
        in_flight_min: 20,
        in_flight_max: Some(20),
        reserve_percent: 50,
        ramp_seconds: 0,
        per_minute: Some(0),
    };
    let stop = CancellationToken::new();
    let sender = match channel {
        Channel::Apns => {
            let mut settings = providers.apns_settings();
            http2(&mut settings.http2);
            settings.throttle = throttle;
            Sender::apns(&settings, clock.clone(), stop)
        }
        _ => {
            let mut settings = providers.fcm_settings();
            http2(&mut settings.http2);
            settings.throttle = throttle;
            Sender::fcm(&settings, clock.clone(), stop)
        }
    };
    let sender = sender.expect("the settings are right");
    let content = content();
    let prepared = sender.prepare(&content).expect("it fits");
    Arc::new(Bench { providers, sender, prepared, content, clock })
}

async fn send(bench: Shared, device: u64, lane: Lane) -> Outcome {
    let delivery = Delivery { lane, ..bench.delivery(device) };
    bench.sender.send(&bench.prepared, &bench.address(device), &delivery).await
}

/// Opens both connections, and proves them.
async fn warm(bench: &Shared) {
    for (device, lane) in [(0, Lane::Routine), (1, Lane::Emergency)] {
        let outcome = send(bench.clone(), 1_000 + device, lane).await;
        assert_eq!(outcome, Outcome::Accepted);
    }
    let faults = &bench.providers.faults;
    let all = if bench.sender.channel() == Channel::Fcm { 3 } else { 2 };
    eventually("both connections stand", || faults.connections() == all).await;
}

/// Fills everything routine work may have, with the rules that hold it up.
async fn hold_up(bench: &Shared, rules: Vec<Rule>) -> tokio::task::JoinSet<Outcome> {
    let service = match bench.sender.channel() {
        Channel::Apns => Service::Apns,
        _ => Service::Fcm,
    };
    bench.providers.faults.set(service, rules);
    let mut routine = tokio::task::JoinSet::new();
    for device in 0..ROUTINE {
        routine.spawn(send(bench.clone(), device, Lane::Routine));
    }
    let full = || bench.sender.figures().waiting as u64 == ROUTINE - 10;
    eventually("routine work has all the room it may", full).await;
    let met = || bench.providers.faults.met() > 0;
    eventually("it is held up", met).await;
    bench.providers.faults.set(service, Vec::new());
    routine
}

/// Every emergency push goes through, while no routine one does.
async fn emergency_moves(bench: &Shared, routine: &mut tokio::task::JoinSet<Outcome>) {
    let hot = (0..HOT).map(|device| send(bench.clone(), 100_000 + device, Lane::Emergency));
    let outcomes = futures_util::future::join_all(hot).await;
    assert!(outcomes.iter().all(|one| *one == Outcome::Accepted), "{outcomes:?}");
    let ended = routine.try_join_next();
    assert!(ended.is_none(), "routine work was not held up: {ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emergency_moves_on_its_reserve_while_the_peer_of_routine_work_stops_reading() {
    for channel in [Channel::Apns, Channel::Fcm] {
        let bench = bench(channel).await;
        warm(&bench).await;
        let stall = Rule { limit: Some(1), ..Rule::new(When::Always, Then::Stall) };
        let mut routine = hold_up(&bench, vec![stall]).await;
        emergency_moves(&bench, &mut routine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emergency_moves_on_its_reserve_while_routine_work_has_one_stream() {
    for channel in [Channel::Apns, Channel::Fcm] {
        let bench = bench(channel).await;
        warm(&bench).await;
        bench.providers.faults.limit(|limits| limits.max_concurrent_streams = 1);
        // The sender knows once it answered a request that came after the change.
        for _ in 0..10 {
            warm(&bench).await;
        }
        // The stream that routine work has hangs, so the others wait for it.
        let slow = Then::Slow(Duration::from_secs(60));
        let hangs = Rule { limit: Some(1), ..Rule::new(When::Always, slow) };
        let mut routine = hold_up(&bench, vec![hangs]).await;
        emergency_moves(&bench, &mut routine).await;
    }
}
