use proptest::prelude::*;

use super::*;

fn record() -> impl Strategy<Value = Record> {
    let headers = prop::collection::vec(("\\PC{0,9}", ".{0,200}"), 0..6);
    let payload = prop::collection::vec(any::<u8>(), 0..600);
    (".{0,40}", headers, payload).prop_map(|(key, headers, payload)| Record {
        key,
        headers,
        payload: payload.into(),
    })
}

fn batch(records: &[Record]) -> Batch {
    let mut batch = Batch::empty(7, Vec::new());
    for record in records {
        assert!(batch.put(record), "a few small records fit");
    }
    batch.seal();
    batch
}

fn read(bytes: &[u8]) -> Result<Vec<Record>, Damage> {
    Records::open(bytes)?
        .map(|record| {
            let Stored { key, headers, payload } = Stored::decode(record?)?;
            Ok(Record { key, headers, payload: payload.to_vec().into() })
        })
        .collect()
}

fn small(payload: usize) -> Record {
    Record { key: "k".to_owned(), headers: Vec::new(), payload: vec![7; payload].into() }
}

/// The form is on disks: this is what version 1 looks like, byte by byte.
#[test]
fn the_form_is_the_documented_one() {
    let record = Record {
        key: "é".to_owned(),
        headers: vec![("a".to_owned(), String::new())],
        payload: vec![0x55; 0x80].into(),
    };
    let batch = batch(&[record]);
    let bytes = batch.bytes();
    let expected = [&[0x87, 0x01, 2, 0xc3, 0xa9, 1, 1, b'a', 0][..], &[0x55; 0x80]].concat();
    assert_eq!((bytes[0], &bytes[HEAD_BYTES..]), (1, &expected[..]));
    assert_eq!(checksum(b"123456789"), 0xcbf4_3926, "the CRC-32 of its definition");
    assert_eq!(bytes[1..HEAD_BYTES], checksum(&expected).to_le_bytes());
}

#[test]
fn a_batch_is_full_by_bytes_or_by_records_and_takes_any_first_record() {
    let mut full = batch(&[small(crate::bus::RECORD_BYTES_MAX - 1)]);
    assert!(!full.put(&small(0)), "full by bytes");
    assert_eq!(read(full.bytes()).map(|records| records.len()), Ok(1));
    let mut full = batch(&[small(0)]);
    while full.put(&small(0)) {}
    assert_eq!((full.count, full.end()), (RECORDS_MAX, 7 + u64::from(RECORDS_MAX)));
    let mut full = batch(&[small(500)]);
    while full.put(&small(500)) {}
    let bytes = full.bytes().len();
    assert!(bytes <= BYTES_MAX && bytes > BYTES_MAX - 600, "{bytes}");
}

#[test]
fn numbers_of_every_size_come_back_and_larger_ones_are_refused() {
    for shift in 0..usize::BITS {
        for number in [1_usize << shift, (1 << shift) - 1, usize::MAX >> shift] {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            assert_eq!(bytes.len(), number_bytes(number), "{number}");
            assert_eq!(take_number(&mut &bytes[..]), Ok(number));
        }
    }
    let too_large = [&[0xff; 9][..], &[2]].concat();
    assert!(take_number(&mut &too_large[..]).is_err());
    assert!(take_number(&mut &[0x80; 20][..]).is_err());
}

/// Behind a checksum that holds: a count of headers or a length that lies.
#[test]
fn what_lies_is_refused_without_making_room_for_it() {
    let huge = [&[0][..], &[0xff; 9], &[1]].concat();
    assert!(Stored::decode(&huge).is_err());
    let long = [&[0xff; 9][..], &[1], b"abc"].concat();
    assert!(Stored::decode(&long).is_err());
    assert!(Records(&long).next().is_some_and(|record| record.is_err()));
}

proptest! {
    #[test]
    fn what_was_written_is_read(records in prop::collection::vec(record(), 1..8)) {
        let batch = batch(&records);
        prop_assert_eq!((batch.count as usize, batch.first), (records.len(), 7));
        prop_assert_eq!(sum(batch.bytes()), Some(checksum(&batch.bytes()[HEAD_BYTES..])));
        prop_assert_eq!(read(batch.bytes()), Ok(records));
    }

}

proptest! {
    // Each case looks at every place of its batch.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_cut_is_found(records in prop::collection::vec(record(), 1..3)) {
        let batch = batch(&records);
        let bytes = batch.bytes();
        for length in 0..bytes.len() {
            prop_assert!(read(&bytes[..length]).is_err(), "cut to {length} of {}", bytes.len());
        }
    }

    #[test]
    fn every_turned_bit_is_found(records in prop::collection::vec(record(), 1..3)) {
        let mut bytes = batch(&records).into_bytes();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

proptest! {
    /// Also behind a checksum that holds: whatever the bytes, an answer and no panic.
    #[test]
    fn any_bytes_are_records_or_damage(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Stored::decode(&bytes);
        let read: Vec<_> = Records(&bytes).collect();
        prop_assert!(read.len() <= bytes.len());
        prop_assert!(read.iter().rev().skip(1).all(Result::is_ok), "nothing after the damage");
    }
}
