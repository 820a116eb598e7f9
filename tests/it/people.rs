//! What every store of people promises.

use jiff::{SignedDuration, Timestamp};
use loa::domain::ids::PersonId;
use loa::domain::person::{Person, Right};
use loa::store::people::{
    Change, Error, NewSession, People, REQUESTS_MAX, Request, RequestState, SESSIONS_MAX, Settings,
};
use uuid::Uuid;

use crate::support::home::{Home, connect, contract};

contract!(
    people_are_kept_replaced_and_listed_by_id,
    a_session_is_good_on_every_handle_until_it_ends_or_rests_too_long,
    who_is_switched_off_or_gets_a_new_password_loses_every_session,
    of_too_many_sessions_the_oldest_ends,
    failed_logins_are_counted_within_their_window,
    a_request_is_decided_once_whoever_decides,
    requests_that_wait_come_first_and_are_bounded,
    sessions_that_ended_are_forgotten,
);

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
    start + SignedDuration::from_mins(minutes)
}

fn id(text: &str) -> PersonId {
    text.parse().expect("an id")
}

fn person(name: &str) -> Person {
    Person {
        id: id(name),
        name: "Nguyễn Thị An".to_owned(),
        agency: "kttv".parse().expect("an id"),
        rights: [Right::Write].into(),
        active: true,
    }
}

fn session(token: u8, of: &str, opened: i64) -> NewSession {
    NewSession {
        token_hash: [token; 32],
        person: id(of),
        opened_at: at(opened),
        ends_at: at(opened + 600),
    }
}

async fn open(home: &Home) -> People {
    match home {
        Home::Embedded(dir) => {
            People::open(&Settings { dir: dir.path().to_owned() }).await.expect("it opens")
        }
        Home::Redis(settings) => People::shared(&connect(settings).await),
    }
}

async fn is_good(people: &People, token: u8, minutes: i64) -> bool {
    let idle_since = at(minutes - 60);
    people.session([token; 32], at(minutes), idle_since).await.expect("a look").is_some()
}

async fn people_are_kept_replaced_and_listed_by_id(home: Home) {
    let people = open(&home).await;
    for name in ["b", "a"] {
        people.put(person(name), Some(format!("hash of {name}"))).await.expect("put");
    }
    let renamed = Person { name: "Bình".to_owned(), ..person("a") };
    people.put(renamed.clone(), None).await.expect("put");
    drop(people);
    let people = open(&home).await;
    assert_eq!(people.list().await.expect("a list"), [renamed.clone(), person("b")]);
    let known = people.credentials(&id("a")).await.expect("a look");
    assert_eq!(known, Some((renamed, Some("hash of a".to_owned()))), "the password stays");
    assert_eq!(people.get(&id("c")).await.expect("a look"), None);
}

async fn a_session_is_good_on_every_handle_until_it_ends_or_rests_too_long(home: Home) {
    let (one, other) = (open(&home).await, open(&home).await);
    one.put(person("a"), None).await.expect("put");
    one.open_session(session(1, "a", 0)).await.expect("opened");
    assert!(is_good(&other, 1, 30).await && is_good(&one, 1, 80).await, "each use counts");
    assert!(!is_good(&other, 1, 141).await, "unused for an hour");
    assert!(!is_good(&one, 2, 30).await, "no such session");
    one.open_session(session(3, "a", 0)).await.expect("opened");
    for minutes in (50..600).step_by(50) {
        assert!(is_good(&other, 3, minutes).await, "used all the time");
    }
    assert!(!is_good(&one, 3, 600).await, "its last hour is over");
    one.open_session(session(4, "a", 0)).await.expect("opened");
    assert!(other.close_session([4; 32]).await.expect("closed"));
    assert!(!is_good(&one, 4, 1).await);
    assert!(!one.close_session([4; 32]).await.expect("nothing to close"));
}

async fn who_is_switched_off_or_gets_a_new_password_loses_every_session(home: Home) {
    let people = open(&home).await;
    for (token, name) in [(1, "a"), (2, "b"), (3, "c")] {
        people.put(person(name), None).await.expect("put");
        people.open_session(session(token, name, 0)).await.expect("opened");
    }
    people.put(person("a"), Some("another hash".to_owned())).await.expect("put");
    people.put(Person { active: false, ..person("b") }, None).await.expect("put");
    people.put(person("b"), None).await.expect("on again");
    people.put(Person { name: "Chi".to_owned(), ..person("c") }, None).await.expect("put");
    assert!(!is_good(&people, 1, 1).await && !is_good(&people, 2, 1).await);
    assert!(is_good(&people, 3, 1).await, "a new name ends nothing");
}

async fn of_too_many_sessions_the_oldest_ends(home: Home) {
    let people = open(&home).await;
    people.put(person("a"), None).await.expect("put");
    for token in 0..=SESSIONS_MAX as u8 {
        people.open_session(session(token, "a", token.into())).await.expect("opened");
    }
    assert!(!is_good(&people, 0, 30).await);
    for token in 1..=SESSIONS_MAX as u8 {
        assert!(is_good(&people, token, 30).await, "{token}");
    }
}

async fn failed_logins_are_counted_within_their_window(home: Home) {
    let (one, other) = (open(&home).await, open(&home).await);
    for minute in [0, 20, 21, 21] {
        one.login_failed("a}{ b", at(minute), at(minute - 15)).await.expect("noted");
    }
    let failures = async |key: &str, since| other.failures(key, at(since)).await.expect("a look");
    assert_eq!(failures("a}{ b", 10).await, (3, Some(at(20))), "the oldest is out of the window");
    assert_eq!(failures("somebody else", 10).await, (0, None));
    other.login_succeeded("a}{ b", Some(at(21))).await.expect("one of two is forgotten");
    assert_eq!(failures("a}{ b", 10).await, (2, Some(at(20))));
    other.login_succeeded("a}{ b", None).await.expect("all are forgotten");
    assert_eq!(failures("a}{ b", 10).await, (0, None));
}

fn request(n: u128, minutes: i64) -> Request {
    Request {
        id: Uuid::from_u128(n),
        change: Change::Person { person: person("a"), password_hash: None },
        asked_by: "admin".to_owned(),
        asked_at: at(minutes),
        state: RequestState::Waiting,
        decided_by: None,
        decided_at: None,
    }
}

async fn a_request_is_decided_once_whoever_decides(home: Home) {
    let (one, other) = (open(&home).await, open(&home).await);
    one.put_request(request(1, 0)).await.expect("put");
    let decide = async |people: &People, state, by: &str| {
        let decision = (state, by.to_owned(), at(5));
        people.decide_request(Uuid::from_u128(1), decision).await.expect("answered")
    };
    let (mine, theirs) = tokio::join!(
        decide(&one, RequestState::Confirmed, "b"),
        decide(&other, RequestState::Refused, "c"),
    );
    let both = [mine, theirs];
    let decided: Vec<&Request> = both.iter().flatten().collect();
    assert_eq!(decided.len(), 1, "one decides, the other is told");
    assert_eq!(other.requests().await.expect("a list"), [decided[0].clone()]);
    let nobody =
        other.decide_request(Uuid::from_u128(2), (RequestState::Refused, "b".into(), at(5)));
    assert_eq!(nobody.await.expect("answered"), None);
}

async fn requests_that_wait_come_first_and_are_bounded(home: Home) {
    let people = open(&home).await;
    for n in 0..REQUESTS_MAX as u128 {
        people.put_request(request(n, n as i64)).await.expect("put");
    }
    let more = people.put_request(request(5_000, 0)).await;
    assert!(matches!(more, Err(Error::TooManyRequests)), "{more:?}");
    people.put_request(request(0, 0)).await.expect("one that is there is replaced");
    let decision = (RequestState::Refused, "b".to_owned(), at(9));
    people.decide_request(Uuid::from_u128(7), decision).await.expect("answered");
    let all = people.requests().await.expect("a list");
    assert_eq!((all.len(), all[0].id), (REQUESTS_MAX, Uuid::from_u128(999)), "the newest first");
    assert_eq!(all[REQUESTS_MAX - 1].id, Uuid::from_u128(7), "what is decided comes last");
    people.put_request(request(5_000, 0)).await.expect("there is room again");
}

async fn sessions_that_ended_are_forgotten(home: Home) {
    let people = open(&home).await;
    people.put(person("a"), None).await.expect("put");
    for token in 0..3 {
        people.open_session(session(token, "a", i64::from(token) * 100)).await.expect("opened");
    }
    assert_eq!(people.forget(at(750)).await.expect("forgotten"), 2);
    assert_eq!(people.forget(at(750)).await.expect("nothing left"), 0);
    assert!(is_good(&people, 2, 220).await);
}
