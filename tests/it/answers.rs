//! What every store of answers promises.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use loa::domain::ids::{DeviceNum, PublicationId, SubjectId};
use loa::domain::survey::Answer;
use loa::store::answers::{Answers, Count, Respondent, Safety, Settings};
use uuid::Uuid;

use crate::support::home::{Home, connect, contract};

contract!(
    a_device_counts_once_however_often_and_wherever_it_answers,
    a_citizen_answers_a_survey_once_on_all_their_devices,
    options_steps_and_texts_are_told_apart,
    everything_a_device_said_is_found_and_goes_with_it,
    a_citizen_who_leaves_leaves_nothing,
    what_is_old_is_forgotten_and_what_is_newer_stays,
    whoever_is_called_otherwise_counts_once,
);

const ALERT: PublicationId = PublicationId(Uuid::from_u128(1));
const SURVEY: PublicationId = PublicationId(Uuid::from_u128(2));

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
    start + SignedDuration::from_mins(minutes)
}

fn device(number: u64, unit: &str) -> Respondent {
    let unit = Some(unit.parse().expect("a unit"));
    Respondent { device: DeviceNum(number), subject: None, unit }
}

fn citizen(number: u64, subject: &str) -> Respondent {
    Respondent { subject: Some(subject.parse().expect("a subject")), ..device(number, "26734") }
}

fn chosen(question: &str, ids: &[&str]) -> BTreeMap<String, Answer> {
    let ids = ids.iter().map(|&id| id.to_owned()).collect();
    BTreeMap::from([(question.to_owned(), Answer::Chosen(ids))])
}

async fn open(home: &Home) -> Answers {
    match home {
        Home::Embedded(dir) => {
            Answers::open(&Settings { dir: dir.path().to_owned() }).await.expect("it opens")
        }
        Home::Redis(settings) => Answers::shared(&connect(settings).await),
    }
}

async fn count(answers: &Answers, safety: Safety, unit: &str) -> u64 {
    let counts = answers.safety(ALERT).await.expect("counts");
    counts.get(&safety).and_then(|units| units.get(unit)).copied().unwrap_or(0)
}

async fn a_device_counts_once_however_often_and_wherever_it_answers(home: Home) {
    let (one, other) = (open(&home).await, open(&home).await);
    let said = (0..40_u64).map(|index| {
        let answers = if index % 2 == 0 { &one } else { &other };
        answers.put_safety(ALERT, device(index / 4, "26734"), (Safety::Safe, None, at(0)))
    });
    for answered in join_all(said).await {
        answered.expect("answered");
    }
    assert_eq!(count(&other, Safety::Safe, "26734").await, 10);
    other.put_safety(ALERT, device(3, "26737"), (Safety::Help, None, at(1))).await.expect("said");
    let nowhere = Respondent { unit: None, ..device(4, "26734") };
    one.put_safety(ALERT, nowhere, (Safety::Safe, None, at(1))).await.expect("said");
    drop((one, other));
    let answers = open(&home).await;
    assert_eq!(count(&answers, Safety::Safe, "26734").await, 8);
    assert_eq!(count(&answers, Safety::Help, "26737").await, 1);
    assert_eq!(count(&answers, Safety::Safe, "").await, 1);
    assert!(answers.safety(SURVEY).await.expect("counts").is_empty());
}

async fn a_citizen_answers_a_survey_once_on_all_their_devices(home: Home) {
    let (one, other) = (open(&home).await, open(&home).await);
    let put = async |answers: &Answers, who, ids: &[&str]| {
        answers.put_survey(SURVEY, who, (chosen("q", ids), at(0))).await.expect("answered");
    };
    put(&one, device(1, "26734"), &["a"]).await;
    put(&one, device(9, "26734"), &["a"]).await;
    assert_eq!(other.respondents(SURVEY).await.expect("a count"), 2);
    // The same device, now logged in; then another device of the same citizen.
    put(&other, citizen(1, "citizen-7"), &["b"]).await;
    put(&one, citizen(2, "citizen-7"), &["b", "c"]).await;
    assert_eq!(other.respondents(SURVEY).await.expect("a count"), 2);
    let counts = other.tally(SURVEY).await.expect("a tally");
    let counts: Vec<(&str, u64)> =
        counts.iter().map(|count| (count.value.as_str(), count.count)).collect();
    assert_eq!(counts, [("a", 1), ("b", 1), ("c", 1)]);
}

async fn whoever_is_called_otherwise_counts_once(home: Home) {
    const OTHER: PublicationId = PublicationId(Uuid::from_u128(3));
    let answers = open(&home).await;
    let (old, new): (SubjectId, SubjectId) =
        ("old".parse().expect("a subject"), "new".parse().expect("a subject"));
    let put = async |survey, who, id: &str, minute| {
        answers.put_survey(survey, who, (chosen("q", &[id]), at(minute))).await.expect("answered");
    };
    put(SURVEY, citizen(1, "old"), "a", 0).await;
    put(SURVEY, citizen(2, "old"), "b", 1).await;
    put(SURVEY, citizen(3, "another"), "b", 1).await;
    put(OTHER, citizen(1, "old"), "a", 0).await;
    put(OTHER, citizen(2, "new"), "b", 1).await;
    let note = (Safety::Help, Some("tầng hai".to_owned()), at(1));
    answers.put_safety(ALERT, citizen(1, "old"), note).await.expect("said");
    assert!(answers.knows(&old).await.expect("a look"));
    for _ in 0..2 {
        answers.rename((&old, &new), &[DeviceNum(1), DeviceNum(2)]).await.expect("renamed");
        assert!(!answers.knows(&old).await.expect("a look"));
        assert!(answers.knows(&new).await.expect("a look"));
        assert_eq!(answers.respondents(SURVEY).await.expect("a count"), 2);
        assert_eq!(answers.respondents(OTHER).await.expect("a count"), 1);
        let said = |count: &Count| (count.value.clone(), count.count);
        let tally = answers.tally(OTHER).await.expect("a tally");
        assert_eq!(tally.iter().map(said).collect::<Vec<_>>(), [("b".to_owned(), 1)]);
    }
    // Whoever answers again replaces what they said before.
    put(SURVEY, citizen(2, "new"), "c", 2).await;
    assert_eq!(answers.respondents(SURVEY).await.expect("a count"), 2);
    let own = answers.of(DeviceNum(1)).await.expect("its own");
    assert_eq!((own.len(), own[0].text.as_deref()), (1, Some("tầng hai")));
    assert_eq!(answers.said(ALERT).await.expect("notes").len(), 1);
    answers.erase_all(|name| *name == new).await.expect("erased");
    assert!(!answers.knows(&new).await.expect("a look"));
    assert_eq!(answers.respondents(SURVEY).await.expect("a count"), 1, "the other one's");
    assert_eq!(answers.said(ALERT).await.expect("notes").len(), 0);
}

async fn options_steps_and_texts_are_told_apart(home: Home) {
    let answers = open(&home).await;
    let text = |text: &str| BTreeMap::from([("why".to_owned(), Answer::Text(text.to_owned()))]);
    let mut both = chosen("how", &["3"]);
    both.extend(text("nước \"sâu\""));
    answers.put_survey(SURVEY, device(1, "26734"), (both, at(1))).await.expect("answered");
    answers.put_survey(SURVEY, device(2, "26737"), (text("mưa"), at(2))).await.expect("answered");
    answers.put_survey(SURVEY, device(3, "1"), (chosen("how", &[]), at(2))).await.expect("nothing");
    let note = (Safety::Help, Some("tầng hai".to_owned()), at(3));
    answers.put_safety(SURVEY, device(1, "26734"), note).await.expect("said");
    let unit = Some("26734".to_owned());
    let counted =
        Count { question: "how".to_owned(), value: "3".to_owned(), unit: unit.clone(), count: 1 };
    assert_eq!(answers.tally(SURVEY).await.expect("a tally"), [counted]);
    assert_eq!(answers.respondents(SURVEY).await.expect("a count"), 2, "who says nothing is none");
    let said = answers.said(SURVEY).await.expect("texts");
    let said: Vec<(&str, &str)> =
        said.iter().map(|said| (said.question.as_str(), said.text.as_str())).collect();
    assert_eq!(said, [("help", "tầng hai"), ("why", "mưa"), ("why", "nước \"sâu\"")]);
}

async fn everything_a_device_said_is_found_and_goes_with_it(home: Home) {
    let answers = open(&home).await;
    let note = (Safety::Safe, Some("ở nhà".to_owned()), at(1));
    answers.put_safety(ALERT, device(1, "26734"), note).await.expect("said");
    answers.put_safety(ALERT, device(2, "26734"), (Safety::Safe, None, at(1))).await.expect("said");
    let survey = (chosen("q", &["a", "b"]), at(2));
    answers.put_survey(SURVEY, device(1, "26734"), survey).await.expect("answered");
    let own = answers.of(DeviceNum(1)).await.expect("its own");
    let mut own: Vec<(&str, Option<&str>, Option<&str>)> = own
        .iter()
        .map(|own| (own.question.as_str(), own.value.as_deref(), own.text.as_deref()))
        .collect();
    assert_eq!(own.pop(), Some(("safety", Some("safe"), Some("ở nhà"))), "the oldest comes last");
    own.sort_unstable();
    assert_eq!(own, [("q", Some("a"), None), ("q", Some("b"), None)]);
    answers.erase(Some(DeviceNum(1)), None).await.expect("erased");
    assert_eq!(answers.of(DeviceNum(1)).await.expect("its own"), []);
    assert_eq!(answers.tally(SURVEY).await.expect("a tally"), []);
    assert_eq!(answers.said(ALERT).await.expect("texts"), []);
    assert_eq!(count(&answers, Safety::Safe, "26734").await, 1, "the other one's stays");
}

async fn a_citizen_who_leaves_leaves_nothing(home: Home) {
    let answers = open(&home).await;
    for (number, subject) in [(1, "citizen-7"), (2, "citizen-7"), (3, "citizen-8")] {
        let safe = (Safety::Safe, None, at(0));
        answers.put_safety(ALERT, citizen(number, subject), safe).await.expect("said");
        let survey = (chosen("q", &["a"]), at(0));
        answers.put_survey(SURVEY, citizen(number, subject), survey).await.expect("answered");
    }
    answers.put_safety(ALERT, device(4, "26734"), (Safety::Safe, None, at(0))).await.expect("said");
    let gone = "citizen-7".parse().expect("a subject");
    answers.erase(None, Some(gone)).await.expect("erased");
    assert_eq!(count(&answers, Safety::Safe, "26734").await, 2, "the other citizen, and nobody's");
    assert_eq!(answers.respondents(SURVEY).await.expect("a count"), 1);
    for number in [1, 2] {
        assert_eq!(answers.of(DeviceNum(number)).await.expect("its own"), []);
    }
    assert_eq!(answers.of(DeviceNum(3)).await.expect("its own").len(), 2);
}

async fn what_is_old_is_forgotten_and_what_is_newer_stays(home: Home) {
    let answers = open(&home).await;
    for (number, minutes) in [(1, 0), (2, 10), (3, 20)] {
        let note = (Safety::Safe, Some("ghi chú".to_owned()), at(minutes));
        answers.put_safety(ALERT, citizen(number, "citizen-7"), note).await.expect("said");
    }
    let survey = (chosen("q", &["a"]), at(0));
    answers.put_survey(SURVEY, device(1, "26734"), survey).await.expect("answered");
    assert_eq!(answers.forget(at(15)).await.expect("forgotten"), 3);
    assert_eq!(answers.forget(at(15)).await.expect("nothing is left"), 0);
    assert_eq!(count(&answers, Safety::Safe, "26734").await, 1);
    assert_eq!(answers.said(ALERT).await.expect("texts").len(), 1);
    assert_eq!(answers.respondents(SURVEY).await.expect("a count"), 0);
    assert_eq!(answers.of(DeviceNum(1)).await.expect("its own"), []);
    assert_eq!(answers.of(DeviceNum(3)).await.expect("its own").len(), 1);
}
