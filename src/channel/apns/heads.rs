//! The headers of a push that all its recipients share, made once for each app and provider token:
//! copying them costs a third of filling them in.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderMap;

/// Which provider token (none beside a certificate), and when it expires.
pub type Key = (Option<u64>, i64);

/// The shared headers of one push, by app. Clones share them.
#[derive(Clone, Debug)]
pub struct Heads(Arc<[ArcSwapOption<Head>]>);

#[derive(Debug)]
struct Head {
    key: Key,
    headers: HeaderMap,
}

impl Heads {
    /// None made yet, for so many apps.
    pub fn new(apps: usize) -> Self {
        Self((0..apps).map(|_| ArcSwapOption::empty()).collect())
    }

    /// A copy of an app's headers; made where there are none, or others.
    pub fn get(&self, app: usize, key: Key, make: impl FnOnce() -> HeaderMap) -> HeaderMap {
        let kept = self.0[app].load();
        if let Some(head) = kept.as_ref().filter(|head| head.key == key) {
            return head.headers.clone();
        }
        let headers = make();
        self.0[app].store(Some(Arc::new(Head { key, headers: headers.clone() })));
        headers
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn headers_are_made_once_for_an_app_a_token_and_an_expiry() {
        let heads = Heads::new(2);
        let made = std::cell::Cell::new(0);
        let get = |app, key| {
            heads.get(app, key, || {
                made.set(made.get() + 1);
                HeaderMap::from_iter([(http::header::HOST, HeaderValue::from(made.get()))])
            })
        };
        assert_eq!(get(0, (Some(0), 9)), get(0, (Some(0), 9)));
        assert_eq!(made.get(), 1);
        for (app, key) in [(1, (Some(0), 9)), (0, (Some(1), 9)), (0, (Some(1), 8))] {
            assert_eq!(get(app, key)["host"], made.get().to_string());
        }
        assert_eq!(made.get(), 4);
    }
}
