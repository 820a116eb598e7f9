//! Records to Kafka's messages and back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

use crate::bus::{Delivery, Error, Position, Record, Result, TopicId};

/// What a header is called whose name is no text.
const NAMELESS: &str = "(not UTF-8)";

/// A record's headers. A name with a NUL cannot be sent.
pub(super) fn headers(topic: TopicId, record: &Record) -> Result<OwnedHeaders> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (name, value) in &record.headers {
        if name.contains('\0') {
            return Err(Error::HeaderName { topic, name: name.replace('\0', "\\0") });
        }
        headers = headers.insert(Header { key: name, value: Some(value.as_bytes()) });
    }
    Ok(headers)
}

/// What was read. Foreign clients write what they like: text that is no UTF-8 is read with
/// replacement characters, and refused by whoever needs it.
pub(super) fn delivery(topic: TopicId, message: &BorrowedMessage<'_>) -> Delivery {
    let partition = u32::try_from(message.partition()).expect("a message lies in a partition");
    let offset = u64::try_from(message.offset()).expect("a message has an offset");
    let at = message.timestamp().to_millis().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    Delivery {
        position: Position { topic, partition, offset },
        key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
        headers: message.headers().map(pairs).unwrap_or_default(),
        at: at.unwrap_or(Timestamp::UNIX_EPOCH),
        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}

fn pairs(headers: &impl Headers) -> Vec<(String, String)> {
    let pair = |index| {
        // The binding panics at a name that is no UTF-8, which anyone who may write can send.
        let header = catch_unwind(AssertUnwindSafe(|| headers.get(index)));
        header.map_or_else(
            |_| (NAMELESS.to_owned(), String::new()),
            |Header { key, value }| {
                (key.to_owned(), String::from_utf8_lossy(value.unwrap_or_default()).into_owned())
            },
        )
    };
    (0..headers.count()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_their_order_and_a_name_may_come_twice() {
        let given = [("a", "1"), ("b", ""), ("a", "hai")];
        let given: Vec<_> = given.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let record = Record { key: "k".into(), headers: given.clone(), payload: Bytes::new() };
        let written = headers(TopicId::Receipts, &record).expect("plain names");
        assert_eq!(pairs(&written), given);
        let record = Record { headers: vec![("a\0b".into(), String::new())], ..record };
        let refused = headers(TopicId::Receipts, &record).expect_err("a NUL").to_string();
        assert!(refused.contains("a\\0b") && refused.contains("loa.receipts"), "{refused}");
    }
}
