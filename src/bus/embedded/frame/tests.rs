use proptest::prelude::*;

use super::*;
use crate::bus::Record;
use crate::bus::embedded::batch::Records;

fn batch(first: u64, texts: &[String]) -> Batch {
    let mut batch = Batch::empty(first, Vec::new());
    for text in texts {
        let payload = text.clone().into_bytes().into();
        assert!(batch.put(&Record { key: "k".to_owned(), headers: Vec::new(), payload }));
    }
    batch.seal();
    batch
}

/// A frame as it lies on the disk.
fn laid_down(entries: &[Entry<'_>], batches: &[Batch]) -> Vec<u8> {
    let mut frame = Frame::new();
    entries.iter().for_each(|entry| frame.put(*entry));
    batches.iter().for_each(|batch| frame.put_batch("loa.audit", 3, batch));
    let (length, padding) = (frame.len(), frame.padding());
    let (head, table) = frame.seal(7, 9, -1);
    let mut bytes = head.to_vec();
    batches.iter().for_each(|batch| bytes.extend_from_slice(batch.bytes()));
    bytes.extend_from_slice(table);
    bytes.extend_from_slice(padding);
    assert_eq!(bytes.len() as u64, length);
    bytes
}

/// The same as it was before version 4 of the log.
fn as_before(bytes: &[u8]) -> Vec<u8> {
    let head = Head::read(bytes, 7).expect("a head");
    let (bodies, table) = (&bytes[head.bodies_at()..head.table_at()], head.table_at());
    let (table, padding) = bytes[table..].split_at(head.table);
    [b"LoaF", &bytes[4..HEAD_BYTES], table, bodies, padding].concat()
}

fn others() -> [Entry<'static>; 3] {
    let (topic, partition) = ("loa.audit", 0);
    [
        Entry::Place { topic, partition, start: 1, end: u64::from(u32::MAX) + 5 },
        Entry::Start { topic, partition, start: 2 },
        Entry::Next { group: "route", topic, partition, next: 300, at_ms: -5 },
    ]
}

/// The form is on disks: this is what it looks like, byte by byte.
#[test]
fn the_form_is_the_documented_one() {
    let start = Entry::Start { topic: "é", partition: 200, start: 1 };
    let bytes = laid_down(&[start], &[]);
    let table = [3, 2, 0xc3, 0xa9, 0xc8, 0x01, 1];
    let numbers = [&7_u64.to_le_bytes()[..], &9_u64.to_le_bytes(), &(-1_i64).to_le_bytes()];
    let summed = [&7_u32.to_le_bytes()[..], &[0; 4], &numbers.concat(), &table].concat();
    let sum = checksum(&summed).to_le_bytes();
    assert_eq!(bytes, [&b"LoaG"[..], &sum, &summed, &[0]].concat());
    let batch = batch(5, &["x".to_owned()]);
    let bytes = laid_down(&[], std::slice::from_ref(&batch));
    let sum = checksum(&batch.bytes()[5..]).to_le_bytes();
    let entry = [&[1, 9][..], b"loa.audit", &[3, 5, 1, batch.bytes().len() as u8], &sum].concat();
    assert!(bytes[HEAD_BYTES..].starts_with(&[batch.bytes(), &entry].concat()));
}

#[test]
fn what_was_put_is_read_and_only_with_its_salt() {
    let bytes = laid_down(&others(), &[batch(5, &["x".to_owned()])]);
    let before = as_before(&bytes);
    for bytes in [bytes, before] {
        assert_eq!(Head::read(&bytes, 8), None);
        let head = Head::read(&bytes, 7).expect("a head");
        assert_eq!((head.number, head.at_ms, head.len()), (9, -1, bytes.len() as u64));
        let table = head.table(&bytes[head.table_at()..]);
        let entries: Result<Vec<_>, _> = table.expect("whole").collect();
        let entries = entries.expect("entries");
        assert_eq!(entries[..3], others());
        let Entry::Batch { first: 5, count: 1, bytes: size, sum: expected, .. } = entries[3] else {
            panic!("{entries:?}")
        };
        let body = &bytes[head.bodies_at()..][..size];
        assert_eq!(sum(body), Some(expected));
        assert!(Records::open(body).is_ok());
    }
}

#[test]
fn every_turned_bit_and_every_cut_of_head_and_table_is_found() {
    let is_whole = |bytes: &[u8]| {
        let table = |head: &Head| bytes.get(head.table_at()..).map(|bytes| head.table(bytes));
        Head::read(bytes, 7).as_ref().and_then(table).is_some_and(|table| table.is_ok())
    };
    let bytes = laid_down(&others(), &[batch(5, &["x".to_owned()])]);
    for mut bytes in [as_before(&bytes), bytes] {
        assert!(is_whole(&bytes));
        let head = Head::read(&bytes, 7).expect("a head");
        let end = head.table_at() + head.table;
        for at in (0..HEAD_BYTES).chain(head.table_at()..end) {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(!is_whole(&bytes), "bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
        }
        assert!((0..end).all(|length| !is_whole(&bytes[..length])));
    }
}

proptest! {
    /// Also behind a checksum that holds: whatever the bytes, an answer and no panic.
    #[test]
    fn any_bytes_are_entries_or_damage(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let read: Vec<_> = Entries(&bytes).collect();
        prop_assert!(read.len() <= bytes.len());
        prop_assert!(read.iter().rev().skip(1).all(Result::is_ok), "nothing after the damage");
        let _ = Head::read(&bytes, 7);
    }
}
