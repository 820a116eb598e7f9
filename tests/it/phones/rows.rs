//! Every documented answer × where it is lost: the stream refused before its headers were
//! processed, torn in mid-stream, the answer lost after processing.

use loa::domain::channel::Channel;
use loa::simulator::faults::{Refusal, Rule, Then, When};

use super::drive::{Stage, count_where, devices, heading};

/// What a device comes to whose requests are answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Tried again until it is accepted.
    Accepted,
    /// Its address is dead.
    Dead,
    /// Given up; the address stays.
    Rejected,
}

use Ends::{Accepted, Dead, Rejected};

/// Status, reason, what follows from both, and what from the status alone.
type Row = (u16, &'static str, Ends, Ends);

/// FACTS A7.
const APNS: &[Row] = &[
    (400, "BadDeviceToken", Dead, Rejected),
    (400, "DeviceTokenNotForTopic", Dead, Rejected),
    (400, "PayloadEmpty", Rejected, Rejected),
    (403, "ExpiredProviderToken", Accepted, Accepted),
    (403, "InvalidProviderToken", Accepted, Accepted),
    (403, "MissingProviderToken", Accepted, Accepted),
    (403, "BadCertificate", Accepted, Accepted),
    (403, "Forbidden", Accepted, Accepted),
    (403, "UnrelatedKeyIdInToken", Accepted, Accepted),
    (403, "BadEnvironmentKeyIdInToken", Accepted, Accepted),
    (404, "BadPath", Rejected, Rejected),
    (405, "MethodNotAllowed", Rejected, Rejected),
    (410, "Unregistered", Dead, Dead),
    (410, "ExpiredToken", Dead, Dead),
    (413, "PayloadTooLarge", Rejected, Rejected),
    (429, "TooManyRequests", Accepted, Accepted),
    (429, "TooManyProviderTokenUpdates", Accepted, Accepted),
    (500, "InternalServerError", Accepted, Accepted),
    (503, "ServiceUnavailable", Accepted, Accepted),
    (503, "Shutdown", Accepted, Accepted),
];

/// FACTS F6. A 404 without a code is the project or the path, not the device.
const FCM: &[Row] = &[
    (400, "INVALID_ARGUMENT", Rejected, Rejected),
    (401, "UNAUTHENTICATED", Accepted, Accepted),
    (401, "THIRD_PARTY_AUTH_ERROR", Rejected, Accepted),
    (403, "SENDER_ID_MISMATCH", Dead, Accepted),
    (404, "UNREGISTERED", Dead, Accepted),
    (429, "QUOTA_EXCEEDED", Accepted, Accepted),
    (500, "INTERNAL", Accepted, Accepted),
    (503, "UNAVAILABLE", Accepted, Accepted),
];

/// RFC 8030, 8292. A token that the service took before is not at fault: the subscription is.
const WEBPUSH: &[Row] = &[
    (307, "", Rejected, Rejected),
    (400, "", Rejected, Rejected),
    (400, "VapidPkHashMismatch", Dead, Rejected),
    (401, "", Dead, Dead),
    (403, "", Dead, Dead),
    (404, "", Dead, Dead),
    (406, "", Accepted, Accepted),
    (408, "", Accepted, Accepted),
    (410, "", Dead, Dead),
    (413, "", Rejected, Rejected),
    (429, "", Accepted, Accepted),
    (500, "", Accepted, Accepted),
    (503, "", Accepted, Accepted),
];

/// Where it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Refused,
    Torn,
    AnswerLost,
}

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;
const CANCEL: u32 = 8;
/// Connections that are cut while answers are lost.
const CUTS: u64 = 5;
/// Addresses for which an answer that ends it is given.
const SHARE: f64 = 0.2;

fn rules(channel: Channel, (status, reason, whole, torn): Row, place: Where) -> (Vec<Rule>, Ends) {
    let refusal = Refusal::new(status, reason);
    let ends = if place == Where::Torn { torn } else { whole };
    let when = if ends == Accepted { When::Every(5) } else { When::TokenShare(SHARE) };
    let row = match place {
        Where::Torn => Then::Torn(refusal, INTERNAL_ERROR),
        _ => Then::Refuse(refusal),
    };
    let faults = match place {
        Where::Refused => vec![Rule::new(When::Every(3), Then::Reset(REFUSED_STREAM))],
        Where::Torn => vec![Rule::new(When::Every(11), Then::Reset(INTERNAL_ERROR))],
        Where::AnswerLost => vec![
            Rule::new(When::Every(7), Then::ResetAfter(CANCEL)),
            Rule {
                limit: Some(CUTS),
                ..Rule::new(When::Every(devices(channel) / 9), Then::CutAfter)
            },
        ],
    };
    (faults.into_iter().chain([Rule::new(when, row)]).collect(), ends)
}

async fn matrix(channel: Channel, rows: &[Row]) {
    heading();
    let stage = Stage::start(channel).await;
    for row in rows {
        for place in [Where::Refused, Where::Torn, Where::AnswerLost] {
            let name = format!("{} {} × {place:?}", row.0, row.1);
            let (rules, ends) = rules(channel, *row, place);
            stage.rules(rules);
            let sender = stage.sender(|_| {});
            let tally = stage.run(&name, &sender).await;
            let met = count_where(
                |token| ends != Accepted && stage.providers.faults.is_of_share(token, SHARE),
                channel,
            );
            // Of those met, one whose answer is lost first is met when it is tried again.
            let expected = if ends == Dead { (met, 0) } else { (0, met) };
            // A connection that is cut may leave a stream beside with the status of its answer and
            // no reason, which is judged as a torn one. No other refusal is allowed for.
            let half = if place == Where::AnswerLost && ends == Dead { tally.by_status } else { 0 };
            assert!(half <= CUTS, "{name}: {half} with half an answer");
            assert_eq!((tally.dead + half, tally.rejected - half), expected, "{name}");
            assert_eq!(tally.accepted, devices(channel) - met, "{name}");
            if place == Where::Refused {
                assert_eq!((tally.lost, tally.doubled), (0, 0), "{name}");
            }
            if place == Where::AnswerLost {
                assert!(tally.lost > 0 && tally.doubled > 0, "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_apple_wherever_it_is_lost() {
    matrix(Channel::Apns, APNS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_google_wherever_it_is_lost() {
    matrix(Channel::Fcm, FCM).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_a_push_service_wherever_it_is_lost() {
    matrix(Channel::Webpush, WEBPUSH).await;
}
