//! The protocol of one stream, apart from its socket: what a message means in which state, and
//! when to ping, wait or close. Pure: instants come in as arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::close::Close;
use crate::gateway::settings::Settings;
use crate::gateway::wire::FromClient;

/// What the passing of time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing before [`Session::deadline`].
    Wait,
    /// Send a ping.
    Ping,
    /// Close.
    Close(Close),
}

/// The state of one stream.
#[derive(Clone, Debug)]
pub struct Session {
    phase: Phase,
    ping_ms: u32,
    pong_ms: u32,
    messages_max: u32,
    messages: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is sent before the client has said hello.
    Unknown { hello_by: Instant },
    /// Let in; the next ping is due then.
    Open { ping_at: Instant },
    /// Pinged; an answer is due then.
    Pinged { pong_by: Instant },
}

impl Session {
    /// A socket was opened.
    pub fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            phase: Phase::Unknown { hello_by: now + Duration::from_millis(settings.hello_ms) },
            ping_ms: bounded(settings.ping_ms),
            pong_ms: bounded(settings.pong_ms),
            messages_max: settings.messages_per_ping,
            messages: 0,
        }
    }

    /// The hello was accepted.
    pub fn open(&mut self, now: Instant) {
        self.phase = Phase::Open { ping_at: now + ms(self.ping_ms) };
    }

    /// Whether the client has been let in.
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Unknown { .. })
    }

    /// Anything at all came from the client: it is alive.
    pub fn heard(&mut self, now: Instant) {
        if let Phase::Pinged { .. } = self.phase {
            self.phase = Phase::Open { ping_at: now + ms(self.ping_ms) };
            self.messages = 0;
        }
    }

    /// What a text message means here, or why it ends the stream.
    pub fn read(&mut self, text: &str) -> Result<FromClient, Close> {
        self.count()?;
        let refusal = if self.is_open() { Close::Protocol } else { Close::BadHello };
        let message = serde_json::from_str(text).map_err(|_| refusal)?;
        match (&message, self.is_open()) {
            (FromClient::Hello(_), false) => Ok(message),
            (FromClient::Hello(_), true) => Err(Close::Protocol),
            (_, true) => Ok(message),
            (_, false) => Err(Close::BadHello),
        }
    }

    /// Counts anything a client sends.
    pub fn count(&mut self) -> Result<(), Close> {
        self.messages += 1;
        if self.messages > self.messages_max { Err(Close::Flood) } else { Ok(()) }
    }

    /// When [`Session::tick`] is to be asked next.
    pub fn deadline(&self) -> Instant {
        match self.phase {
            Phase::Unknown { hello_by } => hello_by,
            Phase::Open { ping_at } => ping_at,
            Phase::Pinged { pong_by } => pong_by,
        }
    }

    /// What is due now.
    pub fn tick(&mut self, now: Instant) -> Tick {
        if now < self.deadline() {
            return Tick::Wait;
        }
        match self.phase {
            Phase::Unknown { .. } => Tick::Close(Close::HelloTimeout),
            Phase::Pinged { .. } => Tick::Close(Close::NoPong),
            Phase::Open { .. } => {
                self.phase = Phase::Pinged { pong_by: now + ms(self.pong_ms) };
                Tick::Ping
            }
        }
    }
}

/// Every stream has one: no more bytes than needed, and 49 days are enough.
fn bounded(ms: u64) -> u32 {
    ms.min(u64::from(u32::MAX)) as u32
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"{"type":"hello","device":"d","secret":"s"}"#;
    const PONG: &str = r#"{"type":"pong"}"#;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn nothing_is_understood_before_hello_and_hello_only_once() {
        let now = Instant::now();
        let mut session = Session::new(&Settings::default(), now);
        assert_eq!(session.read(PONG), Err(Close::BadHello));
        assert_eq!(session.read("garbage"), Err(Close::BadHello));
        assert!(matches!(session.read(HELLO), Ok(FromClient::Hello(_))));
        session.open(now);
        assert_eq!(session.read(HELLO), Err(Close::Protocol));
        assert_eq!(session.read("garbage"), Err(Close::Protocol));
        assert_eq!(session.read(PONG), Ok(FromClient::Pong {}));
    }

    #[test]
    fn who_does_not_say_hello_in_time_is_closed() {
        let now = Instant::now();
        let mut session = Session::new(&Settings::default(), now);
        assert_eq!(session.tick(after(now, 9_999)), Tick::Wait);
        assert_eq!(session.tick(after(now, 10_000)), Tick::Close(Close::HelloTimeout));
    }

    #[test]
    fn a_ping_goes_out_and_silence_closes_while_any_answer_keeps_open() {
        let now = Instant::now();
        let mut session = Session::new(&Settings::default(), now);
        session.open(now);
        assert_eq!(session.tick(after(now, 24_999)), Tick::Wait);
        assert_eq!(session.tick(after(now, 25_000)), Tick::Ping);
        session.heard(after(now, 26_000));
        assert_eq!(session.deadline(), after(now, 51_000));
        assert_eq!(session.tick(after(now, 51_000)), Tick::Ping);
        assert_eq!(session.tick(after(now, 58_999)), Tick::Wait);
        assert_eq!(session.tick(after(now, 59_000)), Tick::Close(Close::NoPong));
    }

    #[test]
    fn a_client_that_floods_is_closed_and_one_that_answers_pings_may_go_on() {
        let settings = Settings { messages_per_ping: 2, ..Settings::default() };
        let now = Instant::now();
        let mut session = Session::new(&settings, now);
        session.open(now);
        assert!(session.read(PONG).is_ok() && session.read(PONG).is_ok());
        assert_eq!(session.read(PONG), Err(Close::Flood));
        session.tick(after(now, 25_000));
        session.heard(after(now, 25_001));
        assert!(session.read(PONG).is_ok());
    }
}
