//! The other roads of a signed message: the log, a second person, and the command line that
//! registers the certificate.

use bytes::Bytes;
use loa::domain::person::Right;
use loa::event::submission::Said;

use super::asked::require;
use super::*;
use crate::desk::Officer;
use crate::submissions::Desk;
use crate::support::process::run;
use crate::support::shape::{Shape, in_every_shape};

in_every_shape!(a_message_on_the_log_is_held_to_its_own_signature_too,);

async fn a_message_on_the_log_is_held_to_its_own_signature_too(shape: Shape) {
    let desk = Desk::open(shape).await;
    let key = Key::p256();
    register(&desk.test, [("desk", &key)]).await;
    require(&desk.test).await;
    let unsigned = alert("unsigned");
    let altered = replaced(&key.sign(&alert("altered")), "Severe", "Minor");
    for (id, document) in [("s-1", unsigned), ("s-2", altered), ("s-3", key.sign(&alert("held")))] {
        let said = Said::AlertXml(Bytes::from(document));
        desk.write(desk.sign(desk.record(id, said))).await;
    }
    assert_eq!(desk.published("held").await, 1);
    let letters = desk.letters(2).await;
    let codes: Vec<_> = letters.iter().map(|letter| letter["code"].as_str()).collect();
    assert_eq!(codes, [Some("signature_required"), Some("bad_signature")], "{letters:?}");
    let live = desk.test.node.parts.alerts.live(Timestamp::now());
    let [publication] = &live[..] else { panic!("one of three was published: {live:?}") };
    let by = publication.signed_by.as_ref().expect("verified");
    assert_eq!(by.certificate, "desk");
    assert_eq!(by.fingerprint, key.certificate().fingerprint);
    desk.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_second_person_approves_goes_out_under_the_signature_it_came_with() {
    let test = TestNode::start().await;
    let key = Key::p256();
    register(&test, [("desk", &key)]).await;
    change(&test, |agency| agency.second_person = true).await;
    let signed = key.sign(&alert("two"));
    let waiting = post(&test, &signed).await;
    let waiting = (waiting.status.as_u16(), waiting.json());
    assert_eq!((waiting.0, &waiting.1["state"]), (202, &json!("submitted")), "{waiting:?}");
    let (agencies, agency) = (&test.node.parts.agencies, "test".parse().expect("an id"));
    let approver = agencies.add_key(&agency, "second", Timestamp::now(), None).await;
    let rights = [Right::Approve].into();
    assert!(agencies.set_key_rights(&agency, "second", rights).await.expect("stored"));
    let bearer = format!("authorization: Bearer {}", approver.expect("made").expose());
    let to = test.node.address.to_string();
    let approver = Officer { to, headers: vec![bearer], csrf: None };
    let draft = waiting.1["id"].as_str().expect("an id");
    let done = approver.done(&format!("/v1/alerts/{draft}/approve"), json!({})).await;
    let id = done["publication"].as_str().expect("an id");
    let public = test.ask(Method::GET, &format!("/v1/cap/{id}.xml"), None).await;
    assert_eq!(public.text(), signed, "as it came");
    let read = test.ask(Method::GET, &format!("/v1/console/publications/{id}"), None).await;
    let by = &read.json()["publication"]["signed_by"];
    assert_eq!(by["certificate"], "desk", "{}", read.text());
    test.stop().await;
}

#[test]
fn a_certificate_is_registered_listed_and_removed_on_the_command_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("UTF-8");
    let key = Key::p256();
    let (good, bad) = (dir.path().join("desk.pem"), dir.path().join("bad.pem"));
    std::fs::write(&good, &key.pem).expect("written");
    std::fs::write(&bad, "-----BEGIN CERTIFICATE-----\nAAAA\n").expect("written");
    let agencies = |words: &[&str]| run(&[&["agencies"], words, &["--data-dir", data]].concat());
    assert_eq!(agencies(&["put", "pc07", "--name", "PC07"]).code, 0);
    let of = |id: &str, file: &std::path::Path, name: &str| {
        let file = file.to_str().expect("UTF-8");
        agencies(&["certificate", id, "--name", name, "--file", file])
    };
    let registered = of("pc07", &good, "desk");
    let print = key.certificate().fingerprint.to_string();
    assert_eq!(registered.code, 0, "{registered:?}");
    assert!(registered.out.contains(&print), "{registered:?}");
    for (refused, word) in [
        (of("nobody", &good, "desk"), "nobody"),
        (of("pc07", &bad, "desk"), "bad.pem"),
        (of("pc07", &good, "a b"), "--name"),
    ] {
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains(word), "{refused:?}");
    }
    let listed = agencies(&["list"]).out;
    assert!(listed.contains("certificate desk") && listed.contains(&print), "{listed}");
    let remove = ["certificate", "pc07", "--name", "desk", "--remove"];
    assert_eq!(agencies(&remove).code, 0);
    assert_eq!(agencies(&remove).code, 1, "there is none any more");
    assert!(!agencies(&["list"]).out.contains("certificate desk"));
    let audit = run(&["audit", "export", "--data-dir", data]).out;
    for act in ["register_certificate", "remove_certificate"] {
        assert!(audit.contains(act), "{audit}");
    }
}
