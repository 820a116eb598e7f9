//! What every store of replies promises.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use loa::clock::Clock;
use loa::store::replies::{BODY_BYTES_MAX, Begun, Error, Lease, Replies, Reply, Settings, Times};

use crate::support::home::{Home, connect, contract};

contract!(
    a_repeat_gets_the_first_reply_also_after_a_restart,
    a_crash_in_the_middle_frees_the_key_when_the_lease_runs_out,
    an_abandoned_request_may_be_done_again_at_once,
    replies_are_forgotten_after_their_retention,
    of_many_at_once_one_is_new,
    keys_and_replies_have_limits,
);

const ONE: [u8; 32] = [1; 32];
const TWO: [u8; 32] = [2; 32];

struct Bed {
    home: Home,
    clock: Clock,
}

impl Bed {
    fn new(home: Home) -> Self {
        let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
        Self { home, clock: Clock::manual(start) }
    }

    async fn open(&self) -> Replies {
        let clock = self.clock.clone();
        match &self.home {
            Home::Embedded(dir) => {
                Replies::open(&Settings::new(dir.path()), clock).await.expect("it opens")
            }
            Home::Redis(settings) => {
                Replies::shared(&connect(settings).await, Times::default(), clock)
            }
        }
    }

    fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now() + SignedDuration::try_from(time).expect("it fits"));
    }
}

fn reply(status: u16) -> Reply {
    let headers = vec![("location".to_owned(), "/v1/alerts/1".to_owned())];
    Reply { status, headers, body: Bytes::from_static(b"{\"id\":\"\xff\"}") }
}

async fn begin(replies: &Replies, key: &str, digest: [u8; 32]) -> Begun {
    replies.begin("agency/kttv", key, digest).await.expect("begun")
}

async fn new(replies: &Replies, key: &str) -> Lease {
    match begin(replies, key, ONE).await {
        Begun::New(lease) => lease,
        other => panic!("{other:?} instead of new"),
    }
}

async fn a_repeat_gets_the_first_reply_also_after_a_restart(home: Home) {
    let bed = Bed::new(home);
    let replies = bed.open().await;
    let lease = new(&replies, "k").await;
    assert!(matches!(begin(&replies, "k", ONE).await, Begun::InProgress));
    replies.finish(lease, reply(202)).await.expect("kept");
    drop(replies);
    let replies = bed.open().await;
    let again = begin(&replies, "k", ONE).await;
    assert!(matches!(&again, Begun::Replay(given) if *given == reply(202)), "{again:?}");
    assert!(matches!(begin(&replies, "k", TWO).await, Begun::Mismatch));
    let other = replies.begin("agency/other", "k", TWO).await.expect("begun");
    assert!(matches!(other, Begun::New(_)), "keys are each caller's own");
}

async fn a_crash_in_the_middle_frees_the_key_when_the_lease_runs_out(home: Home) {
    let bed = Bed::new(home);
    let replies = bed.open().await;
    let crashed = new(&replies, "k").await;
    bed.pass(Duration::from_secs(59));
    assert!(matches!(begin(&replies, "k", ONE).await, Begun::InProgress));
    bed.pass(Duration::from_secs(1));
    let second = new(&replies, "k").await;
    replies.finish(crashed, reply(500)).await.expect("too late is no error");
    assert!(matches!(begin(&replies, "k", ONE).await, Begun::InProgress));
    replies.finish(second, reply(202)).await.expect("kept");
    let again = begin(&replies, "k", ONE).await;
    assert!(matches!(&again, Begun::Replay(given) if given.status == 202), "{again:?}");
}

async fn an_abandoned_request_may_be_done_again_at_once(home: Home) {
    let bed = Bed::new(home);
    let replies = bed.open().await;
    let lease = new(&replies, "k").await;
    replies.abandon(lease).await.expect("freed");
    let lease = new(&replies, "k").await;
    replies.abandon(lease).await.expect("freed");
}

async fn replies_are_forgotten_after_their_retention(home: Home) {
    let bed = Bed::new(home);
    let replies = bed.open().await;
    let lease = new(&replies, "k").await;
    replies.finish(lease, reply(202)).await.expect("kept");
    bed.pass(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(replies.forget(bed.clock.now()).await.expect("done"), 0);
    assert!(matches!(begin(&replies, "k", ONE).await, Begun::Replay(_)));
    bed.pass(Duration::from_secs(1));
    let lease = new(&replies, "k").await;
    replies.finish(lease, reply(202)).await.expect("kept");
    bed.pass(Duration::from_secs(24 * 3600));
    // A server drops them by itself, and counts none.
    let forgotten = u64::from(matches!(bed.home, Home::Embedded(_)));
    assert_eq!(replies.forget(bed.clock.now()).await.expect("done"), forgotten);
    let _anew = new(&replies, "k").await;
}

async fn of_many_at_once_one_is_new(home: Home) {
    let bed = Bed::new(home);
    let replies = bed.open().await;
    let begun = (0..50).map(|_| begin(&replies, "k", ONE));
    let begun = futures_util::future::join_all(begun).await;
    assert_eq!(begun.iter().filter(|begun| matches!(begun, Begun::New(_))).count(), 1);
    assert_eq!(begun.iter().filter(|begun| matches!(begun, Begun::InProgress)).count(), 49);
}

async fn keys_and_replies_have_limits(home: Home) {
    let bed = Bed::new(home);
    let replies = bed.open().await;
    for key in ["", &"k".repeat(256)] {
        let refused = replies.begin("a", key, ONE).await;
        assert!(matches!(refused, Err(Error::BadKey)), "{refused:?}");
    }
    let lease = new(&replies, "k").await;
    let large = Reply { body: vec![0; BODY_BYTES_MAX + 1].into(), ..reply(200) };
    let refused = replies.finish(lease, large).await;
    assert!(matches!(refused, Err(Error::ReplyTooLarge { .. })), "{refused:?}");
}
