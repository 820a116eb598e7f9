//! Drafts from the first word to the last receipt, and every step that is not theirs to take.

use loa::domain::draft::{Draft, Move, State, Step};
use loa::domain::ids::{DraftId, PublicationId};
use loa::simulator::citizens::Mix;

use super::*;
use crate::support::node::agency;

fn id_of(draft: &Value) -> PublicationId {
    draft["publication"].as_str().expect("a publication").parse().expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_written_approved_by_another_published_and_recalled() {
    let house = House::open().await;
    let mix = Mix { apns: 500, fcm: 500, ..Mix::default() };
    house.test.populate(300, mix).await;
    let (lan, minh) = (house.login("lan").await, house.login("minh").await);
    let preview = json!({"kind": "alert", "body": hot()});
    let preview = lan.done("/v1/console/preview", preview).await;
    assert_eq!((&preview["hot"], &preview["needs_second_person"]), (&json!(true), &json!(true)));
    assert_eq!(preview["payloads"]["apns"]["vi"]["title"], "Ngập sâu");
    let id = lan.submitted().await;
    let path = format!("/v1/console/drafts/{id}/approve");
    let published = minh.done(&path, json!({"version": 2})).await;
    assert_eq!(published["state"], "published");
    let publication = id_of(&published);
    let devices = preview["audience"]["devices"].as_u64().expect("a number");
    assert!(devices > 0);
    let funnel = house.test.funnel_where(publication, |funnel| {
        funnel.open_dispatches == 0 && funnel.total.accepted + funnel.total.skipped == devices
    });
    let funnel = funnel.await;
    let detail = minh.get(&format!("/v1/console/publications/{publication}")).await.json();
    let decided = &detail["publication"]["decided"];
    assert_eq!(decided["submitted_by"], "person:lan");
    assert_eq!(decided["approved_by"], "person:minh");
    assert_eq!(detail["publication"]["alert"]["sender"], "a@loa");
    assert_eq!(detail["funnel"]["total"]["accepted"], funnel.total.accepted);
    // Nobody's app has answered: what a provider took is not yet reached.
    let left: u64 = detail["unreached"]
        .as_array()
        .expect("units")
        .iter()
        .map(|unit| unit["count"].as_u64().expect("a number"))
        .sum();
    assert_eq!(left, funnel.total.targeted - funnel.total.skipped);
    let report = minh.get(&format!("/v1/console/publications/{publication}/report.csv")).await;
    assert!(report.text().contains(&format!("total,,{}", funnel.total.targeted)));
    // A recall takes nothing from anyone: one who approves is enough, one who writes is not.
    let recall = format!("/v1/console/publications/{publication}/recall");
    let forbidden = (403, "forbidden".to_owned());
    assert_eq!(lan.refused(&recall, json!({})).await, forbidden);
    minh.done(&recall, json!({"reason": "nước đã rút"})).await;
    let detail = minh.get(&format!("/v1/console/publications/{publication}")).await.json();
    assert_eq!(detail["publication"]["state"], "cancelled");
    assert_eq!(house.audited("minh", Act::ApproveDraft).await, Some(Verdict::Done));
    assert_eq!(house.audited("minh", Act::Recall).await, Some(Verdict::Done));
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn illegal_steps_are_refused_and_name_state_and_step() {
    let house = House::open().await;
    let (lan, nga) = (house.login("lan").await, house.login("nga").await);
    let step = |id: &str, step: &str| format!("/v1/console/drafts/{id}/{step}");
    let why = json!({"reason": "vì sao"});
    let begin = || lan.done("/v1/console/drafts", json!({"kind": "alert", "body": calm()}));
    let illegal = (409, "illegal_transition".to_owned());
    // From each state, the steps that the table does not have.
    let id_of = |draft: Value| draft["id"].as_str().expect("an id").to_owned();
    let editing = id_of(begin().await);
    let submitted = lan.submitted().await;
    let returned = lan.submitted().await;
    nga.done(&step(&returned, "return"), why.clone()).await;
    let rejected = lan.submitted().await;
    nga.done(&step(&rejected, "reject"), why.clone()).await;
    let published = id_of(begin().await);
    lan.done(&step(&published, "publish"), json!({})).await;
    let overridden = id_of(begin().await);
    nga.done(&step(&overridden, "override"), why.clone()).await;
    let all = ["submit", "approve", "return", "reject", "override", "publish"];
    for (id, state, steps) in [
        (&editing, "editing", &["approve", "return", "reject"][..]),
        (&submitted, "submitted", &["submit", "publish"]),
        (&returned, "returned", &["approve", "return", "reject"]),
        (&rejected, "rejected", &all),
        (&published, "published", &all),
        (&overridden, "overridden", &all),
    ] {
        for one in steps {
            let answer = nga.ask("POST", &step(id, one), Some(&why)).await;
            assert_eq!(refusal(&answer), illegal, "{state} {one}");
            let detail = answer.json()["detail"].as_str().expect("words").to_owned();
            assert!(detail.contains(state) && detail.contains(one), "{detail}");
        }
    }
    for id in [&submitted, &rejected, &published, &overridden] {
        let body = json!({"version": 2, "body": calm()});
        let draft = nga.get(&format!("/v1/console/drafts/{id}")).await.json();
        let body = json!({"version": draft["version"], "body": body["body"]});
        let path = format!("/v1/console/drafts/{id}");
        assert_eq!(refusal(&lan.ask("PUT", &path, Some(&body)).await), illegal);
        assert_eq!(refusal(&lan.ask("DELETE", &path, None).await), illegal);
    }
    let path = format!("/v1/console/drafts/{editing}");
    assert_eq!(lan.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(lan.get(&path).await.status, 404);
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_decide_at_once_one_is_told_and_the_alert_goes_out_once() {
    let house = House::open().await;
    let (lan, minh, nga) =
        (house.login("lan").await, house.login("minh").await, house.login("nga").await);
    let id = lan.submitted().await;
    let stale = json!({"version": 1});
    let path = format!("/v1/console/drafts/{id}/approve");
    let conflict = (409, "conflict".to_owned());
    assert_eq!(minh.refused(&path, stale).await, conflict);
    let body = json!({"version": 2});
    let (one, other) =
        tokio::join!(minh.ask("POST", &path, Some(&body)), nga.ask("POST", &path, Some(&body)));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", one.text(), other.text());
    let recent = house.test.node.parts.alerts.recent(None, 10).await.expect("read");
    assert_eq!(recent.len(), 1);
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_is_for_those_who_may_gives_a_reason_and_is_recorded_loudly() {
    let house = House::open().await;
    let (lan, minh, nga) =
        (house.login("lan").await, house.login("minh").await, house.login("nga").await);
    let draft = nga.done("/v1/console/drafts", json!({"kind": "alert", "body": hot()})).await;
    let id = draft["id"].as_str().expect("an id");
    let path = format!("/v1/console/drafts/{id}/override");
    let why = json!({"version": 1, "reason": "đê vỡ, không ai khác trực"});
    let forbidden = (403, "forbidden".to_owned());
    assert_eq!(lan.refused(&path, why.clone()).await, forbidden);
    assert_eq!(minh.refused(&path, why.clone()).await, forbidden);
    assert_eq!(nga.refused(&path, json!({"reason": " "})).await, (422, "invalid".to_owned()));
    let publish = format!("/v1/console/drafts/{id}/publish");
    let needed = (403, "second_person_needed".to_owned());
    assert_eq!(nga.refused(&publish, json!({})).await, needed);
    let done = nga.done(&path, why).await;
    assert_eq!((&done["state"], &done["decided_by"]), (&json!("overridden"), &json!("person:nga")));
    assert_eq!(house.audited("nga", Act::Override).await, Some(Verdict::Alone));
    let refused = Verdict::Refused { code: "forbidden".to_owned() };
    assert_eq!(house.audited("lan", Act::Override).await, Some(refused));
    let detail = nga.get(&format!("/v1/console/publications/{}", id_of(&done))).await.json();
    let decided = &detail["publication"]["decided"];
    assert_eq!(decided["overridden_by"], "person:nga");
    assert_eq!(decided["reason"], "đê vỡ, không ai khác trực");
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_and_a_cancel_follow_the_chain_and_an_exercise_is_one() {
    let house = House::open().await;
    let lan = house.login("lan").await;
    let publish = async |body: Value| {
        let draft = lan.done("/v1/console/drafts", body).await;
        let path = format!("/v1/console/drafts/{}/publish", draft["id"].as_str().expect("an id"));
        lan.done(&path, json!({"version": 1})).await
    };
    let body = json!({"kind": "alert", "body": calm(), "exercise": true});
    let first = publish(body).await;
    let of = first["publication"].clone();
    let stored = house.test.node.parts.alerts.get(id_of(&first)).await.expect("read");
    assert!(stored.expect("stored").publication.is_exercise());
    let body = json!({"kind": "update", "of": of, "body": calm(), "exercise": true});
    let update = publish(body).await;
    let body = json!({"kind": "cancel", "of": of, "body": {"note": "xong"}});
    publish(body).await;
    let chain = lan.get(&format!("/v1/console/publications/{}", id_of(&update))).await.json();
    let rows: Vec<_> = chain["chain"].as_array().expect("rows").iter().collect();
    let standing: Vec<_> = rows.iter().map(|row| (&row["action"], &row["state"])).collect();
    let wanted = [("alert", "superseded"), ("update", "cancelled"), ("cancel", "live")];
    let wanted = wanted.map(|(action, state)| (json!(action), json!(state)));
    assert_eq!(standing, wanted.iter().map(|(a, s)| (a, s)).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row["exercise"] == true), "{rows:?}");
    house.test.stop().await;
}

fn approved(draft: &Draft) -> Draft {
    let step = |step, by: &str| Step { step, by: by.into(), at: Timestamp::now(), reason: None };
    let submitted = draft.after(step(Move::Submit, "person:lan")).expect("legal");
    submitted.after(step(Move::Approve, "person:minh")).expect("legal")
}

fn editing(agency: &str, body: Value) -> Draft {
    let now = Timestamp::now();
    serde_json::from_value(json!({
        "id": uuid::Uuid::new_v4(), "agency": agency, "state": "editing", "version": 1,
        "created_by": "person:lan", "created_at": now, "updated_at": now, "kind": "alert",
        "body": body, "exercise": false
    }))
    .expect("a draft")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_before_a_crash_is_published_once_at_the_next_start() {
    let house = House::open().await;
    let drafts = house.test.node.parts.drafts.clone();
    // Decided, and the node died before it published; published, and it died before the mark.
    let (unpublished, unmarked) = (editing("a", calm()), editing("a", calm()));
    let lan = house.login("lan").await;
    drafts.create(unmarked.clone(), None).await.expect("stored");
    let path = format!("/v1/console/drafts/{}/publish", unmarked.id);
    let done = lan.done(&path, json!({})).await;
    let marked = drafts.get(unmarked.id).await.expect("read").expect("there");
    let torn = Draft { state: State::Approved, publication: None, ..marked.clone() };
    drafts.change(marked.version, torn).await.expect("torn");
    drafts.create(approved(&unpublished), None).await.expect("stored");
    // One that may not be published any more: its agency lost its jurisdiction.
    let narrow = Jurisdiction { kinds: BTreeSet::new(), ..Jurisdiction::unlimited() };
    house.agency("b", false, narrow).await;
    let outside = editing("b", calm());
    drafts.create(approved(&outside), None).await.expect("stored");
    drop(drafts);
    let (dir, providers) = house.test.stop().await;
    let test = TestNode::over(dir, providers, |_| {}).await;
    let now = async |id: DraftId| test.node.parts.drafts.get(id).await.expect("read").expect("it");
    let first = now(unpublished.id).await;
    assert_eq!(first.state, State::Published);
    let second = now(unmarked.id).await;
    assert_eq!(
        second.publication.map(|id| id.to_string()),
        done["publication"].as_str().map(str::to_owned)
    );
    let third = now(outside.id).await;
    assert_eq!(third.state, State::Returned);
    assert!(third.reason.expect("a reason").contains("not published"));
    let all = test.node.parts.alerts.recent(None, 10).await.expect("read");
    assert_eq!(all.len(), 2, "each was published once");
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_outside_the_jurisdiction_is_shown_so_and_not_submitted() {
    let house = House::open().await;
    let only_fire = Jurisdiction {
        categories: Some([loa::domain::alert::Category::Fire].into()),
        ..Jurisdiction::unlimited()
    };
    house.agency("a", false, only_fire).await;
    let lan = house.login("lan").await;
    let body = json!({"kind": "alert", "body": hot()});
    let preview = lan.done("/v1/console/preview", body.clone()).await;
    assert_eq!(preview["trespass"][0]["rule"], "jurisdiction_category");
    assert!(preview["audience"]["units"].as_array().is_some_and(|units| !units.is_empty()));
    let draft = lan.done("/v1/console/drafts", body).await;
    let path = format!("/v1/console/drafts/{}/submit", draft["id"].as_str().expect("an id"));
    let refused = lan.refused(&path, json!({})).await;
    assert_eq!(refused, (403, "outside_jurisdiction".to_owned()));
    // Half a draft shows what there is.
    let half = json!({"kind": "alert", "body": {"infos": [{"areas": hot()["infos"][0]["areas"]}]}});
    let preview = lan.done("/v1/console/preview", half).await;
    assert!(preview["audience"]["units"].as_array().is_some_and(|units| !units.is_empty()));
    let warnings = preview["warnings"].as_array().expect("a list");
    assert!(warnings.iter().all(|one| one["grade"] == "error") && !warnings.is_empty());
    // The API key of another agency sees nothing of it.
    let key = agency(&house.test.node, "c", Jurisdiction::unlimited()).await.expect("an agency");
    let headers = vec![format!("authorization: Bearer {key}")];
    let stranger = Officer { to: house.to(), headers, csrf: None };
    let path = format!("/v1/console/drafts/{}", draft["id"].as_str().expect("an id"));
    assert_eq!(stranger.get(&path).await.status, 404);
    house.test.stop().await;
}
