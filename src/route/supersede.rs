//! Updates and cancels: the older dispatches are frozen first, so that whom they reached, or may
//! have reached, is settled before anyone is sent the newer.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::channel::Channel;
use crate::domain::dispatch::Dispatch;
use crate::domain::ids::{Seq, UnitCode};
use crate::domain::publication::Publication;
use crate::route::{Error, Parts};
use crate::store::ledger::Progress;

/// Ledger calls in flight at once; they share commits.
const AT_ONCE: usize = 256;

/// What superseding left behind.
#[derive(Debug, Default)]
pub struct Frozen {
    /// The frozen dispatches that reached somebody, or may have.
    pub reaching: Vec<Dispatch>,
    /// Devices reached so far, by unit and channel; websockets included.
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
        let reaching = rows.into_iter().flatten().filter(|row| row.intent > Seq(0));
        frozen.reaching.extend(reaching.map(|row| row.dispatch));
        for cell in parts.ledger.funnel(*earlier).await?.cells {
            if cell.counts.accepted > 0 {
                *frozen.reached.entry((cell.unit, cell.channel)).or_default() +=
                    cell.counts.accepted;
            }
        }
    }
    Ok(frozen)
}
