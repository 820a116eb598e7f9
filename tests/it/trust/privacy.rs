//! What is one citizen's stays theirs: their devices, and whatever the log could give away.

use axum::http::Method;
use loa::domain::funnel::Funnel;
use loa::domain::ids::DeviceId;
use loa::simulator::citizens::Mix;
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};
use serde_json::json;

use super::issuer::Issuer;
use crate::support::citizen::{Citizen, ask, ask_json};
use crate::support::logs::{self, MARK};
use crate::support::node::{AlertXml, CENTRE, TestNode};

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_one_citizens_until_it_is_released() {
    let issuer = Issuer::new();
    let settings = issuer.settings.clone();
    let test = TestNode::with(|config| config.auth.citizens = Some(settings)).await;
    let to = test.node.address.to_string();
    let (ana, ben) = (issuer.token("ana"), issuer.token("ben"));
    let device = Citizen::register(&to, json!({})).await;
    let claim = format!("/v1/devices/{}/claim", device.id);
    let secret = json!({"secret": device.secret});
    let claims = async |who: &str| ask_json(&to, "POST", &claim, who, &secret).await;
    assert_eq!(claims(&ana).await.status, 200);
    let other = claims(&ben).await;
    assert_eq!((other.status, &other.json()["code"]), (409, &json!("conflict")));
    let id: DeviceId = device.id.parse().expect("an id");
    let owner = async || {
        let stored = test.node.parts.registry.get(&id).await.expect("read").expect("registered");
        stored.device.subject.clone()
    };
    let anas = owner().await.expect("claimed");
    assert_eq!(claims(&ana).await.status, 200, "her own once more");
    assert_eq!(owner().await.as_ref(), Some(&anas));
    let release = format!("/v1/devices/{}/release", device.id);
    let released = ask(&to, "POST", &release, &[&device.auth()], b"").await;
    assert_eq!((released.status, owner().await), (200, None));
    assert_eq!(claims(&ben).await.status, 200);
    assert_ne!(owner().await, Some(anas));
    test.stop().await;
}

/// Devices by every road, each with the mark in its address.
async fn phones(to: &str, unit: &str) -> Vec<Citizen> {
    let fcm = json!({"channel": "fcm", "kind": "token", "value": format!("{MARK}-fcm")});
    let fid = json!({"channel": "fcm", "kind": "fid", "value": format!("{MARK}-fid")});
    let mut phones = Vec::new();
    for address in [fcm, fid] {
        let body = json!({"places": [{"unit": unit}], "address": address});
        phones.push(Citizen::register(to, body).await);
    }
    phones
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_address_secret_or_text_is_in_any_log() {
    let issuer = Issuer::new();
    let settings = issuer.settings.clone();
    let test = TestNode::with(|config| {
        config.auth.citizens = Some(settings);
        config.fanout.hygiene.window_ms = 20;
    });
    let test = test.await;
    let before = logs::clean();
    let to = test.node.address.to_string();
    test.populate(200, Mix::default()).await;
    let unit = test.node.parts.city.units()[0].code.to_string();
    let devices = phones(&to, &unit).await;
    let who = issuer.token(MARK);
    let claim = format!("/v1/devices/{}/claim", devices[0].id);
    let claimed = ask_json(&to, "POST", &claim, &who, &json!({"secret": devices[0].secret})).await;
    assert_eq!(claimed.status, 200);
    // Providers refuse, are busy and call addresses dead; requests are wrong in every way.
    let dead = Rule::new(When::Always, Then::Refuse(Refusal::new(404, "UNREGISTERED")));
    test.providers.faults.set(Service::Fcm, vec![dead]);
    let busy = Rule::once(Then::Refuse(Refusal::new(429, "TooManyRequests")));
    test.providers.faults.set(Service::Apns, vec![busy]);
    let over = |now: &Funnel| now.total.targeted > 0 && now.open_dispatches == 0;
    let first = test.publish(AlertXml::hot("first", CENTRE).render()).await;
    test.funnel_where(first, over).await;
    let text = json!({"changes": [{"kind": "report-1022", "reference": "R", "state": "received",
        "subject": "somebody", "step": 1, "remark": MARK, "changed_at": "soon"}]});
    let key = format!("authorization: Bearer {}", test.key);
    let refused = ask_json(&to, "POST", "/v1/status-changes", &key, &text).await;
    assert!(refused.status >= 400);
    for (path, auth) in [
        ("/v1/inbox", format!("authorization: Loa-Device {}:{MARK}", devices[1].id)),
        ("/v1/me", format!("authorization: Bearer {MARK}")),
        ("/v1/inbox?before=loa-marker-5d1c", devices[1].auth()),
        ("/v1/loa-marker-5d1c", devices[1].auth()),
    ] {
        assert!(ask(&to, "GET", path, &[&auth], b"").await.status >= 400, "{path}");
    }
    let wrong = json!({"address": {"channel": "fcm", "kind": MARK, "value": MARK}});
    assert!(ask_json(&to, "POST", "/v1/devices", "", &wrong).await.status >= 400);
    let mut stream = devices[1].stream(None).await;
    stream.expect("hello").await;
    let second = test.publish(AlertXml::hot("second", CENTRE).render()).await;
    test.funnel_where(second, over).await;
    assert_eq!(ask(&to, "DELETE", "/v1/me", &[&who], b"").await.status, 204);
    let ready = test.ask(Method::GET, "/readyz", None).await;
    assert!(!ready.text().contains(MARK));
    let after = logs::clean();
    assert!(after > before + 20, "{after} lines are no log at debug level");
    test.stop().await;
}
