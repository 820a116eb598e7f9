//! Who decides on what they submitted themselves: nobody, in no session. Every other act that is
//! not somebody's is in the table of `trust/forbidden`.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_submitter_cannot_approve_but_may_take_back() {
    let house = House::open().await;
    let minh = house.login("minh").await;
    let id = minh.submitted().await;
    let path = |step: &str| format!("/v1/console/drafts/{id}/{step}");
    let same = (403, "same_person".to_owned());
    assert_eq!(minh.refused(&path("approve"), json!({})).await, same);
    // Not in another session either.
    let elsewhere = house.login("minh").await;
    assert_eq!(elsewhere.refused(&path("approve"), json!({})).await, same);
    let refused = Verdict::Refused { code: "same_person".to_owned() };
    assert_eq!(house.audited("minh", Act::ApproveDraft).await, Some(refused));
    let lan = house.login("lan").await;
    let reason = json!({"reason": "nhầm khu vực"});
    assert_eq!(lan.refused(&path("return"), reason.clone()).await.1, "forbidden");
    let back = minh.done(&path("return"), reason).await;
    assert_eq!(back["state"], "returned");
    house.test.stop().await;
}
