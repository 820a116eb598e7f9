//! The router of one lane: publications in, dispatches out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::auth::gate::{self, Refused};
use crate::bus::{Commits, Consumer, Delivery, Position, Record, TopicId};
use crate::domain::audience::{AreaAudience, Audience};
use crate::domain::audit::{Act, Actor};
use crate::domain::channel::Channel;
use crate::domain::dispatch::Dispatch;
use crate::domain::ids::{PublicationId, UnitCode};
use crate::domain::lane::Lane;
use crate::domain::publication::{Action, Publication};
use crate::event::publication::Carried;
use crate::event::{self, dead_letter::Reason};
use crate::lifecycle::Lifecycle;
use crate::metrics::{self, Room};
use crate::route::late::Routed;
use crate::route::supersede::{Frozen, freeze};
use crate::route::{Error, Parts, again, census, plan};
use crate::store::ledger::Targeted;
use crate::trail::Deed;

/// The consumer group of all routers.
pub const GROUP: &str = "router";
/// Dispatches in one call to the log.
const PUBLISH_MAX: usize = 2_000;

/// Pause before routing is tried again; the stores have waited before they fail.
const PAUSE: Duration = Duration::from_millis(500);

/// Starts the router of a lane.
pub async fn start(
    parts: Parts,
    lane: Lane,
    routed: Routed,
    tasks: &Lifecycle,
) -> Result<(), Error> {
    let consumer = parts.bus.consumer(GROUP, &[TopicId::Publications(lane)]).await?;
    let stop = tasks.token().clone();
    tasks.service("route", async move {
        tokio::select! {
            ended = serve(&parts, lane, consumer, &routed) => ended,
            () = stop.cancelled() => Ok(()),
        }
    });
    Ok(())
}

/// Routes for ever. Stopping it anywhere is safe: a record is committed after its effects, and
/// routing it again makes the same dispatches.
async fn serve(
    parts: &Parts,
    lane: Lane,
    mut consumer: Consumer,
    routed: &Routed,
) -> Result<(), Error> {
    let mut commits = Commits::new(consumer.committer());
    loop {
        for delivery in consumer.next_batch(64).await? {
            match persistently(parts, lane, &delivery).await {
                Ok(Read::Ours(publication, form)) => {
                    persist(parts, (&publication, form), delivery.position).await;
                    routed.announce();
                }
                Ok(Read::Left(id)) => {
                    tracing::info!(publication.id = %id, "its citizen has left: not sent");
                }
                Ok(Read::Refused(id, refused)) => refuse(parts, &delivery, id, &refused).await?,
                Err(error) => {
                    let now = parts.clock.now();
                    parts.bus.bury(&delivery, Reason::from(&error), 1, now).await?;
                }
            }
            commits.done(delivery.position).await?;
        }
        commits.land().await?;
    }
}

/// What a record is.
pub enum Read {
    /// A publication that ingest signed, for this lane, and that its agency may say.
    Ours(Box<Publication>, Form),
    /// One for a citizen who has left: nobody can read it any more.
    Left(PublicationId),
    /// Not to be believed.
    Refused(PublicationId, Refused),
}

/// How a publication lies on the log. Its dispatches follow from that, and not from what is sealed
/// when they are made: routing it again makes the same ones, on a node of whichever release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For all to read.
    Open,
    /// Sealed for one citizen.
    Sealed,
}

/// Opens a record, and looks whether it is believed.
pub async fn read(parts: &Parts, lane: Lane, delivery: &Delivery) -> Result<Read, Error> {
    let record =
        gate::Parts { key: &delivery.key, headers: &delivery.headers, payload: &delivery.payload };
    let read = event::publication::read(&delivery.headers, &delivery.payload)?;
    let (publication, form) = match read {
        Carried::Open(publication) => (publication, Form::Open),
        Carried::Sealed(sealed) => {
            let id = sealed.id;
            if let Err(refused) = parts.gate.signed(record) {
                return Ok(Read::Refused(id, refused));
            }
            match parts.alerts.open_sealed(sealed).await? {
                Some(publication) => (Box::new(publication), Form::Sealed),
                None => return Ok(Read::Left(id)),
            }
        }
    };
    let believed = match parts.gate.genuine(lane, record, &publication) {
        Ok(()) => parts.gate.allowed(&publication).await?,
        refused => refused,
    };
    Ok(match believed {
        Ok(()) => Read::Ours(publication, form),
        Err(refused) => Read::Refused(publication.id, refused),
    })
}

/// The same, waiting for a store that is away; an error is the record's own.
async fn persistently(
    parts: &Parts,
    lane: Lane,
    delivery: &Delivery,
) -> Result<Read, event::envelope::Error> {
    loop {
        match read(parts, lane, delivery).await {
            Ok(read) => return Ok(read),
            Err(Error::Record(error)) => return Err(error),
            Err(error) => {
                let Delivery { position, .. } = delivery;
                tracing::error!(
                    topic = %position.topic, partition = position.partition,
                    offset = position.offset, %error, "a publication waits to be routed"
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Sets a record aside that is not believed, and writes it down.
async fn refuse(
    parts: &Parts,
    delivery: &Delivery,
    id: PublicationId,
    refused: &Refused,
) -> Result<(), Error> {
    metrics::record_refused("route", refused.code());
    let name = format!("a writer of {}", delivery.position.topic.name());
    let deed = Deed::refused(Actor::Unknown { name }, Act::Publish, id, refused.code());
    parts.trail.note(deed).await;
    let field = refused.field().map(str::to_owned);
    let reason = Reason { code: refused.code().to_owned(), detail: refused.to_string(), field };
    Ok(parts.bus.bury(delivery, reason, 1, parts.clock.now()).await?)
}

/// Routes until it is done: stores that are away come back, and nothing of the lane may be left
/// out meanwhile.
async fn persist(parts: &Parts, (publication, form): (&Publication, Form), position: Position) {
    let routed = async || {
        route(parts, publication, form).await?;
        again::routed(parts, position).await
    };
    while let Err(error) = routed().await {
        let id = publication.id;
        tracing::error!(publication.id = %id, %error, "a publication waits to be routed");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Routes one publication. Safe to repeat.
pub async fn route(parts: &Parts, publication: &Publication, form: Form) -> Result<(), Error> {
    let began = Instant::now();
    let frozen = freeze(parts, publication).await?;
    let stored = parts.alerts.get(publication.id).await?;
    let superseded = stored.is_some_and(|stored| stored.superseded_by.is_some());
    let over = superseded || publication.is_expired(parts.clock.now());
    if over || !publication.reaches_people() {
        tracing::info!(publication.id = %publication.id, "not for the public, or over: not sent");
        return Ok(());
    }
    let (dispatches, targeted) = match &publication.audience {
        Audience::Area(audience) => area(parts, publication, audience, &frozen).await?,
        Audience::Subject { subject, .. } => {
            let devices = parts.registry.of_names(publication.audience.names()).await?;
            let mut counts: BTreeMap<Channel, u64> = BTreeMap::new();
            for device in &devices {
                *counts.entry(device.profile.address.channel()).or_default() += 1;
            }
            let targeted = counts.iter().map(|(channel, count)| (None, *channel, *count)).collect();
            let push = counts.keys().filter(|channel| Channel::PUSH.contains(channel));
            let named = Some(subject.clone()).filter(|_| form == Form::Open);
            let one = |channel: &Channel| plan::subject(publication, *channel, named.clone());
            (push.map(one).collect(), targeted)
        }
    };
    tracing::info!(
        publication.id = %publication.id,
        lane = %publication.lane,
        dispatches = dispatches.len(),
        "routed"
    );
    open(parts, &dispatches).await?;
    parts.ledger.set_targeted(publication.id, targeted.clone()).await?;
    publish(parts, &dispatches).await?;
    let taken = parts.clock.now().duration_since(publication.accepted_at);
    metrics::routed(taken.as_secs_f64());
    metrics::room(Room::Route, began.elapsed());
    recount(parts, publication, targeted).await
}

/// Puts the exact number of websocket devices in the estimate's place; a withdrawal keeps the
/// number of those who got what it withdraws.
async fn recount(
    parts: &Parts,
    publication: &Publication,
    mut targeted: Vec<Targeted>,
) -> Result<(), Error> {
    let Audience::Area(audience) = &publication.audience else { return Ok(()) };
    if publication.action() != Action::Alert {
        return Ok(());
    }
    let upto = parts.registry.last_seq().await?;
    let counts = census::websockets(parts, publication, audience, upto).await?;
    targeted.retain(|(_, channel, _)| *channel != Channel::Websocket);
    let counted = counts.into_iter().map(|(unit, count)| (Some(unit), Channel::Websocket, count));
    targeted.extend(counted);
    parts.ledger.set_targeted(publication.id, targeted).await?;
    Ok(())
}

async fn area(
    parts: &Parts,
    publication: &Publication,
    audience: &AreaAudience,
    frozen: &Frozen,
) -> Result<(Vec<Dispatch>, Vec<Targeted>), Error> {
    let mut targeted = frozen.reached.clone();
    let mut dispatches = plan::followers(publication, &frozen.reaching);
    if publication.action() != Action::Cancel {
        // Before the ranges: whoever joins after this is a late joiner, also when it is routed
        // again after others have joined.
        let newest = parts.registry.last_seq().await?;
        let upto = parts.ledger.bound(publication.id, newest).await?;
        let estimate = parts.registry.estimate(&publication.audience).await?;
        for (unit, channels) in estimate.units {
            for (channel, count) in channels {
                let known = targeted.entry((Some(unit.clone()), channel)).or_default();
                *known = (*known).max(count);
            }
        }
        let made = dispatches.len();
        for channel in Channel::PUSH {
            let ranges = parts.registry.ranges(audience, channel).await?;
            dispatches.extend(plan::ranges(publication, channel, &ranges, upto));
        }
        if dispatches.len() == made
            && let Some(unit) = audience.units.first()
        {
            // Nobody is there yet. One empty dispatch still tells the follower of late joiners,
            // also after a restart, up to where the registry was looked through.
            let nobody: [(UnitCode, u16); 1] = [(unit.code.clone(), 0)];
            dispatches.extend(plan::ranges(publication, Channel::Fcm, &nobody, upto));
        }
    }
    let targeted =
        targeted.into_iter().map(|((unit, channel), count)| (unit, channel, count)).collect();
    Ok((dispatches, targeted))
}

/// Rows in the ledger, before the log, so that a later update can freeze even what no worker has
/// taken yet.
pub(crate) async fn open(parts: &Parts, dispatches: &[Dispatch]) -> Result<(), Error> {
    Ok(parts.ledger.open_all(dispatches).await?)
}

/// Dispatches onto the log; their rows are open.
pub(crate) async fn publish(parts: &Parts, dispatches: &[Dispatch]) -> Result<(), Error> {
    let mut by_topic: BTreeMap<(Channel, Lane), Vec<Record>> = BTreeMap::new();
    for dispatch in dispatches {
        let records = by_topic.entry((dispatch.channel, dispatch.lane)).or_default();
        records.push(event::dispatch::encode(dispatch).into());
    }
    // All at once: the topics share the log's flush.
    let all = by_topic.into_iter().map(|((channel, lane), records)| async move {
        metrics::dispatches(channel, lane, records.len());
        append(parts, TopicId::Dispatches(channel, lane), records).await
    });
    try_join_all(all).await?;
    Ok(())
}

async fn append(parts: &Parts, topic: TopicId, mut records: Vec<Record>) -> Result<(), Error> {
    while !records.is_empty() {
        let rest = records.split_off(records.len().min(PUBLISH_MAX));
        parts.bus.publish(topic, records).await?;
        records = rest;
    }
    Ok(())
}
