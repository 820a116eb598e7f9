//! Verifies the audit: every number is there once and in order, every hash follows from the one
//! before, and every checkpoint is signed and lies on the chain.
//!
//! What it cannot see by itself is an end cut off together with its checkpoints; whoever wrote a
//! head down elsewhere ([`Expected`]) sees that too.

use crate::domain::audit::{BEGINNING, HASH_BYTES, hash, hex};
use crate::store::audit::{Audit, Checkpoint, Error};
use crate::trail::seal::is_signed;

/// Findings that are kept; a file full of noise needs no longer list.
const FINDINGS_MAX: usize = 100;

/// A head that was written down elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; HASH_BYTES],
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// Checkpoints that are signed and fit.
    pub checkpoints: u64,
    /// The last number.
    pub seq: u64,
    /// The last hash, in hexadecimal.
    pub head: String,
    /// Everything that is wrong, in words.
    pub findings: Vec<String>,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    fn found(&mut self, what: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what);
        }
    }
}

/// Reads the whole chain.
pub async fn verify(
    audit: &Audit,
    public: &[u8],
    expected: Option<Expected>,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let checkpoints = audit.checkpoints().await?;
    let mut waiting = checkpoints.iter().peekable();
    let (mut last, mut before) = (0, BEGINNING);
    let mut met = expected.is_none_or(|expected| expected.seq == 0);
    loop {
        let page = audit.links(last).await?;
        let Some(end) = page.last() else { break };
        let end = end.seq;
        for link in page {
            if link.seq != last + 1 {
                report.found(format!("entries {} to {} are missing", last + 1, link.seq - 1));
            }
            let computed = hash(&before, link.seq, &link.text);
            if computed != link.hash {
                report.found(format!("entry {} is not what was written", link.seq));
            }
            (last, before) = (link.seq, link.hash);
            report.entries += 1;
            while let Some(checkpoint) = waiting.next_if(|one| one.seq <= link.seq) {
                look(&mut report, checkpoint, (link.seq, &link.hash), public);
            }
            if let Some(expected) = expected.filter(|expected| expected.seq == link.seq) {
                met = expected.hash == link.hash;
            }
        }
        last = end;
    }
    for checkpoint in waiting {
        report.found(format!("the chain ends at {last}, but {} was signed", checkpoint.seq));
    }
    if !met {
        report.found("the head that was written down is not on this chain".to_owned());
    }
    (report.seq, report.head) = (last, hex(&before));
    Ok(report)
}

fn look(
    report: &mut Report,
    checkpoint: &Checkpoint,
    (seq, hash): (u64, &[u8; HASH_BYTES]),
    public: &[u8],
) {
    let signed = (checkpoint.seq, &checkpoint.hash);
    if !is_signed(public, signed, &checkpoint.signature) {
        report.found(format!("the checkpoint at {} is not signed with this key", checkpoint.seq));
    } else if checkpoint.seq != seq || checkpoint.hash != *hash {
        report.found(format!("entry {} is not what was signed", checkpoint.seq));
    } else {
        report.checkpoints += 1;
    }
}
