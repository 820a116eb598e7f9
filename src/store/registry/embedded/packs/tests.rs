//! Packs against a map, with pages so small that they fill, split and join all the time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::ids::{DeviceId, DeviceNum};
use crate::store::registry::embedded::schema::MIGRATIONS;

/// A page for a handful of members.
const PAGE: usize = 240;
const RANGES: [&str; 3] = ["1", "2", "3"];

#[derive(Clone, Debug)]
enum Step {
    /// A new member comes, last of its range.
    Join(usize, usize),
    /// An old one comes late, as when a file of an earlier release is packed.
    JoinEarlier(usize, u64, usize),
    /// One of those who are there changes to so many bytes of profile.
    Change(usize, usize),
    /// As much, but only the profile is given.
    Reprofile(usize, usize),
    /// One of those who are there leaves.
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Some are larger than a page.
    let size = prop_oneof![9 => 0usize..60, 1 => 200usize..600];
    let step = prop_oneof![
        4 => (0..RANGES.len(), size.clone()).prop_map(|(range, size)| Step::Join(range, size)),
        1 => (0..RANGES.len(), 1u64..50, size.clone())
            .prop_map(|(range, seq, size)| Step::JoinEarlier(range, seq, size)),
        2 => (any::<usize>(), size.clone()).prop_map(|(one, size)| Step::Change(one, size)),
        1 => (any::<usize>(), size).prop_map(|(one, size)| Step::Reprofile(one, size)),
        3 => any::<usize>().prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 1..120)
}

/// What is where, by range and Seq.
type Model = BTreeMap<Key, (u64, Vec<u8>)>;

fn file() -> Connection {
    let connection = Connection::open_in_memory().expect("a file");
    MIGRATIONS.iter().for_each(|sql| connection.execute_batch(sql).expect("a migration"));
    connection
}

fn packs(connection: &Connection) -> Packs<'_> {
    Packs { connection, bytes_max: PAGE, open: None }
}

fn key(packs: &Packs<'_>, range: usize, seq: u64) -> Key {
    let place = Place { unit: RANGES[range].parse().expect("a code"), cell: None };
    packs.key(&place, Channel::Fcm, (0, Seq(seq))).expect("a key")
}

fn entry(seq: Seq, num: u64, profile: &[u8]) -> Entry<'_> {
    Entry {
        seq,
        num: DeviceNum(num),
        joined_ms: 1_790_000_000_000,
        address_since_ms: 1_790_000_000_000,
        place: 0,
        id: DeviceId(Uuid::from_u128(num.into())),
        subject: None,
        profile,
    }
}

fn chosen(model: &Model, one: usize) -> Option<Key> {
    model.keys().nth(one.checked_rem(model.len())?).copied()
}

fn play(steps: Vec<Step>) {
    let connection = file();
    let mut packs = packs(&connection);
    let mut model = Model::new();
    let mut newest = 100;
    for (num, step) in (1u64..).zip(steps) {
        let put = |packs: &mut Packs<'_>, model: &mut Model, key: Key, size: usize| {
            let profile = vec![num as u8; size];
            packs.put(key, &entry(key.seq(), num, &profile)).expect("put");
            model.insert(key, (num, profile));
        };
        match step {
            Step::Join(range, size) => {
                newest += 1;
                let key = key(&packs, range, newest);
                put(&mut packs, &mut model, key, size);
            }
            Step::JoinEarlier(range, seq, size) => {
                let key = key(&packs, range, seq);
                if !model.contains_key(&key) {
                    put(&mut packs, &mut model, key, size);
                }
            }
            Step::Change(one, size) => {
                let Some(key) = chosen(&model, one) else { continue };
                let profile = vec![num as u8; size];
                packs.replace(key, &entry(key.seq(), num, &profile)).expect("changed");
                model.insert(key, (num, profile));
            }
            Step::Reprofile(one, size) => {
                let Some(key) = chosen(&model, one) else { continue };
                let profile = vec![num as u8; size];
                packs.reprofile(key, &profile).expect("changed");
                model.entry(key).and_modify(|had| had.1 = profile);
            }
            Step::Leave(one) => {
                let Some(key) = chosen(&model, one) else { continue };
                packs.take(key).expect("taken");
                model.remove(&key);
                assert!(packs.take(key).is_err(), "whoever left is not there");
            }
        }
        check(&connection, &model);
    }
}

/// Everybody is found where they are, in order, and packs are as full as they may be.
fn check(connection: &Connection, model: &Model) {
    for range in RANGES {
        let unit: UnitCode = range.parse().expect("a code");
        let number = range_number(connection, (&unit, Channel::Fcm, 0)).expect("a look");
        let Some(number) = number else { continue };
        let of_range = Key(keys(number).start)..Key(keys(number).end);
        let expected: Vec<_> =
            model.range(of_range).map(|(key, (num, profile))| (*key, *num, profile)).collect();
        for (after, upto) in [(0, u64::MAX), (30, 110), (100, 100), (105, u64::MAX)] {
            let mut seen = Vec::new();
            walk(connection, number, (Seq(after), Seq(upto)), |entry| {
                seen.push((entry.seq, entry.num, entry.profile.to_vec()));
                Ok(true)
            })
            .expect("a walk");
            let within = |key: &Key| key.seq().0 > after && key.seq().0 <= upto;
            let expected: Vec<_> = expected
                .iter()
                .filter(|(key, ..)| within(key))
                .map(|(key, num, profile)| (key.seq(), DeviceNum(*num), (*profile).clone()))
                .collect();
            assert_eq!(seen, expected, "of {range} after {after} up to {upto}");
        }
        for (key, num, profile) in &expected {
            let looked = look(connection, *key, |one| Ok((one.num.0, one.profile.to_vec())));
            assert_eq!(looked.expect("a look"), (*num, (*profile).clone()));
        }
    }
    let mut select =
        connection.prepare("SELECT first, entries FROM packs ORDER BY first").expect("");
    let mut rows = select.query([]).expect("packs");
    let mut last = Key(0);
    while let Some(row) = rows.next().expect("a pack") {
        let (first, bytes): (i64, Vec<u8>) =
            (row.get(0).expect("a key"), row.get(1).expect("bytes"));
        let seqs: Vec<u64> =
            Entries::of(&bytes).map(|entry| entry.expect("an entry").seq.0).collect();
        assert!(!seqs.is_empty(), "no pack is empty");
        assert!(seqs.len() == 1 || bytes.len() <= PAGE, "{} bytes of {seqs:?}", bytes.len());
        assert!(seqs.is_sorted() && Key(first).seq().0 <= seqs[0]);
        assert!(Key(first) > last, "packs do not overlap");
        last = Key(keys(Key(first).range()).start + *seqs.last().expect("one") as i64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn packs_hold_whoever_is_there_in_order(steps in steps()) {
        play(steps);
    }
}

#[test]
fn a_load_fills_its_packs_one_after_the_other() {
    let connection = file();
    let mut packs = packs(&connection);
    packs.keep_open();
    let mut model = Model::new();
    for seq in 1..=200 {
        let key = key(&packs, seq as usize % 2, seq);
        packs.put(key, &entry(Seq(seq), seq, &[7; 20])).expect("put");
        model.insert(key, (seq, vec![7; 20]));
    }
    packs.close().expect("written");
    check(&connection, &model);
    let fill = "SELECT min(length(entries)) FROM packs WHERE first NOT IN
        (SELECT max(first) FROM packs GROUP BY first >> 40)";
    let least: usize =
        connection.query_row(fill, [], |row| row.get::<_, u32>(0)).expect("packs") as usize;
    let mut one = Vec::new();
    entry(Seq(1), 1, &[7; 20]).put(&mut one);
    assert!(least > PAGE - one.len(), "all but the last of a range are full: {least} of {PAGE}");
}

#[test]
fn whoever_leaves_leaves_no_pack_behind() {
    let connection = file();
    let mut packs = packs(&connection);
    for seq in 1..=100 {
        let key = key(&packs, 0, seq);
        packs.put(key, &entry(Seq(seq), seq, &[7; 20])).expect("put");
    }
    let count = || {
        let sql = "SELECT count(*) FROM packs";
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("packs")
    };
    let full = count();
    // Nine of ten go: what is left of a pack joins the next one.
    for seq in (1..=100).filter(|seq| seq % 10 != 0) {
        packs.take(key(&packs, 0, seq)).expect("taken");
    }
    assert!(count() <= full / 3, "{} of {full} packs for a tenth of the members", count());
    for seq in (10..=100).step_by(10) {
        packs.take(key(&packs, 0, seq)).expect("taken");
    }
    assert_eq!(count(), 0);
}

#[test]
fn a_damaged_pack_is_named() {
    let connection = file();
    let mut packs = packs(&connection);
    let key = key(&packs, 0, 9);
    packs.put(key, &entry(Seq(9), 1, &[7; 20])).expect("put");
    connection.execute("UPDATE packs SET entries = x'0901'", []).expect("damaged");
    let error = look(&connection, key, |_| Ok(())).expect_err("it cannot be read").to_string();
    assert!(error.contains("pack at 0x1"), "{error}");
    assert!(packs.take(key).is_err() && packs.put(key, &entry(Seq(9), 1, &[])).is_err());
}
