//! Clients that come back: each keeps its position, and after a cut opens its stream anew from
//! there, at once or when the server asked it to. One thread of non-blocking sockets, so that as
//! many are on their way as a listener may see.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use loa::simulator::citizens::Population;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use serde::Deserialize;

use crate::client::{REQUEST, people};
use crate::tongue::hello;

/// Sockets on their way at once where nobody asked them to wait: fewer than a listener's backlog.
const AT_ONCE: usize = 512;
/// How long an alert that comes twice is waited for, after the last socket is back.
const TWICE: Duration = Duration::from_millis(700);
/// How soon it is looked again whose time has come.
const SOON: Duration = Duration::from_millis(2);
const WAKER: Token = Token(usize::MAX);
/// The longest that a client waits before it tries again.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What a server says in a frame, as much of it as matters here.
#[derive(Deserialize)]
struct Told<'a> {
    r#type: &'a str,
    recovered: Option<bool>,
    #[serde(borrow)]
    position: Option<&'a str>,
    reconnect_after_ms: Option<u64>,
    #[serde(borrow)]
    publication: Option<Publication<'a>>,
}

#[derive(Deserialize)]
struct Publication<'a> {
    id: &'a str,
}

/// A close frame's reason.
#[derive(Deserialize)]
struct Goodbye {
    after_ms: Option<u64>,
}

enum Phase {
    /// Not before then.
    Away(Instant),
    Connecting,
    /// Asked for the upgrade.
    Upgrading,
    /// Said hello.
    Greeting,
    Live,
}

struct Client {
    phase: Phase,
    stream: Option<TcpStream>,
    read: Vec<u8>,
    position: Option<String>,
    /// What the server asked to wait, and how often that was not enough.
    wait: Duration,
    tries: u32,
    recovered: bool,
    /// Publications since it came back.
    got: Vec<String>,
    back_at: Option<Instant>,
}

struct Crowd {
    address: SocketAddr,
    people: Population,
    clients: Vec<Client>,
    poll: Poll,
    scratch: Vec<u8>,
    /// Whether they come when the server asked them to, or when they are called.
    polite: bool,
    on_their_way: usize,
    live: usize,
    alerted: usize,
    refused: u64,
    left_at: Instant,
}

/// Opens so many sockets, says `ready SECONDS`, and goes by what it is told: `polite`, `called`,
/// `come` and `back ID`.
pub fn hold(address: &str, sockets: usize) -> Result<()> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKER)?;
    let (say, words) = mpsc::channel();
    std::thread::spawn(move || -> Result<()> {
        for line in std::io::stdin().lock().lines() {
            say.send(line?)?;
            waker.wake()?;
        }
        Ok(())
    });
    let began = Instant::now();
    let client = || Client {
        phase: Phase::Away(began),
        stream: None,
        read: Vec::new(),
        position: None,
        wait: Duration::ZERO,
        tries: 0,
        recovered: false,
        got: Vec::new(),
        back_at: None,
    };
    let mut crowd = Crowd {
        address: address.parse()?,
        people: people(sockets)?,
        clients: (0..sockets).map(|_| client()).collect(),
        poll,
        scratch: vec![0; 64 << 10],
        polite: false,
        on_their_way: 0,
        live: 0,
        alerted: 0,
        refused: 0,
        left_at: began,
    };
    crowd.until_all_live()?;
    println!("ready {}", began.elapsed().as_secs_f64());
    crowd.go_by(&words)
}

impl Crowd {
    fn go_by(&mut self, words: &Receiver<String>) -> Result<()> {
        let all = self.clients.len();
        loop {
            if self.polite && self.live < all {
                self.set_out()?;
                self.turn(SOON)?;
            } else {
                self.turn(Duration::from_secs(1))?;
            }
            if self.alerted == all {
                self.alerted = 0;
                println!("got all");
            }
            if self.live == 0 && !self.polite {
                self.live = usize::MAX; // said once
                println!("away {}", self.refused);
            }
            let Ok(line) = words.try_recv() else { continue };
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("polite", _) => self.polite = true,
                ("called", _) => self.polite = false,
                ("come", _) => {
                    (self.live, self.left_at) = (0, Instant::now());
                    self.until_all_live()?;
                }
                ("back", missed) => {
                    self.until_all_live()?;
                    self.report(missed)?;
                }
                (other, _) => bail!("`{other}` is nothing to do"),
            }
        }
    }

    /// `back FIRST MIDDLE LAST RECOVERED ONCE REFUSED`: seconds since the cut, or since they were
    /// called, until the first, the middle and the last was live again; how many were told that
    /// nothing is missing, and got just the alert they missed; connections that were refused.
    fn report(&mut self, missed: &str) -> Result<()> {
        let until = Instant::now() + TWICE;
        while Instant::now() < until {
            self.turn(Duration::from_millis(50))?;
        }
        let since = |client: &Client| client.back_at.map(|at| (at - self.left_at).as_secs_f64());
        let mut back: Vec<f64> = self.clients.iter().filter_map(since).collect();
        back.sort_by(f64::total_cmp);
        let recovered = self.clients.iter().filter(|client| client.recovered).count();
        let once = self.clients.iter().filter(|client| client.got == [missed]).count();
        let (first, middle) = (back.first().context("one")?, back[back.len() / 2]);
        let (last, refused) = (back.last().context("one")?, self.refused);
        println!("back {first} {middle} {last} {recovered} {once} {refused}");
        (self.alerted, self.refused) = (0, 0);
        Ok(())
    }

    fn until_all_live(&mut self) -> Result<()> {
        while self.live < self.clients.len() {
            self.set_out()?;
            self.turn(SOON)?;
        }
        Ok(())
    }

    /// Those whose time has come set out, as many as may be on their way.
    fn set_out(&mut self) -> Result<()> {
        let now = Instant::now();
        for index in 0..self.clients.len() {
            if !self.polite && self.on_their_way >= AT_ONCE {
                break;
            }
            let client = &mut self.clients[index];
            let Phase::Away(until) = client.phase else { continue };
            if self.polite && until > now {
                continue;
            }
            let mut stream = TcpStream::connect(self.address)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), interest)?;
            client.stream = Some(stream);
            client.phase = Phase::Connecting;
            self.on_their_way += 1;
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let index = event.token().0;
            if matches!(self.clients[index].phase, Phase::Connecting) && event.is_writable() {
                self.connected(index)?;
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.readable(index)?;
            }
        }
        Ok(())
    }

    fn connected(&mut self, index: usize) -> Result<()> {
        let client = &mut self.clients[index];
        let Some(stream) = &mut client.stream else { return Ok(()) };
        if stream.take_error()?.is_some() {
            self.refused += 1;
            self.cut(index, None);
            return Ok(());
        }
        if stream.peer_addr().is_err() {
            return Ok(()); // not yet
        }
        stream.set_nodelay(true)?;
        client.phase = Phase::Upgrading;
        if stream.write(REQUEST).is_err() {
            self.cut(index, None);
        }
        Ok(())
    }

    fn readable(&mut self, index: usize) -> Result<()> {
        loop {
            let client = &mut self.clients[index];
            let Some(stream) = &mut client.stream else { return Ok(()) };
            match stream.read(&mut self.scratch) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Ok(0) | Err(_) => {
                    self.cut(index, None);
                    return Ok(());
                }
                Ok(count) => client.read.extend(&self.scratch[..count]),
            }
            self.take(index)?;
        }
    }

    /// Takes what was read apart.
    fn take(&mut self, index: usize) -> Result<()> {
        let client = &mut self.clients[index];
        if matches!(client.phase, Phase::Upgrading) {
            let Some(end) = client.read.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(());
            };
            let head: Vec<u8> = client.read.drain(..end + 4).collect();
            ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
            let frame = hello(&self.people, index, client.position.as_deref())?;
            client.phase = Phase::Greeting;
            if let Some(stream) = &mut client.stream {
                ensure!(
                    stream.write(&frame).unwrap_or(frame.len()) == frame.len(),
                    "a short write"
                );
            }
        }
        let mut read = std::mem::take(&mut self.clients[index].read);
        let mut rest = &read[..];
        while let Some((opcode, payload, after)) = frame(rest) {
            match opcode {
                0x1 => self.told(index, serde_json::from_slice(payload)?),
                0x8 => {
                    let goodbye: Option<Goodbye> =
                        payload.get(2..).and_then(|reason| serde_json::from_slice(reason).ok());
                    self.cut(index, goodbye.and_then(|goodbye| goodbye.after_ms));
                    return Ok(());
                }
                _ => {}
            }
            rest = after;
        }
        let left = read.len() - rest.len();
        read.drain(..left);
        self.clients[index].read = read;
        Ok(())
    }

    fn told(&mut self, index: usize, told: Told<'_>) {
        let client = &mut self.clients[index];
        if let Some(position) = told.position {
            client.position = Some(position.to_owned());
        }
        match told.r#type {
            "hello" => {
                client.recovered = told.recovered == Some(true);
                let ms = told.reconnect_after_ms.unwrap_or_default();
                client.wait = Duration::from_millis(ms);
            }
            "publication" => {
                self.alerted += usize::from(matches!(client.phase, Phase::Live));
                client.got.extend(told.publication.map(|one| one.id.to_owned()));
            }
            "live" => {
                (client.phase, client.tries) = (Phase::Live, 0);
                client.back_at = Some(Instant::now());
                self.live += 1;
                self.on_their_way -= 1;
            }
            _ => {}
        }
    }

    /// The connection is no more, or never came to be.
    fn cut(&mut self, index: usize, after_ms: Option<u64>) {
        let (all, now) = (self.clients.len(), Instant::now());
        let client = &mut self.clients[index];
        match client.phase {
            Phase::Live => {
                if self.live == all {
                    self.left_at = now;
                }
                self.live -= 1;
                client.got.clear();
            }
            _ => {
                self.on_their_way -= 1;
                client.tries += 1;
            }
        }
        let own = client.wait * 2_u32.saturating_pow(client.tries);
        let wait = after_ms.map_or(own, Duration::from_millis).min(WAIT_MAX);
        client.phase = Phase::Away(now + wait);
        client.stream = None;
        client.read.clear();
    }
}

/// The first whole frame: its opcode, its payload, and what comes after it.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, length) = match bytes {
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        [_, short @ 0..=125, ..] => (2, usize::from(*short)),
        _ => return None,
    };
    let payload = bytes.get(head..head + length)?;
    Some((bytes[0] & 0xf, payload, &bytes[head + length..]))
}
