//! Updates and cancels: by a few words in JSON or as whole CAP messages, and only of what is one's
//! own and still in force.

use http::Method;
use loa::domain::agency::Jurisdiction;
use loa::domain::publication::Action;
use serde_json::json;

use super::*;
use crate::support::node::{AlertXml, CENTRE, agency};

/// `sent` of a rendered alert.
pub fn sent_of(xml: &str) -> String {
    let (_, rest) = xml.split_once("<sent>").expect("a time");
    rest.split_once("</sent>").expect("an end").0.to_owned()
}

/// A later message of a kind that refers to an earlier one.
fn later(identifier: &str, kind: &str, earlier: (&str, &str)) -> String {
    let (name, sent) = earlier;
    let references =
        format!("<scope>Public</scope><references>test@loa.example,{name},{sent}</references>");
    AlertXml::hot(identifier, CENTRE)
        .render()
        .replace("<msgType>Alert</msgType>", &format!("<msgType>{kind}</msgType>"))
        .replace("<scope>Public</scope>", &references)
}

async fn superseded_by(test: &TestNode, id: PublicationId) -> Option<PublicationId> {
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    stored.superseded_by
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_updated_and_cancelled_by_a_few_words() {
    let test = TestNode::start().await;
    let first = id_of(&post(&test, "/v1/alerts", &alert_json("words")).await);
    let path = |what: &str| format!("/v1/alerts/{first}/{what}");
    let update = json!({"infos": [info_json("vi-VN", "Nước đang lên")], "note": "lần hai"});
    let dry = post(&test, &format!("{}?dry_run=true", path("update")), &update).await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    assert_eq!(superseded_by(&test, first).await, None);
    let answer = post(&test, &path("update"), &update).await;
    let second = id_of(&answer);
    assert_eq!(answer.json()["chain"], first.to_string());
    assert_eq!(superseded_by(&test, first).await, Some(second));
    let stored = test.node.parts.alerts.get(second).await.expect("read").expect("stored");
    assert_eq!(stored.publication.action(), Action::Update);
    assert_eq!(stored.publication.supersedes, [first]);

    let words = json!({"note": "hết", "texts": {"vi": {"headline": "Hết ngập"}}});
    let answer = post(&test, &path("cancel"), &words).await;
    let last = id_of(&answer);
    assert_eq!(answer.json()["lane"], "emergency", "as fast as what it withdraws");
    assert_eq!(superseded_by(&test, second).await, Some(last));
    let read = test.ask(Method::GET, &format!("/v1/alerts/{last}"), None).await.json();
    let content = &read["publication"]["content"];
    assert!(content.to_string().contains("Hết ngập"), "{content}");
    let first_read = test.ask(Method::GET, &format!("/v1/alerts/{first}"), None).await.json();
    assert_eq!(first_read["superseded_by"], second.to_string());

    // The chain is over.
    for (what, body) in [("cancel", json!({})), ("update", update)] {
        let answer = post(&test, &path(what), &body).await;
        assert_eq!(answer.status, 409, "{what}: {}", answer.text());
        refused(&answer, "conflict", &[]);
    }
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_updated_and_cancelled_by_whole_messages_and_repeats_are_answered_again() {
    let test = TestNode::start().await;
    let original = AlertXml::hot("whole-1", CENTRE).render();
    let first = id_of(&post_xml(&test, "/v1/alerts", original.clone()).await);
    let update = later("whole-2", "Update", ("whole-1", &sent_of(&original)));
    let second = post_xml(&test, &format!("/v1/alerts/{first}/update"), update.clone()).await;
    let second = id_of(&second);
    assert_eq!(superseded_by(&test, first).await, Some(second));
    // To the collection it goes as well: the references say what it continues.
    let third_xml = later("whole-3", "Update", ("whole-2", &sent_of(&update)));
    let third = id_of(&post_xml(&test, "/v1/alerts", third_xml).await);
    assert_eq!(superseded_by(&test, second).await, Some(third));
    let cancel = later("whole-4", "Cancel", ("whole-1", &sent_of(&original)));
    let path = format!("/v1/alerts/{second}/cancel");
    let last = id_of(&post_xml(&test, &path, cancel.clone()).await);
    assert_eq!(superseded_by(&test, third).await, Some(last));
    // Whoever lost the answer asks again: also now that the chain is over.
    let repeats = [
        ("/v1/alerts".to_owned(), original, first),
        (format!("/v1/alerts/{first}/update"), update.clone(), second),
        (path, cancel.clone(), last),
        ("/v1/alerts".to_owned(), cancel, last),
    ];
    for (path, body, expected) in repeats {
        let again = post_xml(&test, &path, body).await;
        assert_eq!((id_of(&again), &again.json()["repeated"]), (expected, &json!(true)), "{path}");
    }
    let wrong = post_xml(&test, &format!("/v1/alerts/{first}/cancel"), update).await;
    refused(&wrong, "invalid", &[("/alert/msgType", "msg_type_of_path")]);
    assert_eq!(on_the_log(&test).await, 4);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn references_to_what_is_unknown_foreign_or_of_other_chains_are_refused() {
    let test = TestNode::start().await;
    let other = agency(&test.node, "other", Jurisdiction::unlimited()).await.expect("a key");
    let mut named = Vec::new();
    for name in ["ours-1", "ours-2"] {
        let xml = AlertXml::hot(name, CENTRE).render();
        let id = id_of(&post_xml(&test, "/v1/alerts", xml.clone()).await);
        named.push((id, sent_of(&xml)));
    }
    let foreign = alert_json("theirs");
    let foreign_sent = foreign["sent"].as_str().expect("a time").to_owned();
    let foreign = id_of(&post_as(&test, &other, "/v1/alerts", &foreign).await);
    let (first, first_sent) = &named[0];
    let (second, second_sent) = &named[1];

    let unknown = later("x-1", "Update", ("nobody", first_sent));
    let answer = post_xml(&test, "/v1/alerts", unknown).await;
    refused(&answer, "bad_cap", &[("/alert/references[1]", "reference_known")]);
    let theirs = later("x-2", "Cancel", ("theirs", &foreign_sent));
    let answer = post_xml(&test, "/v1/alerts", theirs).await;
    refused(&answer, "bad_cap", &[("/alert/references[1]", "reference_own")]);
    let elsewhere = later("x-3", "Cancel", ("ours-1", first_sent));
    let answer = post_xml(&test, &format!("/v1/alerts/{second}/cancel"), elsewhere).await;
    refused(&answer, "invalid", &[("/alert/references", "reference_this_chain")]);
    let both = later("x-4", "Update", ("ours-1", first_sent))
        .replace("</references>", &format!(" test@loa.example,ours-2,{second_sent}</references>"));
    let answer = post_xml(&test, "/v1/alerts", both).await;
    refused(&answer, "bad_cap", &[("/alert/references", "reference_one_chain")]);
    // An operator reads another's alert but does not speak for it.
    let answer = post(&test, &format!("/v1/alerts/{foreign}/cancel"), &json!({})).await;
    refused(&answer, "bad_cap", &[("/alert/references[1]", "reference_own")]);
    assert_eq!(superseded_by(&test, foreign).await, None);
    assert_eq!(superseded_by(&test, *first).await, None);
    assert_eq!(superseded_by(&test, *second).await, None);
    assert_eq!(on_the_log(&test).await, 3);
    test.stop().await;
}
