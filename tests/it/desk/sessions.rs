//! Sessions: who has one, when it ends, and what a stolen or forged one is worth.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::store::people::NewSession;
use sha2::{Digest, Sha256};

use super::*;

const SESSION: &str = "/v1/console/session";

/// A session put into the store, opened so long ago and ending so far from now.
async fn session(house: &House, (opened_min, ends_min): (i64, i64)) -> Officer {
    let token = URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes().repeat(2));
    let now = Timestamp::now();
    let session = NewSession {
        token_hash: Sha256::digest(token.as_bytes()).into(),
        person: "lan".parse().expect("an id"),
        opened_at: now - SignedDuration::from_mins(opened_min),
        ends_at: now + SignedDuration::from_mins(ends_min),
    };
    house.test.node.parts.people.open_session(session).await.expect("opened");
    Officer { to: house.to(), headers: vec![format!("cookie: loa_session={token}")], csrf: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_its_hour_by_idling_and_by_logging_out() {
    let house = House::open().await;
    assert_eq!(session(&house, (5, 5)).await.get(SESSION).await.status, 200);
    assert_eq!(session(&house, (5, -1)).await.get(SESSION).await.status, 401, "its hour");
    assert_eq!(session(&house, (61, 5)).await.get(SESSION).await.status, 401, "idle for an hour");
    let lan = house.login("lan").await;
    let known = lan.get(SESSION).await;
    assert_eq!(known.header("cache-control"), Some("no-store"));
    let known = known.json();
    assert_eq!((&known["person"]["id"], &known["agency"]["id"]), (&json!("lan"), &json!("a")));
    assert_eq!(known["csrf"], json!(lan.csrf));
    assert_eq!(lan.ask("POST", "/v1/console/logout", None).await.status, 204);
    assert_eq!(lan.get(SESSION).await.status, 401, "a stolen cookie is worth nothing after it");
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_switched_off_or_gets_a_new_password_is_out_at_once() {
    let house = House::open().await;
    let people = &house.test.node.parts.people;
    let person = people.get(&"lan".parse().expect("an id")).await.expect("read").expect("lan");
    let lan = house.login("lan").await;
    let hash = password::hash("một mật khẩu khác hẳn").expect("hashed");
    people.put(person.clone(), Some(hash)).await.expect("stored");
    assert_eq!(lan.get(SESSION).await.status, 401);
    assert_eq!(house.try_login("lan", PASSWORD).await.status, 401);
    let again = house.try_login("lan", "một mật khẩu khác hẳn").await;
    let lan = Officer::of(&house.to(), &again);
    people.put(Person { active: false, ..person }, None).await.expect("stored");
    assert_eq!(lan.get(SESSION).await.status, 401);
    assert_eq!(house.try_login("lan", "một mật khẩu khác hẳn").await.status, 401);
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_come_from_our_page_is_refused() {
    let house = House::open().await;
    let (lan, minh) = (house.login("lan").await, house.login("minh").await);
    let body = json!({"kind": "alert", "body": calm()});
    let drafts = "/v1/console/drafts";
    let forged = Officer { csrf: None, ..lan.clone() };
    let csrf = (403, "csrf".to_owned());
    assert_eq!(forged.refused(drafts, body.clone()).await, csrf);
    let crossed = Officer { csrf: minh.csrf.clone(), ..lan.clone() };
    assert_eq!(crossed.refused(drafts, body.clone()).await, csrf, "another session's token");
    let draft = lan.done(drafts, body).await;
    let path = format!("{drafts}/{}", draft["id"].as_str().expect("an id"));
    assert_eq!(refusal(&forged.ask("DELETE", &path, None).await), csrf);
    let put = json!({"version": 1, "body": calm()});
    assert_eq!(refusal(&forged.ask("PUT", &path, Some(&put)).await), csrf);
    assert_eq!(forged.get(&path).await.status, 200, "reading changes nothing");
    // A second cookie of the name, as a neighbouring site could plant, is no session.
    let doubled = format!("{}; loa_session=abc", lan.headers[0]);
    let doubled = Officer { headers: vec![doubled], ..lan.clone() };
    assert_eq!(doubled.get(&path).await.status, 401);
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slow_and_leaves_a_trace() {
    let house = House::open().await;
    for _ in 0..5 {
        let wrong = house.try_login("lan", "không phải mật khẩu").await;
        assert_eq!(refusal(&wrong), (401, "unauthorized".to_owned()));
    }
    let locked = house.try_login("lan", PASSWORD).await;
    assert_eq!(refusal(&locked), (429, "rate_limited".to_owned()));
    let wait: u64 = locked.header("retry-after").expect("a wait").parse().expect("seconds");
    assert!((1..=900).contains(&wait), "{wait}");
    assert_eq!(house.try_login("minh", PASSWORD).await.status, 200, "nobody else waits");
    let refused = Verdict::Refused { code: "unauthorized".to_owned() };
    assert_eq!(house.audited("lan", Act::Login).await, Some(refused));
    // Who does not exist is answered like who does.
    let nobody = house.try_login("nobody", PASSWORD).await;
    let wrong = house.try_login("nga", "không phải mật khẩu").await;
    assert_eq!(nobody.json()["detail"], wrong.json()["detail"]);
    // A good password forgets the bad ones.
    assert_eq!(house.try_login("nga", PASSWORD).await.status, 200);
    for _ in 0..4 {
        assert_eq!(house.try_login("nga", "không phải mật khẩu").await.status, 401);
    }
    assert_eq!(house.try_login("nga", PASSWORD).await.status, 200);
    // A whole agency behind one address may log in as often as it likes.
    for _ in 0..50 {
        assert_eq!(house.try_login("minh", PASSWORD).await.status, 200);
    }
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_holds_no_password_and_no_token() {
    let house = House::open().await;
    let lan = house.login("lan").await;
    let token = lan.headers[0].split('=').nth(1).expect("a token").to_owned();
    let (dir, _providers) = house.test.stop().await;
    let mut read = 0;
    for entry in std::fs::read_dir(dir.path()).expect("the directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&path).expect("read");
        read += bytes.len();
        for secret in [PASSWORD, &token] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    assert!(read > 100_000, "the files were read");
}
