//! Recall over all nodes: a cancel in mid-broadcast.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use loa::domain::device::Place;

use super::stage::{Stage, scenario};
use crate::support::people::{received, repeats};

/// What nothing of the original may come after.
const STOPS_WITHIN_MS: i64 = 1_000;
/// What a provider takes for an answer: a push on its way is taken so much later.
const ANSWER: Duration = Duration::from_millis(100);
/// Who moves between the alert and its cancel.
const MOVERS: usize = 20;

#[test]
fn a_cancel_stops_every_node_within_a_second_and_finds_exactly_those_reached() {
    scenario(async |stage| {
        stage.size.answer = ANSWER;
        let id = stage.broadcast("recalled", 20).await;
        let moved = move_some(stage, id).await;
        let path = format!("/v1/alerts/{id}/cancel");
        let publisher = stage.publisher();
        let answer = publisher.post(&path, "application/json", "{}".to_owned()).await;
        let answered = Timestamp::now().as_millisecond();
        let cancel = answer["id"].as_str().expect("an id").parse().expect("a publication id");
        let all = stage.tokens.len();
        let original = stage.over(id, 0).await;
        let alert = received(&stage.providers, &stage.tokens, id);
        let funnel = stage.over(cancel, alert.len() as u64).await;
        let alert = received(&stage.providers, &stage.tokens, id);
        let recall = received(&stage.providers, &stage.tokens, cancel);
        let last = alert.values().flatten().map(|seen| seen.at_ms).max().expect("some");
        let reached: BTreeSet<u32> = alert.keys().copied().collect();
        let recalled: BTreeSet<u32> = recall.keys().copied().collect();
        eprintln!(
            "cancelled after {} of {all}: the last push of the original {} ms after the 202, {} \
             got the cancel, {} of them had moved",
            reached.len(),
            last - answered,
            recalled.len(),
            moved.intersection(&recalled).count()
        );
        assert!(last - answered <= STOPS_WITHIN_MS, "{} ms after the 202", last - answered);
        assert!(reached.len() < all, "it was stopped: {:?}", original.total);
        assert_eq!(recalled, reached, "{:?}", funnel.total);
        assert!(moved.is_subset(&recalled), "also those who moved");
        assert_eq!((repeats(&alert), repeats(&recall)), (0, 0));
        stage.only_poison_is_dead().await;
        stage.nodes.assert_all_run();
        go_home(stage, &moved).await;
        stage.size.answer = super::stage::Size::chosen().answer;
    });
}

/// Some of those who were reached move to the next unit of the city.
async fn move_some(stage: &Stage, id: loa::domain::ids::PublicationId) -> BTreeSet<u32> {
    let reached = received(&stage.providers, &stage.tokens, id);
    let units = stage.parts.city.units();
    let movers: BTreeSet<u32> = reached.keys().copied().take(MOVERS).collect();
    for &index in &movers {
        let mut profile = stage.population.device(index).profile;
        let old = &profile.places[0].unit;
        let next = units.iter().position(|unit| unit.code == *old).expect("a unit") + 1;
        let unit = units[next % units.len()].code.clone();
        profile.places = vec![Place { unit, cell: None }];
        let device = stage.population.id(index);
        stage.parts.registry.update(&device, profile).await.expect("moved");
    }
    movers
}

async fn go_home(stage: &Stage, movers: &BTreeSet<u32>) {
    for &index in movers {
        let device = stage.population.device(index);
        stage.parts.registry.update(&device.id, device.profile).await.expect("moved back");
    }
}
