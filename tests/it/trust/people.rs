//! People of the agencies log in by way of an identity provider: those whose account was linked
//! beforehand, and nobody else.

use loa::auth::password;
use loa::domain::audit::{Act, Verdict};
use loa::domain::person::{Person, Right};
use loa::store::audit::Filter;
use loa::store::people::Account;
use serde_json::{Value, json};
use url::Url;

use super::oidc::{Browser, City};
use crate::support::citizen::{ask, ask_json};
use crate::support::node::agency;

const PASSWORD: &str = "a password that is right";
const WAYS: (&str, &str) = ("/v1/console/login/provider", "/v1/console/login/callback");

/// A node without passwords, on which lan works.
async fn house() -> City {
    let city = City::with(WAYS, |config, settings| {
        config.auth.people = Some(settings);
        config.console.password_login = false;
        assert_eq!(config.problems(), Vec::<String>::new());
    });
    let city = city.await;
    let all = loa::domain::agency::Jurisdiction::unlimited();
    agency(&city.test.node, "a", all).await.expect("an agency");
    put(&city, true).await;
    city
}

async fn put(city: &City, active: bool) {
    let person = Person {
        id: "lan".parse().expect("an id"),
        name: "Lan".to_owned(),
        agency: "a".parse().expect("an id"),
        rights: [Right::Write].into(),
        active,
    };
    let hash = password::hash(PASSWORD).expect("hashed");
    city.test.node.parts.people.put(person, Some(hash)).await.expect("stored");
}

async fn link(city: &City, account: Account) {
    let lan = "lan".parse().expect("an id");
    city.test.node.parts.people.link(account, &lan).await.expect("linked");
}

/// A browser that comes back from the provider as somebody.
async fn back(city: &City, account: &'static str) -> (Browser, Url) {
    let mut browser = Browser::of(account);
    let callback = browser.until_the_callback(city).await;
    (browser, callback)
}

/// Who comes back so is not let in, and nothing is set.
async fn refused(browser: &mut Browser, callback: &Url, why: &str) {
    let answer = browser.get(callback).await;
    assert_eq!(answer.status, 401, "{why}: {}", answer.text());
    assert_eq!(answer.json()["code"], "unauthorized", "{why}");
    assert!(!answer.head.contains("loa_session"), "{why}: {}", answer.head);
}

async fn enters(city: &City, account: &'static str) -> Value {
    let (mut browser, callback) = back(city, account).await;
    let answer = browser.get(&callback).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/console/")));
    let cookie = answer.head.lines().find(|line| line.contains("loa_session="));
    let cookie = cookie.expect("a session");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let session = callback.join("/v1/console/session").expect("a URL");
    let answer = browser.get(&session).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Who logged in, or tried to, and whether they were refused.
async fn audited(city: &City) -> Vec<(String, bool)> {
    let filter = Filter { limit: 100, ..Filter::default() };
    let links = city.test.node.parts.trail.audit().list(filter).await.expect("the audit");
    let logins = links.into_iter().filter(|link| link.entry.act == Act::Login);
    let refused = |verdict: &Verdict| matches!(verdict, Verdict::Refused { .. });
    logins.map(|link| (format!("{:?}", link.entry.actor), refused(&link.entry.verdict))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_let_in_by_a_linked_account_and_nobody_is_made_one() {
    let city = house().await;
    let issuer = city.vneid_issuer();
    let (mut stranger, callback) = back(&city, "officer-lan").await;
    refused(&mut stranger, &callback, "nobody's account").await;
    assert_eq!(city.test.node.parts.people.list().await.expect("read").len(), 1);
    link(&city, Account::subject(&issuer, "officer-lan")).await;
    let session = enters(&city, "officer-lan").await;
    assert_eq!(session["person"]["id"], "lan");
    assert_eq!(session["person"]["rights"], json!(["write"]));
    // An address counts only where the provider has verified it.
    let (mut other, callback) = back(&city, "mailed").await;
    refused(&mut other, &callback, "an address that is not linked").await;
    link(&city, Account::email(&issuer, "lan@city.example")).await;
    let (mut unverified, callback) = back(&city, "unverified").await;
    refused(&mut unverified, &callback, "an address that nobody verified").await;
    assert_eq!(enters(&city, "mailed").await["person"]["id"], "lan");
    // The same account at another issuer is another one.
    let lan = "lan".parse().expect("an id");
    let people = &city.test.node.parts.people;
    assert_eq!(people.unlink(&lan).await.expect("unlinked"), 2);
    link(&city, Account::subject("https://evil.example", "officer-lan")).await;
    let (mut unlinked, callback) = back(&city, "officer-lan").await;
    refused(&mut unlinked, &callback, "an account that was taken away").await;
    link(&city, Account::subject(&issuer, "officer-lan")).await;
    put(&city, false).await;
    let (mut off, callback) = back(&city, "officer-lan").await;
    refused(&mut off, &callback, "switched off").await;
    city.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_login_is_taken_once_with_its_own_token_and_no_password_helps() {
    let mut city = house().await;
    let issuer = city.vneid_issuer();
    link(&city, Account::subject(&issuer, "officer-lan")).await;
    let (browser, callback) = back(&city, "officer-lan").await;
    refused(&mut Browser::default(), &callback, "another browser").await;
    let mut wrong = callback.clone();
    wrong.query_pairs_mut().append_pair("state", "x");
    let twice = browser.clone().get(&wrong).await;
    assert!(twice.status >= 400 && !twice.head.contains("loa_session"), "{}", twice.head);
    assert_eq!(browser.clone().get(&callback).await.status, 303);
    refused(&mut browser.clone(), &callback, "the code again").await;
    // What the provider, or who poses as it, answers a code with.
    for (why, claims, header) in [
        ("another audience", json!({"aud": "other"}), json!({})),
        ("another issuer", json!({"iss": "https://evil.example"}), json!({})),
        ("another login's nonce", json!({"nonce": "x"}), json!({})),
        ("expired", json!({"exp": 1}), json!({})),
        ("alg none", json!({}), json!({"alg": "none"})),
        ("a shared secret", json!({}), json!({"alg": "HS256"})),
    ] {
        let (mut browser, callback) = back(&city, "officer-lan").await;
        let mut all = json!({"sub": "officer-lan", "nonce": browser.nonce});
        for (name, value) in claims.as_object().expect("claims") {
            all[name] = value.clone();
        }
        city.vneid.say(format!("answer\t{all}\t{header}")).await;
        refused(&mut browser, &callback, why).await;
    }
    let (mut browser, callback) = back(&city, "officer-lan").await;
    let good = json!({"sub": "officer-lan", "nonce": browser.nonce});
    city.vneid.say(format!("answer\t{good}\t{{}}")).await;
    assert_eq!(browser.get(&callback).await.status, 303, "but for these it would be taken");
    let ways = ask(&city.to, "GET", "/v1/console/login", &[], b"").await.json();
    assert_eq!(ways, json!({"password": false, "provider": "/v1/console/login/provider"}));
    let body = json!({"person": "lan", "password": PASSWORD});
    let answer = ask_json(&city.to, "POST", "/v1/console/login", "", &body).await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthorized")));
    let audited = audited(&city).await;
    let refusals = audited.iter().filter(|(_, refused)| *refused).count();
    assert!(refusals >= 9, "each leaves a line: {audited:?}");
    assert!(audited.iter().any(|(actor, refused)| actor.contains("lan") && !refused));
    city.test.stop().await;
}
