//! Whose a device is, when its citizen is called otherwise.

use loa::domain::audience::Audience;
use loa::domain::ids::{DeviceId, DeviceNum};
use loa::store::registry::{NewDevice, Registry};
use uuid::Uuid;

use super::home::Home;
use super::{apns, device, profile, seqs_of, subject};

fn claimed(number: u128, name: &str) -> NewDevice {
    let new = device(number, profile(apns(number as u8), &["1"]));
    NewDevice { subject: Some(subject(name)), ..new }
}

async fn owned(registry: &Registry, name: &str) -> Vec<DeviceId> {
    let devices = registry.of_subject(&subject(name)).await.expect("a look");
    devices.iter().map(|device| device.id).collect()
}

pub async fn a_device_follows_its_citizen_to_another_name_and_nobody_elses_does(home: Home) {
    let registry = home.open().await;
    let (one, two, bens) = (claimed(1, "old"), claimed(2, "old"), claimed(3, "ben"));
    for new in [&one, &two, &bens, &device(4, profile(apns(4), &["1"]))] {
        registry.register(new.clone()).await.expect("registered");
    }
    let (old, new) = (subject("old"), subject("new"));
    let before = seqs_of(&registry, &one).await;
    registry.hand_over(&one.id, (&old, Some(&new))).await.expect("handed over");
    // In between, the citizen is found whole under whichever name is asked for.
    let both = Audience::Subject { subject: new.clone(), former: vec![old.clone()] };
    let devices = registry.of_names(both.names()).await.expect("a look");
    let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
    assert_eq!(ids, [one.id, two.id]);
    assert_eq!(registry.estimate(&both).await.expect("an estimate").total, 2);
    for id in [&one.id, &two.id, &bens.id, &DeviceId(Uuid::from_u128(9))] {
        registry.hand_over(id, (&old, Some(&new))).await.expect("whatever it was");
    }
    assert_eq!(owned(&registry, "new").await, [one.id, two.id]);
    assert_eq!(
        (owned(&registry, "old").await, owned(&registry, "ben").await),
        (vec![], vec![bens.id])
    );
    assert_eq!(seqs_of(&registry, &one).await, before, "its places stay as they are");
    registry.hand_over(&two.id, (&new, None)).await.expect("released");
    let mut claimed = Vec::new();
    let mut after = DeviceNum(0);
    while let Some(last) = {
        let page = registry.owned(after, 2).await.expect("a page");
        claimed.extend(page.devices.iter().map(|device| device.id));
        page.last
    } {
        after = last;
    }
    assert_eq!(claimed, [one.id, bens.id]);
}
