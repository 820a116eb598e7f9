//! Status changes, each one citizen's, and notices.

use jiff::Timestamp;
use loa::domain::channel::Channel;
use loa::domain::ids::SubjectId;
use loa::simulator::citizens::Mix;
use serde_json::json;

use super::*;
use crate::support::node::agency;

fn change(reference: &str, step: u64, state: &str) -> Value {
    json!({
        "kind": "report-1022", "reference": reference, "state": state, "subject": "citizen-1",
        "changed_at": Timestamp::now().to_string(), "step": step
    })
}

fn notice(identifier: &str, target: Option<Value>) -> Value {
    let mut notice = json!({
        "identifier": identifier, "kind": "news",
        "texts": {"vi": {"title": "Cắt nước", "body": "Từ 22 giờ đến 4 giờ."},
                  "en": {"title": "Water cut", "body": "From 10 p.m. to 4 a.m."}},
        "expires": stamp(24)
    });
    if let Some(target) = target {
        notice["target"] = target;
    }
    notice
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_status_changes_goes_to_the_devices_of_its_citizen_and_to_nobody_else() {
    let test = TestNode::start().await;
    let mix = Mix { apns: 1000, fcm: 0, ..Mix::default() };
    let population = test.populate(50, mix).await;
    let citizen: SubjectId = "citizen-1".parse().expect("a subject");
    for index in [3, 7] {
        let (id, who) = (population.id(index), Some(citizen.clone()));
        test.node.parts.registry.claim(&id, who).await.expect("claimed");
    }
    let batch = json!({"changes": [change("R-1", 1, "received"), change("R-2", 1, "assigned")]});
    let answer = post(&test, "/v1/status-changes", &batch).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let accepted = answer.json()["accepted"].as_array().expect("answers").clone();
    assert_eq!(accepted.len(), 2);
    for one in &accepted {
        assert_eq!((&one["lane"], &one["repeated"]), (&json!("personal"), &json!(false)));
        let id = one["id"].as_str().expect("an id").parse().expect("an id");
        let done = test.funnel_where(id, |funnel| funnel.total.accepted == 2).await;
        assert_eq!(done.total.targeted, 2, "{:?}", done.total);
    }
    assert_eq!(test.providers.record.of_channel(Channel::Apns), 4);
    // A repeat is answered with the same ids, a step that says something else is refused.
    let again = post(&test, "/v1/status-changes", &batch).await;
    for (first, second) in accepted.iter().zip(again.json()["accepted"].as_array().expect("two")) {
        assert_eq!((&second["id"], &second["repeated"]), (&first["id"], &json!(true)));
    }
    assert_eq!(on_the_log(&test).await, 2);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_one_broken_member_is_refused_whole_and_every_broken_field_is_named() {
    let test = TestNode::start().await;
    let path = "/v1/status-changes";
    let fine = || change("fine", 1, "received");
    let with = |field: &str, value: Value| {
        let mut broken = change("broken", 1, "received");
        broken[field] = value;
        broken
    };
    let batch = json!({"changes": [
        fine(), with("kind", json!("taxi")), with("state", json!("flying")),
        with("reference", json!("")), with("remark", json!("x".repeat(2_001))),
        with("changed_at", json!("2999-01-01T00:00:00Z"))
    ]});
    let answer = post(&test, path, &batch).await;
    let named = [
        ("changes[1].kind", "known"),
        ("changes[2].state", "known"),
        ("changes[3].reference", "not_empty"),
        ("changes[4].remark", "max_length"),
        ("changes[5].changed_at", "not_in_future"),
    ];
    refused(&answer, "invalid", &named);
    let shapes = [
        (json!({"changes": []}), "invalid", "changes", "batch_size"),
        (json!({"changes": vec![fine(); 501]}), "invalid", "changes", "batch_size"),
        (json!({"changes": [with("step", json!("one"))]}), "bad_json", "changes[0].step", "shape"),
        (
            json!({"changes": [with("subject", json!("a b"))]}),
            "bad_json",
            "changes[0].subject",
            "shape",
        ),
    ];
    for (body, code, field, rule) in shapes {
        refused(&post(&test, path, &body).await, code, &[(field, rule)]);
    }
    // A dry run is for areas; it must not be taken for the real thing.
    let dry = post(&test, &format!("{path}?dry_run=true"), &json!({"changes": [fine()]})).await;
    refused(&dry, "bad_parameter", &[("dry_run", "shape")]);
    assert_eq!(on_the_log(&test).await, 0);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_clashes_with_an_earlier_step_leaves_nothing_behind_not_even_after_a_restart()
{
    let test = TestNode::start().await;
    let path = "/v1/status-changes";
    let first = post(&test, path, &json!({"changes": [change("R", 1, "received")]})).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let clashing = json!({"changes": [change("New", 1, "received"), change("R", 1, "rejected")]});
    let answer = post(&test, path, &clashing).await;
    assert_eq!(answer.status, 409);
    refused(&answer, "conflict", &[("changes[1].step", "unique_identity")]);
    let itself = json!({"changes": [change("S", 1, "received"), change("S", 1, "rejected")]});
    let answer = post(&test, path, &itself).await;
    refused(&answer, "conflict", &[("changes[1].step", "unique_identity")]);
    let subject = "citizen-1".parse().expect("a subject");
    let kept = test.node.parts.alerts.for_subject(&subject, None, 10).await.expect("read");
    assert_eq!(kept.len(), 1);
    let (dir, providers) = test.stop().await;
    let test = TestNode::over(dir, providers, |_| {}).await;
    assert_eq!(on_the_log(&test).await, 1);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_goes_to_its_target_or_to_every_unit_of_its_agency() {
    let test = TestNode::start().await;
    let path = "/v1/notices";
    let answer = post(&test, path, &notice("n-1", Some(json!({"units": ["26740"]})))).await;
    let id = id_of(&answer);
    assert_eq!(answer.json()["lane"], "routine");
    assert_eq!(addressed(&area_of(&test, id).await), ["26740"]);
    let everywhere = id_of(&post(&test, path, &notice("n-2", None)).await);
    let all = test.node.parts.city.units().len();
    assert_eq!(area_of(&test, everywhere).await.units.len(), all);
    let jurisdiction = loa::domain::agency::Jurisdiction {
        units: Some(["26740", "25747"].map(|code| code.parse().expect("a code")).into()),
        ..loa::domain::agency::Jurisdiction::unlimited()
    };
    let local = agency(&test.node, "local", jurisdiction).await.expect("a key");
    let own = id_of(&post_as(&test, &local, path, &notice("n-3", None)).await);
    assert_eq!(addressed(&area_of(&test, own).await), ["25747", "26740"]);
    // Names are an agency's own: the same one of another's is another notice.
    let other = id_of(&post_as(&test, &local, path, &notice("n-1", None)).await);
    assert_ne!(other, id);

    let dry = post(&test, &format!("{path}?dry_run=true"), &notice("n-4", None)).await;
    assert_eq!((dry.status.as_u16(), &dry.json()["lane"]), (200, &json!("routine")));
    let mut broken = notice("n-5", Some(json!({"units": []})));
    broken["texts"] = json!({"en": {"title": "", "body": "b"}});
    broken["expires"] = json!(stamp(-1));
    let named = [
        ("texts", "language_vi"),
        ("texts.en.title", "not_empty"),
        ("expires", "expires_past"),
        ("target", "not_empty"),
    ];
    refused(&post(&test, path, &broken).await, "invalid", &named);
    assert_eq!(on_the_log(&test).await, 4);
    test.stop().await;
}
