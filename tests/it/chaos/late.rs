//! Late joiners over all nodes: who registers or moves in mid-broadcast gets it then, once, also
//! when the router that looks for them dies.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode};
use loa::domain::audience::Audience;
use loa::domain::ids::{PublicationId, UnitCode};
use serde_json::{Value, json};

use super::nodes::{GATEWAYS, ROUTERS};
use super::stage::{LOOK, PATIENCE, Stage, scenario};
use crate::support::http::{Answer, ask};
use crate::support::node::{AlertXml, CENTRE};
use crate::support::wire::lasts;

/// Requests at once.
const AT_ONCE: usize = 16;

/// Who came by HTTP.
struct Newcomer {
    id: String,
    secret: String,
    token: String,
}

#[test]
fn who_registers_or_moves_in_mid_broadcast_gets_it_once() {
    scenario(async |stage| {
        stage.slow_down();
        let xml = AlertXml::hot(&stage.fresh("late"), CENTRE).render();
        let id = stage.publisher().alert("/v1/alerts", xml).await;
        let (unit, movers) = unit_and_movers(stage, id).await;
        let count = stage.size.late / 2;
        let (first, second) = (count / 2, count - count / 2);
        let mut newcomers = register(stage, 0..first, &unit).await;
        go(stage, &movers[..movers.len() / 2], Some(&unit)).await;
        // One of them holds the lease on the late joiners; the other takes it over.
        for router in ROUTERS {
            stage.nodes.kill(router);
            stage.nodes.start(router).await;
        }
        newcomers.extend(register(stage, first..first + second, &unit).await);
        go(stage, &movers[movers.len() / 2..], Some(&unit)).await;
        let mut tokens: Vec<String> =
            newcomers.iter().map(|newcomer| newcomer.token.clone()).collect();
        tokens.extend(movers.iter().map(|index| stage.tokens[index].clone()));
        let took = reached(stage, &tokens, id).await;
        stage.over(id, stage.devices_of(id).await.len() as u64).await;
        assert_once(stage, &tokens, id).await;
        eprintln!(
            "| {} registered and {} moved in mid-broadcast, both routers killed | {} of {} | 0 (0) \
             | the last of them {took:?} after they came |",
            newcomers.len(),
            movers.len(),
            tokens.len(),
            tokens.len()
        );
        go(stage, &movers, None).await;
        leave(stage, &newcomers).await;
        stage.only_poison_is_dead().await;
        stage.nodes.assert_all_run();
    });
}

/// A unit inside, and devices outside that will move there.
async fn unit_and_movers(stage: &Stage, id: PublicationId) -> (UnitCode, Vec<u32>) {
    let stored = stage.parts.alerts.get(id).await.expect("a store").expect("stored");
    let Audience::Area(area) = &stored.publication.audience else { panic!("an area") };
    let unit = |place: &loa::domain::device::Place| area.fit(place).is_some();
    let units = area.units.iter().map(|unit| unit.code.clone());
    let mut places = units.map(|unit| loa::domain::device::Place { unit, cell: None });
    let inside: BTreeSet<u32> = stage.devices_of(id).await;
    let outside = stage.tokens.keys().copied().filter(|index| !inside.contains(index));
    let movers = outside.take(stage.size.late as usize / 2).collect();
    (places.find(unit).expect("a unit inside").unit, movers)
}

/// Each got it once. If not, what the providers took and what the ledger knows is said, since
/// the stage's files go with it.
async fn assert_once(stage: &Stage, tokens: &[String], id: PublicationId) {
    let twice: Vec<_> = tokens
        .iter()
        .filter_map(|token| {
            let mut seen = stage.providers.record.of(token);
            seen.retain(|one| one.publication == id);
            (seen.len() != 1).then_some((token, seen))
        })
        .collect();
    if twice.is_empty() {
        return;
    }
    let rows = stage.parts.ledger.of_publication(id).await.expect("a look");
    let late = rows.iter().filter(|row| row.dispatch.bound().is_none());
    let bounds: BTreeSet<_> = rows.iter().filter_map(|row| row.dispatch.bound()).collect();
    late.for_each(|row| eprintln!("{row:?}"));
    eprintln!("bounds of the ranges: {bounds:?}");
    let logs = ROUTERS.map(|name| stage.nodes.log(name)).join("\n");
    panic!("{} of {} late joiners got it twice: {twice:?}\n{logs}", twice.len(), tokens.len());
}

/// Waits until all of these were reached, and says how long that took.
async fn reached(stage: &Stage, tokens: &[String], id: PublicationId) -> std::time::Duration {
    let began = Instant::now();
    let got = |token: &&String| {
        stage.providers.record.of(token).iter().any(|seen| seen.publication == id)
    };
    while tokens.iter().filter(got).count() < tokens.len() {
        let missing = tokens.len() - tokens.iter().filter(got).count();
        let logs = || ROUTERS.map(|name| stage.nodes.log(name)).join("\n");
        let late = began.elapsed() > PATIENCE;
        assert!(!late, "{missing} of {} late joiners missed it\n{}", tokens.len(), logs());
        lasts(LOOK).await;
    }
    began.elapsed()
}

async fn register(stage: &Stage, numbers: std::ops::Range<u32>, unit: &UnitCode) -> Vec<Newcomer> {
    let run = stage.number;
    let one = async |number: u32| {
        let token = format!("{:0>64}", format!("{run:x}e{number:08x}"));
        let address = json!({
            "channel": "apns", "token": token, "environment": "production", "topic": "vn.loa.app"
        });
        let body = json!({ "address": address, "places": [{ "unit": unit }] });
        let gateway = GATEWAYS[number as usize % 2];
        let answer = send(stage, (gateway, Method::POST, "/v1/devices"), None, Some(body)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        let device = answer.json();
        let text = |key: &str| device[key].as_str().expect("text").to_owned();
        Newcomer { id: text("id"), secret: text("secret"), token }
    };
    stream::iter(numbers).map(one).buffer_unordered(AT_ONCE).collect().await
}

/// Devices move over HTTP to a unit, or home.
async fn go(stage: &Stage, movers: &[u32], unit: Option<&UnitCode>) {
    let one = async |index: u32| {
        let device = stage.population.device(index);
        let places = match unit {
            Some(unit) => json!([{ "unit": unit }]),
            None => json!(device.profile.places),
        };
        let mut body = json!(device.profile);
        body["places"] = places;
        let secret = stage.population.secret(index);
        let credentials = format!("Loa-Device {}:{}", device.id, secret.reveal());
        let path = format!("/v1/devices/{}", device.id);
        let gateway = GATEWAYS[index as usize % 2];
        let to = (gateway, Method::PUT, path.as_str());
        let answer = send(stage, to, Some(&credentials), Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    };
    let moving = stream::iter(movers.iter().copied()).map(one).buffer_unordered(AT_ONCE);
    moving.collect::<Vec<()>>().await;
}

async fn leave(stage: &Stage, newcomers: &[Newcomer]) {
    for Newcomer { id, secret, .. } in newcomers {
        let credentials = format!("Loa-Device {id}:{secret}");
        let path = format!("/v1/devices/{id}");
        let to = (GATEWAYS[0], Method::DELETE, path.as_str());
        let answer = send(stage, to, Some(&credentials), None).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
}

async fn send(
    stage: &Stage,
    (gateway, method, path): (&str, Method, &str),
    credentials: Option<&str>,
    body: Option<Value>,
) -> Answer {
    let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
    let to = stage.nodes.address(gateway);
    ask(to, (method, path), credentials, body).await.expect("an answer")
}
