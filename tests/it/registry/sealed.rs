//! Push addresses at rest: what an older release left in the clear is read and sealed, a key
//! rotates, and without the key nothing is read.

use loa::domain::ids::DeviceNum;
use loa::store::registry::{Error, Registry};

use super::home::Home;
use super::{apns, device, fcm, profile};
use crate::support::vault;

/// Seals everything anew in pages of two; how many devices that were.
async fn resealed(registry: &Registry) -> u64 {
    let (mut after, mut changed) = (DeviceNum(0), 0);
    loop {
        let done = registry.reseal(after, 2).await.expect("resealed");
        changed += done.changed;
        match done.last {
            Some(last) => after = last,
            None => return changed,
        }
    }
}

async fn all_are_read(registry: &Registry) {
    for number in 1..=5 {
        let new = wanted(number);
        let stored = registry.get(&new.id).await.expect("read").expect("registered");
        assert_eq!(stored.device.profile, new.profile);
    }
}

fn wanted(number: u128) -> loa::store::registry::NewDevice {
    let address = match number {
        1 => loa::domain::channel::PushAddress::Websocket,
        number if number.is_multiple_of(2) => apns(number as u8),
        number => fcm(&format!("token-{number}")),
    };
    device(number, profile(address, &["1"]))
}

pub async fn addresses_of_an_older_release_are_read_and_sealed_and_keys_rotate(home: Home) {
    let old = home.open_plain(4).await.expect("it opens");
    for number in 1..=5 {
        old.register(wanted(number)).await.expect("registered");
    }
    drop(old);
    let first = home.open_plain(4).await.expect("it opens").sealed(vault(&[1]));
    all_are_read(&first).await;
    assert_eq!(first.sealed_with().await.expect("read"), None);
    assert_eq!(resealed(&first).await, 5);
    first.set_sealed_with(1).await.expect("noted");
    assert_eq!(first.sealed_with().await.expect("read"), Some(1));
    assert_eq!(resealed(&first).await, 0, "sealed already");
    let seqs = first.last_seq().await.expect("read");
    drop(first);
    let both = home.open_plain(4).await.expect("it opens").sealed(vault(&[2, 1]));
    all_are_read(&both).await;
    // The one without an address has nothing to be sealed.
    assert_eq!(resealed(&both).await, 4);
    drop(both);
    let new = home.open_plain(4).await.expect("it opens").sealed(vault(&[2]));
    all_are_read(&new).await;
    assert_eq!(new.last_seq().await.expect("read"), seqs, "nobody moved");
    drop(new);
    let without = home.open_plain(4).await.expect("it opens");
    let refused = without.get(&wanted(2).id).await;
    assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
}

pub async fn nothing_is_sealed_before_its_moment_and_an_older_release_reads_it(home: Home) {
    let until = home.clock.now() + jiff::SignedDuration::from_secs(60);
    let vault = vault(&[1]).unsealed_until(until, home.clock.clone());
    let sealing = home.open_plain(4).await.expect("it opens").sealed(crate::support::vault(&[1]));
    for number in 1..=3 {
        sealing.register(wanted(number)).await.expect("registered");
    }
    drop(sealing);
    let new = home.open_plain(4).await.expect("it opens").sealed(vault);
    for number in 4..=5 {
        new.register(wanted(number)).await.expect("registered");
    }
    // What is sealed already is read too, and unsealed for the others when it is written anew.
    all_are_read(&new).await;
    assert_eq!(resealed(&new).await, 3);
    let old = home.open_plain(4).await.expect("it opens");
    all_are_read(&old).await;
    drop(old);
    home.clock.set(until);
    all_are_read(&new).await;
    assert_eq!(resealed(&new).await, 5, "sealed as soon as it may be");
    all_are_read(&new).await;
    drop(new);
    let old = home.open_plain(4).await.expect("it opens");
    let refused = old.get(&wanted(2).id).await;
    assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
}
