//! Submissions from the log: what an agency wrote with any Kafka client becomes a publication as
//! if it had come over HTTP.
//!
//! A record is committed when its publication is on the log, or when it is among the dead letters
//! with the problem. It may come twice: then it is the same submission, and nothing is published
//! again. Who says so is proved by a signature ([`crate::auth::submission`]) or by the topic, where
//! the brokers let one agency's principal alone write it.

use std::time::Duration;

use serde::Deserialize;

use crate::auth::submission::{KEY_ID, SIGNATURE, signed, verify};
use crate::bus::{self, Commits, Consumer, Delivery, Record, TopicId};
use crate::domain::agency::Agency;
use crate::domain::audit::Actor;
use crate::domain::ids::AgencyId;
use crate::event::dead_letter::Reason;
use crate::event::envelope::{optional, value};
use crate::event::submission::{self, Said};
use crate::event::{self, header};
use crate::http::problem::MEDIA_TYPE;
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;
use crate::ingest::alert::{Form, read};
use crate::ingest::desk::needs_second_person;
use crate::lifecycle::Lifecycle;
use crate::metrics;

/// The consumer group.
pub const GROUP: &str = "ingest";
/// The header that names where a refusal is to be told.
pub const REPLY_TOPIC: &str = "loa-reply-topic";
/// Records of one read.
const BATCH: usize = 64;
/// Tries of a record that meets a failure of ours before it goes to the dead letters. While the
/// stores are away there is no limit: then nothing else could be taken either.
const TRIES: u32 = 5;
/// Pause before another try.
const PAUSE: Duration = Duration::from_secs(1);
/// The most prefixes of reply topics.
const PREFIXES_MAX: usize = 64;

/// How submissions from the log are taken.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What a reply topic's name must begin with, so that no writer can have us write anywhere;
    /// none: nobody is replied to.
    pub reply_prefixes: Vec<String>,
}

impl Settings {
    /// Every rule that is broken, with the path below `submissions`.
    pub fn problems(&self) -> Vec<String> {
        let ours =
            |prefix: &String| "loa.".starts_with(prefix.as_str()) || prefix.starts_with("loa.");
        let mut found = Vec::new();
        if self.reply_prefixes.iter().any(ours) {
            found.push("reply_prefixes: must not cover Loa's own topics (loa.)".to_owned());
        }
        if self.reply_prefixes.len() > PREFIXES_MAX {
            found.push(format!("reply_prefixes: at most {PREFIXES_MAX}"));
        }
        found
    }

    fn allow(&self, topic: &str) -> bool {
        self.reply_prefixes.iter().any(|prefix| topic.starts_with(prefix.as_str()))
    }
}

/// Starts taking submissions.
pub async fn start(
    ingest: Ingest,
    settings: Settings,
    tasks: &Lifecycle,
) -> Result<(), bus::Error> {
    let mut topics = ingest.bus.agency_topics();
    topics.push(TopicId::Submissions);
    let consumer = ingest.bus.consumer(GROUP, &topics).await?;
    let stop = tasks.token().clone();
    tasks.service("ingest.submissions", async move {
        tokio::select! {
            ended = serve(&ingest, &settings, consumer) => ended,
            () = stop.cancelled() => Ok(()),
        }
    });
    Ok(())
}

async fn serve(
    ingest: &Ingest,
    settings: &Settings,
    mut consumer: Consumer,
) -> Result<(), bus::Error> {
    let mut commits = Commits::new(consumer.committer());
    loop {
        for delivery in consumer.next_batch(BATCH).await? {
            one(ingest, settings, &delivery).await?;
            commits.done(delivery.position).await?;
        }
        commits.land().await?;
    }
}

/// Takes one record, or sets it aside.
async fn one(ingest: &Ingest, settings: &Settings, delivery: &Delivery) -> Result<(), bus::Error> {
    let mut tries = 1;
    let refused = loop {
        match take(ingest, delivery).await {
            Ok(()) => return Ok(()),
            Err(Refusal::Problem(problem)) if problem.code == Code::Unavailable => {}
            Err(Refusal::Problem(problem)) if problem.code == Code::Internal && tries < TRIES => {
                tries += 1;
            }
            Err(refused) => break refused,
        }
        tokio::time::sleep(PAUSE).await;
    };
    let problem = refused.problem();
    metrics::refusal(problem.code.as_str());
    reply(ingest, settings, delivery, &problem).await;
    ingest.bus.bury(delivery, refused.reason(), tries, ingest.clock.now()).await
}

/// Why a record is not published.
enum Refusal {
    /// It is no submission at all.
    Unreadable(event::Error),
    /// What it says is refused, as over HTTP.
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal::Problem(problem)
    }
}

impl From<event::Error> for Refusal {
    fn from(error: event::Error) -> Self {
        Refusal::Unreadable(error)
    }
}

impl Refusal {
    fn problem(&self) -> Problem {
        match self {
            Refusal::Problem(problem) => problem.clone(),
            Refusal::Unreadable(error) => {
                let path = error.field().unwrap_or("payload");
                let broken = FieldError::new(path, error.code(), error);
                Problem::fields(Code::Invalid, vec![broken])
            }
        }
    }

    /// The problem in a dead letter's words: every broken rule with its place.
    fn reason(&self) -> Reason {
        let problem = match self {
            Refusal::Unreadable(error) => return Reason::from(error),
            Refusal::Problem(problem) => problem,
        };
        let rules: Vec<String> = problem.errors.iter().map(ToString::to_string).collect();
        let detail = if rules.is_empty() { problem.detail.clone() } else { rules.join("; ") };
        let field = problem.errors.first().map(|one| one.path.clone());
        Reason { code: problem.code.as_str().to_owned(), detail, field }
    }
}

async fn take(ingest: &Ingest, delivery: &Delivery) -> Result<(), Refusal> {
    let submission = submission::decode(&delivery.headers, &delivery.payload)?;
    let agency = author(ingest, &submission.agency, delivery).await?;
    let (alert, raw) = match submission.said {
        Said::AlertXml(xml) => (read(&xml, Form::Xml)?.0, Some(xml)),
        // Read again by CAP's rules, so that every broken one is named.
        Said::Alert(_) => (read(&delivery.payload, Form::Json)?.0, None),
        Said::StatusChange(change) => {
            let checked = ingest.review_changes(&agency, vec![*change])?;
            ingest.publish(&agency, checked).await?;
            return Ok(());
        }
        Said::Notice(notice) => {
            let checked = ingest.review_notice(&agency, *notice)?;
            ingest.publish(&agency, vec![checked]).await?;
            return Ok(());
        }
    };
    if ingest.repeated(&agency, &alert).await?.is_some() {
        return Ok(());
    }
    let reviewed = ingest.review_received(&agency, alert, raw).await?;
    if agency.second_person && needs_second_person(&reviewed.checked) {
        // A record has one author; who decides with them is asked for over HTTP.
        let detail = "a hot alert of this agency needs a second person: submit it over HTTP";
        return Err(Problem::new(Code::SecondPersonNeeded, detail).into());
    }
    let published = ingest.publish(&agency, vec![reviewed.checked]).await?;
    let key = optional(&delivery.headers, KEY_ID).ok().flatten().unwrap_or("its own topic");
    let actor = Actor::Agency { id: agency.id.to_string(), key: key.to_owned() };
    ingest.note_signature(actor, &published[0]).await;
    Ok(())
}

/// The agency, if the record comes from its own topic or its key signed it.
async fn author(ingest: &Ingest, id: &AgencyId, delivery: &Delivery) -> Result<Agency, Refusal> {
    let agency = ingest.agencies.get(id).await.map_err(|error| {
        tracing::warn!(%error, "the agencies cannot be read");
        Problem::new(Code::Unavailable, "the agencies cannot be read just now")
    })?;
    match delivery.position.topic {
        TopicId::SubmissionsOf(topic) => {
            let agency = agency.filter(|agency| agency.id == topic.agency());
            let why = "is not the agency whose topic this is, or no agency";
            agency.ok_or_else(|| unproved(header::SOURCE, "agency_topic", why))
        }
        _ => signer(agency, delivery),
    }
}

fn unproved(path: &str, rule: &str, message: &str) -> Refusal {
    let error = FieldError::new(path, rule, message);
    Refusal::Problem(Problem::fields(Code::Unauthorized, vec![error]))
}

/// The agency, if its key signed the record.
fn signer(agency: Option<Agency>, delivery: &Delivery) -> Result<Agency, Refusal> {
    let headers = &delivery.headers;
    let unsigned = |path: &str, message: &str| unproved(path, "signed_submission", message);
    let Some(key) = optional(headers, KEY_ID)? else {
        return Err(unsigned(KEY_ID, "is missing: a submission on the log must be signed"));
    };
    let Some(signature) = optional(headers, SIGNATURE)? else {
        return Err(unsigned(SIGNATURE, "is missing: a submission on the log must be signed"));
    };
    let words = (
        value(headers, header::ID)?,
        value(headers, header::SOURCE)?,
        value(headers, header::TYPE)?,
    );
    let text = signed(words, &delivery.payload);
    let good =
        |agency: &Agency| text.as_ref().is_some_and(|text| verify(agency, key, text, signature));
    agency.filter(good).ok_or_else(|| {
        unsigned(SIGNATURE, "is by no key that the agency of `ce_source` registered by this name")
    })
}

/// Tells the writer, if it asked and may.
async fn reply(ingest: &Ingest, settings: &Settings, delivery: &Delivery, problem: &Problem) {
    let Ok(Some(topic)) = optional(&delivery.headers, REPLY_TOPIC) else { return };
    let id = optional(&delivery.headers, header::ID).ok().flatten().unwrap_or_default();
    if !settings.allow(topic) {
        tracing::warn!(submission.id = id, "a reply topic that no prefix allows was asked for");
        return;
    }
    let payload = serde_json::to_vec(&problem.document()).expect("a problem is JSON");
    let headers = [
        (header::SPEC_VERSION, event::envelope::SPEC),
        (header::ID, id),
        (header::SOURCE, "/loa/ingest"),
        (header::TYPE, "vn.loa.refusal.v1"),
        (header::CONTENT_TYPE, MEDIA_TYPE),
    ];
    let headers = headers.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let record = Record { key: delivery.key.clone(), headers, payload: payload.into() };
    if let Err(error) = ingest.bus.reply(topic, record).await {
        tracing::warn!(submission.id = id, %error, "a refusal could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_go_only_where_a_prefix_allows_and_never_to_our_own_topics() {
        let of = |prefixes: &[&str]| Settings {
            reply_prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        };
        assert!(of(&["agency."]).allow("agency.pc07.replies"));
        assert!(!of(&["agency."]).allow("other") && !of(&[]).allow("agency."));
        assert!(of(&["agency."]).problems().is_empty());
        for ours in ["", "loa.", "lo", "loa.receipts"] {
            assert!(!of(&[ours]).problems().is_empty(), "{ours}");
        }
    }
}
