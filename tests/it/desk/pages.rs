//! The pages and the map: what headers go with them, and what is sent once only.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn pages_carry_a_strict_policy_and_unknown_files_are_problems() {
    let house = House::open().await;
    for path in ["/", "/console", "/console/drafts/1", "/alerts/1", "/plain"] {
        let page = ask(&house.to(), "GET", path, &[], &[]).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(!page.text().contains("<script>"), "{path}: a script in the page");
    }
    for path in ["/assets/none.js", "/none.txt", "/.env", "/assets/..%2f..%2fCargo.toml"] {
        let missing = ask(&house.to(), "GET", path, &[], &[]).await;
        assert_eq!(refusal(&missing), (404, "not_found".to_owned()), "{path}");
    }
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_is_packed_and_sent_again_only_when_it_changed() {
    let house = House::open().await;
    let lan = house.login("lan").await;
    let path = "/v1/console/units";
    let plain = lan.get(path).await;
    let map = plain.json();
    let count = house.test.node.parts.city.units().len();
    assert_eq!(map["units"].as_array().map(Vec::len), Some(count));
    assert_eq!(map["geojson"]["features"].as_array().map(Vec::len), Some(count));
    assert_eq!(map["units"][0]["devices"]["apns"], 0);
    let with = |line: String| {
        let mut officer = lan.clone();
        officer.headers.push(line);
        officer
    };
    let packed = with("accept-encoding: gzip".into()).get(path).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() * 2 < plain.body.len(), "{}", packed.body.len());
    let tag = plain.header("etag").expect("a tag").to_owned();
    let again = with(format!("if-none-match: {tag}")).get(path).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let templates = lan.get("/v1/console/templates").await.json();
    assert_eq!(templates["templates"].as_array().map(Vec::len), Some(9));
    house.test.stop().await;
}
