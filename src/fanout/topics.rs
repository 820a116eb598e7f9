//! Posts to the FCM topics of whole units, beside the pushes to registered devices and never in
//! place of them: an installation that never registered hears of an alert this way. Nobody is
//! counted by it, and it waits for nobody: it follows the publications by itself, as a group of its
//! own, and gives up where Google does not take a post after a few attempts.
//!
//! After a crash a unit may be posted to again, under the same collapse key and tag: the phone
//! replaces. A cancel goes to the topics of what it withdraws.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::bus::{Commits, Consumer, TopicId};
use crate::channel::Delivery;
use crate::channel::fcm::{Payload, Topics};
use crate::domain::audience::{Audience, Coverage};
use crate::domain::device::Permission;
use crate::domain::lane::Lane;
use crate::domain::outcome::Outcome;
use crate::domain::publication::{Action, Publication};
use crate::domain::retry::next_attempt;
use crate::domain::summary::Phrasebook;
use crate::event::publication;
use crate::fanout::{Error, Shared};
use crate::lifecycle::Lifecycle;
use crate::metrics;

/// The consumer group.
const GROUP: &str = "unit-topics";
/// Posts in flight at once.
const AT_ONCE: usize = 32;
/// Attempts for one topic; the next publication waits for the last of them.
const ATTEMPTS_MAX: u32 = 4;

/// Follows the publications of every lane that is for areas.
pub async fn start(shared: &Arc<Shared>, topics: Topics, tasks: &Lifecycle) -> Result<(), Error> {
    for lane in [Lane::Emergency, Lane::Routine] {
        let consumer = shared.bus.consumer(GROUP, &[TopicId::Publications(lane)]).await?;
        let (shared, topics) = (Arc::clone(shared), topics.clone());
        let stop = tasks.token().clone();
        tasks.service("fanout.topics", async move {
            let poster = Poster { shared: &shared, topics: &topics, stop: &stop };
            poster.serve(consumer).await
        });
    }
    Ok(())
}

struct Poster<'a> {
    shared: &'a Shared,
    topics: &'a Topics,
    stop: &'a CancellationToken,
}

impl Poster<'_> {
    async fn serve(&self, mut consumer: Consumer) -> Result<(), Error> {
        let mut commits = Commits::new(consumer.committer());
        loop {
            let batch = tokio::select! {
                batch = consumer.next_batch(16) => batch?,
                () = self.stop.cancelled() => return Ok(()),
            };
            for delivery in batch {
                // What cannot be read is the router's to report and dead-letter.
                if let Ok(publication) = publication::decode(&delivery.headers, &delivery.payload) {
                    self.post(&publication).await?;
                }
                if self.stop.is_cancelled() {
                    return Ok(commits.land().await?);
                }
                commits.done(delivery.position).await?;
            }
            commits.land().await?;
        }
    }

    async fn post(&self, publication: &Publication) -> Result<(), Error> {
        // Topics do not know who takes part in exercises.
        if publication.is_exercise() || !publication.reaches_people() || self.is_over(publication) {
            return Ok(());
        }
        let names = self.names(publication).await?;
        if names.is_empty() {
            return Ok(());
        }
        let book = Phrasebook::new(publication, &self.shared.contents.kinds);
        // A topic has no language: nobody's is Vietnamese.
        let content = book.content(book.key(&[], Permission::Loud, false));
        let payload = match self.topics.prepare(&content) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::warn!(publication.id = %publication.id, error = %error, "no topic post");
                return Ok(());
            }
        };
        let posts = names.into_iter().map(|name| self.post_to(publication, &payload, name));
        let outcomes: Vec<Outcome> = stream::iter(posts).buffer_unordered(AT_ONCE).collect().await;
        let accepted = outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
        outcomes.iter().for_each(|outcome| metrics::topic_post(outcome.name()));
        tracing::info!(
            publication.id = %publication.id,
            topics = outcomes.len(),
            accepted,
            "posted to units' topics; no device is counted"
        );
        Ok(())
    }

    async fn post_to(&self, publication: &Publication, payload: &Payload, name: String) -> Outcome {
        let mut attempt = 1;
        loop {
            if self.is_over(publication) {
                return Outcome::Withdrawn;
            }
            let now = self.shared.clock.now();
            let (expires, lane) = (publication.expires, publication.lane);
            let delivery = Delivery { id: publication.id.0, expires, now, lane };
            let outcome = self.topics.post(payload, &name, &delivery).await;
            let Outcome::Retry { after, .. } = &outcome else { return outcome };
            let due = next_attempt(now, expires, attempt, *after, rand::random());
            let Some(due) = due.filter(|_| attempt < ATTEMPTS_MAX) else { return outcome };
            attempt += 1;
            let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.shared.superseded.wait(publication.id) => {}
                () = self.stop.cancelled() => return outcome,
            }
        }
    }

    fn is_over(&self, publication: &Publication) -> bool {
        self.shared.superseded.contains(publication.id)
            || publication.is_expired(self.shared.clock.now())
    }

    /// The topics a publication is posted to: those of its whole units, unless it withdraws, and
    /// those of what it supersedes.
    async fn names(&self, publication: &Publication) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        if publication.action() != Action::Cancel {
            names.extend(whole_units(publication));
        }
        for earlier in &publication.supersedes {
            match self.shared.contents.get(*earlier).await {
                Ok(earlier) => names.extend(whole_units(&earlier.publication)),
                // Forgotten long after its expiry: nothing of it is shown any more.
                Err(Error::UnknownPublication(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }
}

/// The topics of the units that a publication covers whole: who subscribes to a unit is not known
/// to be in a part of it.
fn whole_units(publication: &Publication) -> Vec<String> {
    let Audience::Area(area) = &publication.audience else { return Vec::new() };
    let whole = area.units.iter().filter(|unit| unit.coverage == Coverage::Whole);
    whole.map(|unit| format!("loa-unit-{}-{}", area.vintage, unit.code)).collect()
}
