//! Who of a population is meant by an alert, and what the simulated providers gave them.

use std::collections::{BTreeMap, BTreeSet};

use loa::domain::audience::Audience;
use loa::domain::channel::PushAddress;
use loa::domain::ids::PublicationId;
use loa::domain::publication::Publication;
use loa::geofence::City;
use loa::simulator::citizens::Population;
use loa::simulator::providers::Providers;
use loa::simulator::record::Seen;

/// A polygon around the whole city, in CAP's words.
pub fn everywhere(city: &City) -> String {
    let (low, high) = city.corners();
    let (south, west) = (low.lat() - 0.1, low.lon() - 0.1);
    let (north, east) = (high.lat() + 0.1, high.lon() + 0.1);
    format!(
        "<polygon>{south:.4},{west:.4} {south:.4},{east:.4} {north:.4},{east:.4} \
         {north:.4},{west:.4} {south:.4},{west:.4}</polygon>"
    )
}

/// The value a provider knows a device by; none for a websocket's.
pub fn token(address: &PushAddress) -> Option<String> {
    match address {
        PushAddress::Apns { token, .. } => Some(token.clone()),
        PushAddress::Fcm { value, .. } => Some(value.clone()),
        PushAddress::Webpush(to) => to.endpoint.rsplit('/').next().map(str::to_owned),
        PushAddress::Websocket => None,
    }
}

/// Push tokens of a population, by index.
pub fn tokens(population: &Population) -> BTreeMap<u32, String> {
    let of = |index| token(&population.device(index).profile.address).map(|one| (index, one));
    (0..population.size()).filter_map(of).collect()
}

/// The devices with a push address that a publication is for, as they were populated.
pub fn audience(publication: &Publication, population: &Population) -> BTreeSet<u32> {
    let Audience::Area(area) = &publication.audience else { panic!("an alert has an area") };
    let inside = |index: &u32| {
        let profile = population.device(*index).profile;
        profile.address != PushAddress::Websocket && area.owner(&profile.places).is_some()
    };
    (0..population.size()).filter(inside).collect()
}

/// What of a publication each of these devices got, in order; those who got nothing are left out.
pub fn received(
    providers: &Providers,
    tokens: &BTreeMap<u32, String>,
    publication: PublicationId,
) -> BTreeMap<u32, Vec<Seen>> {
    let mut received = BTreeMap::new();
    for (index, token) in tokens {
        let mut seen = providers.record.of(token);
        seen.retain(|one| one.publication == publication);
        if !seen.is_empty() {
            received.insert(*index, seen);
        }
    }
    received
}

/// Deliveries beyond the first of each device. Every one must carry what the first carried, so
/// that it replaces it on the screen.
pub fn repeats(received: &BTreeMap<u32, Vec<Seen>>) -> usize {
    let mut repeats = 0;
    for (index, seen) in received {
        let first = &seen[0];
        assert!(first.collapse_id.is_some(), "device {index} got no collapse id: {first:?}");
        for again in &seen[1..] {
            assert_eq!(again.collapse_id, first.collapse_id, "device {index}");
            assert_eq!(again.message_id, first.message_id, "device {index}");
        }
        repeats += seen.len() - 1;
    }
    repeats
}
