//! A desk of two nodes: whichever one serves somebody, it is one desk.

use std::time::Duration;

use loa::simulator::citizens::Mix;
use loa::store::Settings as Stores;
use loa::store::answers::Safety;
use loa::store::redis::{Settings, settings::Layout};
use loa::trail::verify::verify;

use super::answers::{says, survey};
use super::live::{listening, next};
use super::*;
use crate::support::citizen::{Citizen, within};
use crate::support::process::{eventually, path, run};
use crate::support::redis::Server;
use crate::support::shape::Shape;

/// Two nodes of a cluster, with the people of a [`House`].
async fn two() -> (Shape, House, TestNode) {
    let shape = Shape::cluster().await;
    let one = TestNode::shaped(&shape, |_| {}).await;
    let other = TestNode::shaped(&shape, |_| {}).await;
    (shape, House::over(one).await, other)
}

impl Officer {
    /// The same session at another node.
    fn at(&self, node: &TestNode) -> Self {
        Self { to: node.node.address.to_string(), ..self.clone() }
    }
}

/// Whether everything of the audit is in its place, seen from a node.
async fn entries(node: &TestNode) -> u64 {
    let trail = &node.node.parts.trail;
    trail.sign().await.expect("signed");
    let report = verify(trail.audit(), &trail.seal().public(), None).await.expect("read");
    assert!(report.is_whole() && report.checkpoints > 0, "{:?}", report.findings);
    report.entries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_of_one_node_is_approved_on_another_and_watched_on_the_first() {
    let (shape, house, other) = two().await;
    house.test.populate(100, Mix { apns: 1000, fcm: 0, ..Mix::default() }).await;
    let (lan, minh) = (house.login("lan").await, house.login("minh").await);
    let mut here = listening(&minh).await;
    let mut there = listening(&minh.at(&other)).await;
    let id = lan.submitted().await;
    let approve = format!("/v1/console/drafts/{id}/approve");
    let done = minh.at(&other).done(&approve, json!({"version": 2})).await;
    let again = minh.refused(&approve, json!({"version": 2})).await;
    assert_eq!(again.0, 409, "the other node decided: {again:?}");
    let mut accepted_here = json!(0);
    for (events, is_here) in [(&mut here, true), (&mut there, false)] {
        let (mut draft, mut row) = (json!(null), json!(null));
        // The draft and what became of it are told by two tasks, whichever comes first.
        let both = async {
            while draft["state"] != "published" || row["state"] != "live" {
                match events.next().await {
                    (name, data) if name == "drafts" => draft = data,
                    (name, data) if name == "publication" => row = data,
                    (name, data) if name == "funnel" && is_here => {
                        accepted_here = data["total"]["accepted"].clone();
                    }
                    _ => {}
                }
            }
        };
        within("both are told", both).await;
        assert_eq!((&draft["id"], &row["id"]), (&json!(id), &done["publication"]));
    }
    let publication = done["publication"].as_str().expect("an id").parse().expect("an id");
    let over = house.test.funnel_where(publication, |funnel| {
        let total = &funnel.total;
        total.targeted > 0
            && funnel.open_dispatches == 0
            && total.accepted + total.skipped == total.targeted
    });
    let accepted = over.await.total.accepted;
    let all = async {
        while accepted_here != json!(accepted) {
            accepted_here = next(&mut here, "funnel").await["total"]["accepted"].clone();
        }
    };
    within("the whole funnel is told", all).await;
    // Who did what is one chain, whoever wrote it and whoever asks.
    let written = entries(&house.test).await;
    assert!(written >= 4, "two logins, a submission, an approval: {written}");
    assert_eq!(entries(&other).await, written);
    let approved = house.audited("minh", Act::ApproveDraft).await;
    assert_eq!(approved, Some(Verdict::Done));
    let verified = run(&["audit", "verify", "--json", "--config", path(&config(&shape, &other))]);
    assert_eq!((verified.code, &verified.json()["whole"]), (0, &json!(true)), "{verified:?}");
    assert_eq!(verified.json()["entries"], written);
    let exported = run(&["audit", "export", "--config", path(&config(&shape, &other))]);
    assert_eq!(exported.out.lines().count() as u64, written);
    // Out on one node is out on all.
    let people = &other.node.parts.people;
    let lan_id = "lan".parse().expect("an id");
    let person = people.get(&lan_id).await.expect("read").expect("there");
    people.put(Person { active: false, ..person }, None).await.expect("stored");
    assert_eq!(lan.get("/v1/console/drafts").await.status, 401);
    other.stop().await;
    house.test.stop().await;
}

/// The settings of the stores, as an operator would write them.
fn config(shape: &Shape, node: &TestNode) -> std::path::PathBuf {
    let Stores::Redis(redis) = &shape.store else { panic!("a cluster's stores are on Redis") };
    let Layout::Single(url) = &redis.layout else { panic!("the tests' server is one") };
    let file = node.dir.path().join("loa.toml");
    let text = format!(
        "[node]\ndata_dir = {:?}\n[store]\nkind = \"redis\"\n[store.redis]\n\
         urls = [\"{url}\"]\nprefix = \"{}\"\n",
        node.dir.path(),
        redis.prefix
    );
    std::fs::write(&file, text).expect("written");
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn what_citizens_answer_on_two_gateways_counts_once() {
    let (_, house, other) = two().await;
    let unit = house.test.node.parts.city.units()[40].code.to_string();
    let body = json!({"address": {"channel": "websocket"}, "languages": ["vi"],
        "places": [{"unit": unit}]});
    let one = Citizen::register(&house.to(), body).await;
    let lan = house.login("lan").await;
    let draft = lan.at(&other).done("/v1/console/drafts", survey(&unit)).await;
    let publish = format!("/v1/console/drafts/{}/publish", draft["id"].as_str().expect("an id"));
    let done = lan.done(&publish, json!({})).await;
    let id = done["publication"].as_str().expect("an id");
    let answers = house.test.node.parts.answers.clone();
    let there = Citizen { to: other.node.address.to_string(), ..one };
    for (number, word) in [(0, "yes"), (1, "no"), (2, "no")] {
        let at = if number % 2 == 0 { house.to() } else { there.to.clone() };
        let citizen = Citizen { to: at, ..there.clone() };
        let said = says(&citizen, json!({"publication": id, "survey": {"dry": word}})).await;
        assert_eq!(said.status, 202, "{}", said.text());
    }
    for minh in [house.login("minh").await, house.login("minh").await.at(&other)] {
        let seen = minh.get(&format!("/v1/publications/{id}/answers")).await.json();
        assert_eq!(seen["survey"]["answered"], 1, "{seen}");
        assert_eq!(seen["survey"]["questions"][0]["tally"], json!({"no": 1}));
    }
    let publication = id.parse().expect("an id");
    assert!(!answers.safety(publication).await.expect("counts").contains_key(&Safety::Safe));
    other.stop().await;
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_count_requests_together_and_each_alone_while_redis_is_away() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let settings = Settings { patience: Duration::from_secs(20), ..Settings::single(server.url()) };
    let shape = Shape { store: Stores::Redis(Box::new(settings)), ..Shape::cluster().await };
    let slow = |config: &mut loa::config::Config| {
        (config.http.requests_per_second, config.http.request_burst) = (1, 40);
    };
    let (one, other) = (TestNode::shaped(&shape, slow).await, TestNode::shaped(&shape, slow).await);
    let units = async |node: &TestNode| {
        let to = node.node.address.to_string();
        ask(&to, "GET", "/v1/units", &[], &[]).await
    };
    let (mut served, mut refused) = (0, None);
    for number in 0..80 {
        let answer = units(if number % 2 == 0 { &one } else { &other }).await;
        match answer.status {
            200 => served += 1,
            _ => refused = Some(answer),
        }
    }
    // A burst, a tenth of it on each node unasked, and what came back meanwhile.
    assert!((40..=75).contains(&served), "{served} of 80");
    let refused = refused.expect("two nodes grant no two bursts");
    assert_eq!(refusal(&refused), (429, "rate_limited".to_owned()));
    assert!(refused.header("retry-after").is_some_and(|wait| wait != "0"), "{}", refused.head);
    // Away: each node counts alone, so nobody is refused because of it.
    server.kill();
    eventually(async || (units(&other).await.status == 200).then_some(())).await;
    server.restart();
    other.stop().await;
    one.stop().await;
}
