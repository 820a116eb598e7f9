//! Receipts and deliveries: each device counted once per publication and stage. Who was counted is
//! kept by 65,536 device numbers and stage; one script counts those of one chunk.

use std::collections::BTreeMap;

use crate::domain::funnel::Latency;
use crate::domain::ids::{DeviceNum, PublicationId};
use crate::domain::receipt::Stage;
use crate::store::ledger::Error;
use crate::store::ledger::codec::unit_text;
use crate::store::ledger::mark::{Mark, STAGES, within_chunk};
use crate::store::redis::{Keys, Redis, Script};

/// Marks one script counts: some two milliseconds in which the server does nothing else.
const PIECE_MAX: usize = 512;

/// Marks that one script counts: of a publication and chunk.
pub type Piece = ((PublicationId, u64), Vec<Mark>);

/// Cuts marks into pieces, sorted by publication.
pub fn pieces(marks: Vec<Mark>) -> Vec<Piece> {
    let mut by_chunk: BTreeMap<(PublicationId, u64), Vec<Mark>> = BTreeMap::new();
    for mark in marks {
        by_chunk.entry((mark.publication, mark.chunk())).or_default().push(mark);
    }
    let mut pieces = Vec::new();
    for (of, marks) in by_chunk {
        pieces.extend(marks.chunks(PIECE_MAX).map(|some| (of, some.to_vec())));
    }
    pieces
}

/// The scripts of receipts.
#[derive(Debug)]
pub struct Scripts {
    record: Script,
    stage: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            record: Script::new(include_str!("record.lua")),
            stage: Script::new(include_str!("stage.lua")),
        }
    }
}

impl Scripts {
    /// Counts marks of one chunk, and answers how many reached a stage their device had not.
    pub async fn record(
        &self,
        redis: &Redis,
        (keys, chunk): (&Keys, u64),
        marks: &[Mark],
    ) -> Result<u64, Error> {
        let call = self.record.call().key(keys.key("tallies")).key(keys.key("latencies"));
        let mut call = call.key(keys.key("chunks")).arg(chunk);
        for stage in 0..STAGES {
            call = call.key(who(keys, chunk, stage));
        }
        for mark in marks {
            let cell = format!("{}|{}", unit_text(mark.unit.as_ref()), mark.channel);
            call = call.arg(within_chunk(mark.device)).arg(mark.first).arg(mark.last).arg(cell);
            call = match mark.latency_ms() {
                Some(ms) => call.arg(Latency::bucket(ms)).arg(ms),
                None => call.arg("").arg(""),
            };
        }
        Ok(redis.run(&call).await?)
    }

    /// How far a publication got on a device.
    pub async fn stage_of(
        &self,
        redis: &Redis,
        keys: &Keys,
        device: DeviceNum,
    ) -> Result<Option<Stage>, Error> {
        let mut call = self.stage.call().arg(within_chunk(device));
        for stage in 1..STAGES {
            call = call.key(who(keys, device.0 >> 16, stage));
        }
        let last: usize = redis.run(&call).await?;
        Ok(last.checked_sub(1).and_then(|index| Stage::ALL.get(index)).copied())
    }
}

/// Drops what is kept of a publication under its tag.
pub async fn drop_publication(redis: &Redis, keys: &Keys) -> Result<(), Error> {
    let mut chunks = redis::cmd("SMEMBERS");
    chunks.arg(keys.key("chunks"));
    let chunks: Vec<u64> = redis.ask(&chunks).await?;
    for some in chunks.chunks(PIECE_MAX) {
        let mut unlink = redis::cmd("UNLINK");
        for chunk in some {
            (0..STAGES).for_each(|stage| {
                unlink.arg(who(keys, *chunk, stage));
            });
        }
        redis.ask::<()>(&unlink).await?;
    }
    let mut unlink = redis::cmd("UNLINK");
    for part in ["dispatches", "bound", "targets", "tallies", "latencies", "chunks"] {
        unlink.arg(keys.key(part));
    }
    Ok(redis.ask(&unlink).await?)
}

fn who(keys: &Keys, chunk: u64, stage: usize) -> String {
    keys.key(format_args!("who:{chunk}:{stage}"))
}
