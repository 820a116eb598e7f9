//! A record forged straight onto the log reaches no one: it goes to the dead letters with its
//! reason and into the audit, and the genuine ones around it reach everybody.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use loa::auth::ring::{Keyring, Purpose, Ring};
use loa::auth::submission::{KEY_ID, SIGNATURE};
use loa::bus::Record;
use loa::domain::agency::{Jurisdiction, Kind};
use loa::domain::alert::Severity;
use loa::domain::audit::{Actor, Entry, Verdict};
use loa::domain::funnel::Funnel;
use loa::domain::ids::{ChainId, PublicationId};
use loa::domain::lane::Lane;
use loa::domain::publication::{Content, Publication};
use loa::simulator::citizens::{Mix, Population};
use loa::simulator::faults::{Rule, Service, Then, When};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::support::citizen::Citizen;
use crate::support::node::{AlertXml, CENTRE, agency};
use crate::support::people::{audience, everywhere};
use crate::support::shape::{Shape, in_every_shape};

const DEVICES: u32 = 60;
/// So many that a broadcast takes a few batches of each dispatch.
const CROWD: u32 = 3_000;

in_every_shape!(
    a_forged_record_reaches_no_one,
    a_forged_withdrawal_stops_no_broadcast,
    a_narrowed_jurisdiction_stops_what_is_on_the_log,
    keys_are_rotated_and_revoked_while_nodes_run,
    unsigned_records_are_taken_until_the_cut_off_alone,
);

/// Another publication with the words of a known one.
fn like(known: &Publication) -> Publication {
    let id = PublicationId(Uuid::now_v7());
    let mut other = Publication { id, chain: ChainId::from(id), ..known.clone() };
    if let Content::Alert(alert) = &mut other.content {
        alert.identifier = format!("forged-{id}");
    }
    other
}

fn unsealed(record: &Record) -> Record {
    let mut bare = record.clone();
    bare.headers.retain(|(name, _)| name != KEY_ID && name != SIGNATURE);
    bare
}

fn with_header(record: &Record, name: &str, value: &str) -> Record {
    let mut changed = record.clone();
    for (given, old) in &mut changed.headers {
        if given == name {
            *old = value.to_owned();
        }
    }
    changed
}

async fn peopled(shape: &Shape) -> TestNode {
    let test = TestNode::shaped(shape, |_| {}).await;
    test.populate(DEVICES, Mix::default()).await;
    test
}

/// An alert to everybody, once every phone of the population has it.
async fn published(test: &TestNode, identifier: &str) -> Publication {
    let area = everywhere(&test.node.parts.city);
    let id = test.publish(AlertXml::hot(identifier, &area).render()).await;
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    let population = Population::new(&test.node.parts.city, DEVICES, (1, Mix::default()));
    let phones = audience(&stored.publication, &population).len() as u64;
    test.funnel_where(id, |now| now.total.accepted >= phones && now.open_dispatches == 0).await;
    (*stored.publication).clone()
}

/// As ingest would store it.
async fn stored(test: &TestNode, publication: &Publication) {
    let alerts = &test.node.parts.alerts;
    assert!(alerts.restore(publication, "0/0".to_owned()).await.expect("a store"));
}

/// Every way to forge, each with the word it is refused with.
fn forgeries(
    test: &TestNode,
    known: &Publication,
    genuine: Record,
) -> Vec<(&'static str, Lane, Record)> {
    let ours = &test.node.parts.keys;
    let strangers = Keyring::new(Ring::fresh());
    let text = String::from_utf8(genuine.payload.to_vec()).expect("JSON");
    let mut altered = genuine.clone();
    altered.payload = Bytes::from(text.replacen("Ngập sâu", "Chạy đi", 1));
    assert_ne!(altered.payload, genuine.payload);
    let fresh = like(known);
    let of_stranger = sealed(&fresh, &strangers);
    let ring = ours.now();
    let kid = ring.signer(Purpose::Records, Timestamp::now()).expect("a key").kid().to_owned();
    // The genuine seal around another publication, and around another id.
    let mut borrowed: Record = event::publication::encode(&fresh).into();
    let seal = genuine.headers.iter().filter(|(name, _)| name == KEY_ID || name == SIGNATURE);
    borrowed.headers.extend(seal.cloned());
    let id = fresh.id.to_string();
    let mut twice = sealed(&like(known), ours);
    let own = twice.headers.last().expect("a seal").clone();
    twice.headers.push(own);
    let emergency = Lane::Emergency;
    let unknown = Publication { agency: "nobody".parse().expect("an id"), ..like(known) };
    vec![
        ("record_unsigned", emergency, unsealed(&genuine)),
        ("record_unsigned", emergency, event::publication::encode(&like(known)).into()),
        ("record_unsigned", emergency, twice),
        ("record_key_unknown", emergency, of_stranger.clone()),
        ("record_altered", emergency, with_header(&of_stranger, KEY_ID, &kid)),
        ("record_altered", emergency, altered),
        ("record_altered", emergency, borrowed),
        ("record_altered", emergency, with_header(&genuine, "ce_id", &id)),
        ("record_altered", emergency, Record { key: id, ..genuine.clone() }),
        ("record_altered", emergency, with_header(&genuine, SIGNATURE, "no base64!")),
        ("record_wrong_lane", Lane::Routine, genuine),
        ("agency_unknown", emergency, sealed(&unknown, ours)),
    ]
}

async fn a_forged_record_reaches_no_one(shape: Shape) {
    let test = peopled(&shape).await;
    let to = test.node.address.to_string();
    let places = json!({"places": [{"unit": test.node.parts.city.units()[0].code}]});
    let citizen = Citizen::register(&to, places).await;
    let mut stream = citizen.stream(None).await;
    stream.expect("hello").await;
    stream.expect("live").await;
    let known = published(&test, "genuine").await;
    assert_eq!(stream.publication().await, known.id.to_string());
    let delivered = test.providers.record.total();
    let Delivery { key, headers, payload, .. } = on_the_log(&test, Lane::Emergency, known.id).await;
    let genuine = Record { key, headers, payload };
    let forgeries = forgeries(&test, &known, genuine.clone());
    let before = counted();
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    for (code, lane, record) in forgeries {
        *expected.entry(code).or_default() += 1;
        write(&test, lane, record).await;
    }
    let count = expected.values().sum();
    let letters = letters(&test, count).await;
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for letter in &letters {
        *found.entry(letter["code"].as_str().expect("a code")).or_default() += 1;
    }
    assert_eq!(found, expected, "{letters:?}");
    // Other tests' nodes count into the same series.
    for (code, count) in &expected {
        let new = counted()[code] - before[code];
        assert!(new >= *count as u64, "{code}: {new} of {count} counted");
    }
    // The whole genuine record once more is the same publication: nobody is told twice.
    write(&test, Lane::Emergency, genuine).await;
    let last = published(&test, "after").await;
    assert_eq!(stream.publication().await, last.id.to_string(), "nothing between on the stream");
    assert_eq!(test.providers.record.total(), 2 * delivered, "two alerts, and nothing else");
    assert_eq!(test.providers.record.repeats(), 0);
    assert_eq!(refusals(&test).await, expected, "each is in the audit");
    test.stop().await;
}

async fn a_forged_withdrawal_stops_no_broadcast(shape: Shape) {
    let test = TestNode::shaped(&shape, |config| config.fanout.batch = 1).await;
    let population = test.populate(CROWD, Mix::default()).await;
    for service in [Service::Apns, Service::Fcm] {
        let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(300)));
        test.providers.faults.set(service, vec![slow]);
    }
    let area = everywhere(&test.node.parts.city);
    let id = test.publish(AlertXml::hot("genuine", &area).render()).await;
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    let phones = audience(&stored.publication, &population).len() as u64;
    test.funnel_where(id, |now| now.total.accepted >= 10).await;
    let forged = || Publication { supersedes: vec![id], ..like(&stored.publication) };
    write(&test, Lane::Emergency, event::publication::encode(&forged()).into()).await;
    write(&test, Lane::Emergency, sealed(&forged(), &Keyring::new(Ring::fresh()))).await;
    letters(&test, 2).await;
    let now = test.funnel_where(id, |_| true).await;
    assert!(now.total.accepted < phones, "it was in flight when the forgeries were read");
    let over = |now: &Funnel| now.total.accepted >= phones && now.open_dispatches == 0;
    let end = test.funnel_where(id, over).await;
    assert_eq!(end.total.superseded, 0);
    test.stop().await;
}

/// The words for what is not believed.
const CODES: [&str; 6] = [
    "record_unsigned",
    "record_key_unknown",
    "record_altered",
    "record_wrong_lane",
    "agency_unknown",
    "outside_jurisdiction",
];

/// What the routers of this process have counted, by code.
fn counted() -> BTreeMap<&'static str, u64> {
    let value = |code| {
        let series = format!("loa_records_refused_total{{stage=\"route\",code=\"{code}\"}}");
        (code, crate::support::metrics::value(&series))
    };
    CODES.into_iter().map(value).collect()
}

/// What the audit holds of refused publications, by code.
async fn refusals(test: &TestNode) -> BTreeMap<&'static str, usize> {
    let links = test.node.parts.trail.audit().links(0).await.expect("the audit");
    let mut found = BTreeMap::new();
    for link in links {
        let entry: Entry = serde_json::from_str(&link.text).expect("an entry");
        let Verdict::Refused { code } = &entry.verdict else { continue };
        let Actor::Unknown { name } = &entry.actor else { continue };
        assert!(name.starts_with("a writer of loa.publications."), "{name}");
        let known = CODES.iter().find(|known| *known == code).expect("a code of ours");
        *found.entry(*known).or_default() += 1;
    }
    found
}

async fn a_narrowed_jurisdiction_stops_what_is_on_the_log(shape: Shape) {
    let test = peopled(&shape).await;
    let known = published(&test, "wide").await;
    let narrow = Jurisdiction {
        units: Some(["26740".parse().expect("a code")].into()),
        categories: None,
        highest_severity: Severity::Moderate,
        kinds: [Kind::Alert].into(),
    };
    agency(&test.node, "narrow", narrow).await.expect("an agency");
    let delivered = test.providers.record.total();
    // Signed by ingest itself, as if the jurisdiction had been wider when it was accepted.
    let outside = Publication { agency: "narrow".parse().expect("an id"), ..like(&known) };
    write(&test, Lane::Emergency, sealed(&outside, &test.node.parts.keys)).await;
    let letters = letters(&test, 1).await;
    assert_eq!(letters[0]["code"], "outside_jurisdiction");
    let detail = letters[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("units") && detail.contains("severity"), "{detail}");
    // Driven again while nothing was widened, it comes back.
    let (partition, offset) = (&letters[0]["partition"], &letters[0]["offset"]);
    let partition = partition.as_u64().unwrap_or(0);
    let path = format!("/v1/dead-letters/{partition}/{offset}/redrive");
    let answer = test.ask(Method::POST, &path, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    super::letters(&test, 2).await;
    assert_eq!(test.providers.record.total(), delivered);
    test.stop().await;
}

async fn keys_are_rotated_and_revoked_while_nodes_run(shape: Shape) {
    let test = peopled(&shape).await;
    let keys = &test.node.parts.keys;
    let kid_of = async |id| {
        let delivery = on_the_log(&test, Lane::Emergency, id).await;
        let kid = delivery.headers.iter().find(|(name, _)| name == KEY_ID);
        kid.expect("a key's name").1.clone()
    };
    let before = Ring::parse(&keys.now().write()).expect("a ring");
    let before = Keyring::new(before);
    let first = published(&test, "first").await;
    let old = kid_of(first.id).await;
    let mut config = crate::support::node::settings(&test.dir);
    shape.apply(&mut config);
    let place = loa::node::signing::Place::open(&config).await.expect("a place");
    // As a minute ago, so that the new key signs now.
    let then = Timestamp::now() - SignedDuration::from_secs(61);
    let kept = SignedDuration::from_hours(1);
    place.change(|ring| ring.rotated(Purpose::Records, then, kept)).await.expect("rotated");
    eventually(async || (keys.now().keys().len() == 3).then_some(())).await;
    let second = published(&test, "second").await;
    let new = kid_of(second.id).await;
    assert_ne!(new, old);
    // What the old key signed still goes through.
    let late = like(&first);
    stored(&test, &late).await;
    let record = sealed(&late, &before);
    assert!(record.headers.contains(&(KEY_ID.to_owned(), old.clone())));
    write(&test, Lane::Emergency, record).await;
    routed(&test, late.id).await;
    // Revoked as of some time ago: what it signs is not believed any more.
    let then = Timestamp::now() - SignedDuration::from_secs(16);
    place.change(|ring| ring.revoked(&old, then)).await.expect("revoked");
    let gone = || keys.now().verifier(Purpose::Records, &old, Timestamp::now()).is_none();
    eventually(async || gone().then_some(())).await;
    write(&test, Lane::Emergency, sealed(&like(&first), &before)).await;
    assert_eq!(letters(&test, 1).await[0]["code"], "record_key_unknown");
    published(&test, "third").await;
    test.stop().await;
}

/// Waits until a publication has dispatches.
async fn routed(test: &TestNode, id: PublicationId) {
    let rows = async || test.node.parts.ledger.of_publication(id).await.expect("a ledger");
    eventually(async || (!rows().await.is_empty()).then_some(())).await;
}

async fn unsigned_records_are_taken_until_the_cut_off_alone(shape: Shape) {
    for (until, believed) in [(Duration::from_secs(3600), true), (Duration::ZERO, false)] {
        let shape = match &shape.bus {
            loa::bus::Shape::Embedded => Shape::embedded(),
            loa::bus::Shape::Kafka(_) => Shape::cluster().await,
        };
        let test = TestNode::shaped(&shape, |config| {
            config.trust.unsigned_until = Some(Timestamp::now() + until);
        });
        let test = test.await;
        let id = test.publish(AlertXml::hot(&format!("known-{believed}"), CENTRE).render()).await;
        let known = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
        let old = like(&known.publication);
        stored(&test, &old).await;
        write(&test, Lane::Emergency, event::publication::encode(&old).into()).await;
        // Whatever the setting says, a wrong signature is wrong.
        let forged = sealed(&like(&known.publication), &Keyring::new(Ring::fresh()));
        write(&test, Lane::Emergency, forged).await;
        let found = letters(&test, if believed { 1 } else { 2 }).await;
        let unsigned = found.iter().any(|letter| letter["code"] == "record_unsigned");
        assert_eq!(unsigned, !believed, "{found:?}");
        if believed {
            routed(&test, old.id).await;
        }
        test.stop().await;
    }
}
