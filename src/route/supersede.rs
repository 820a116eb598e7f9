//! Updates and cancels: the older dispatches are frozen first, so that whom they reached, or may
//! have reached, is settled before anyone is sent the newer.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::channel::Channel;
use crate::domain::dispatch::Dispatch;
use crate::domain::ids::{Seq, UnitCode};
use crate::domain::outcome::Arrival;
use crate::domain::publication::Publication;
use crate::route::{Error, Parts};
use crate::store::ledger::{Progress, Waiting};

/// Ledger calls in flight at once; they share commits.
const AT_ONCE: usize = 256;

/// What superseding left behind.
#[derive(Debug, Default)]
pub struct Frozen {
    /// The frozen dispatches that reached somebody, or may have.
    pub reaching: Vec<Dispatch>,
    /// Devices reached so far, or possibly, by unit and channel; websockets included.
    pub reached: BTreeMap<(Option<UnitCode>, Channel), u64>,
}

/// Freezes every dispatch of what a publication supersedes.
pub async fn freeze(parts: &Parts, publication: &Publication) -> Result<Frozen, Error> {
    let mut frozen = Frozen::default();
    parts.alerts.supersede(&publication.supersedes, publication.id).await?;
    for earlier in &publication.supersedes {
        let rows = parts.ledger.of_publication(*earlier).await?;
        let freeze = |row: Progress| {
            let ledger = parts.ledger.clone();
            async move { ledger.freeze(&row.dispatch.id).await }
        };
        let frozen_rows = stream::iter(rows).map(freeze).buffer_unordered(AT_ONCE);
        let rows: Vec<_> = frozen_rows.try_collect().await?;
        let mut reached: BTreeMap<(Option<UnitCode>, Channel), u64> = BTreeMap::new();
        for row in rows.into_iter().flatten().filter(|row| row.intent > Seq(0)) {
            let possible = |one: &&Waiting| one.arrival == Arrival::Possible;
            let doubtful = row.retries.iter().filter(possible).count();
            let unit = row.dispatch.scope.unit().cloned();
            *reached.entry((unit, row.dispatch.channel)).or_default() += doubtful as u64;
            frozen.reaching.push(row.dispatch);
        }
        for cell in parts.ledger.funnel(*earlier).await?.cells {
            *reached.entry((cell.unit, cell.channel)).or_default() += cell.counts.accepted;
        }
        // An update goes to those whom the older one reached: the same people, not further ones.
        for (part, count) in reached.into_iter().filter(|(_, count)| *count > 0) {
            let known = frozen.reached.entry(part).or_default();
            *known = (*known).max(count);
        }
    }
    Ok(frozen)
}
