//! FCM topics, one for each unit: an extra beside the pushes to registered devices, for app
//! installations that never registered. Google promises no speed (about 10,000 devices a second are
//! typical, a thousand fan-outs of the whole project share that, FACTS F3), takes 2,048 bytes (F4),
//! and tells nobody who got it. So never the only road, and nobody is counted by it.

use super::client::{Address, Client};
use super::payload::{Kind, Payload, TOPIC_MAX_BYTES};
use crate::channel::{Delivery, payload};
use crate::domain::outcome::Outcome;
use crate::domain::push::PushContent;

/// Posts to the topics of units.
#[derive(Clone, Debug)]
pub struct Topics(Client);

impl Topics {
    /// The topics of a client's project.
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Renders a push once for all units.
    pub fn prepare(&self, content: &PushContent) -> Result<Payload, payload::Error> {
        Payload::render(content, self.0.style(), TOPIC_MAX_BYTES)
    }

    /// Posts to a topic.
    pub async fn post(&self, payload: &Payload, topic: &str, delivery: &Delivery) -> Outcome {
        self.0.send(payload, Address { kind: Kind::Topic, value: topic }, delivery).await
    }
}
