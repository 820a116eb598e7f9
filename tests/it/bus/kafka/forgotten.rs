//! Clients that forget their brokers: what happens to librdkafka's when a broker says, in the
//! moment of an election, that there are none (its issue 5301).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use loa::bus::{Bus, Consumer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::{TOPIC, open};
use crate::bus::{PATIENCE, number, placed, record, records, tail};
use crate::support::kafka::{Ends, Kafka};
use crate::support::metrics;
use crate::support::port::free_port;
use crate::support::wire::lasts;

/// Kinds of clients that a log holds for long.
const KINDS: [&str; 3] = ["reader", "member", "producer"];
/// Kafka's key of a metadata request, and the oldest version whose answer is flexible (KIP-482).
const METADATA: u16 = 3;
const FLEXIBLE: u16 = 9;
/// What lies in other partitions than the one that is looked at.
const OTHER: u32 = 1_000_000;
/// Topics in an answer without brokers. So many keep the client's main thread busy for longer than
/// its brokers' threads need to end, which is what makes it forget for good.
const TOPICS: u32 = 50_000;

/// A way to a broker. While it forgets, who asks for the cluster's metadata is told that there is
/// no broker.
struct Gate {
    ends: Ends,
    how: watch::Sender<How>,
    keeper: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct How {
    forgets: bool,
    /// How often all connections were cut.
    cuts: u64,
}

impl Gate {
    async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let (own, [to, between, votes]) =
            (listener.local_addr().expect("bound").port(), [(); 3].map(|()| free_port()));
        let ends = Ends { clients: (own, to), brokers: (between, between), votes: (votes, votes) };
        let (how, seen) = watch::channel(How::default());
        Self { ends, how, keeper: tokio::spawn(keep(listener, to, seen)) }
    }

    fn forget(&self) {
        self.how.send_modify(|how| how.forgets = true);
    }

    fn remember(&self) {
        self.how.send_modify(|how| how.forgets = false);
    }

    /// Cuts every connection; new ones are taken.
    fn cut(&self) {
        self.how.send_modify(|how| how.cuts += 1);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(listener: TcpListener, to: u16, how: watch::Receiver<How>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut cut = how.clone();
        let (how, cuts) = (how.clone(), how.borrow().cuts);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let to_client = Mutex::new(to_client);
            tokio::select! {
                () = requests(from_client, to_server, (&how, &to_client)) => {}
                () = answers(from_server, &to_client) => {}
                _ = cut.wait_for(|how| how.cuts != cuts) => {}
            }
        });
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (how, back): (&watch::Receiver<How>, &Mutex<OwnedWriteHalf>),
) {
    while let Some(frame) = frame(&mut from).await {
        let two = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let (key, version) = (two(4), two(6));
        let forgets = how.borrow().forgets;
        let sent = if forgets && key == METADATA {
            let answer = no_brokers(version, &frame[8..12]);
            back.lock().await.write_all(&answer).await
        } else {
            to.write_all(&frame).await
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, to: &Mutex<OwnedWriteHalf>) {
    while let Some(frame) = frame(&mut from).await {
        if to.lock().await.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// One request or answer with its length before it.
async fn frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = from.read_u32().await.ok()?.to_be_bytes().to_vec();
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    frame.resize(4 + length as usize, 0);
    from.read_exact(&mut frame[4..]).await.ok()?;
    Some(frame)
}

/// Kafka's `MetadataResponse`, as a broker gives it that knows topics and no brokers.
fn no_brokers(version: u16, correlation: &[u8]) -> Vec<u8> {
    assert!((FLEXIBLE..=13).contains(&version), "metadata version {version}");
    let mut body = correlation.to_vec();
    // Tags of the header; throttle time; brokers; the cluster's name; its controller.
    body.push(0);
    body.extend(0_u32.to_be_bytes());
    body.extend([1, 0]);
    body.extend((-1_i32).to_be_bytes());
    varint(&mut body, TOPICS + 1);
    for number in 0..TOPICS {
        let name = format!("nowhere-{number}");
        // LEADER_NOT_AVAILABLE; an id from version 10 on; not internal; no partitions.
        body.extend(5_u16.to_be_bytes());
        varint(&mut body, name.len() as u32 + 1);
        body.extend(name.as_bytes());
        if version >= 10 {
            body.extend(u128::from(number + 1).to_be_bytes());
        }
        body.extend([0, 1]);
        body.extend(i32::MIN.to_be_bytes());
        body.push(0);
    }
    if version <= 10 {
        body.extend(i32::MIN.to_be_bytes());
    }
    if version >= 13 {
        body.extend([0, 0]);
    }
    body.push(0);
    let mut answer = (body.len() as u32).to_be_bytes().to_vec();
    answer.extend(body);
    answer
}

/// Kafka's unsigned varint.
fn varint(to: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn replaced(kind: &str) -> u64 {
    metrics::value(&format!("loa_bus_clients_replaced_total{{kind=\"{kind}\"}}"))
}

/// Lets every kind of client forget its brokers; librdkafka may remember them by chance, so as
/// often as it takes. One broker's connections are cut, so that all ask the other one.
async fn make_all_forget(gates: &[Gate], bus: &Bus) -> Vec<JoinHandle<()>> {
    let before = KINDS.map(replaced);
    let mut published = Vec::new();
    for round in 0.. {
        assert!(round < 20, "{:?} were replaced", KINDS.map(replaced));
        gates.iter().for_each(Gate::forget);
        gates[round % gates.len()].cut();
        let bus = bus.clone();
        let record = record("a", (10 + round).to_string());
        published.push(tokio::spawn(async move {
            bus.publish(TOPIC, vec![record]).await.expect("published");
        }));
        // Two statistics without a broker, two seconds between them, and room.
        lasts(Duration::from_secs(5)).await;
        gates.iter().for_each(Gate::remember);
        lasts(Duration::from_secs(2)).await;
        if KINDS.map(replaced).iter().zip(before).all(|(now, before)| *now > before) {
            break;
        }
    }
    published
}

/// What a member gets until it has all of these.
async fn consume(consumer: &mut Consumer, mut due: BTreeSet<u32>) -> Vec<u32> {
    let mut all = Vec::new();
    while !due.is_empty() {
        let batch = tokio::time::timeout(3 * PATIENCE, consumer.next_batch(100)).await;
        for delivery in batch.expect("in time").expect("read") {
            due.remove(&number(&delivery));
            all.push(number(&delivery));
            consumer.commit(delivery.position.next()).await.expect("committed, or not ours");
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_forget_their_brokers_are_replaced_and_go_on_where_they_were() {
    metrics::install();
    let gates = [Gate::new().await, Gate::new().await];
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let ends = gates.each_ref().map(|gate| gate.ends).to_vec();
    let kafka = Kafka::behind(dir.path().to_owned(), ends).await;
    let cluster = kafka.topics().await;
    let bus = open(&cluster).await;
    // Every other partition is written and read too, so that each client knows both brokers.
    let keys = (0..200).map(|key| record(&key.to_string(), OTHER.to_string())).collect();
    bus.publish(TOPIC, keys).await.expect("published");
    let first = placed(&bus, TOPIC, records("a", 0..10)).await[0];
    let mut reader = bus.reader(TOPIC, first.partition, first.offset).await.expect("in range");
    let mut others = Vec::new();
    for other in (0..bus.partitions(TOPIC)).filter(|other| *other != first.partition) {
        others.push(bus.reader(TOPIC, other, 0).await.expect("in range"));
    }
    let mut consumer = bus.consumer("route", &[TOPIC]).await.expect("joined");
    let numbers: Vec<u32> = tail(&mut reader, 10).await.iter().map(number).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    consume(&mut consumer, (0..10).collect()).await;

    let published = make_all_forget(&gates, &bus).await;
    let count = 10 + published.len() as u32;
    for publish in published {
        let done = tokio::time::timeout(PATIENCE, publish).await;
        done.expect("in time").expect("published");
    }
    let end = bus.bounds(TOPIC, first.partition).await.expect("answered").end;
    let missed: Vec<u32> = consume(&mut consumer, (10..count).collect()).await;
    assert!(missed.iter().all(|one| *one >= 10), "committed, and again: {missed:?}");
    // A record whose answer was lost may lie there twice; the reader tells what lies there.
    let mut read = Vec::new();
    while reader.offset() < end {
        let batch = tokio::time::timeout(PATIENCE, reader.next_batch(100)).await;
        read.extend(batch.expect("in time").expect("read").iter().map(number));
    }
    assert_eq!(read.len() as u64, end - first.offset - 10, "each place once: {read:?}");
    let different: BTreeSet<u32> = read.into_iter().collect();
    assert_eq!(different, (10..count).collect(), "all of them");
    bus.close().await.expect("closed");
}
