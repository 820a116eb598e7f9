//! A citizen as tests need one: HTTP, websocket and event stream over real sockets.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something, at most [`PATIENCE`].
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {} {}", self.head, String::from_utf8_lossy(&self.body))
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One request on its own connection; `headers` are whole lines.
pub async fn ask(to: &str, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).await.expect("the gateway listens");
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: loa\r\nconnection: close\r\ncontent-length: {}\r\n\
         {lines}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("open");
    // A refusal may come before the body was taken.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = within("an answer", stream.read_to_end(&mut answer)).await;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer's head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("ASCII");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    let body = answer[end + 4..].to_vec();
    Answer { status, head, body }
}

/// A JSON request.
pub async fn ask_json(to: &str, method: &str, path: &str, auth: &str, body: &Value) -> Answer {
    let mut headers = vec!["content-type: application/json"];
    if !auth.is_empty() {
        headers.push(auth);
    }
    ask(to, method, path, &headers, body.to_string().as_bytes()).await
}

/// A registered device.
#[derive(Clone, Debug)]
pub struct Citizen {
    pub to: String,
    pub id: String,
    pub secret: String,
}

impl Citizen {
    pub async fn register(to: &str, body: Value) -> Self {
        let answer = ask_json(to, "POST", "/v1/devices", "", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let device = answer.json();
        let text = |key: &str| device[key].as_str().expect("text").to_owned();
        Self { to: to.to_owned(), id: text("id"), secret: text("secret") }
    }

    /// The whole header line.
    pub fn auth(&self) -> String {
        format!("authorization: Loa-Device {}:{}", self.id, self.secret)
    }

    pub fn hello(&self, position: Option<&str>) -> Value {
        let mut hello =
            serde_json::json!({"type": "hello", "device": self.id, "secret": self.secret});
        if let Some(position) = position {
            hello["position"] = position.into();
        }
        hello
    }

    /// A websocket that has said hello.
    pub async fn stream(&self, position: Option<&str>) -> Socket {
        let mut socket = Socket::open(&self.to).await;
        socket.say(&self.hello(position)).await;
        socket
    }
}

/// A connection, bare or under TLS.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// A websocket.
pub struct Socket {
    inner: WebSocketStream<Box<dyn Pipe>>,
    /// The last position that was given.
    pub position: Option<String>,
}

impl Socket {
    pub async fn open(to: &str) -> Self {
        let stream = TcpStream::connect(to).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("open");
        Self::over(stream).await
    }

    /// Over an open connection.
    pub async fn over(stream: impl Pipe + 'static) -> Self {
        let stream: Box<dyn Pipe> = Box::new(stream);
        let (inner, _) = client_async("ws://loa/v1/stream", stream).await.expect("upgraded");
        Self { inner, position: None }
    }

    pub async fn say(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.inner.send(message).await.expect("open");
    }

    /// Makes a message ready without sending it.
    pub async fn feed(&mut self, message: &Value) {
        self.inner.feed(Message::text(message.to_string())).await.expect("open");
    }

    /// Sends what is ready.
    pub async fn flush(&mut self) {
        self.inner.flush().await.expect("open");
    }

    /// The next event; pings are left out.
    pub async fn next(&mut self) -> Value {
        loop {
            match within("an event", self.inner.next()).await {
                Some(Ok(Message::Text(text))) => {
                    let event: Value = serde_json::from_str(&text).expect("JSON");
                    if let Some(position) = event["position"].as_str() {
                        self.position = Some(position.to_owned());
                    }
                    if event["type"] != "ping" {
                        return event;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("an event was expected, not {other:?}"),
            }
        }
    }

    /// The next event of a type; others are refused.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let event = self.next().await;
        assert_eq!(event["type"], kind, "{event}");
        event
    }

    /// The ids of the publications up to the event `live`.
    pub async fn until_live(&mut self) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let event = self.next().await;
            match event["type"].as_str() {
                Some("publication") => ids.push(id_of(&event)),
                Some("live") => return ids,
                _ => panic!("{event}"),
            }
        }
    }

    /// The id of the next event, which is a publication.
    pub async fn publication(&mut self) -> String {
        let event = self.expect("publication").await;
        id_of(&event)
    }

    /// The close code and reason; events before it are passed over.
    pub async fn closed(mut self) -> (u16, Value) {
        loop {
            match within("a close", self.inner.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    let reason = serde_json::from_str(&frame.reason).expect("JSON");
                    return (frame.code.into(), reason);
                }
                Some(Ok(_)) => {}
                other => panic!("a close was expected, not {other:?}"),
            }
        }
    }
}

/// The publication's id in an event.
pub fn id_of(event: &Value) -> String {
    event["publication"]["id"].as_str().expect("an id").to_owned()
}

/// An event stream.
pub struct Events {
    lines: BufReader<Box<dyn Pipe>>,
    /// The last `id:`.
    pub last_id: Option<String>,
}

impl Events {
    pub async fn open(to: &str, path: &str, headers: &[&str]) -> Self {
        let stream = TcpStream::connect(to).await.expect("the gateway listens");
        Self::over(stream, path, headers).await
    }

    /// Over an open connection.
    pub async fn over(stream: impl Pipe + 'static, path: &str, headers: &[&str]) -> Self {
        let mut stream: Box<dyn Pipe> = Box::new(stream);
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("GET {path} HTTP/1.1\r\nhost: loa\r\n{lines}\r\n");
        stream.write_all(head.as_bytes()).await.expect("open");
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        within("a status", lines.read_line(&mut line)).await.expect("open");
        assert!(line.contains(" 200 "), "{line}");
        Self { lines, last_id: None }
    }

    /// The next event's name and data; pings are left out.
    pub async fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            within("a line", self.lines.read_line(&mut line)).await.expect("open");
            assert!(!line.is_empty(), "the stream ended");
            // Chunk sizes and the head are lines of no field and are passed over.
            if let Some(id) = line.strip_prefix("id: ") {
                self.last_id = Some(id.trim().to_owned());
            } else if let Some(event) = line.strip_prefix("event: ") {
                name = event.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ")
                && name != "ping"
            {
                return (name, serde_json::from_str(data.trim()).expect("JSON"));
            }
        }
    }

    /// The ids of the publications up to the event `live`.
    pub async fn until_live(&mut self) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let (name, event) = self.next().await;
            match name.as_str() {
                "publication" => ids.push(id_of(&event)),
                "live" => return ids,
                "hello" => {}
                _ => panic!("{name}: {event}"),
            }
        }
    }
}
