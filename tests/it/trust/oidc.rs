//! Logins by way of an identity provider: npm's `oidc-provider`, over real sockets, with a browser
//! of our own that follows redirects and keeps cookies.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use loa::auth::bearer::{LoginSettings, Settings};
use loa::config::Config;
use loa::config::secret::Secret;
use loa::domain::ids::DeviceId;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

use crate::support::citizen::{Answer, Citizen, ask, ask_json, within};
use crate::support::clients::npm_package;
use crate::support::node::TestNode;
use crate::support::port::free_address;

/// The provider's own id of a citizen: an identity number, which must be nowhere with us.
const NUMBER: &str = "079090000001";

/// A provider in a process of its own.
pub(super) struct Vneid {
    issuer: String,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Vneid {
    async fn start(redirect: &str) -> Self {
        let package = npm_package("oidc-provider").await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/provider.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(package)
            .arg(redirect)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is needed for this test");
        let input = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut provider = Self { issuer: String::new(), input, lines, _child: child };
        provider.issuer = provider.line().await;
        provider
    }

    async fn line(&mut self) -> String {
        loop {
            let line = within("a line", self.lines.next_line()).await.expect("open").expect("one");
            // The package says at any time what is only good for tests.
            if !line.contains("oidc-provider") {
                return line;
            }
        }
    }

    /// Says one line, and hears one.
    pub(super) async fn say(&mut self, line: String) -> String {
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("open");
        self.line().await
    }

    /// A token as an app would have it, with other claims and header.
    async fn token(&mut self, claims: Value, header: Value) -> String {
        self.say(format!("token\t{claims}\t{header}")).await
    }
}

/// A node whose citizens, or people, log in at a provider.
pub(super) struct City {
    pub(super) test: TestNode,
    pub(super) vneid: Vneid,
    pub(super) to: String,
    /// Where they go in, and where they come back to.
    ways: (&'static str, &'static str),
}

impl City {
    async fn open() -> Self {
        let ways = ("/v1/login", "/v1/login/callback");
        Self::with(ways, |config, settings| config.auth.citizens = Some(settings)).await
    }

    /// A node on which `set` says who logs in at the provider.
    pub(super) async fn with(
        ways: (&'static str, &'static str),
        set: impl FnOnce(&mut Config, Settings),
    ) -> Self {
        // The provider must know where people come back to before the node runs.
        let listen = free_address();
        let redirect = format!("http://{listen}{}", ways.1);
        let vneid = Vneid::start(&redirect).await;
        let settings = Settings {
            issuer: vneid.issuer.clone(),
            audience: "loa".to_owned(),
            jwks: None,
            jwks_file: None,
            ca_file: None,
            login: Some(LoginSettings {
                redirect_url: Url::parse(&redirect).expect("a URL"),
                secret: Some(Secret::new("s e+cret")),
                secret_file: None,
                scope: "openid email".to_owned(),
            }),
        };
        assert_eq!(settings.problems(), Vec::<String>::new());
        let test = TestNode::with(|config| {
            config.node.listen = listen;
            set(config, settings);
        });
        let test = test.await;
        let to = test.node.address.to_string();
        Self { test, vneid, to, ways }
    }

    /// The provider's name.
    pub(super) fn vneid_issuer(&self) -> String {
        self.vneid.issuer.clone()
    }

    async fn with_token(&self, token: &str) -> Answer {
        let auth = format!("authorization: Bearer {token}");
        ask(&self.to, "GET", "/v1/me", &[&auth], b"").await
    }
}

/// A browser: cookies by host, redirects one by one.
#[derive(Clone, Default)]
pub(super) struct Browser {
    cookies: BTreeMap<(String, String), String>,
    /// Whose account at the provider; absent: the citizen's.
    account: Option<&'static str>,
    /// The nonce of the last login that was begun.
    pub(super) nonce: String,
}

impl Browser {
    /// One whose user has this account at the provider.
    pub(super) fn of(account: &'static str) -> Self {
        Self { account: Some(account), ..Self::default() }
    }

    pub(super) async fn ask(
        &mut self,
        method: &str,
        url: &Url,
        headers: &[&str],
        body: &str,
    ) -> Answer {
        let to = url.authority().to_owned();
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mine = self.cookies.iter().filter(|((host, _), _)| *host == to);
        let pairs: Vec<String> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
        let cookie = format!("cookie: {}", pairs.join("; "));
        // The provider builds its own URLs from the host it is asked by.
        let host = format!("x-forwarded-host: {to}");
        let mut lines = vec![cookie.as_str(), host.as_str()];
        lines.extend(headers);
        let answer = ask(&to, method, path, &lines, body.as_bytes()).await;
        for line in answer.head.lines() {
            let Some((name, rest)) = line.split_once(": ") else { continue };
            if !name.eq_ignore_ascii_case("set-cookie") {
                continue;
            }
            let pair = rest.split(';').next().expect("a pair");
            let (name, value) = pair.split_once('=').expect("a pair");
            self.cookies.insert((to.clone(), name.to_owned()), value.to_owned());
        }
        answer
    }

    pub(super) async fn get(&mut self, url: &Url) -> Answer {
        self.ask("GET", url, &[], "").await
    }

    /// Logs in at the provider, up to the address it sends the browser back to.
    pub(super) async fn until_the_callback(&mut self, city: &City) -> Url {
        let base = Url::parse(&format!("http://{}", city.to)).expect("a URL");
        let mut url = base.join(city.ways.0).expect("a URL");
        let provider = Url::parse(&city.vneid.issuer).expect("a URL");
        for _ in 0..12 {
            let mut answer = self.get(&url).await;
            if answer.status == 200 {
                // The page that asks for a name, then the one that asks for consent.
                let form = answer.text();
                let action = form.split("action=\"").nth(1).expect("a form");
                let action = action.split('"').next().expect("closed").to_owned();
                let prompt = if form.contains("name=\"login\"") { "login" } else { "consent" };
                let body =
                    format!("prompt={prompt}&login={}&password=x", self.account.unwrap_or(NUMBER));
                let kind = "content-type: application/x-www-form-urlencoded";
                url = provider.join(&action).expect("a URL");
                answer = self.ask("POST", &url, &[kind], &body).await;
            }
            assert!(
                [302, 303].contains(&answer.status),
                "{url}: {} {}",
                answer.head,
                answer.text()
            );
            let to = answer.header("location").expect("a redirect");
            url = url.join(to).expect("a URL");
            if let Some((_, nonce)) = url.query_pairs().find(|(name, _)| name == "nonce") {
                self.nonce = nonce.into_owned();
            }
            if url.path() == city.ways.1 {
                return url;
            }
        }
        panic!("the login does not end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citizen_logs_in_claims_a_device_reads_their_inbox_and_leaves() {
    let city = City::open().await;
    let mut browser = Browser::default();
    let callback = browser.until_the_callback(&city).await;
    let answer = browser.get(&callback).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/#inbox")));
    let cookies: Vec<&str> =
        answer.head.lines().filter(|line| line.starts_with("set-cookie")).collect();
    assert!(cookies.iter().any(|line| line.contains("loa_citizen=")
        && line.contains("HttpOnly")
        && line.contains("SameSite=Strict")));
    let at = |path: &str| callback.join(path).expect("a URL");
    let session = browser.get(&at("/v1/session")).await.json();
    let csrf = format!("x-loa-csrf: {}", session["csrf"].as_str().expect("a token"));
    // The device of this browser becomes theirs, and nobody else's.
    let unit = city.test.node.parts.city.units()[0].code.to_string();
    let device = Citizen::register(&city.to, json!({"places": [{"unit": unit}]})).await;
    let claim = at(&format!("/v1/devices/{}/claim", device.id));
    let secret = json!({"secret": device.secret}).to_string();
    let kind = "content-type: application/json";
    let forged = browser.ask("POST", &claim, &[kind], &secret).await;
    assert_eq!((forged.status, &forged.json()["code"]), (403, &json!("csrf")));
    let claimed = browser.ask("POST", &claim, &[kind, &csrf], &secret).await;
    assert!(claimed.status < 300, "{}", claimed.text());
    let id: DeviceId = device.id.parse().expect("an id");
    let stored = city.test.node.parts.registry.get(&id).await.expect("a store").expect("there");
    let subject = stored.device.subject.clone().expect("claimed");
    assert!(!subject.as_str().contains(NUMBER));
    let me = browser.get(&at("/v1/me")).await.json();
    assert_eq!(me["subject"], subject.as_str());
    // What an agency says of their report is in their inbox alone.
    let change = json!({"changes": [{"kind": "report-1022", "reference": "R-1",
        "state": "received", "subject": subject.as_str(), "step": 1,
        "changed_at": jiff::Timestamp::now().to_string()}]});
    let auth = format!("authorization: Bearer {}", city.test.key);
    let sent = ask_json(&city.to, "POST", "/v1/status-changes", &auth, &change).await;
    assert!(sent.status < 300, "{}", sent.text());
    let inbox = browser.get(&at("/v1/inbox")).await.json();
    assert_eq!(inbox["items"][0]["publication"]["status"]["reference"], "R-1", "{inbox}");
    let stranger = Citizen::register(&city.to, json!({"places": [{"unit": unit}]})).await;
    let theirs = ask(&city.to, "GET", "/v1/inbox", &[&stranger.auth()], b"").await.json();
    assert_eq!(theirs["items"], json!([]), "{theirs}");
    let left = browser.ask("POST", &at("/v1/logout"), &[&csrf], "").await;
    assert_eq!(left.status, 204);
    assert_eq!(browser.get(&at("/v1/session")).await.status, 401);
    city.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_taken_once_from_its_own_browser_and_with_its_own_state() {
    let city = City::open().await;
    let mut browser = Browser::default();
    let callback = browser.until_the_callback(&city).await;
    let refused = async |browser: &Browser, url: &Url, why: &str| {
        let answer = browser.clone().get(url).await;
        assert_eq!(answer.status, 401, "{why}: {}", answer.text());
        assert_eq!(answer.json()["code"], "unauthorized", "{why}");
        assert!(!answer.head.contains("loa_citizen"), "{why}: {}", answer.head);
    };
    let with = |name: &str, value: Option<&str>| {
        let mut url = callback.clone();
        let kept: Vec<(String, String)> =
            callback.query_pairs().into_owned().filter(|(given, _)| given != name).collect();
        url.query_pairs_mut().clear().extend_pairs(kept);
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    };
    refused(&Browser::default(), &callback, "another browser").await;
    refused(&browser, &with("state", Some("x")), "another state").await;
    refused(&browser, &with("state", None), "no state").await;
    refused(&browser, &with("code", None), "no code").await;
    refused(&browser, &with("code", Some("x")), "an invented code").await;
    refused(&browser, &with("iss", Some("https://evil.example")), "another issuer").await;
    refused(&browser, &with("error", Some("access_denied")), "an error").await;
    // The cookie of another login: its state, nonce and verifier are others.
    let mut other = Browser::default();
    other.until_the_callback(&city).await;
    refused(&other, &callback, "another login's cookie").await;
    let mut first = browser.clone();
    assert_eq!(first.get(&callback).await.status, 303);
    refused(&browser, &callback, "the code again").await;
    city.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_for_us_now_and_by_the_issuer_is_refused() {
    let mut city = City::open().await;
    let now = jiff::Timestamp::now().as_second();
    let good = city.vneid.token(json!({}), json!({})).await;
    let answer = city.with_token(&good).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains(NUMBER), "the provider's id is nobody's business");
    let wrong = [
        ("expired", json!({"exp": now - 120}), json!({})),
        ("not yet", json!({"nbf": now + 600}), json!({})),
        ("of the future", json!({"iat": now + 600}), json!({})),
        ("another issuer", json!({"iss": "https://evil.example"}), json!({})),
        ("another audience", json!({"aud": "other"}), json!({})),
        ("another party", json!({"aud": ["loa", "other"], "azp": "other"}), json!({})),
        ("no subject", json!({"sub": ""}), json!({})),
        ("alg none", json!({}), json!({"alg": "none"})),
        ("a shared secret", json!({}), json!({"alg": "HS256"})),
        ("another algorithm", json!({}), json!({"alg": "ES256"})),
        ("an unknown key", json!({}), json!({"kid": "other"})),
    ];
    for (why, claims, header) in wrong {
        let token = city.vneid.token(claims, header).await;
        let answer = city.with_token(&token).await;
        assert_eq!(answer.status, 401, "{why}: {}", answer.text());
    }
    let (head, _) = good.rsplit_once('.').expect("three parts");
    assert_eq!(city.with_token(&format!("{head}.")).await.status, 401, "no signature");
    let within = city.vneid.token(json!({"exp": now - 20}), json!({})).await;
    assert_eq!(city.with_token(&within).await.status, 200, "clocks may differ by a minute");
    city.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_in_mid_session_and_invented_ones_cost_one_request() {
    let mut city = City::open().await;
    let mut browser = Browser::default();
    let callback = browser.until_the_callback(&city).await;
    assert_eq!(browser.get(&callback).await.status, 303);
    let old = city.vneid.token(json!({}), json!({})).await;
    assert_eq!(city.with_token(&old).await.status, 200);
    assert_eq!(city.vneid.say("rotate".to_owned()).await, "key-2");
    let new = city.vneid.token(json!({}), json!({})).await;
    // Taken as soon as the keys may be asked for again; the browser's session goes on meanwhile.
    let session = callback.join("/v1/session").expect("a URL");
    let taken = crate::support::process::eventually(async || {
        assert_eq!(browser.clone().get(&session).await.status, 200);
        (city.with_token(&new).await.status == 200).then_some(())
    });
    taken.await;
    assert_eq!(city.with_token(&old).await.status, 401, "the issuer withdrew its key");
    let before: u32 = city.vneid.say("fetched".to_owned()).await.parse().expect("a number");
    for name in 0..50 {
        let invented = city.vneid.token(json!({}), json!({"kid": format!("k{name}")})).await;
        assert_eq!(city.with_token(&invented).await.status, 401);
    }
    let after: u32 = city.vneid.say("fetched".to_owned()).await.parse().expect("a number");
    assert!(after - before <= 1, "{before} {after}");
    city.test.stop().await;
}
