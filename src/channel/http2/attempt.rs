//! One request on one connection: out, and its answer back in its time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::ResponseFuture;
use http::{HeaderMap, Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::body::{Body, Departure};
use super::connection::Link;
use super::error::{CONNECTION_LOST, Fate, TIMED_OUT, fate};

/// Longest answer read; providers' answers have a few hundred bytes.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// An answer is given at least this time from when its request left, where the deadline gave as
/// much (FACTS F6).
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, cut at 64 KiB.
    pub body: Bytes,
    /// Which connection of the pool brought it.
    pub(super) connection: u64,
}

/// A request that was handed to a connection.
pub struct Attempt {
    answer: ResponseFuture,
    departure: Arc<Departure>,
    /// See [`Body::is_whole`].
    whole: bool,
    connection: u64,
}

impl Attempt {
    /// Hands a request to a connection. Apart from the waiting, since what a future holds is moved
    /// with it several times on its way to whoever polls it.
    pub fn start(
        link: &Link,
        head: Request<()>,
        body: &Body,
        started: Instant,
    ) -> Result<Self, Fate> {
        let (noted, departure) = body.noted(started);
        // An error here means that no frame of it was made.
        let (answer, mut stream) =
            link.sender().send_request(head, false).map_err(|_| Fate::Closed)?;
        // Where this fails the stream has ended, and its answer tells why.
        let _ = stream.send_data(noted, true);
        Ok(Self { answer, departure, whole: body.is_whole(), connection: link.id })
    }

    /// Waits for the answer: to the deadline, or as long from the moment the request left as the
    /// deadline gave it from its start, at most [`ANSWER_PATIENCE`]. Cut short by its wait for a
    /// stream, ours or one in `h2`'s own line, it would be doubted and sent twice.
    pub async fn finish(self, (started, deadline): (Instant, Instant)) -> Result<Answer, Fate> {
        let Self { answer, departure, whole, connection } = self;
        let fate = {
            let mut reading = pin!(read(answer, connection));
            let mut until = deadline;
            loop {
                match timeout_at(until, reading.as_mut()).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(fate)) => break fate,
                    Err(_) => {}
                }
                let patience = (deadline - started).min(ANSWER_PATIENCE);
                match departure.at().map(|left| left + patience) {
                    Some(longer) if longer > until => until = longer,
                    Some(_) => break Fate::Lost(TIMED_OUT),
                    None => break Fate::Stayed,
                }
            }
        };
        // Looked at again now that the stream is given up: until then the body could leave.
        let stayed = departure.at().is_none();
        match fate {
            Fate::Lost(CONNECTION_LOST) if stayed => Err(Fate::Closed),
            Fate::Stayed if !stayed || !whole => Err(Fate::Lost(TIMED_OUT)),
            fate => Err(fate),
        }
    }
}

async fn read(answer: ResponseFuture, connection: u64) -> Result<Answer, Fate> {
    let (parts, mut receive) = answer.await.map_err(|error| fate(&error))?.into_parts();
    let (status, headers) = (parts.status, parts.headers);
    let mut body = BytesMut::new();
    while let Some(chunk) = receive.data().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            // The status is known, so the request was processed; its detail is lost.
            Err(_) => break,
        };
        let _ = receive.flow_control().release_capacity(chunk.len());
        let room = ANSWER_MAX_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER_MAX_BYTES {
            break;
        }
    }
    Ok(Answer { status, headers, body: body.freeze(), connection })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use h2::{Reason, client, server};
    use tokio::io::DuplexStream;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::channel::http2::WarmUp;

    /// A link to a peer that allows one stream.
    async fn link() -> (Link, server::Connection<DuplexStream, Bytes>) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let mut builder = server::Builder::new();
        let (server, client) = tokio::join!(
            builder.max_concurrent_streams(1).handshake(theirs),
            client::Builder::new().initial_max_send_streams(1).handshake(ours),
        );
        let (sender, connection) = client.expect("both speak HTTP/2");
        tokio::spawn(connection);
        let link = Link::new(1, sender, WarmUp::None, CancellationToken::new());
        (link, server.expect("both speak HTTP/2"))
    }

    /// A push whose caller asked for it a minute ago, with so much time left.
    async fn push(link: &Link, left: Duration) -> Result<Answer, Fate> {
        let head = Request::post("https://localhost/").body(()).expect("a request");
        let now = Instant::now();
        let body = Body::whole(Bytes::from_static(b"{}"));
        let started = now - Duration::from_secs(60);
        Attempt::start(link, head, &body, started)?.finish((started, now + left)).await
    }

    fn accept(answer: &mut server::SendResponse<Bytes>) {
        answer.send_response(http::Response::new(()), true).expect("the stream is open");
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn an_answers_time_begins_when_its_request_leaves_the_line_of_h2() {
        let (link, mut server) = link().await;
        let serve = async {
            let (_, mut answer) = server.accept().await.expect("a request").expect("whole");
            accept(&mut answer);
            let (_, mut answer) = server.accept().await.expect("a request").expect("whole");
            let after_its_deadline = tokio::time::sleep(SECOND);
            tokio::select! {
                () = after_its_deadline => accept(&mut answer),
                _ = server.accept() => panic!("given up"),
            }
            server.accept().await.is_some()
        };
        let both = async { tokio::join!(push(&link, SECOND), push(&link, SECOND)) };
        tokio::select! {
            (first, second) = both => {
                assert_eq!(first.expect("in time").status, StatusCode::OK);
                assert_eq!(second.expect("in its time").status, StatusCode::OK);
            }
            more = serve => panic!("{more}"),
        }
    }

    #[tokio::test]
    async fn a_request_that_never_left_is_not_doubted() {
        let (link, mut server) = link().await;
        let silent = async {
            let kept = server.accept().await;
            server.accept().await;
            drop(kept);
            pending::<()>().await;
        };
        tokio::select! {
            // The first would have its ten seconds.
            _ = push(&link, SECOND) => panic!("answered"),
            second = async {
                tokio::task::yield_now().await;
                push(&link, SECOND / 10).await
            } => assert_eq!(second.expect_err("unsent"), Fate::Stayed),
            () = silent => {}
        }
    }

    #[tokio::test]
    async fn with_the_connection_only_answers_of_what_left_are_lost() {
        let (link, mut server) = link().await;
        let both = async { tokio::join!(push(&link, SECOND), push(&link, SECOND)) };
        let cut = async {
            let kept = server.accept().await;
            drop((kept, server));
        };
        let ((first, second), ()) = tokio::join!(both, cut);
        assert_eq!(first.expect_err("unanswered"), Fate::Lost(CONNECTION_LOST));
        assert_eq!(second.expect_err("unsent"), Fate::Closed);
    }

    #[tokio::test]
    async fn a_refused_request_goes_again() {
        let (link, mut server) = link().await;
        let refuse = async {
            let (_, mut answer) = server.accept().await.expect("a request").expect("whole");
            answer.send_reset(Reason::REFUSED_STREAM);
            server.accept().await;
        };
        tokio::select! {
            answer = push(&link, SECOND) => assert_eq!(answer.expect_err("no"), Fate::Refused),
            () = refuse => {}
        }
    }
}
