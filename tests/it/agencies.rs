//! What every store of agencies promises.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use loa::domain::agency::{Agency, Jurisdiction};
use loa::domain::fingerprint::Fingerprint;
use loa::domain::ids::AgencyId;
use loa::store::agencies::{Agencies, Error, Holder, KEYS_MAX, Settings};

use crate::support::home::{Home, connect, contract};

contract!(
    agencies_are_kept_replaced_and_listed_by_id,
    a_key_opens_its_agency_until_it_expires_or_is_revoked,
    a_key_may_be_bound_to_a_certificate,
    the_key_itself_is_stored_nowhere,
    what_another_process_changes_holds_at_once,
    the_last_use_of_a_key_is_remembered_to_the_minute,
    keys_need_an_agency_a_name_of_their_own_and_a_free_place,
);

/// Patience for what must come; a test that runs into it fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn agency(id: &str) -> Agency {
    let id = id.parse().expect("an id");
    Agency {
        id,
        name: "Đài khí tượng".to_owned(),
        jurisdiction: Jurisdiction::unlimited(),
        operator: false,
        submission_keys: Default::default(),
        cap_signing: Default::default(),
        second_person: false,
    }
}

fn id(text: &str) -> AgencyId {
    text.parse().expect("an id")
}

fn now() -> Timestamp {
    "2026-09-01T00:00:00Z".parse().expect("an instant")
}

async fn open(home: &Home) -> Agencies {
    match home {
        Home::Embedded(dir) => {
            Agencies::open(&Settings { dir: dir.path().to_owned() }).await.expect("it opens")
        }
        Home::Redis(settings) => Agencies::shared(&connect(settings).await),
    }
}

/// Everything that is stored, as bytes.
async fn stored(home: &Home) -> Vec<Vec<u8>> {
    match home {
        Home::Embedded(dir) => {
            let files = std::fs::read_dir(dir.path()).expect("a directory");
            files.map(|file| std::fs::read(file.expect("a file").path()).expect("read")).collect()
        }
        Home::Redis(settings) => {
            let redis = connect(settings).await;
            let keys = ::redis::cmd("KEYS").arg(format!("{}:*", settings.prefix)).to_owned();
            let mut all = Vec::new();
            for key in redis.ask::<Vec<String>>(&keys).await.expect("answered") {
                let fields = ::redis::cmd("HGETALL").arg(&key).to_owned();
                all.extend(redis.ask::<Vec<Vec<u8>>>(&fields).await.expect("all are hashes"));
            }
            all
        }
    }
}

async fn agencies_are_kept_replaced_and_listed_by_id(home: Home) {
    let agencies = open(&home).await;
    for name in ["b", "a"] {
        agencies.put(agency(name)).await.expect("put");
    }
    let renamed = Agency { name: "Khác".to_owned(), ..agency("a") };
    agencies.put(renamed.clone()).await.expect("put");
    drop(agencies);
    let agencies = open(&home).await;
    assert_eq!(agencies.list().await.expect("listed"), [renamed.clone(), agency("b")]);
    assert_eq!(agencies.get(&id("a")).await.expect("read"), Some(renamed));
    assert_eq!(agencies.get(&id("c")).await.expect("read"), None);
}

async fn a_key_opens_its_agency_until_it_expires_or_is_revoked(home: Home) {
    let agencies = open(&home).await;
    agencies.put(agency("kttv")).await.expect("put");
    let tomorrow = now() + SignedDuration::from_hours(24);
    let brief = agencies.add_key(&id("kttv"), "brief", now(), Some(tomorrow)).await.expect("made");
    let lasting = agencies.add_key(&id("kttv"), "lasting", now(), None).await.expect("made");
    for (key, name) in [(&brief, "brief"), (&lasting, "lasting")] {
        let who = agencies.authenticate(key.expose(), now()).await.expect("asked");
        let (agency, key_name) = (agency("kttv"), name.to_owned());
        assert_eq!(who, Some(Holder { agency, key_name, certificate: None }));
    }
    let ask = async |key: &str, at| agencies.authenticate(key, at).await.expect("asked");
    assert_eq!(ask(brief.expose(), tomorrow).await, None, "expired");
    assert!(ask(lasting.expose(), tomorrow).await.is_some());
    assert!(agencies.revoke(&id("kttv"), "lasting", now()).await.expect("revoked"));
    assert!(!agencies.revoke(&id("kttv"), "lasting", now()).await.expect("asked"));
    assert_eq!(ask(lasting.expose(), now()).await, None, "revoked");
    for nonsense in ["", "loa_", &brief.expose()[1..], &brief.expose().replace("loa_", "loa_A")] {
        assert_eq!(ask(nonsense, now()).await, None, "{nonsense}");
    }
}

async fn a_key_may_be_bound_to_a_certificate(home: Home) {
    let agencies = open(&home).await;
    agencies.put(agency("kttv")).await.expect("put");
    let certificate = Some(Fingerprint::of(b"a certificate"));
    let key = agencies.add_bound_key(&id("kttv"), "bound", (now(), None), certificate).await;
    let key = key.expect("made");
    drop(agencies);
    let agencies = open(&home).await;
    let holder = agencies.authenticate(key.expose(), now()).await.expect("asked");
    assert_eq!(holder.expect("a key").certificate, certificate);
    assert_eq!(agencies.keys(&id("kttv")).await.expect("listed")[0].certificate, certificate);
    assert!(agencies.revoke(&id("kttv"), "bound", now()).await.expect("revoked"));
    assert_eq!(agencies.keys(&id("kttv")).await.expect("listed")[0].certificate, certificate);
}

async fn the_key_itself_is_stored_nowhere(home: Home) {
    let agencies = open(&home).await;
    agencies.put(agency("kttv")).await.expect("put");
    let key = agencies.add_key(&id("kttv"), "one", now(), None).await.expect("made");
    drop(agencies);
    let stored = stored(&home).await;
    assert!(!stored.is_empty());
    for bytes in stored {
        let secret = &key.expose().as_bytes()[4..];
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

async fn what_another_process_changes_holds_at_once(home: Home) {
    let (node, tool) = (open(&home).await, open(&home).await);
    tool.put(agency("kttv")).await.expect("put");
    let key = tool.add_key(&id("kttv"), "one", now(), None).await.expect("made");
    assert!(node.authenticate(key.expose(), now()).await.expect("asked").is_some());
    tool.revoke(&id("kttv"), "one", now()).await.expect("revoked");
    assert!(node.authenticate(key.expose(), now()).await.expect("asked").is_none());
}

async fn the_last_use_of_a_key_is_remembered_to_the_minute(home: Home) {
    let agencies = open(&home).await;
    agencies.put(agency("kttv")).await.expect("put");
    let key = agencies.add_key(&id("kttv"), "one", now(), None).await.expect("made");
    let last = async || agencies.keys(&id("kttv")).await.expect("listed")[0].last_used;
    assert_eq!(last().await, None);
    for (passed, expected) in [(0, 0), (59, 0), (60, 60)] {
        let at = now() + SignedDuration::from_secs(passed);
        agencies.authenticate(key.expose(), at).await.expect("asked");
        let expected = now() + SignedDuration::from_secs(expected);
        // Written behind the answer: asked for again until it is there, within a bound.
        let written = async { while last().await != Some(expected) {} };
        tokio::time::timeout(PATIENCE, written).await.expect("the use is written");
    }
}

async fn keys_need_an_agency_a_name_of_their_own_and_a_free_place(home: Home) {
    let agencies = open(&home).await;
    let add = async |name: &str| agencies.add_key(&id("kttv"), name, now(), None).await;
    assert!(matches!(add("one").await, Err(Error::UnknownAgency(_))));
    agencies.put(agency("kttv")).await.expect("put");
    for n in 0..KEYS_MAX {
        add(&n.to_string()).await.expect("made");
    }
    assert!(matches!(add("3").await, Err(Error::NameTaken { .. })));
    assert!(matches!(add("more").await, Err(Error::TooManyKeys(_))));
    for bad in ["", "a\nb", &"x".repeat(65)] {
        assert!(matches!(add(bad).await, Err(Error::BadName)), "{bad}");
    }
}
