//! Random histories against a simple model: whatever happens between its pages, an interrupted
//! and resumed scan sees every membership it should, exactly once.

use std::collections::BTreeMap;

use loa::domain::audience::{Audience, Coverage};
use loa::domain::channel::{Channel, PushAddress};
use loa::domain::ids::{DeviceId, Seq};
use loa::store::registry::{Range, Registry};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Home, apns, area, device, fcm, profile, scan_all, unit};

const DEVICES: u128 = 6;
const UNITS: [&str; 3] = ["1", "2", "3"];

#[derive(Clone, Debug)]
enum Step {
    /// Registers a device, or changes it if it is there.
    Put {
        device: u128,
        address: PushAddress,
        places: Vec<&'static str>,
    },
    Remove {
        device: u128,
    },
    Restart,
    /// The scan under way reads on; a finished one begins anew.
    Page {
        limit: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let address = prop_oneof![
        Just(PushAddress::Websocket),
        (0u8..2).prop_map(apns),
        prop::sample::select(vec!["a", "b"]).prop_map(fcm),
    ];
    let places = prop::sample::subsequence(UNITS.to_vec(), 0..=3).prop_shuffle();
    let put = (0..DEVICES, address, places).prop_map(|(device, address, places)| Step::Put {
        device,
        address,
        places,
    });
    let step = prop_oneof![
        6 => put,
        2 => (0..DEVICES).prop_map(|device| Step::Remove { device }),
        1 => Just(Step::Restart),
        5 => (1usize..4).prop_map(|limit| Step::Page { limit }),
    ];
    prop::collection::vec(step, 1..60)
}

/// One membership as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    device: u128,
    unit: &'static str,
    channel: Channel,
    live: bool,
}

#[derive(Default)]
struct Model {
    memberships: BTreeMap<Seq, Made>,
}

impl Model {
    fn put(&mut self, device: u128, channel: Channel, places: &[&'static str]) {
        let stays = |made: &Made| made.channel == channel && places.contains(&made.unit);
        let mut kept = Vec::new();
        for made in self.memberships.values_mut().filter(|m| m.live && m.device == device) {
            made.live = stays(made);
            kept.extend(made.live.then_some(made.unit));
        }
        for unit in places.iter().copied().filter(|unit| !kept.contains(unit)) {
            let seq = Seq(self.memberships.len() as u64 + 1);
            self.memberships.insert(seq, Made { device, unit, channel, live: true });
        }
    }

    fn newest(&self) -> Seq {
        Seq(self.memberships.len() as u64)
    }
}

/// A scan of one range that goes on between other steps.
struct Scan {
    range: Range,
    seen: BTreeMap<Seq, bool>,
}

impl Scan {
    /// Ranges of every unit, channel and shard come round in turn.
    fn begin(round: usize, shards: u16, upto: Seq) -> Self {
        let shard = (round % usize::from(shards)) as u16;
        let round = round / usize::from(shards);
        let channels = Channel::ALL.len();
        let channel = Channel::ALL[round % channels];
        let code = UNITS[round / channels % UNITS.len()];
        let range = Range { unit: unit(code), channel, shard, after: Seq(0), upto };
        Self { range, seen: BTreeMap::new() }
    }

    /// Reads a page; whether that was the end.
    async fn page(&mut self, registry: &Registry, limit: usize, model: &Model) -> bool {
        let members = registry.scan(&self.range, limit).await.expect("a page");
        for member in &members {
            let made = &model.memberships[&member.seq];
            assert!(member.seq > self.range.after && member.seq <= self.range.upto);
            assert_eq!((member.place.unit.as_str(), member.channel), (made.unit, made.channel));
            assert_eq!(member.left_at.is_none(), made.live, "as it is when the page is read");
            assert!(self.seen.insert(member.seq, made.live).is_none(), "seen twice");
            self.range.after = member.seq;
        }
        members.is_empty()
    }

    /// Whoever was live for all of the scan was seen live.
    async fn check(&self, registry: &Registry, model: &Model) {
        for (seq, made) in model.memberships.range(..=self.range.upto) {
            let here = made.unit == self.range.unit.as_str() && made.channel == self.range.channel;
            let device = registry.get(&DeviceId(Uuid::from_u128(made.device))).await;
            let Some(stored) = device.expect("a look").filter(|_| here && made.live) else {
                continue;
            };
            let own = registry.memberships_of(stored.device.num).await.expect("memberships");
            if own.iter().any(|m| m.seq == *seq && m.shard == self.range.shard) {
                assert_eq!(self.seen.get(seq), Some(&true), "{seq:?} was there all the time");
            }
        }
    }
}

async fn play(home: Home, steps: Vec<Step>) {
    let mut registry = home.open().await;
    let mut model = Model::default();
    let mut round = 0;
    let mut scan = Scan::begin(round, registry.shards(), Seq(0));
    for step in steps {
        match step {
            Step::Put { device: number, address, places } => {
                model.put(number, address.channel(), &places);
                let new = device(number, profile(address, &places));
                registry.register(new).await.expect("registered");
            }
            Step::Remove { device } => {
                model.put(device, Channel::Websocket, &[]);
                registry.remove(&DeviceId(Uuid::from_u128(device))).await.expect("an answer");
            }
            Step::Restart => {
                drop(registry);
                registry = home.open().await;
            }
            Step::Page { limit } => {
                if scan.page(&registry, limit, &model).await {
                    scan.check(&registry, &model).await;
                    round += 1;
                    scan = Scan::begin(round, registry.shards(), model.newest());
                }
            }
        }
        assert_eq!(registry.last_seq().await.expect("the newest"), model.newest());
    }
    for (code, channel) in UNITS.iter().flat_map(|code| Channel::ALL.map(|c| (*code, c))) {
        let seen = scan_all(&registry, &unit(code), channel, model.newest(), 2).await;
        let made = model.memberships.iter();
        let expected = made.filter(|(_, made)| made.unit == code && made.channel == channel);
        let expected: Vec<_> = expected.map(|(seq, made)| (*seq, made.live)).collect();
        let found: Vec<_> = seen.iter().map(|(seq, m)| (*seq, m.left_at.is_none())).collect();
        assert_eq!(found, expected, "{code} {channel}");
        let live = expected.iter().filter(|(_, live)| *live).count() as u64;
        let whole = Audience::Area(area(&[(code, Coverage::Whole)]));
        let counted = registry.estimate(&whole).await.expect("an estimate");
        assert_eq!(counted.channels.get(&channel).copied().unwrap_or(0), live, "{code} {channel}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn every_membership_is_seen_once_by_interrupted_scans(steps in steps()) {
        runtime().block_on(play(Home::embedded(), steps));
    }

    #[test]
    fn every_membership_is_seen_once_by_interrupted_scans_on_redis(steps in steps()) {
        runtime().block_on(play(Home::redis(), steps));
    }
}
