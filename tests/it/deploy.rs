//! What deploy/ says of this program: each path that a role answers leads to that role, over the
//! compose file's nginx and over Kubernetes' ingress, and what is for operators leads nowhere.

use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use loa::config::{Config, Role};

use regex::Regex;

use crate::support::node::TestNode;

/// Paths of every node that nobody outside is to reach.
const INSIDE: [&str; 3] = ["/healthz", "/metrics", "/readyz"];
/// A line of the ingress: a path and the service that it leads to.
const ROW: &str = r#"\{ path: "?([^,"]+)"?, pathType: \w+, backend: \{ service: \{ name: (\w+),"#;
/// Pages and files that the description does not list.
const PAGES: [(&str, &str); 6] = [
    ("/", "gateway"),
    ("/plain", "gateway"),
    ("/assets/page.js", "gateway"),
    ("/openapi.json", "gateway"),
    ("/console", "desk"),
    ("/console/drafts", "desk"),
];

/// From a path to the role that it leads to.
type Way = Box<dyn Fn(&str) -> Option<String>>;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    std::fs::read_to_string(path).expect("a file of deploy/")
}

/// nginx's map: the first pattern that fits, or else the default.
fn front() -> impl Fn(&str) -> Option<String> {
    let conf = read("front.conf");
    let begin = conf.find("map $uri $role {").expect("the map");
    let lines = conf[begin..].lines().skip(1).take_while(|line| *line != "}");
    let mut rules = Vec::new();
    let mut otherwise = None;
    for line in lines {
        let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
        let [pattern, role] = words[..] else { panic!("two words: {line}") };
        match pattern.strip_prefix('~') {
            Some(pattern) => rules.push((Regex::new(pattern).expect(pattern), role.to_owned())),
            None => otherwise = Some(role.to_owned()),
        }
    }
    let inside = Regex::new(&format!("^({})$", INSIDE.join("|"))).expect("a pattern");
    assert!(conf.contains("location ~ ^/(metrics|healthz|readyz)$"), "what is kept inside");
    move |path| {
        if inside.is_match(path) {
            return None;
        }
        let fits = rules.iter().find(|(pattern, _)| pattern.is_match(path));
        fits.map(|(_, role)| role.clone()).or_else(|| otherwise.clone())
    }
}

/// ingress-nginx with `use-regex`: each path is a pattern for the beginning, the longest first.
fn ingress() -> impl Fn(&str) -> Option<String> {
    let text = read("kubernetes/network.yaml");
    let row = Regex::new(ROW).expect("a pattern");
    let mut rules: Vec<(String, String)> =
        row.captures_iter(&text).map(|row| (row[1].to_owned(), row[2].to_owned())).collect();
    assert!(rules.len() > 3, "the rows of the ingress");
    rules.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    let rules: Vec<(Regex, String)> = rules
        .into_iter()
        .map(|(path, role)| (Regex::new(&format!("(?i)^{path}")).expect("a pattern"), role))
        .collect();
    move |path| {
        let fits = rules.iter().find(|(pattern, _)| pattern.is_match(path));
        fits.map(|(_, role)| role.clone()).filter(|role| role != "inside")
    }
}

/// What nodes of these roles say that they answer, with an id wherever one stands.
async fn answered(roles: &[Role]) -> BTreeSet<String> {
    let only = |config: &mut Config| config.node.roles = roles.iter().copied().collect();
    let test = TestNode::with(only).await;
    let answer = test.ask(Method::GET, "/openapi.json", None).await;
    let document = answer.json();
    let paths = document["paths"].as_object().expect("paths").keys();
    let id = Regex::new(r"\{[^}]*\}").expect("a pattern");
    paths.map(|path| id.replace_all(path, "018f2c1e").into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_leads_to_the_role_that_answers_it() {
    let ways: [(&str, Way); 2] =
        [("front.conf", Box::new(front())), ("network.yaml", Box::new(ingress()))];
    let desk = answered(&[Role::Api, Role::Console]).await;
    let gateway = answered(&[Role::Gateway]).await;
    assert!(desk.len() > 20 && gateway.len() > 20, "{desk:?} {gateway:?}");
    let mut wrong = Vec::new();
    for (file, leads) in &ways {
        for (paths, role) in [(&desk, "desk"), (&gateway, "gateway")] {
            for path in paths {
                let wanted = (!INSIDE.contains(&path.as_str())).then_some(role);
                if leads(path).as_deref() != wanted {
                    wrong.push(format!("{file}: {path} is {wanted:?}'s, not {:?}'s", leads(path)));
                }
            }
        }
        for (path, role) in PAGES {
            assert_eq!(leads(path).as_deref(), Some(role), "{file}: {path}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
