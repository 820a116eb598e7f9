//! Web Push: from a browser's subscription to the decrypted message, over a whole node and real
//! TLS sockets.

mod independent;
mod service;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use loa::domain::channel::Channel;
use loa::domain::funnel::Funnel;
use loa::domain::geo::LatLon;
use loa::domain::ids::{DeviceId, PublicationId};
use loa::domain::webpush::Subscription;
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};
use loa::simulator::webpush::Received;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::recall::update_of;
use crate::support::http::{Answer, ask};
use crate::support::node::{AlertXml, CENTRE, TestNode};
use crate::support::process::eventually;

/// A simulated browser.
const BROWSER: &str = "simulated-one";

impl TestNode {
    /// Registers a device somewhere in the centre; `address` is what a page would send.
    async fn register_browser(&self, address: &Value) -> Answer {
        let unit = self.unit_in_the_centre();
        let device =
            json!({ "address": address, "places": [{ "unit": unit }], "languages": ["en"] });
        let body = Some(("application/json", Bytes::from(device.to_string())));
        ask(self.node.address, (Method::POST, "/v1/devices"), None, body).await.expect("an answer")
    }

    fn unit_in_the_centre(&self) -> String {
        let middle = LatLon::new(10.78, 106.70).expect("a point");
        self.node.parts.city.locate(middle).expect("inside").unit.code.to_string()
    }

    async fn vapid(&self) -> String {
        let answer = self.ask(Method::GET, "/v1/push/vapid", None).await.json();
        answer["application_server_key"].as_str().expect("a key").to_owned()
    }

    /// Waits until every dispatch of a publication is over.
    async fn finished(&self, id: PublicationId) -> Funnel {
        let done = |funnel: &Funnel| funnel.total.targeted > 0 && funnel.open_dispatches == 0;
        self.funnel_where(id, done).await
    }
}

/// What `{channel: "webpush", ...subscription.toJSON()}` is on a page.
fn address(subscription: &Subscription) -> Value {
    json!({
        "channel": "webpush", "endpoint": subscription.endpoint, "expirationTime": null,
        "keys": { "p256dh": subscription.keys.p256dh, "auth": subscription.keys.auth },
    })
}

fn header<'a>(received: &'a Received, name: &str) -> &'a str {
    received.headers[name].to_str().expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_the_alert_decrypted_with_all_it_needs() {
    // The node makes its own key, as an operator's first start does.
    let test =
        TestNode::with(|config| config.channel.webpush.as_mut().expect("set").key = None).await;
    let key = test.vapid().await;
    assert!(test.dir.path().join("vapid.key").exists());
    let browsers = &test.providers.browsers;
    browsers.watch(BROWSER, Some(&key));
    let registered = test.register_browser(&address(&browsers.subscription(BROWSER))).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.text());
    assert_eq!(registered.json()["channel"], "webpush");
    assert!(!registered.text().contains("endpoint"), "the address is not shown again");

    let id = test.publish(AlertXml::hot("webpush", CENTRE).render()).await;
    let funnel = test.finished(id).await;
    assert_eq!(funnel.channels[&Channel::Webpush].accepted, 1, "{funnel:?}");
    let received = browsers.received(BROWSER);
    assert_eq!(received.len(), 1);
    let message = received[0].message.as_ref().expect("decrypted");
    assert_eq!((&message["title"], &message["silent"]), (&json!("Deep flooding"), &json!(false)));
    let loa = &message["loa"];
    assert_eq!(loa["publication"], id.to_string());
    assert_eq!((&loa["action"], &loa["lane"]), (&json!("alert"), &json!("emergency")));
    assert_eq!((&loa["severity"], &loa["language"]), (&json!("Severe"), &json!("en-US")));
    let cap = test.ask(Method::GET, loa["url"].as_str().expect("a path"), None).await;
    assert_eq!(cap.status, StatusCode::OK);
    assert!(cap.text().contains("<identifier>webpush</identifier>"));
    assert_eq!(header(&received[0], "urgency"), "high");
    let ttl: i64 = header(&received[0], "ttl").parse().expect("seconds");
    assert!((7_000..=7_200).contains(&ttl), "{ttl}");
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_takes_the_place_of_what_an_offline_browser_did_not_get() {
    let test = TestNode::start().await;
    let browsers = &test.providers.browsers;
    browsers.watch(BROWSER, None);
    browsers.set_offline(BROWSER, true);
    let registered = test.register_browser(&address(&browsers.subscription(BROWSER))).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.text());
    let first = AlertXml::hot("first", CENTRE).render();
    let id = test.publish(first.clone()).await;
    test.finished(id).await;
    let body = Bytes::from(update_of(&first, "second", CENTRE));
    let path = format!("/v1/alerts/{id}/update");
    let answer = test.ask(Method::POST, &path, Some(("application/cap+xml", body))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let update: PublicationId = answer.json()["id"].as_str().expect("an id").parse().expect("one");
    let funnel = test.finished(update).await;
    assert_eq!(funnel.channels[&Channel::Webpush].accepted, 1, "{funnel:?}");
    assert_eq!(browsers.received(BROWSER).len(), 0);
    browsers.set_offline(BROWSER, false);
    let received = browsers.received(BROWSER);
    let actions: Vec<_> = received.iter().map(|one| one.message.as_ref().expect("read")).collect();
    assert_eq!(actions.len(), 1, "{actions:?}");
    assert_eq!(actions[0]["loa"]["action"], "update");
    assert_eq!(actions[0]["loa"]["publication"], update.to_string());
    assert_eq!(actions[0]["loa"]["chain"], id.to_string());
    let topic = loa::domain::webpush::decode(header(&received[0], "topic")).expect("base64url");
    assert_eq!(Uuid::from_bytes(topic), id.0);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_gone_is_forgotten() {
    let test = TestNode::with(|config| {
        config.fanout.hygiene.window_ms = 20;
        // One dead of one is believed here.
        config.fanout.hygiene.dead_share_max = 1.0;
    })
    .await;
    let browsers = &test.providers.browsers;
    let device = test.register_browser(&address(&browsers.subscription(BROWSER))).await.json();
    let gone = Rule::new(When::Token(BROWSER.into()), Then::Refuse(Refusal::new(410, "")));
    test.providers.faults.set(Service::Webpush, vec![gone]);
    let id = test.publish(AlertXml::hot("gone", CENTRE).render()).await;
    let funnel = test.finished(id).await;
    assert_eq!(funnel.channels[&Channel::Webpush].dead, 1, "{funnel:?}");
    let text = |field: &str| device[field].as_str().expect("text").to_owned();
    let credentials = format!("Loa-Device {}:{}", text("id"), text("secret"));
    let path = format!("/v1/devices/{}", text("id"));
    let forgotten = async || {
        let asked = ask(test.node.address, (Method::GET, &path), Some(&credentials), None).await;
        (asked.expect("an answer").json()["channel"] == "websocket").then_some(())
    };
    eventually(forgotten).await;
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_elsewhere_than_to_a_push_service_is_refused_by_name() {
    let test = TestNode::start().await;
    let good = test.providers.browsers.subscription(BROWSER);
    let (host, port) = (test.node.address.ip(), test.node.address.port());
    for endpoint in [
        // The node itself, by address and by name, and other ways to write an address.
        format!("https://{host}:{port}/v1/devices"),
        format!("https://localhost:{port}/push/x"),
        "https://localhost/push/x".to_owned(),
        "https://2130706433/push/x".to_owned(),
        "https://0x7f.0.0.1/push/x".to_owned(),
        "https://[::ffff:127.0.0.1]/push/x".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://metadata.google.internal/computeMetadata/v1".to_owned(),
        "https://fcm.googleapis.com:22/x".to_owned(),
        "https://fcm.googleapis.com.evil.example/x".to_owned(),
        "https://push.example/x".to_owned(),
    ] {
        let stranger = Subscription { endpoint: endpoint.clone(), keys: good.keys.clone() };
        let refused = test.register_browser(&address(&stranger)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{endpoint}");
        assert_eq!(refused.json()["errors"][0]["path"], "address.endpoint", "{endpoint}");
        assert_eq!(refused.json()["errors"][0]["rule"], "known_push_service", "{endpoint}");
    }
    for endpoint in ["http://127.0.0.1/x", "https://a@fcm.googleapis.com/x", "file:///etc/passwd"] {
        let wrong = Subscription { endpoint: endpoint.to_owned(), keys: good.keys.clone() };
        let refused = test.register_browser(&address(&wrong)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{endpoint}");
        assert_eq!(refused.json()["errors"][0]["path"], "address.endpoint", "{endpoint}");
    }
    assert_eq!(test.providers.faults.connections(), 0);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_none_are_refused_by_name_and_so_is_what_this_node_does_not_offer() {
    let test = TestNode::start().await;
    let good = address(&test.providers.browsers.subscription(BROWSER));
    let mut off_curve = good["keys"]["p256dh"].as_str().expect("a key").to_owned();
    off_curve.replace_range(80..84, "AAAA");
    for (key, value, wanted) in [
        ("p256dh", "AAAA", "address.keys.p256dh"),
        ("p256dh", off_curve.as_str(), "address.keys.p256dh"),
        ("auth", "", "address.keys.auth"),
        ("auth", "not base64url!", "address.keys.auth"),
    ] {
        let mut bad = good.clone();
        bad["keys"][key] = json!(value);
        let refused = test.register_browser(&bad).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{key} {value}");
        assert_eq!(refused.json()["errors"][0]["path"], wanted, "{}", refused.text());
    }
    let mut strange = good.clone();
    strange["keys"]["more"] = json!(1);
    assert_eq!(test.register_browser(&strange).await.status, StatusCode::BAD_REQUEST);
    test.stop().await;

    let without = TestNode::with(|config| config.channel.webpush = None).await;
    let refused = without.register_browser(&good).await;
    assert_eq!(refused.json()["errors"][0]["path"], "address.channel", "{}", refused.text());
    let key = without.ask(Method::GET, "/v1/push/vapid", None).await;
    assert_eq!((key.status, key.problem().as_str()), (StatusCode::NOT_FOUND, "not_found"));
    without.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_citizens_own_affairs_a_browser_hears_only_that_there_is_news() {
    let test = TestNode::start().await;
    let browsers = &test.providers.browsers;
    browsers.watch(BROWSER, None);
    let device = test.register_browser(&address(&browsers.subscription(BROWSER))).await.json();
    let id: DeviceId = device["id"].as_str().expect("an id").parse().expect("a device's");
    let citizen = "citizen-1".parse().expect("a subject");
    test.node.parts.registry.claim(&id, Some(citizen)).await.expect("claimed");
    let change = json!({
        "kind": "report-1022", "reference": "R-77", "state": "received", "subject": "citizen-1",
        "changed_at": Timestamp::now().to_string(), "step": 1, "remark": "5 Lê Lợi",
    });
    let body = Bytes::from(json!({ "changes": [change] }).to_string());
    let path = "/v1/status-changes";
    let answer = test.ask(Method::POST, path, Some(("application/json", body))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let id = answer.json()["accepted"][0]["id"].as_str().expect("an id").parse().expect("one");
    test.finished(id).await;
    let received = browsers.received(BROWSER);
    let message = received[0].message.clone().expect("decrypted");
    let fields: Vec<_> = message.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(fields, ["loa", "silent", "title"]);
    assert_eq!(message["title"], "Your case has an update");
    assert_eq!(message["loa"]["publication"], id.to_string());
    assert_eq!(
        (&message["loa"]["lane"], &message["loa"]["url"]),
        (&json!("personal"), &Value::Null)
    );
    for private in ["R-77", "Lê Lợi", "citizen-1", "1022"] {
        assert!(!message.to_string().contains(private), "{message}");
    }
    assert_eq!(header(&received[0], "urgency"), "normal");
    test.stop().await;
}
