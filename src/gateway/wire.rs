//! The stream's messages: what a client may say and what it is told. JSON objects with a `type`;
//! websocket text frames, or events of an event stream with the same data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ids::PublicationId;
use crate::domain::receipt::Stage;
use crate::gateway::places::PlaceInput;
use crate::gateway::view::View;
use crate::http::problem::Document;

/// Largest message from a client, in bytes.
pub const CLIENT_MESSAGE_BYTES_MAX: usize = 64 << 10;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromClient {
    /// The first message, within the time for it.
    Hello(Hello),
    /// How far a publication got on this device.
    Ack {
        /// What.
        publication: PublicationId,
        /// How far.
        stage: Stage,
    },
    /// The device's new places, in place of all it had. Units of the present vintage; a cell needs
    /// the consent given at registration.
    Places {
        /// The new places.
        places: Vec<PlaceInput>,
    },
    /// Answers a ping; any other message does too.
    Pong {},
}

/// Who the client is and how far it got.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hello {
    /// The device's id; with `secret`, or with `bearer` for a device of that citizen.
    pub device: Option<String>,
    /// The device's secret.
    pub secret: Option<String>,
    /// A token of the citizens' identity provider.
    pub bearer: Option<String>,
    /// The last position it was given; absent to begin afresh.
    pub position: Option<String>,
    /// The languages it wants instead of the device's own, the preferred first.
    pub languages: Option<Vec<String>>,
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").field("position", &self.position).finish_non_exhaustive()
    }
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = StreamEvent)]
pub enum ToClient<'a> {
    /// The answer to hello. What was missed (or what is live) follows, then `live`.
    Hello {
        /// Names this connection in our logs.
        connection: String,
        /// The log's epoch.
        epoch: &'a str,
        /// Whether all that was missed follows. If false, what is live follows, and the client
        /// must reload its inbox for the rest.
        recovered: bool,
        /// The position it resumed from; keep it until a newer one comes.
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<&'a str>,
        /// How many publications follow before `live`.
        follow: usize,
        /// A ping comes this often.
        ping_seconds: u64,
        /// And must be answered within this.
        pong_seconds: u64,
        /// After a cut without a close code, wait this long before the first try, then twice as
        /// long each time, up to a minute.
        reconnect_after_ms: u64,
    },
    /// Everything up to here was sent; from now on as it happens.
    Live {
        /// Keep it, if there is one; else the last you have holds.
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<&'a str>,
    },
    /// A publication.
    Publication {
        /// Keep it, if there is one: those sent late to a new place have none.
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<&'a str>,
        /// What was published.
        publication: Box<View>,
    },
    /// The places were changed. What is live in new ones comes too, before this or after.
    Places {
        /// The units the device now has places in.
        units: Vec<String>,
    },
    /// Are you there? Answer `pong`.
    Ping {
        /// Keep it, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<&'a str>,
        /// Our time.
        #[schema(value_type = String, format = "date-time")]
        at: Timestamp,
    },
    /// A message of the client was refused; the stream goes on.
    Problem {
        /// Why.
        problem: Document,
    },
}

impl ToClient<'_> {
    /// The event's name, which an event stream carries beside the data.
    pub fn name(&self) -> &'static str {
        match self {
            ToClient::Hello { .. } => "hello",
            ToClient::Live { .. } => "live",
            ToClient::Publication { .. } => "publication",
            ToClient::Places { .. } => "places",
            ToClient::Ping { .. } => "ping",
            ToClient::Problem { .. } => "problem",
        }
    }

    /// The position a client should keep.
    pub fn position(&self) -> Option<&str> {
        match self {
            ToClient::Live { position }
            | ToClient::Ping { position, .. }
            | ToClient::Hello { position, .. }
            | ToClient::Publication { position, .. } => *position,
            ToClient::Places { .. } | ToClient::Problem { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_messages_are_read_strictly() {
        let read = |text: &str| serde_json::from_str::<FromClient>(text);
        let hello = read(r#"{"type":"hello","device":"d","secret":"s"}"#).expect("a hello");
        assert!(matches!(&hello, FromClient::Hello(hello) if hello.secret.is_some()));
        assert!(!format!("{hello:?}").contains("\"s\""), "no secret in a log");
        assert_eq!(read(r#"{"type":"pong"}"#).expect("a pong"), FromClient::Pong {});
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"type":"shout"}"#,
            r#"{"type":"hello","sceret":"s"}"#,
            r#"{"type":"ack","publication":"x","stage":"shown"}"#,
            r#"{"type":"places","places":[{"unit":"1","street":"x"}]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
