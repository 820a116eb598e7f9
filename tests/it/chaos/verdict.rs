//! What a scenario must have come to, whatever failed in it.

use std::collections::BTreeSet;
use std::time::Instant;

use jiff::Timestamp;
use loa::bus::{Position, TopicId};
use loa::domain::audience::Audience;
use loa::domain::ids::PublicationId;
use loa::event::dead_letter;

use super::broadcast::Beside;
use super::stage::{LOOK, PATIENCE, Stage};
use crate::support::people::{audience, received, repeats};
use crate::support::wire::lasts;

/// Something that failed in a broadcast, and what may come of it.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What it was.
    pub what: String,
    /// When.
    pub at: Timestamp,
    /// Most devices that may get the alert again.
    pub bound: usize,
}

impl Fault {
    /// One that happens now and may have `workers` workers begin their batches again.
    pub fn now(stage: &Stage, what: &str, workers: usize) -> Self {
        let bound = workers * stage.size.in_work();
        Self { what: what.to_owned(), at: Timestamp::now(), bound }
    }
}

impl Stage {
    /// Everyone was reached by an alert, repeats are bounded and replace what they repeat, and
    /// every process still runs. Prints how long that took.
    pub async fn everyone_is_reached(&self, id: PublicationId, fault: &Fault) {
        let all = self.tokens.len();
        let began = Instant::now();
        // Counting is cheap and asking for each of 200,000 is not; repeats count too.
        while self.counted.now(id) < all || received(&self.providers, &self.tokens, id).len() < all
        {
            let late = began.elapsed() > PATIENCE;
            let logs = || ["router-1", "fanout-1"].map(|name| self.nodes.log(name)).join("\n");
            let got = self.counted.now(id);
            assert!(
                !late,
                "{}: {got} for {all}; {:?}\n{}",
                fault.what,
                self.funnel(id).await,
                logs()
            );
            lasts(LOOK * 4).await;
        }
        let received = received(&self.providers, &self.tokens, id);
        assert_eq!(self.devices_of(id).await.len(), all);
        let repeats = repeats(&received);
        let (first, pause, last) = self.recovery(id, fault.at);
        let sockets = self.crowd.people.clone();
        let given = self.crowd.given(&sockets, id).await;
        assert!(given.is_ok(), "{}: sockets that were not given it: {given:?}", fault.what);
        eprintln!(
            "| {} | {} of {all}, {} sockets | {repeats} ({}) | next push after {first} ms, longest \
             pause {pause} ms, everyone after {last} ms |",
            fault.what,
            received.len(),
            sockets.len(),
            fault.bound
        );
        assert!(repeats <= fault.bound, "{}: {repeats} repeats", fault.what);
        // Nobody counts twice: those with an address, and those with a socket.
        let everyone = u64::from(self.population.size());
        let funnel = self.over(id, everyone).await;
        assert_eq!(funnel.total.accepted, everyone, "{}: {:?}", fault.what, funnel.total);
        self.nodes.assert_all_run();
    }

    /// Milliseconds from a moment to the next push of a publication, the longest pause between two
    /// after it, and to the last device's first push.
    fn recovery(&self, id: PublicationId, since: Timestamp) -> (i64, i64, i64) {
        let since = since.as_millisecond();
        let received = received(&self.providers, &self.tokens, id);
        let mut at: Vec<i64> = received.values().flatten().map(|seen| seen.at_ms - since).collect();
        at.retain(|at| *at >= 0);
        at.sort_unstable();
        let firsts = received.values().map(|seen| seen[0].at_ms - since);
        let last = firsts.max().unwrap_or_default();
        let pause = at.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default();
        (at.first().copied().unwrap_or_default(), pause, last)
    }

    /// What is in order came in order, to everyone it is for, and nothing twice on a stream that
    /// was recovered.
    pub async fn order_was_kept(&self, beside: &Beside) {
        let mut expected: Vec<(u32, Vec<PublicationId>)> = Vec::new();
        let Beside { chain, changes, .. } = beside;
        for (place, changes) in changes.iter().enumerate() {
            expected.push((self.crowd.people[place], changes.clone()));
        }
        for index in self.people_of(chain[0]).await {
            expected.push((index, chain.clone()));
        }
        for (index, ids) in &expected {
            // Who comes back is given what still holds: not an alert that was replaced meanwhile.
            let person = self.crowd.now().remove(index).unwrap_or_default();
            let came_back = person.resumed + person.reloads > 0;
            for id in ids.iter().filter(|_| !(came_back && ids == chain)) {
                let given = self.crowd.given(&[*index], *id).await;
                assert!(given.is_ok(), "socket {index} was not given {id:?} of {ids:?}");
            }
        }
        let now = self.crowd.now();
        for (index, ids) in expected {
            let mut order: Vec<PublicationId> = Vec::new();
            for (id, _) in &now[&index].given {
                if ids.contains(id) && !order.contains(id) {
                    order.push(*id);
                }
            }
            let person = &now[&index];
            let wanted: Vec<_> = ids.into_iter().filter(|id| order.contains(id)).collect();
            assert_eq!(order, wanted, "socket {index}: {person:?}");
        }
    }

    /// Nothing comes twice on streams, unless a client was told to begin anew.
    pub fn nothing_twice_on_sockets(&self) {
        for (index, person) in self.crowd.now() {
            let ids: BTreeSet<_> = person.given.iter().map(|(id, _)| *id).collect();
            let twice = person.given.len() - ids.len();
            assert!(twice == 0 || person.reloads > 0, "socket {index}: {person:?}");
        }
    }

    /// Devices with a push address that an alert is for.
    pub async fn devices_of(&self, id: PublicationId) -> BTreeSet<u32> {
        let stored = self.parts.alerts.get(id).await.expect("a store").expect("stored");
        audience(&stored.publication, &self.population)
    }

    /// Sockets whose citizens an alert is for.
    pub async fn people_of(&self, id: PublicationId) -> Vec<u32> {
        let stored = self.parts.alerts.get(id).await.expect("a store").expect("stored");
        let Audience::Area(area) = &stored.publication.audience else { panic!("an area") };
        let inside =
            |index: &u32| area.owner(&self.population.device(*index).profile.places).is_some();
        self.crowd.people.iter().copied().filter(inside).collect()
    }

    /// Every dead letter is a record of poison, and all poison is there.
    pub async fn only_poison_is_dead(&self) {
        let poison = &self.poisoned;
        let began = Instant::now();
        loop {
            let letters = self.letters().await;
            let missing: Vec<_> = poison.iter().filter(|one| !letters.contains(one)).collect();
            if missing.is_empty() {
                let mine: BTreeSet<_> = poison.iter().collect();
                let others: Vec<_> = letters.iter().filter(|one| !mine.contains(one)).collect();
                assert!(others.is_empty(), "dead letters beside the poison: {others:?}");
                return;
            }
            assert!(began.elapsed() < PATIENCE, "no dead letter of {missing:?}");
            lasts(LOOK).await;
        }
    }

    /// The records that lie in the dead letters.
    async fn letters(&self) -> Vec<Position> {
        let bus = &self.parts.bus;
        let bounds = bus.bounds(TopicId::DeadLetters, 0).await.expect("bounds");
        let mut letters = Vec::new();
        let mut reader = bus.reader(TopicId::DeadLetters, 0, bounds.start).await.expect("a reader");
        while reader.offset() < bounds.end {
            let batch = tokio::time::timeout(PATIENCE, reader.next_batch(256)).await;
            for letter in batch.expect("in time").expect("read") {
                let letter = dead_letter::decode(&letter.key, &letter.headers, &letter.payload);
                let letter = letter.expect("a letter");
                letters.push(Position {
                    topic: letter.topic.parse().expect("a topic of ours"),
                    partition: letter.partition,
                    offset: letter.offset,
                });
            }
        }
        letters
    }
}
