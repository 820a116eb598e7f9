//! A full disk, made by the kernel's limit for a process's files: what cannot be stored is refused
//! and nothing of it is seen, and once there is room the log goes on.
//!
//! The test runs its own binary again, since the limit is for all files of a process.

use std::process::{Command, Stdio};

use loa::bus::{Bus, Error, Settings, TopicId};
use loa::clock::Clock;
use loa::domain::lane::Lane;

use super::{files, number, placed, record, records, tail};

const NEWS: TopicId = TopicId::Publications(Lane::Routine);
const DIR: &str = "LOA_TEST_BUS_FULL_DIR";

/// No file of this process takes anything more beyond so many bytes, or all do again.
fn limit(bytes: &str) {
    let pid = std::process::id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")])
        .status();
    assert!(limited.expect("prlimit (Debian: util-linux)").success());
}

#[test]
fn what_a_full_disk_does_not_take_is_refused_and_the_log_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = Command::new("env")
        .arg("--ignore-signal=XFSZ")
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", "bus::full::the_one_without_room", "--nocapture"])
        .env(DIR, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Not a test by itself.
#[tokio::test]
async fn the_one_without_room() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let settings = Settings::new(dir);
    let open = async || Bus::open(&settings, Clock::System).await.expect("it opens");
    let bus = open().await;
    let at = placed(&bus, NEWS, records("a", 0..1)).await[0];
    let consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    let bounds = async |bus: &Bus| bus.bounds(NEWS, at.partition).await.expect("known");

    // Nothing is taken at all.
    limit("0");
    for _ in 0..3 {
        let refused = bus.publish(NEWS, records("a", 7..9)).await;
        assert!(matches!(refused, Err(Error::StorageFull(_))), "{refused:?}");
        let refused = consumer.commit(at.next()).await;
        assert!(matches!(refused, Err(Error::StorageFull(_))), "{refused:?}");
    }
    assert_eq!(bounds(&bus).await, 0..1, "nothing is seen of it");
    limit("unlimited");
    assert_eq!(placed(&bus, NEWS, records("a", 1..2)).await[0].offset, 1);

    // The next segment cannot be made.
    limit("1000000");
    let large = || vec![record("b", vec![7; 1_000_000]); 20];
    let refused = bus.publish(NEWS, large()).await;
    assert!(matches!(refused, Err(Error::StorageFull(_))), "{refused:?}");
    // A little still goes where there is room.
    placed(&bus, NEWS, records("a", 2..3)).await;
    limit("unlimited");
    assert_eq!(placed(&bus, NEWS, large()).await.len(), 20);

    // A part of a commit is written, then no more.
    placed(&bus, NEWS, vec![record("b", "7")]).await;
    let written = files::segments(&settings.dir).into_iter().map(|path| files::frames(&path));
    let last = written.filter_map(|frames| frames.last().cloned()).next_back().expect("a frame");
    limit(&(last.at + last.len + 300_000).to_string());
    let refused = bus.publish(NEWS, vec![record("b", vec![9; 900_000])]).await;
    assert!(matches!(refused, Err(Error::StorageFull(_))), "{refused:?}");
    limit("unlimited");
    placed(&bus, NEWS, records("a", 3..4)).await;
    bus.close().await.expect("closed");

    let bus = open().await;
    let end = bounds(&bus).await.end;
    let mut reader = bus.reader(NEWS, at.partition, 0).await.expect("in range");
    let read = tail(&mut reader, end as usize).await;
    let small: Vec<u32> = read.iter().filter(|of| of.key == "a").map(number).collect();
    assert_eq!(small, [0, 1, 2, 3], "what was refused is not there");
}
