//! What sealing costs a push: opening one address as a scan does, and sealing it as a registration
//! does. `cargo bench --bench vault`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use loa::store::vault::{Purpose, Vault};

/// Bytes of an address as it is stored: APNs's, FCM's, a browser's.
const SIZES: [(&str, usize); 3] = [("apns", 45), ("fcm", 166), ("webpush", 290)];

fn addresses(criterion: &mut Criterion) {
    let vault = Vault::parse(&Vault::fresh()).expect("a key");
    let what = (Purpose::Address, &[7; 16]);
    for (channel, size) in SIZES {
        let address = vec![b'x'; size];
        let sealed = vault.seal(what, &address);
        criterion.bench_function(&format!("open {channel}"), |bencher| {
            bencher.iter(|| vault.open(what, black_box(&sealed)).expect("ours"));
        });
        criterion.bench_function(&format!("seal {channel}"), |bencher| {
            bencher.iter(|| vault.seal(what, black_box(&address)));
        });
    }
}

criterion_group!(benches, addresses);
criterion_main!(benches);
