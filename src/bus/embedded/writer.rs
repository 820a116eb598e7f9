//! The writer: one thread that appends, in groups, and answers after the commit.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::frame::{Entry, Frame};
use super::group::{Body, Firsts, Group};
use super::groups::Groups;
use super::intake::Intake;
use super::keeper::Keeper;
use super::layout::Layout;
use super::retention::Retention;
use super::tail::{Placed, Tail};
use crate::bus::{Error, OVERTAKEN, Result};
use crate::clock::Clock;

/// The writer's own state.
pub(super) struct Writer {
    pub layout: Arc<Layout>,
    pub intake: Arc<Intake>,
    /// One permit a kibibyte that may wait.
    pub room: Arc<Semaphore>,
    pub clock: Clock,
    pub tail: Tail,
    pub keeper: Keeper,
}

/// What a group changes beside what it appends.
#[derive(Default)]
struct Changes {
    /// Where groups of readers go on.
    nexts: BTreeMap<(usize, Arc<str>), u64>,
    /// Where partitions begin.
    starts: Vec<(usize, u64)>,
}

/// Ends what is around the writer, however it ends, and only then lets go of the directory.
struct Ending {
    intake: Arc<Intake>,
    retention: Arc<Retention>,
    lock: Option<File>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.intake.end();
        self.retention.close();
        self.lock = None;
    }
}

impl Writer {
    /// Runs until it is closed or every handle is gone. The lock on the directory goes with it, and
    /// then `ended` comes.
    pub fn start(
        self,
        (lock, retention): (File, Arc<Retention>),
        closed: CancellationToken,
        ended: tokio::sync::oneshot::Sender<()>,
    ) -> Result<()> {
        let run = move || {
            // Whatever ends the thread, even a panic, readers must not wait for ever.
            let _closed = closed.drop_guard();
            let ending = Ending { intake: self.intake.clone(), retention, lock: Some(lock) };
            self.run();
            drop(ending);
            let _ = ended.send(());
        };
        let thread = std::thread::Builder::new().name("loa-log-writer".to_owned());
        thread.spawn(run).map(drop).map_err(|error| Error::Storage(error.to_string()))
    }

    fn run(mut self) {
        let mut frame = Frame::new();
        let intake = self.intake.clone();
        while let Some(group) = intake.next(|bodies| self.tail.write_ahead(bodies)) {
            let now = self.clock.now();
            self.commit(group, now.as_millisecond(), &mut frame);
            self.keeper.look(now);
        }
    }

    /// One frame for the whole group, then one answer for everybody.
    fn commit(&mut self, mut group: Group, now_ms: i64, frame: &mut Frame) {
        let mut firsts = vec![0; self.layout.places.len()];
        for slot in &group.slots {
            firsts[slot.place] = self.layout.places[slot.place].bounds().end;
        }
        let sealed = group.bodies.len();
        group.take();
        for body in &mut group.bodies[sealed..] {
            body.batch.seal();
        }
        for body in &mut group.bodies {
            body.batch.first += firsts[body.place];
        }
        let roll = group.roll.take();
        let layout = self.layout.clone();
        let changes = Changes::of(&layout, &group);
        frame.clear();
        let fill = |frame: &mut Frame| changes.fill(&layout, &group, now_ms, frame);
        let how = (now_ms, roll);
        let outcome = match self.tail.write(&layout, &group.bodies, how, (frame, &fill)) {
            Ok(placed) => {
                if let Some(placed) = placed {
                    self.show((&group, &firsts), &changes, now_ms, &placed);
                    self.keeper.seal(placed.sealed);
                }
                Ok(firsts)
            }
            Err(error) => Err(error),
        };
        // At once instead of one by one: each time takes a lock.
        self.room.add_permits(group.room);
        group.outcome.settle(outcome);
        self.intake.keep(std::mem::take(&mut group.bodies));
    }

    /// Makes a committed group visible and wakes who waits for it.
    fn show(
        &self,
        (group, firsts): (&Group, &Firsts),
        changes: &Changes,
        now_ms: i64,
        placed: &Placed,
    ) {
        let layout = &self.layout;
        layout.commits.fetch_add(1, Ordering::Relaxed);
        let mut index = placed.segment.index_mut();
        index.take(placed.number, placed.end);
        for Body { place, batch } in &group.bodies {
            let bytes = batch.bytes().len() as u64;
            index.add(*place, batch.first..batch.end(), bytes, (placed.at, now_ms));
        }
        drop(index);
        let mut groups = layout.groups();
        for ((place, group), next) in &changes.nexts {
            groups.set(group, *place, *next, now_ms);
        }
        drop(groups);
        for slot in &group.slots {
            layout.records.fetch_add(slot.end(), Ordering::Relaxed);
            layout.places[slot.place].set_end(firsts[slot.place] + slot.end());
            layout.tell(slot.place);
        }
        for (place, start) in &changes.starts {
            let place_of = &layout.places[*place];
            layout.deleted.fetch_add(start - place_of.bounds().start, Ordering::Relaxed);
            place_of.set_start(*start);
            // A reader that waits below the new start is told so at once.
            layout.tell(*place);
        }
    }
}

impl Changes {
    fn of(layout: &Layout, group: &Group) -> Self {
        let mut changes = Self::default();
        let known = layout.groups();
        for (name, place, next) in &group.commits {
            changes.go_on(&known, name, *place, *next);
        }
        for (name, topics) in &group.joins {
            // Entered at the start of every partition that it does not know, so that retention
            // waits for it from now on. One that was overtaken goes on with the oldest kept.
            for (id, topic) in topics.iter().filter_map(|id| Some((id, layout.topics.get(id)?))) {
                for place in topic.first..topic.first + topic.count as usize {
                    let start = layout.places[place].bounds().start;
                    let next = known.next(name, place).unwrap_or(start);
                    if next < start {
                        let (missed, partition) = (start - next, place - topic.first);
                        let topic = id;
                        tracing::warn!(group = %name, %topic, partition, missed, "{OVERTAKEN}");
                    }
                    changes.go_on(&known, name, place, start);
                }
            }
        }
        for &(place, cut, silent_ms) in &group.cuts {
            let joined = changes.nexts.iter().filter(|((of, _), _)| *of == place);
            let joined = joined.map(|(_, next)| *next).min();
            let needed = [known.first_needed(place, silent_ms), joined].into_iter().flatten().min();
            let (cut, bounds) = (cut.min(needed.unwrap_or(cut)), layout.places[place].bounds());
            if cut > bounds.start && cut <= bounds.end {
                changes.starts.push((place, cut));
            }
        }
        changes
    }

    /// A group never goes back.
    fn go_on(&mut self, known: &Groups, group: &Arc<str>, place: usize, next: u64) {
        let least = next.max(known.next(group, place).unwrap_or_default());
        let of = self.nexts.entry((place, group.clone())).or_default();
        *of = least.max(*of);
    }

    /// Writes it all down.
    fn fill(&self, layout: &Layout, group: &Group, at_ms: i64, frame: &mut Frame) {
        for Body { place, batch } in &group.bodies {
            let place = &layout.places[*place];
            frame.put_batch(&place.topic, place.partition, batch);
        }
        for ((place, group), next) in &self.nexts {
            let (topic, partition) =
                (&*layout.places[*place].topic, layout.places[*place].partition);
            frame.put(Entry::Next { group, topic, partition, next: *next, at_ms });
        }
        for (place, start) in &self.starts {
            let (topic, partition) =
                (&*layout.places[*place].topic, layout.places[*place].partition);
            frame.put(Entry::Start { topic, partition, start: *start });
        }
    }
}
