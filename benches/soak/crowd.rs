//! Those who hold a stream: most a websocket, for as long as the run lasts; many open one, or an
//! event stream, close it after a while and come back where they were. Everyone counts what they
//! got.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use loa::domain::ids::PublicationId;
use loa::simulator::citizens::Population;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::tally::{Arrival, Tally, Totals, Window};

/// How long somebody who comes and goes holds a stream, and stays away, in milliseconds.
const HELD_MS: std::ops::Range<u64> = 2_000..15_000;
const AWAY_MS: std::ops::Range<u64> = 100..2_000;
/// One in so many of those that stay loses its connection when connections are cut.
const CUT_SHARE: u32 = 5;
/// One in so many reports what it has shown.
const REPORTING: u32 = 4;

/// Everyone with a stream. Clones share it.
#[derive(Clone)]
pub struct Crowd(Arc<Inner>);

struct Inner {
    node: SocketAddr,
    people: Population,
    tally: Mutex<Tally>,
    /// Raised whenever connections are cut, and when all is over.
    cuts: watch::Sender<Cut>,
    opened: AtomicU64,
    /// Streams that failed without anybody having cut them, with the first reason.
    failed: AtomicU64,
    reason: Mutex<Option<String>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Never,
    Number(u32),
    Over,
}

/// How somebody holds a stream.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// A websocket, as long as it lasts.
    Stays,
    /// A websocket, for a while.
    Comes,
    /// An event stream, for a while.
    Listens,
}

impl Way {
    fn of(device: u32) -> Self {
        match device % 8 {
            0..4 => Self::Stays,
            4..6 => Self::Comes,
            _ => Self::Listens,
        }
    }
}

/// One person's stream, and where it goes on.
struct Holder {
    device: u32,
    way: Way,
    position: Option<String>,
    /// What was missed has been sent.
    is_live: bool,
    until: Instant,
    cuts: watch::Receiver<Cut>,
}

impl Crowd {
    /// Opens a stream for each of these devices.
    pub fn start(node: SocketAddr, people: Population, (devices, stable): (Vec<u32>, u32)) -> Self {
        let inner = Inner {
            node,
            people,
            tally: Mutex::new(Tally::new(stable)),
            cuts: watch::Sender::new(Cut::Never),
            opened: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            reason: Mutex::default(),
        };
        let crowd = Self(Arc::new(inner));
        for device in devices {
            tokio::spawn(crowd.clone().keep(device));
        }
        crowd
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many streams were opened so far.
    pub fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// How many streams failed without anybody having cut them, and why the first did.
    pub fn failed(&self) -> (u64, Option<String>) {
        let reason = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.0.failed.load(Ordering::Relaxed), reason)
    }

    /// How many of them a publication reached.
    pub fn count(&self, publication: PublicationId) -> u64 {
        self.tally().count(publication)
    }

    /// What came since the last call.
    pub fn window(&self) -> Window {
        self.tally().window()
    }

    /// What came of everything.
    pub fn totals(&self) -> Totals {
        self.tally().totals()
    }

    /// Cuts the connections of some of those that stay.
    pub fn cut(&self) {
        self.0.cuts.send_modify(|cut| {
            *cut = match *cut {
                Cut::Never => Cut::Number(0),
                Cut::Number(number) => Cut::Number(number + 1),
                Cut::Over => Cut::Over,
            }
        });
    }

    /// Ends every stream.
    pub fn end(&self) {
        self.0.cuts.send_replace(Cut::Over);
    }

    async fn keep(self, device: u32) {
        let (way, cuts) = (Way::of(device), self.0.cuts.subscribe());
        let (position, until) = (None, Instant::now());
        let mut holder = Holder { device, way, position, is_live: false, until, cuts };
        while *holder.cuts.borrow_and_update() != Cut::Over {
            holder.is_live = false;
            let held = Duration::from_millis(rand::rng().random_range(HELD_MS));
            holder.until = Instant::now() + held;
            self.0.opened.fetch_add(1, Ordering::Relaxed);
            let done = match way {
                Way::Listens => self.listen(&mut holder).await,
                Way::Stays | Way::Comes => self.hold(&mut holder).await,
            };
            if let Err(error) = done {
                self.0.failed.fetch_add(1, Ordering::Relaxed);
                let mut reason = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner);
                reason.get_or_insert_with(|| format!("device {device}: {error:#}"));
            }
            let away = Duration::from_millis(rand::rng().random_range(AWAY_MS));
            tokio::time::sleep(away).await;
        }
    }

    /// A websocket, until its time is over or it is cut.
    async fn hold(&self, holder: &mut Holder) -> Result<()> {
        let mut socket = self.open(holder).await?;
        loop {
            let message = tokio::select! {
                message = socket.next() => message.context("the node closed")??,
                closes = holder.ends() => {
                    if closes {
                        let _ = socket.close(None).await;
                    }
                    return Ok(());
                }
            };
            match message {
                Message::Text(text) => {
                    let event: Value = serde_json::from_str(&text)?;
                    if let Some(reply) = self.take(holder, event)? {
                        socket.send(Message::text(reply.to_string())).await?;
                    }
                }
                Message::Close(frame) => bail!("the node closed: {frame:?}"),
                _ => {}
            }
        }
    }

    async fn open(&self, holder: &Holder) -> Result<WebSocketStream<TcpStream>> {
        let node = self.0.node;
        let stream = TcpStream::connect(node).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(0);
        let url = format!("ws://{node}/v1/stream");
        let opened = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
        let (mut socket, _) = opened.await?;
        let people = &self.0.people;
        let (id, secret) = (people.id(holder.device), people.secret(holder.device));
        let mut hello = json!({"type": "hello", "device": id, "secret": secret.reveal()});
        if let Some(position) = &holder.position {
            hello["position"] = position.as_str().into();
        }
        socket.send(Message::text(hello.to_string())).await?;
        Ok(socket)
    }

    /// An event stream, until its time is over.
    async fn listen(&self, holder: &mut Holder) -> Result<()> {
        let mut stream = TcpStream::connect(self.0.node).await?;
        let people = &self.0.people;
        let (id, secret) = (people.id(holder.device), people.secret(holder.device));
        let mut head = format!(
            "GET /v1/events HTTP/1.1\r\nhost: loa\r\nauthorization: Loa-Device {id}:{}\r\n",
            secret.reveal()
        );
        if let Some(position) = &holder.position {
            head.push_str(&format!("last-event-id: {position}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        let (mut lines, mut name) = (BufReader::new(stream).lines(), String::new());
        let status = lines.next_line().await?.context("no answer")?;
        ensure!(status.contains(" 200 "), "{status}");
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line?.context("the stream ended")?,
                _ = holder.ends() => return Ok(()),
            };
            // Sizes of chunks and the head are lines of no field.
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                ensure!(name != "close", "the node closed: {data}");
                let mut event: Value = serde_json::from_str(data)?;
                event["type"] = name.as_str().into();
                self.take(holder, event)?;
            }
        }
    }

    /// Takes an event in; what is to be answered.
    fn take(&self, holder: &mut Holder, event: Value) -> Result<Option<Value>> {
        let has_returned = holder.position.is_some();
        if let Some(position) = event["position"].as_str() {
            holder.position = Some(position.to_owned());
        }
        match event["type"].as_str() {
            Some("hello") if has_returned => {
                ensure!(event["recovered"] == true, "what was missed is not known any more");
            }
            Some("live") => holder.is_live = true,
            Some("ping") => return Ok(Some(json!({"type": "pong"}))),
            Some("problem") => bail!("{event}"),
            Some("publication") => {
                let id = event["publication"]["id"].as_str().context("an id")?;
                self.tally().note(Arrival {
                    publication: id.parse()?,
                    device: holder.device,
                    at: Timestamp::now(),
                    is_timed: holder.is_live && holder.way == Way::Stays,
                    is_doubtful: false,
                });
                if holder.way == Way::Stays && holder.device.is_multiple_of(REPORTING) {
                    let ack = json!({"type": "ack", "publication": id, "stage": "shown"});
                    return Ok(Some(ack));
                }
            }
            _ => {}
        }
        Ok(None)
    }
}

impl Holder {
    /// Waits for its time to be over, or for a cut that is meant for it: whether it says goodbye.
    async fn ends(&mut self) -> bool {
        loop {
            let (way, until) = (self.way, self.until);
            let over = async move {
                if way == Way::Stays {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep_until(until).await;
            };
            tokio::select! {
                () = over => return self.device.is_multiple_of(2),
                changed = self.cuts.changed() => match *self.cuts.borrow_and_update() {
                    _ if changed.is_err() => return true,
                    Cut::Over => return true,
                    Cut::Number(number) if self.device % CUT_SHARE == number % CUT_SHARE => {
                        return false;
                    }
                    Cut::Number(_) | Cut::Never => {}
                },
            }
        }
    }
}
