//! What the embedded log promises beyond the contract.

use std::collections::BTreeSet;

use loa::bus::{Bus, Error, TopicId};
use loa::domain::lane::Lane;

use super::{Bed, record, records, take};

const NEWS: TopicId = TopicId::Publications(Lane::Routine);

#[tokio::test]
async fn two_hundred_publishers_share_commits() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let before = bus.stats();
    let publishers = (0..200).map(|publisher| {
        let bus = bus.clone();
        tokio::spawn(async move {
            for n in 0..10 {
                bus.publish(NEWS, records(&publisher.to_string(), n..n + 1))
                    .await
                    .expect("published");
            }
        })
    });
    for publisher in futures_util::future::join_all(publishers).await {
        publisher.expect("no panic");
    }
    let after = bus.stats();
    assert_eq!(after.records - before.records, 2000);
    let commits = after.commits - before.commits;
    println!("2000 records of 200 publishers in {commits} commits");
    assert!(commits <= 500, "{commits} commits");
}

#[tokio::test]
async fn a_group_has_one_live_consumer_a_topic() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let first = bus.consumer("route", &[NEWS, TopicId::Audit]).await.expect("joined");
    let second = bus.consumer("route", &[TopicId::Receipts, NEWS]).await;
    assert!(matches!(second, Err(Error::GroupBusy { topic: NEWS, .. })), "{second:?}");
    bus.consumer("route", &[TopicId::Receipts]).await.expect("a refusal takes no topic");
    bus.consumer("other", &[NEWS]).await.expect("another group");
    drop(first);
    bus.consumer("route", &[NEWS]).await.expect("free again");
    let bad = bus.consumer("Bad Name", &[NEWS]).await;
    assert!(matches!(bad, Err(Error::GroupName(_))), "{bad:?}");
}

#[tokio::test]
async fn a_directory_has_one_open_log() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let second = Bus::open(&bed.settings(), bed.clock.clone()).await;
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    bus.close().await.expect("closed");
    bed.open().await;
}

#[tokio::test]
async fn logs_have_different_epochs() {
    let epochs: BTreeSet<String> = [
        Bed::embedded().open().await.epoch().to_owned(),
        Bed::embedded().open().await.epoch().to_owned(),
    ]
    .into();
    assert_eq!(epochs.len(), 2);
}

#[tokio::test]
async fn retention_runs_by_itself_while_the_log_is_written_to() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    bus.publish(NEWS, records("a", 0..5000)).await.expect("published");
    bed.pass_hours(24 * 4);
    // Each step deletes a part; the next publish allows the next one.
    for n in 0..4 {
        bus.publish(NEWS, records("b", n..n + 1)).await.expect("published");
    }
    bus.trim(bed.clock.now()).await.expect("trimmed");
    assert_eq!(bus.stats().deleted, 5000);
}

#[tokio::test]
async fn a_full_queue_makes_publishers_wait_and_drops_nothing() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    // Three times what may wait for the writer, all at once.
    let publishers = (0..200).map(|n| {
        let bus = bus.clone();
        let payload = vec![n as u8; 1024 * 1024 - 16];
        tokio::spawn(async move { bus.publish(NEWS, vec![record("a", payload)]).await })
    });
    for published in futures_util::future::join_all(publishers).await {
        published.expect("no panic").expect("published");
    }
    let mut consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    let seen: BTreeSet<u8> =
        take(&mut consumer, 200).await.iter().map(|delivery| delivery.payload[0]).collect();
    assert_eq!(seen.len(), 200);
}

#[tokio::test]
async fn a_file_that_is_no_log_is_refused() {
    let bed = Bed::embedded();
    std::fs::write(bed.settings.dir.join("log.db"), [7; 4096]).expect("written");
    let opened = Bus::open(&bed.settings(), bed.clock.clone()).await;
    assert!(matches!(opened, Err(Error::Damaged(_))), "{opened:?}");
}
