//! Why a request got no answer, told apart by whether the server may have acted on it.

/// Until the deadline no connection stood.
pub const NO_CONNECTION: &str = "no_connection";
/// Until the deadline no stream was free.
pub const NO_STREAM: &str = "no_stream_free";
/// The answer did not come in its time.
pub const TIMED_OUT: &str = "timed_out";
/// The connection ended before the answer.
pub const CONNECTION_LOST: &str = "connection_lost";

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server did not get it, or refused it unprocessed, until the deadline.
    #[error("not sent: {0}")]
    NotSent(&'static str),
    /// It went out and the answer never came: the server may have acted on it.
    #[error("answer lost: {0}")]
    Lost(&'static str),
    /// It was called back while it waited for a stream, and did not go out.
    #[error("withdrawn")]
    Withdrawn,
}

impl Error {
    /// Whether no request to this host would have fared better.
    pub fn concerns_all(self) -> bool {
        self == Self::NotSent(NO_CONNECTION)
    }

    /// The short reason, as metrics and ledger name it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotSent(reason) | Self::Lost(reason) => reason,
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What the end of one attempt on one connection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The connection takes no new streams and did not process this one: send it on another.
    Closed,
    /// The server refused it unprocessed: send it again.
    Refused,
    /// It still waited to go out when its time was over.
    Stayed,
    /// Whether the server processed it is unknown.
    Lost(&'static str),
}

/// Reads an `h2` error of a stream. `h2` ends only the streams past GOAWAY's last stream id with
/// the remote GOAWAY itself (RFC 9113 section 6.8), others with the transport's end.
pub fn fate(error: &h2::Error) -> Fate {
    if error.is_go_away() && error.is_remote() {
        return Fate::Closed;
    }
    if error.is_reset() {
        return match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) if error.is_remote() => Fate::Refused,
            _ => Fate::Lost("stream_reset"),
        };
    }
    Fate::Lost(CONNECTION_LOST)
}
