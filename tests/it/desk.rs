//! The desk: people with rights, drafts and their decisions, the audit, what the console shows,
//! and what citizens answer.

mod answers;
mod api;
mod audit;
mod cluster;
mod drafts;
mod drills;
mod live;
mod manage;
mod pages;
mod rights;
mod sessions;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use loa::auth::password;
use loa::domain::agency::{Agency, Jurisdiction};
use loa::domain::audit::{Act, Verdict};
use loa::domain::person::{Person, Right};
use loa::store::audit::Filter;
use serde_json::{Value, json};

use crate::support::citizen::{Answer, ask};
use crate::support::node::TestNode;

/// The password of everybody here.
pub(crate) const PASSWORD: &str = "mật khẩu của bài thử";

/// A node with an agency `a` and a few people: lan writes, minh approves, nga may do everything,
/// hung is of another agency, ops is an operator.
pub(crate) struct House {
    pub test: TestNode,
}

impl House {
    pub async fn open() -> Self {
        Self::over(TestNode::start().await).await
    }

    pub async fn over(test: TestNode) -> Self {
        let house = Self { test };
        house.agency("a", false, Jurisdiction::unlimited()).await;
        house.agency("b", false, Jurisdiction::unlimited()).await;
        house.agency("city", true, Jurisdiction::unlimited()).await;
        use Right::{Admin, Approve, Operate, Override, Write};
        let hash = password::hash(PASSWORD).expect("hashed");
        let cast: [(&str, &str, &[Right]); 6] = [
            ("lan", "a", &[Write]),
            ("minh", "a", &[Write, Approve]),
            ("nga", "a", &[Write, Approve, Override, Operate, Admin]),
            ("hung", "b", &[Write, Approve, Override, Admin]),
            ("ops", "city", &[Operate, Admin]),
            ("ops2", "city", &[Operate, Admin]),
        ];
        for (id, agency, rights) in cast {
            let person = Person {
                id: id.parse().expect("an id"),
                name: id.to_owned(),
                agency: agency.parse().expect("an id"),
                rights: rights.iter().copied().collect(),
                active: true,
            };
            let people = &house.test.node.parts.people;
            people.put(person, Some(hash.clone())).await.expect("stored");
        }
        house
    }

    pub async fn agency(&self, id: &str, operator: bool, jurisdiction: Jurisdiction) {
        let id = id.parse().expect("an id");
        let name = format!("agency {id}");
        let agency = Agency {
            id,
            name,
            jurisdiction,
            operator,
            second_person: false,
            submission_keys: Default::default(),
            cap_signing: Default::default(),
        };
        self.test.node.parts.agencies.put(agency).await.expect("stored");
    }

    /// A key of an agency with rights.
    pub async fn key(&self, agency: &str, name: &str, rights: &[Right]) -> Officer {
        let agencies = &self.test.node.parts.agencies;
        let agency = agency.parse().expect("an id");
        let key = agencies.add_key(&agency, name, Timestamp::now(), None).await.expect("made");
        let rights: BTreeSet<Right> = rights.iter().copied().collect();
        assert!(agencies.set_key_rights(&agency, name, rights).await.expect("set"));
        let header = format!("authorization: Bearer {}", key.expose());
        Officer { to: self.to(), headers: vec![header], csrf: None }
    }

    pub fn to(&self) -> String {
        self.test.node.address.to_string()
    }

    pub async fn login(&self, person: &str) -> Officer {
        let answer = self.try_login(person, PASSWORD).await;
        assert_eq!(answer.status, 200, "{person}: {}", answer.text());
        Officer::of(&self.to(), &answer)
    }

    pub async fn try_login(&self, person: &str, password: &str) -> Answer {
        let body = json!({"person": person, "password": password}).to_string();
        let kind = ["content-type: application/json"];
        ask(&self.to(), "POST", "/v1/console/login", &kind, body.as_bytes()).await
    }

    /// Whether the audit has a deed of an actor.
    pub async fn audited(&self, actor: &str, act: Act) -> Option<Verdict> {
        let filter = Filter { actor: Some(actor.to_owned()), limit: 100, ..Filter::default() };
        let links = self.test.node.parts.trail.audit().list(filter).await.expect("read");
        links.into_iter().find(|link| link.entry.act == act).map(|link| link.entry.verdict)
    }
}

/// Somebody who asks: a person in a session, or a key.
#[derive(Clone)]
pub(crate) struct Officer {
    pub to: String,
    pub headers: Vec<String>,
    pub csrf: Option<String>,
}

impl Officer {
    pub fn of(to: &str, login: &Answer) -> Self {
        let cookie = login.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let csrf = login.json()["csrf"].as_str().expect("a token").to_owned();
        let headers = vec![format!("cookie: {cookie}")];
        Self { to: to.to_owned(), headers, csrf: Some(csrf) }
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let mut headers: Vec<&str> = self.headers.iter().map(String::as_str).collect();
        let csrf = self.csrf.as_ref().map(|csrf| format!("x-loa-csrf: {csrf}"));
        headers.extend(csrf.as_deref());
        if body.is_some() {
            headers.push("content-type: application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        ask(&self.to, method, path, &headers, body.as_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    /// Posts what must be done, and answers what came of it.
    pub async fn done(&self, path: &str, body: Value) -> Value {
        let answer = self.ask("POST", path, Some(&body)).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
        answer.json()
    }

    /// Posts what must be refused, and answers status and code.
    pub async fn refused(&self, path: &str, body: Value) -> (u16, String) {
        let answer = self.ask("POST", path, Some(&body)).await;
        refusal(&answer)
    }

    /// A submitted draft of a hot alert.
    pub async fn submitted(&self) -> String {
        let draft = self.done("/v1/console/drafts", json!({"kind": "alert", "body": hot()})).await;
        let id = draft["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/console/drafts/{id}/submit");
        let submitted = self.done(&path, json!({"version": 1})).await;
        assert_eq!((&submitted["state"], &submitted["version"]), (&json!("submitted"), &json!(2)));
        id
    }
}

pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    assert!(answer.status >= 400, "{}", answer.text());
    (answer.status, answer.json()["code"].as_str().expect("a code").to_owned())
}

/// CAP's words for an instant so many hours from now.
fn hours(hours: i64) -> String {
    let second = Timestamp::from_second(Timestamp::now().as_second()).expect("a second");
    (second + SignedDuration::from_hours(hours)).to_string().replace('Z', "+00:00")
}

fn info(language: &str, severity: &str) -> Value {
    json!({
        "language": language, "categories": ["Met"], "event": "Ngập", "urgency": "Immediate",
        "response_types": ["Avoid"], "severity": severity, "certainty": "Observed",
        "expires": hours(2), "headline": "Ngập sâu", "description": "Nước lên.",
        "instruction": "Lên chỗ cao.",
        "areas": [{"description": "Khu vực thử",
            "polygons": [[[10.70, 106.60], [10.70, 106.80], [10.90, 106.80], [10.90, 106.60],
                [10.70, 106.60]]]}]
    })
}

/// The body of a hot alert, without what the server fills in.
fn hot() -> Value {
    json!({"infos": [info("vi-VN", "Severe"), info("en-US", "Severe")]})
}

/// The body of an alert that is not hot.
pub(crate) fn calm() -> Value {
    json!({"infos": [info("vi-VN", "Minor")]})
}
