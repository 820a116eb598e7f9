//! Judged by somebody else's code: the npm package web-push-testing plays the browser and its push
//! service. It makes the subscription, verifies our VAPID token with jsonwebtoken (of npm), and
//! decrypts with `http_ece`. It only speaks HTTP/1.1 without TLS, so the request that our channel
//! really sent is taken as it came to the simulated service, over TLS and HTTP/2, and handed on.

use std::path::Path;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use loa::simulator::webpush::Received;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::header;
use crate::support::citizen::within;
use crate::support::clients::npm_package;
use crate::support::node::{AlertXml, CENTRE, TestNode};

/// The package in a process of its own.
struct Judge {
    _node: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Judge {
    async fn start(notify_url: &str, key: &str) -> Self {
        let package = npm_package("web-push-testing").await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/browser.mjs");
        let mut node = Command::new("node")
            .arg(script)
            .arg(package)
            .args([notify_url, key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is needed for this test");
        let ask = node.stdin.take().expect("piped");
        let answers = BufReader::new(node.stdout.take().expect("piped")).lines();
        Self { _node: node, ask, answers }
    }

    async fn answer(&mut self) -> Value {
        let line = within("an answer", self.answers.next_line()).await.expect("open");
        serde_json::from_str(&line.expect("node ended")).expect("JSON")
    }

    /// Hands a request on, with another token or body where a test wants that.
    async fn judge(&mut self, received: &Received, authorization: &str, body: &[u8]) -> Value {
        let headers = json!({
            "encoding": header(received, "content-encoding"),
            "ttl": header(received, "ttl"),
            "authorization": authorization,
        });
        let line = json!({ "headers": headers, "body": STANDARD.encode(body) });
        self.ask.write_all(format!("{line}\n").as_bytes()).await.expect("open");
        self.answer().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_verifies_and_decrypts_what_we_sent() {
    let test = TestNode::start().await;
    let browsers = &test.providers.browsers;
    let mut judge = Judge::start(&browsers.endpoint(""), &test.vapid().await).await;
    let made = judge.answer().await;
    let name = made["name"].as_str().expect("a name").to_owned();
    // As a page would send it.
    let mut address = made["subscription"].clone();
    address["channel"] = json!("webpush");
    browsers.watch(&name, None);
    let registered = test.register_browser(&address).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.text());
    let id = test.publish(AlertXml::hot("judged", CENTRE).render()).await;
    test.finished(id).await;
    let received = browsers.received(&name);
    assert_eq!(received.len(), 1);
    assert!(received[0].message.is_none(), "the simulator has no key of this browser");
    let token = header(&received[0], "authorization").to_owned();

    let judged = judge.judge(&received[0], &token, &received[0].body).await;
    let text = judged["message"].as_str().unwrap_or_else(|| panic!("{judged}"));
    let message: Value = serde_json::from_str(text).expect("our JSON, to the last brace");
    assert_eq!(message["title"], "Deep flooding");
    assert_eq!(message["body"], "…\n…");
    assert_eq!(message["loa"]["publication"], id.to_string());

    // It does look: another signature, another key and another ciphertext are refused.
    let refused = |judged: Value| judged["refused"].as_str().map(str::to_owned);
    let signature = token.find(", k=").expect("a key") - 10;
    let mut forged = token.clone();
    let other = if forged.as_bytes()[signature] == b'A' { "B" } else { "A" };
    forged.replace_range(signature..=signature, other);
    let judged = judge.judge(&received[0], &forged, &received[0].body).await;
    assert_eq!(refused(judged).as_deref(), Some("Invalid authentication token supplied"));
    let mut key = token.clone();
    let last = key.len() - 20;
    let other = if key.as_bytes()[last] == b'A' { "B" } else { "A" };
    key.replace_range(last..=last, other);
    assert!(refused(judge.judge(&received[0], &key, &received[0].body).await).is_some());
    let mut torn = received[0].body.to_vec();
    *torn.last_mut().expect("bytes") ^= 1;
    assert!(refused(judge.judge(&received[0], &token, &torn).await).is_some());
    test.stop().await;
}
