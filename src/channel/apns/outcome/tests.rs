//! A test row for each row of FACTS A7, and for what it leaves open.

use super::*;

fn judge(status: u16, reason: &str) -> Outcome {
    judge_with(status, reason, None, None)
}

fn judge_with(
    status: u16,
    reason: &str,
    since: Option<Timestamp>,
    retry_after: Option<Duration>,
) -> Outcome {
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    outcome(&Reply { status, reason, since, retry_after })
}

fn wait(scope: RetryScope, seconds: u64, reason: &'static str) -> Outcome {
    let after = Some(Duration::from_secs(seconds));
    Outcome::Retry { after, scope, arrival: Arrival::Excluded, reason }
}

#[test]
fn every_row_of_the_facts_gives_its_outcome() {
    let dead = |reason| Outcome::DeadAddress { reason, since: None };
    let reject = |reason| Outcome::Rejected { reason };
    let misconfigured = |reason| Outcome::Misconfigured { reason };
    let rows = [
        (200, "", Outcome::Accepted),
        (400, "BadDeviceToken", dead("BadDeviceToken")),
        (400, "DeviceTokenNotForTopic", dead("DeviceTokenNotForTopic")),
        (400, "BadCollapseId", reject("BadCollapseId")),
        (400, "BadExpirationDate", reject("BadExpirationDate")),
        (400, "BadMessageId", reject("BadMessageId")),
        (400, "BadPriority", reject("BadPriority")),
        (400, "BadTopic", reject("BadTopic")),
        (400, "DuplicateHeaders", reject("DuplicateHeaders")),
        (400, "IdleTimeout", reject("IdleTimeout")),
        (400, "InvalidPushType", reject("InvalidPushType")),
        (400, "MissingDeviceToken", reject("MissingDeviceToken")),
        (400, "MissingTopic", reject("MissingTopic")),
        (400, "PayloadEmpty", reject("PayloadEmpty")),
        (400, "TopicDisallowed", reject("TopicDisallowed")),
        (403, "ExpiredProviderToken", misconfigured("ExpiredProviderToken")),
        (403, "InvalidProviderToken", misconfigured("InvalidProviderToken")),
        (403, "MissingProviderToken", misconfigured("MissingProviderToken")),
        (403, "BadCertificate", misconfigured("BadCertificate")),
        (403, "BadCertificateEnvironment", misconfigured("BadCertificateEnvironment")),
        (403, "Forbidden", misconfigured("Forbidden")),
        (403, "UnrelatedKeyIdInToken", misconfigured("UnrelatedKeyIdInToken")),
        (403, "BadEnvironmentKeyIdInToken", misconfigured("BadEnvironmentKeyIdInToken")),
        (404, "BadPath", reject("BadPath")),
        (405, "MethodNotAllowed", reject("MethodNotAllowed")),
        (410, "Unregistered", dead("Unregistered")),
        (410, "ExpiredToken", dead("ExpiredToken")),
        (413, "PayloadTooLarge", reject("PayloadTooLarge")),
        (429, "TooManyRequests", wait(Device, 30, "TooManyRequests")),
        (429, "TooManyProviderTokenUpdates", wait(Channel, 10, "TooManyProviderTokenUpdates")),
        (500, "InternalServerError", wait(Device, 1, "InternalServerError")),
        (503, "ServiceUnavailable", wait(Slower, 1, "ServiceUnavailable")),
        (503, "Shutdown", wait(Slower, 1, "Shutdown")),
    ];
    for (status, reason, expected) in rows {
        assert_eq!(judge(status, reason), expected, "{status} {reason}");
    }
}

#[test]
fn a_reason_nobody_knows_is_judged_by_its_status() {
    assert_eq!(judge(400, "BrandNew"), Outcome::Rejected { reason: "http_400" });
    assert_eq!(judge(403, "BrandNew"), Outcome::Misconfigured { reason: "http_403" });
    assert_eq!(judge(403, ""), Outcome::Misconfigured { reason: "http_403" });
    assert_eq!(judge(410, ""), Outcome::DeadAddress { reason: "http_410", since: None });
    assert_eq!(judge(429, "BrandNew"), wait(Device, 30, "http_429"));
    assert_eq!(judge(500, "BrandNew"), wait(Device, 1, "http_500"));
    assert_eq!(judge(503, ""), wait(Slower, 1, "http_503"));
    assert_eq!(judge(502, ""), wait(Device, 1, "http_5xx"));
    assert_eq!(judge(421, ""), Outcome::Rejected { reason: "http_4xx" });
    assert_eq!(judge(204, ""), Outcome::Rejected { reason: "http_unexpected" });
    // A dead-token reason under another status does not kill the address.
    assert_eq!(judge(500, "Unregistered"), wait(Device, 1, "http_500"));
    assert_eq!(judge(403, "BadDeviceToken"), Outcome::Misconfigured { reason: "http_403" });
}

#[test]
fn a_dead_token_carries_since_when() {
    let body = br#"{"reason":"Unregistered","timestamp":1454948015990}"#;
    let reply = Reply::read(StatusCode::GONE, body, None);
    let since = Timestamp::from_millisecond(1_454_948_015_990).ok();
    assert_eq!(outcome(&reply), Outcome::DeadAddress { reason: "Unregistered", since });
}

#[test]
fn the_providers_wish_is_kept_and_503_with_one_slows_the_channel() {
    let minute = Some(Duration::from_secs(60));
    let hasty = Some(Duration::ZERO);
    let device = judge_with(429, "TooManyRequests", None, minute);
    assert_eq!(device, wait(Device, 60, "TooManyRequests"));
    let hurried = judge_with(429, "TooManyRequests", None, hasty);
    assert_eq!(hurried, wait(Device, 1, "TooManyRequests"));
    let channel = judge_with(503, "ServiceUnavailable", None, minute);
    assert_eq!(channel, wait(Channel, 60, "ServiceUnavailable"));
}

#[test]
fn bodies_that_are_no_json_only_lack_a_reason() {
    for body in [&b""[..], b"<html>", b"[]", b"{\"reason\":7}"] {
        let reply = Reply::read(StatusCode::SERVICE_UNAVAILABLE, body, None);
        assert_eq!(outcome(&reply), wait(Slower, 1, "http_503"));
    }
}

#[test]
fn token_and_connection_renewal_follow_the_reason() {
    let reply = |status, reason: &str| Reply {
        status,
        reason: Some(reason.to_owned()),
        ..Reply::default()
    };
    assert!(reply(403, "ExpiredProviderToken").wants_new_token());
    assert!(!reply(429, "TooManyProviderTokenUpdates").wants_new_token());
    assert!(!reply(403, "InvalidProviderToken").wants_new_token());
    assert!(reply(403, "UnrelatedKeyIdInToken").wants_new_connection());
    assert!(reply(403, "BadEnvironmentKeyIdInToken").wants_new_connection());
    assert!(reply(503, "Shutdown").wants_new_connection());
    assert!(!reply(503, "ServiceUnavailable").wants_new_connection());
}
