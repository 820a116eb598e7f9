//! Dead letters: a record that cannot be read, or that fails again and again, is set aside with
//! its reason and never stops a partition.

use jiff::Timestamp;

use crate::bus::{Bus, Delivery, Record, Result, TopicId};
use crate::event::Encoded;
use crate::event::dead_letter::{self, DeadLetter, Reason};

impl From<Encoded> for Record {
    fn from(encoded: Encoded) -> Self {
        Self { key: encoded.key, headers: encoded.headers, payload: encoded.payload }
    }
}

impl Bus {
    /// Sets a record aside; durable when it returns, so that the record may be committed. `tries`
    /// is 1 for what could never succeed.
    pub async fn bury(
        &self,
        delivery: &Delivery,
        reason: Reason,
        tries: u32,
        at: Timestamp,
    ) -> Result<()> {
        let position = delivery.position;
        tracing::error!(
            topic = position.topic.name(),
            partition = position.partition,
            offset = position.offset,
            code = reason.code,
            detail = reason.detail,
            "a record went to the dead letters"
        );
        let letter = DeadLetter {
            topic: position.topic.name().to_owned(),
            partition: position.partition,
            offset: position.offset,
            reason,
            at,
            tries,
            original: Encoded {
                key: delivery.key.clone(),
                headers: delivery.headers.clone(),
                payload: delivery.payload.clone(),
            },
        };
        self.publish(TopicId::DeadLetters, vec![dead_letter::encode(&letter).into()]).await?;
        Ok(())
    }
}
