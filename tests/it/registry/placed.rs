//! A device and its places in one look, and whether they may have changed since.

use loa::domain::ids::DeviceId;
use loa::store::registry::placed::Placed;
use loa::store::registry::{NewDevice, Registry};
use uuid::Uuid;

use super::home::Home;
use super::{apns, device, fcm, profile, subject};

/// The look, which is the same as two.
async fn placed(registry: &Registry, id: &DeviceId) -> Option<Placed> {
    let placed = registry.placed(id).await.expect("a look");
    let stored = registry.get(id).await.expect("a look");
    assert_eq!(placed.as_ref().map(|placed| &placed.stored), stored.as_ref());
    if let Some(Placed { stored, memberships }) = &placed {
        let all = registry.memberships_of(stored.device.num).await.expect("memberships");
        assert_eq!(memberships, &all);
    }
    placed
}

pub async fn a_look_at_a_device_has_all_its_places_and_tells_of_every_change_since(home: Home) {
    let registry = home.open().await;
    let none = device(1, profile(apns(1), &[]));
    let new = NewDevice { subject: Some(subject("citizen")), ..device(2, none.profile.clone()) };
    for new in [&none, &new] {
        registry.register(new.clone()).await.expect("registered");
    }
    let found = placed(&registry, &none.id).await.expect("it is there");
    assert!(found.memberships.is_empty(), "without places it is there all the same");
    assert_eq!(placed(&registry, &DeviceId(Uuid::from_u128(9))).await, None);
    for (places, memberships) in
        [(&["1", "2/w3gvk1"][..], 2), (&["2/w3gvk1", "3"][..], 3), (&[][..], 3)]
    {
        let before = registry.moment();
        home.tick();
        registry.update(&new.id, profile(apns(1), places)).await.expect("moved");
        assert!(registry.may_have_changed(before), "{places:?}");
        let found = placed(&registry, &new.id).await.expect("it is there");
        assert_eq!(found.memberships.len(), memberships, "tombstones too");
        assert_eq!(found.stored.device.profile.places.len(), places.len());
    }
    // Whatever a stream goes by counts as a change, a login and an address and an end too.
    let before = registry.moment();
    registry.claim(&new.id, None).await.expect("released");
    assert!(registry.may_have_changed(before));
    let (before, num) = (registry.moment(), found.stored.device.num);
    assert!(registry.deactivate_address(num, &apns(1), None).await.expect("an answer"));
    assert!(registry.may_have_changed(before));
    let before = registry.moment();
    registry.bulk_load([device(3, profile(fcm("a"), &["1"]))]).await.expect("loaded");
    assert!(registry.may_have_changed(before));
    let before = registry.moment();
    assert!(registry.remove(&new.id).await.expect("removed"));
    assert!(registry.may_have_changed(before));
    assert_eq!(placed(&registry, &new.id).await, None);
}
