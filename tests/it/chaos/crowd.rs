//! Citizens who hold sockets: each goes to the other gateway when its own is gone, says where it
//! was, and remembers everything it was given, in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use loa::domain::channel::Channel;
use loa::domain::ids::PublicationId;
use loa::simulator::citizens::Population;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use super::stage::PATIENCE;
use crate::support::wire::lasts;

/// Pause after a cut without a word, times a share that differs by device.
const PAUSE: Duration = Duration::from_millis(200);

/// Everyone with a socket.
pub struct Crowd {
    /// Their numbers in the population.
    pub people: Vec<u32>,
    seen: Arc<Mutex<BTreeMap<u32, Person>>>,
    live: watch::Receiver<usize>,
    _sockets: JoinSet<()>,
}

/// What happened to one of them.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// What was given, in order, with the time.
    pub given: Vec<(PublicationId, Timestamp)>,
    /// Hellos that were answered with `recovered: false` although a position was named: what is
    /// live is given again then.
    pub reloads: usize,
    /// Hellos that were recovered.
    pub resumed: usize,
    /// Close codes with the wait that was asked for.
    pub closed: Vec<(u64, u64)>,
}

impl Crowd {
    /// Everyone goes to one of two gateways, as soon as those listen.
    pub fn new(population: &Population, gateways: [SocketAddr; 2]) -> Self {
        let citizens = population.citizens().filter(|one| one.channel == Channel::Websocket);
        let people: Vec<u32> = citizens.map(|citizen| citizen.index).collect();
        let seen: Arc<Mutex<BTreeMap<u32, Person>>> = Arc::default();
        let (count, live) = watch::channel(0);
        let mut sockets = JoinSet::new();
        for (place, &index) in people.iter().enumerate() {
            let socket = Socket {
                index,
                gateways,
                at: place % 2,
                hello: json!({
                    "type": "hello",
                    "device": population.id(index),
                    "secret": population.secret(index).reveal(),
                }),
                seen: Arc::clone(&seen),
                live: count.clone(),
            };
            sockets.spawn(socket.keep());
        }
        Self { people, seen, live, _sockets: sockets }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Person>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened to everyone so far.
    pub fn now(&self) -> BTreeMap<u32, Person> {
        self.lock().clone()
    }

    /// Forgets what was given.
    pub fn forget(&self) {
        self.lock().values_mut().for_each(|person| *person = Person::default());
    }

    /// Sockets that are live.
    pub fn live(&self) -> usize {
        *self.live.borrow()
    }

    /// Waits until everyone's socket is live.
    pub async fn everyone(&self) {
        let mut live = self.live.clone();
        let all = self.people.len();
        let everyone = tokio::time::timeout(PATIENCE, live.wait_for(|live| *live == all)).await;
        assert!(everyone.is_ok(), "{} of {all} sockets are live", self.live());
    }

    /// Waits until everyone of these was given a publication.
    pub async fn given(&self, people: &[u32], id: PublicationId) -> Result<(), Vec<u32>> {
        let began = Instant::now();
        loop {
            let missing: Vec<u32> = {
                let seen = self.lock();
                let has = |index: &u32| {
                    let person = seen.get(index);
                    person.is_some_and(|one| one.given.iter().any(|(given, _)| *given == id))
                };
                people.iter().copied().filter(|index| !has(index)).collect()
            };
            if missing.is_empty() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(missing);
            }
            lasts(super::stage::LOOK).await;
        }
    }
}

struct Socket {
    index: u32,
    gateways: [SocketAddr; 2],
    at: usize,
    hello: Value,
    seen: Arc<Mutex<BTreeMap<u32, Person>>>,
    live: watch::Sender<usize>,
}

impl Socket {
    async fn keep(mut self) {
        loop {
            let mut live = false;
            let wait = self.session(&mut live).await;
            if live {
                self.live.send_modify(|count| *count -= 1);
            }
            let share = 1.0 + f64::from(self.index % 16) / 8.0;
            lasts(wait.unwrap_or(PAUSE.mul_f64(share))).await;
            self.at = 1 - self.at;
        }
    }

    /// One connection to its end; the wait that the gateway asked for, if it said goodbye.
    async fn session(&mut self, live: &mut bool) -> Option<Duration> {
        let url = format!("ws://{}/v1/stream", self.gateways[self.at]);
        let (mut socket, _) = connect_async(url).await.ok()?;
        socket.send(Message::text(self.hello.to_string())).await.ok()?;
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Text(text) => {
                    let event: Value = serde_json::from_str(&text).expect("JSON");
                    let kind = event["type"].as_str().expect("a type").to_owned();
                    self.take(&event, live);
                    if kind == "ping" {
                        socket.send(Message::text(r#"{"type":"pong"}"#)).await.ok()?;
                    }
                }
                Message::Close(Some(frame)) => {
                    let reason: Value = serde_json::from_str(&frame.reason).ok()?;
                    let wait = reason["after_ms"].as_u64()?;
                    let number = u64::from(u16::from(frame.code));
                    self.note(|person| person.closed.push((number, wait)));
                    return Some(Duration::from_millis(wait));
                }
                _ => {}
            }
        }
        None
    }

    fn take(&mut self, event: &Value, live: &mut bool) {
        let resumes = self.hello.get("position").is_some();
        match event["type"].as_str() {
            Some("live") if !*live => {
                *live = true;
                self.live.send_modify(|count| *count += 1);
            }
            Some("hello") if resumes => match event["recovered"].as_bool() {
                Some(true) => self.note(|person| person.resumed += 1),
                _ => self.note(|person| person.reloads += 1),
            },
            Some("publication") => {
                let id = event["publication"]["id"].as_str().expect("an id");
                let id = id.parse().expect("a publication id");
                self.note(|person| person.given.push((id, Timestamp::now())));
            }
            _ => {}
        }
        if let Some(position) = event["position"].as_str() {
            self.hello["position"] = json!(position);
        }
    }

    fn note(&self, note: impl FnOnce(&mut Person)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        note(seen.entry(self.index).or_default());
    }
}
