//! A rolling upgrade from the release before: `make upgrade` builds its program, or
//! `LOA_TEST_PREVIOUS` names it. Its nodes and ours work together in the middle of a broadcast.

use std::path::{Path, PathBuf};

use crate::chaos::broadcast::under_fire;
use crate::chaos::stage::{NEW, Size, Stage};

/// Which nodes are replaced first, as docs/RUNBOOKS.md has it: readers before writers.
const ORDER: [&str; 5] = ["gateway", "fanout", "router", "api", "console"];

fn previous() -> PathBuf {
    let named = std::env::var_os("LOA_TEST_PREVIOUS").map(PathBuf::from);
    let program = named.expect("LOA_TEST_PREVIOUS names the release before: run make upgrade");
    assert!(program.is_file(), "{} is missing", program.display());
    program
}

/// Nodes in the order of their replacement; with `first`, one of each role alone, else the others.
fn nodes(stage: &Stage, first: bool) -> Vec<String> {
    let mut names = stage.nodes.names();
    names.retain(|name| name.ends_with("-1") == first);
    let place = |name: &String| ORDER.iter().position(|role| name.starts_with(role));
    names.sort_by_key(place);
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_nodes_work_together_and_a_rolling_upgrade_loses_nothing() {
    let old = previous();
    let mut stage = Stage::of(Size::chosen(), &old).await;
    // Half of each role is of either release, and then all of them are the new one's. Nobody dies:
    // dispatches go from old workers to new ones at their cursors.
    for (first, what) in [(true, "one of each role is upgraded"), (false, "the rest is upgraded")] {
        let nodes = nodes(&stage, first);
        under_fire(&mut stage, (what, 5, 0), async |stage| {
            for name in &nodes {
                stage.nodes.replace(name, Path::new(NEW)).await;
            }
        })
        .await;
        // Between the two, old and new side by side: what either wrote the other takes.
        let what = format!("a broadcast after {what}");
        under_fire(&mut stage, (&what, 50, 0), async |_| {}).await;
    }
    stage.nodes.assert_all_run();
}
