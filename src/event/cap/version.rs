//! The versions of CAP, told by the root element's namespace; what is no CAP is refused by name.

use std::fmt;

use serde::Serialize;

use super::Violation;

/// A version of CAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Version {
    /// CAP 1.0 (2004).
    #[serde(rename = "1.0")]
    V1_0,
    /// CAP 1.1 (2005).
    #[serde(rename = "1.1")]
    V1_1,
    /// CAP 1.2 (2010).
    #[serde(rename = "1.2")]
    V1_2,
}

impl Version {
    /// The namespace of its elements.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::V1_0 => "http://www.incident.com/cap/1.0",
            Self::V1_1 => "urn:oasis:names:tc:emergency:cap:1.1",
            Self::V1_2 => "urn:oasis:names:tc:emergency:cap:1.2",
        }
    }

    /// The version of a document, from its root element's name and namespace.
    pub(super) fn of_root(name: &str, namespace: Option<&str>) -> Result<Self, Violation> {
        let known = [Self::V1_0, Self::V1_1, Self::V1_2];
        let version = known.into_iter().find(|version| Some(version.namespace()) == namespace);
        if let (Some(version), "alert") = (version, name) {
            return Ok(version);
        }
        let path = format!("/{name}");
        if let Some(wrapper) = wrapper(name) {
            let message = format!("this is {wrapper}, not a CAP alert: send each alert by itself");
            return Err(Violation::error(path, "root_wrapper", message));
        }
        if name != "alert" {
            let message = format!("the root element is `{name}`, not a CAP alert");
            return Err(Violation::error(path, "root_unknown", message));
        }
        Err(match namespace {
            None => Violation::error(
                path,
                "namespace_missing",
                format!("alert has no namespace; CAP 1.2 has {}", Self::V1_2.namespace()),
            ),
            Some(other) => Violation::error(
                path,
                "namespace_unknown",
                format!("`{other}` is the namespace of no CAP version known here (1.0, 1.1, 1.2)"),
            ),
        })
    }
}

/// What carries CAP alerts but is none.
fn wrapper(name: &str) -> Option<&'static str> {
    Some(match name {
        "feed" => "an Atom feed",
        "entry" => "an Atom entry",
        "rss" => "an RSS feed",
        "RDF" => "an RDF feed",
        "EDXLDistribution" => "an EDXL distribution",
        "alerts" => "a list of alerts",
        "Envelope" => "a SOAP envelope",
        _ => return None,
    })
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        })
    }
}
