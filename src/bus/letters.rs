//! Dead letters: a record that cannot be read, or that fails again and again, is set aside with
//! its reason and never stops a partition.

use bytes::Bytes;
use jiff::Timestamp;

use crate::bus::{Bus, Delivery, RECORD_BYTES_MAX, Record, Result, TopicId};
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
        self.publish(TopicId::DeadLetters, vec![fitting(letter)]).await?;
        Ok(())
    }
}

/// A letter as a record that the log takes. What foreign clients write may be larger (a batch is
/// measured compressed): then its place and reason are kept, and the rest stays where it lies.
fn fitting(letter: DeadLetter) -> Record {
    let whole: Record = dead_letter::encode(&letter).into();
    if whole.size() <= RECORD_BYTES_MAX {
        return whole;
    }
    let bytes = letter.original.payload.len();
    let detail = format!("(too large to be kept here, {bytes} bytes) {}", letter.reason.detail);
    let reason = Reason { detail, ..letter.reason };
    let original = Encoded { key: String::new(), headers: Vec::new(), payload: Bytes::new() };
    dead_letter::encode(&DeadLetter { reason, original, ..letter }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_fits_whatever_was_read() {
        let letter = |payload: usize| DeadLetter {
            topic: "loa.submissions".to_owned(),
            partition: 1,
            offset: 2,
            reason: Reason { code: "c".to_owned(), detail: "why".to_owned(), field: None },
            at: Timestamp::UNIX_EPOCH,
            tries: 1,
            original: Encoded {
                key: "k".to_owned(),
                headers: vec![("a".to_owned(), "b".to_owned())],
                payload: vec![b'x'; payload].into(),
            },
        };
        assert_eq!(fitting(letter(1000)).payload.len(), 1000);
        let cut = fitting(letter(RECORD_BYTES_MAX + 1));
        assert!(cut.size() < 10_000 && cut.payload.is_empty());
        let detail = cut.headers.iter().any(|(_, value)| value.contains("1048577 bytes) why"));
        assert!(detail, "{:?}", cut.headers);
    }
}
