//! The key that citizens' pseudonyms follow from is rotated, and nobody becomes a stranger.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use loa::auth::names::Names;
use loa::auth::pseudonym::Pseudonyms;
use loa::auth::ring::Purpose;
use loa::clock::Clock;
use loa::domain::audit::{Act, Entry};
use loa::domain::ids::{DeviceId, SubjectId};
use loa::node::citizens;
use loa::node::signing::Place;
use serde_json::{Value, json};

use super::erasure::{NUMBER, REMARK, TOKEN, Traces, phone, search, tell};
use super::issuer::Issuer;
use super::oidc::{Browser, City};
use crate::support::citizen::{Citizen, ask, ask_json, id_of};
use crate::support::node::{self, AlertXml, TestNode};
use crate::support::people::everywhere;
use crate::support::process::{eventually, path, run};
use crate::support::shape::{Shape, in_every_shape};

in_every_shape!(
    whoever_comes_after_a_rotation_finds_all_of_theirs_and_the_old_name_finds_them,
    a_browsers_session_goes_on_under_the_new_name,
    a_move_that_a_crash_cut_short_misses_nothing_and_heals,
    at_the_old_keys_end_those_who_never_came_are_forgotten_and_warned_all_the_same,
    whoever_was_moved_and_leaves_is_found_under_neither_name,
);

/// How long the old key lives on.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// A node, and whose token it believes.
struct Town {
    test: TestNode,
    issuer: Issuer,
    place: Place,
    to: String,
    unit: String,
}

impl Town {
    async fn of(shape: &Shape) -> Self {
        let issuer = Issuer::new();
        let settings = issuer.settings.clone();
        let test = TestNode::shaped(shape, |config| config.auth.citizens = Some(settings)).await;
        let to = test.node.address.to_string();
        let unit = test.node.parts.city.units()[0].code.to_string();
        let place = place(&test, shape).await;
        Self { test, issuer, place, to, unit }
    }

    /// A citizen with a phone, by the provider's id.
    async fn citizen(&self, number: &str, token: &str) -> (String, Citizen, SubjectId) {
        let bearer = self.issuer.token(number);
        let phone = phone(&self.to, &bearer, (&self.unit, token)).await;
        let subject = self.called(&bearer).await;
        (bearer, phone, subject)
    }

    /// What a citizen is called, by their own word.
    async fn called(&self, auth: &str) -> SubjectId {
        let me = ask(&self.to, "GET", "/v1/me", &[auth], b"").await.json();
        me["subject"].as_str().expect("a pseudonym").parse().expect("a pseudonym")
    }

    /// How many messages somebody's inbox holds.
    async fn inbox(&self, auth: &str) -> usize {
        let inbox = ask(&self.to, "GET", "/v1/inbox", &[auth], b"").await.json();
        let items = inbox["items"].as_array().expect("items");
        let of_report = |item: &&Value| item["publication"]["status"]["remark"] == REMARK;
        items.iter().filter(of_report).count()
    }

    async fn pushed(&self, token: &str, count: usize) {
        let record = &self.test.providers.record;
        eventually(async || (record.of(token).len() == count).then_some(())).await;
    }

    async fn owner(&self, phone: &Citizen) -> Option<SubjectId> {
        let id: DeviceId = phone.id.parse().expect("an id");
        let stored = self.test.node.parts.registry.get(&id).await.expect("a registry");
        stored.expect("registered").device.subject.clone()
    }
}

async fn place(test: &TestNode, shape: &Shape) -> Place {
    let mut config = node::settings(&test.dir);
    shape.apply(&mut config);
    Place::open(&config).await.expect("a place")
}

/// Rotates as of a minute ago, so that the new key is used as soon as the node hears of it.
async fn rotate(test: &TestNode, place: &Place) {
    let then = Timestamp::now() - SignedDuration::from_secs(61);
    let keys = &test.node.parts.keys;
    let before = keys.now().of(Purpose::Pseudonyms).count().max(1);
    place.rotate(Purpose::Pseudonyms, then, KEPT).await.expect("rotated");
    let known = || keys.now().of(Purpose::Pseudonyms).count() > before;
    eventually(async || known().then_some(())).await;
}

async fn whoever_comes_after_a_rotation_finds_all_of_theirs_and_the_old_name_finds_them(
    shape: Shape,
) {
    let town = Town::of(&shape).await;
    let (bearer, phone, old) = town.citizen(NUMBER, TOKEN).await;
    let other = town.citizen("079000000002", "another-phones-token").await;
    let mut stream = phone.stream(None).await;
    stream.expect("hello").await;
    stream.until_live().await;
    let before = stream.position.clone().expect("a position");
    tell(&town.test, old.as_str(), 1).await;
    let first = id_of(&stream.expect("publication").await);
    town.pushed(TOKEN, 1).await;
    rotate(&town.test, &town.place).await;
    assert_eq!(town.owner(&phone).await, Some(old.clone()), "only a token moves anybody");
    assert_eq!(town.inbox(&phone.auth()).await, 1);
    let new = town.called(&bearer).await;
    assert_ne!(new, old);
    assert_eq!(town.owner(&phone).await, Some(new.clone()));
    let me = ask(&town.to, "GET", "/v1/me", &[&bearer], b"").await.json();
    assert_eq!(me["devices"].as_array().map(Vec::len), Some(1), "{me}");
    // Agencies may write to either name; an open stream began under the old one.
    for (step, name) in [(2, &old), (3, &new)] {
        tell(&town.test, name.as_str(), step).await;
        stream.expect("publication").await;
        town.pushed(TOKEN, step as usize).await;
        assert_eq!(town.inbox(&bearer).await, step as usize);
        assert_eq!(town.inbox(&phone.auth()).await, step as usize);
    }
    // One that resumes is told what was said before the move, too.
    let mut resumed = phone.stream(Some(&before)).await;
    assert_eq!(resumed.expect("hello").await["recovered"], true);
    let missed = resumed.until_live().await;
    assert_eq!((missed.len(), &missed[0]), (3, &first));
    let (_, others, their_old) = other;
    assert_eq!(town.owner(&others).await, Some(their_old), "who did not come is as before");
    assert_eq!(town.inbox(&others.auth()).await, 0);
    // Once more, before the other citizen came at all.
    rotate(&town.test, &town.place).await;
    let newer = town.called(&bearer).await;
    assert!(newer != new && newer != old);
    for (step, name) in [(4, &old), (5, &new), (6, &newer)] {
        tell(&town.test, name.as_str(), step).await;
        stream.expect("publication").await;
        town.pushed(TOKEN, step as usize).await;
    }
    assert_eq!(town.inbox(&bearer).await, 6);
    town.test.stop().await;
}

async fn a_browsers_session_goes_on_under_the_new_name(shape: Shape) {
    let ways = ("/v1/login", "/v1/login/callback");
    let city = City::with(ways, |config, settings| {
        shape.apply(config);
        config.auth.citizens = Some(settings);
    });
    let city = city.await;
    let place = place(&city.test, &shape).await;
    let (mut open, mut new) = (Browser::default(), Browser::default());
    let callback = open.until_the_callback(&city).await;
    open.get(&callback).await;
    let at = |path: &str| callback.join(path).expect("a URL");
    let called = async |browser: &mut Browser| {
        let me = browser.get(&at("/v1/me")).await.json();
        me["subject"].as_str().expect("a pseudonym").to_owned()
    };
    let told = async |browser: &mut Browser| {
        let inbox = browser.get(&at("/v1/inbox")).await.json();
        inbox["items"].as_array().map(Vec::len)
    };
    let session = open.get(&at("/v1/session")).await.json();
    let csrf = format!("x-loa-csrf: {}", session["csrf"].as_str().expect("a token"));
    let unit = city.test.node.parts.city.units()[0].code.to_string();
    let device = Citizen::register(&city.to, json!({"places": [{"unit": unit}]})).await;
    let claim = async |browser: &mut Browser, device: &Citizen| {
        let url = at(&format!("/v1/devices/{}/claim", device.id));
        let kind = "content-type: application/json";
        let secret = json!({"secret": device.secret}).to_string();
        let claimed = browser.ask("POST", &url, &[kind, &csrf], &secret).await;
        assert_eq!(claimed.status, 200, "{}", claimed.text());
    };
    claim(&mut open, &device).await;
    let old = called(&mut open).await;
    tell(&city.test, &old, 1).await;
    rotate(&city.test, &place).await;
    assert_eq!(called(&mut open).await, old, "a session alone moves nobody");
    let callback = new.until_the_callback(&city).await;
    new.get(&callback).await;
    let present = called(&mut new).await;
    assert_ne!(present, old);
    // The session of before is theirs as much as that of the new login.
    assert_eq!(called(&mut open).await, present);
    assert_eq!((told(&mut open).await, told(&mut new).await), (Some(1), Some(1)));
    let another = Citizen::register(&city.to, json!({"places": [{"unit": unit}]})).await;
    claim(&mut open, &another).await;
    claim(&mut open, &device).await;
    let me = new.get(&at("/v1/me")).await.json();
    assert_eq!(me["devices"].as_array().map(Vec::len), Some(2), "{me}");
    let left = open.ask("DELETE", &at("/v1/me"), &[&csrf], "").await;
    assert_eq!(left.status, 204, "{}", left.text());
    assert_eq!(told(&mut new).await, Some(0));
    assert_eq!(ask(&city.to, "GET", "/v1/me", &[&device.auth()], b"").await.status, 401);
    city.test.stop().await;
}

async fn a_move_that_a_crash_cut_short_misses_nothing_and_heals(shape: Shape) {
    let town = Town::of(&shape).await;
    let (bearer, phone, old) = town.citizen(NUMBER, TOKEN).await;
    tell(&town.test, old.as_str(), 1).await;
    town.pushed(TOKEN, 1).await;
    rotate(&town.test, &town.place).await;
    // The first step alone: what the alerts' store does at once.
    let parts = &town.test.node.parts;
    let pseudonyms = parts.names.pseudonyms();
    let new = pseudonyms.of(&town.issuer.settings.issuer, NUMBER).swap_remove(0);
    let done = parts.alerts.rename((&old, &new), true).await.expect("renamed");
    assert_eq!(done, Some(new.clone()));
    // Whatever still has the old name works, and nothing that is said to either is lost.
    let mut stream = phone.stream(None).await;
    stream.expect("hello").await;
    stream.until_live().await;
    for (step, name) in [(2, &old), (3, &new)] {
        tell(&town.test, name.as_str(), step).await;
        stream.expect("publication").await;
        town.pushed(TOKEN, step as usize).await;
        assert_eq!(town.inbox(&phone.auth()).await, step as usize);
    }
    assert_eq!(town.owner(&phone).await, Some(old.clone()), "it is still half done");
    assert_eq!(town.called(&bearer).await, new);
    assert_eq!(town.owner(&phone).await, Some(new.clone()), "the next token ends it");
    assert_eq!(town.inbox(&bearer).await, 3);
    town.test.stop().await;
}

/// The citizens' names as they are seen after the old key's end.
async fn after_the_end(town: &Town) -> Names {
    let parts = &town.test.node.parts;
    let first = town.place.first_pseudonyms().await.expect("a key");
    let clock = Clock::manual(Timestamp::now() + KEPT);
    let pseudonyms = Pseudonyms::new(parts.keys.clone(), first, clock);
    let stores = (parts.alerts.clone(), parts.registry.clone(), parts.answers.clone());
    Names::new(pseudonyms, stores)
}

async fn at_the_old_keys_end_those_who_never_came_are_forgotten_and_warned_all_the_same(
    shape: Shape,
) {
    let town = Town::of(&shape).await;
    let (bearer, phone, old) = town.citizen(NUMBER, TOKEN).await;
    let (their_bearer, theirs, their_name) =
        town.citizen("079000000002", "another-phones-token").await;
    for (name, step) in [(&old, 1), (&their_name, 2)] {
        tell(&town.test, name.as_str(), step).await;
    }
    town.pushed("another-phones-token", 1).await;
    rotate(&town.test, &town.place).await;
    let new = town.called(&bearer).await;
    let early = citizens::end(&town.test.node.parts.names, &town.place, Duration::ZERO).await;
    assert_eq!(early.expect("looked"), 0, "its time is not over");
    assert_eq!(town.inbox(&theirs.auth()).await, 1);
    let later = after_the_end(&town).await;
    let ended = citizens::end(&later, &town.place, Duration::ZERO).await.expect("ended");
    assert_eq!(ended, 1);
    let ring = town.place.load().await.expect("a ring");
    assert_eq!(ring.of(Purpose::Pseudonyms).count(), 1, "the key is gone, too");
    // Whoever came has all of theirs, and is found under the new name alone.
    assert_eq!((town.inbox(&bearer).await, town.owner(&phone).await), (1, Some(new)));
    let names = Traces(vec![
        ("the mover's old name", old.as_str().into()),
        ("the other's name", their_name.as_str().into()),
    ]);
    eventually(async || search(&town.test, &names).await.is_empty().then_some(())).await;
    // The other one's device is nobody's, and is warned for its place as before.
    assert_eq!((town.inbox(&theirs.auth()).await, town.owner(&theirs).await), (0, None));
    let me = ask(&town.to, "GET", "/v1/me", &[&theirs.auth()], b"").await.json();
    assert_eq!(me["devices"][0]["stays"].as_array().map(Vec::len), Some(1), "{me}");
    eventually(async || {
        let left = town.test.node.parts.keys.now().of(Purpose::Pseudonyms).count();
        (left == 1).then_some(())
    })
    .await;
    tell(&town.test, old.as_str(), 3).await;
    assert_eq!((town.inbox(&bearer).await, town.inbox(&their_bearer).await), (1, 0));
    town.test.stop().await;
}

async fn whoever_was_moved_and_leaves_is_found_under_neither_name(shape: Shape) {
    let town = Town::of(&shape).await;
    let (bearer, phone, old) = town.citizen(NUMBER, TOKEN).await;
    tell(&town.test, old.as_str(), 1).await;
    let area = everywhere(&town.test.node.parts.city);
    let alert = town.test.publish(AlertXml::hot("answered", &area).render()).await;
    town.pushed(TOKEN, 2).await;
    let answer = json!({"publication": alert, "answer": "safe", "note": "Note 5512"});
    let answered = ask_json(&town.to, "POST", "/v1/answers", &phone.auth(), &answer).await;
    assert_eq!(answered.status, 202, "{}", answered.text());
    rotate(&town.test, &town.place).await;
    let new = town.called(&bearer).await;
    tell(&town.test, old.as_str(), 2).await;
    town.pushed(TOKEN, 3).await;
    let traces = Traces(vec![
        ("the provider's id", NUMBER.into()),
        ("the token", TOKEN.into()),
        ("the remark", REMARK.into()),
        ("the old name", old.as_str().into()),
        ("the new name", new.as_str().into()),
        ("the device", phone.id.clone().into()),
        ("what they answered", b"Note 5512".to_vec()),
    ]);
    let before = search(&town.test, &traces).await;
    for known in ["the old name", "the new name", "what they answered"] {
        assert!(before.iter().any(|found| found.starts_with(known)), "{known}: {before:?}");
    }
    let left = ask(&town.to, "DELETE", "/v1/me", &[&bearer], b"").await;
    assert_eq!(left.status, 204, "{}", left.text());
    eventually(async || {
        let found = search(&town.test, &traces).await;
        found.iter().for_each(|found| eprintln!("still {found}"));
        found.is_empty().then_some(())
    })
    .await;
    tell(&town.test, old.as_str(), 3).await;
    assert_eq!(town.inbox(&bearer).await, 1, "a stranger with a name that an agency still has");
    town.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_by_hand_is_seen_by_running_nodes_and_leaves_its_line_in_the_audit() {
    let test = TestNode::start().await;
    let keys = &test.node.parts.keys;
    let kids = || {
        let ring = keys.now();
        ring.of(Purpose::Pseudonyms).map(|key| key.kid().to_owned()).collect::<Vec<_>>()
    };
    assert!(kids().is_empty());
    let dir = path(test.dir.path());
    let done = run(&["keys", "rotate", "pseudonyms", "--data-dir", dir, "--by", "lan"]);
    assert_eq!(done.code, 0, "{done:?}");
    eventually(async || (kids().len() == 2).then_some(())).await;
    let listed = run(&["keys", "list", "--json", "--data-dir", dir]).json();
    let listed = listed["keys"].as_array().expect("keys").clone();
    let of_names: Vec<&Value> =
        listed.iter().filter(|key| key["purpose"] == "pseudonyms").collect();
    assert!(of_names.len() == 2 && of_names[1]["verifies_until"].is_null(), "{listed:?}");
    let until: Timestamp =
        of_names[0]["verifies_until"].as_str().expect("an end").parse().expect("an instant");
    let days = until.duration_since(Timestamp::now()).as_hours() / 24;
    assert_eq!(days, 400, "as long as a device may be unseen");
    let refused = run(&["keys", "revoke", &kids()[0], "--data-dir", dir]);
    assert_eq!(refused.code, 2, "{refused:?}");
    let links = test.node.parts.trail.audit().links(0).await.expect("the audit");
    let entries = links.iter().map(|link| serde_json::from_str(&link.text).expect("an entry"));
    let rotated: Vec<Entry> =
        entries.filter(|entry: &Entry| entry.act == Act::RotateSigningKey).collect();
    assert_eq!(rotated.len(), 1, "{rotated:?}");
    assert_eq!(rotated[0].object, "pseudonyms");
    test.stop().await;
}
