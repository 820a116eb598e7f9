//! What a node's audit says.

use std::collections::BTreeMap;

use loa::domain::audit::{Act, Entry, Verdict};
use loa::store::audit::Filter;

use super::node::TestNode;

/// Every entry, the newest first.
pub async fn entries(test: &TestNode) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let filter = Filter { before, limit: 100, ..Filter::default() };
        let links = test.node.parts.trail.audit().list(filter).await.expect("read");
        let Some(last) = links.last() else { return found };
        before = Some(last.seq);
        found.extend(links.into_iter().map(|link| link.entry));
    }
}

/// How many acts the audit knows of, by what it calls them and the code.
pub fn refusals(entries: &[Entry]) -> BTreeMap<(String, String), u64> {
    let mut counted = BTreeMap::new();
    for entry in entries {
        let Verdict::Refused { code } = &entry.verdict else { continue };
        let more = entry.reason.as_deref().and_then(|reason| reason.split_once(" more within "));
        let count = more.map_or(1, |(count, _)| count.parse().expect("a number"));
        *counted.entry((format!("{:?}", entry.act), code.clone())).or_default() += count;
    }
    counted
}

/// How many requests were refused so, by what was asked for and the code.
pub fn requests(entries: &[Entry]) -> BTreeMap<(String, String), u64> {
    let requests = entries.iter().filter(|entry| entry.act == Act::Request);
    let mut counted = BTreeMap::new();
    for entry in requests {
        for ((_, code), count) in refusals(std::slice::from_ref(entry)) {
            *counted.entry((entry.object.clone(), code)).or_default() += count;
        }
    }
    counted
}
