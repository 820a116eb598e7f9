//! Which identity a workload has: that of a metadata server, or what an `external_account` file
//! describes. The file goes to Google's crate as it is; what it may ask for, and whom it may name,
//! is decided here, and told by field. No value of it is shown: its headers may be secret.

use serde_json::{Map, Value};
use url::Url;

/// How long Google's crate asks for a service account's token, in seconds, whatever the file says.
const LIFETIME_SECONDS: u64 = 3600;

/// Who a workload is.
pub enum Identity {
    /// Whom the machine's metadata server says.
    Metadata(Url),
    /// Whom another platform says, by Google's description.
    External(Box<Value>),
}

/// A field and what is wrong with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Wrong {
    field: String,
    rule: &'static str,
}

fn wrong<T>(field: &str, rule: &'static str) -> Result<T, Wrong> {
    Err(Wrong { field: field.to_owned(), rule })
}

impl Identity {
    /// Reads the text of an `external_account` file, with another token service if one is given.
    pub fn external(text: &str, token_uri: Option<&Url>) -> Result<Self, Wrong> {
        let Ok(Value::Object(mut file)) = serde_json::from_str(text) else {
            return wrong("the file", "must be a JSON object");
        };
        if let Some(token_uri) = token_uri {
            file.insert("token_url".to_owned(), Value::from(token_uri.as_str()));
        }
        if text_of(&file, "", "type")? != Some("external_account") {
            return wrong("type", "must be external_account");
        }
        for workforce in ["client_id", "client_secret", "workforce_pool_user_project"] {
            if given(&file, workforce).is_some() {
                return wrong(workforce, "belongs to people (workforce pools), not to a workload");
            }
        }
        for field in ["audience", "subject_token_type", "token_url", "credential_source"] {
            if given(&file, field).is_none() {
                return wrong(field, "is missing");
            }
        }
        for field in ["audience", "subject_token_type"] {
            text_of(&file, "", field)?;
        }
        for field in ["token_url", "service_account_impersonation_url"] {
            if text_of(&file, "", field)?.is_some_and(|url| !is_private(url)) {
                return wrong(field, "must be an https URL, or http to this machine itself");
            }
        }
        let lifetime = file.get("service_account_impersonation");
        let lifetime = lifetime.and_then(|object| object.get("token_lifetime_seconds"));
        if lifetime.is_some_and(|seconds| *seconds != LIFETIME_SECONDS) {
            let field = "service_account_impersonation.token_lifetime_seconds";
            return wrong(field, "must be 3600 or absent");
        }
        match &file["credential_source"] {
            Value::Object(source) => check_source(source)?,
            _ => return wrong("credential_source", "must be an object"),
        }
        Ok(Self::External(Box::new(Value::Object(file))))
    }
}

/// Where the platform's token is, and how it is written there.
fn check_source(source: &Map<String, Value>) -> Result<(), Wrong> {
    const PATH: &str = "credential_source.";
    for other in ["environment_id", "executable", "certificate"] {
        if source.contains_key(other) {
            let rule = "is not supported; a token from `file` or `url` is";
            return wrong(&format!("{PATH}{other}"), rule);
        }
    }
    match (text_of(source, PATH, "file")?, text_of(source, PATH, "url")?) {
        (Some(_), None) => {}
        (None, Some(url)) => {
            let url = Url::parse(url).ok().filter(|url| url.has_host());
            if !url.is_some_and(|url| ["http", "https"].contains(&url.scheme())) {
                return wrong("credential_source.url", "must be an http or https URL");
            }
        }
        _ => return wrong("credential_source", "must have `file` or `url`"),
    }
    let texts = |headers: &Map<String, Value>| {
        headers.iter().all(|(name, value)| {
            let value = value.as_str().map(http::HeaderValue::try_from);
            http::HeaderName::try_from(name).is_ok() && matches!(value, Some(Ok(_)))
        })
    };
    if given(source, "headers").is_some_and(|headers| !headers.as_object().is_some_and(texts)) {
        return wrong("credential_source.headers", "must be an object of header names and texts");
    }
    let Some(format) = given(source, "format") else { return Ok(()) };
    match format["type"].as_str() {
        Some("text") => Ok(()),
        Some("json") if format["subject_token_field_name"].is_string() => Ok(()),
        Some("json") => {
            wrong("credential_source.format.subject_token_field_name", "must be a text")
        }
        _ => wrong("credential_source.format.type", "must be text or json"),
    }
}

fn given<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|value| !value.is_null())
}

fn text_of<'a>(
    object: &'a Map<String, Value>,
    path: &str,
    field: &str,
) -> Result<Option<&'a str>, Wrong> {
    match given(object, field) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => wrong(&format!("{path}{field}"), "must be a text"),
    }
}

/// Whether nobody on the way can read what is sent to a URL.
fn is_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> Value {
        json!({
            "type": "external_account",
            "universe_domain": "googleapis.com",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {
                "url": "http://169.254.169.254/metadata/identity/oauth2/token?resource=a",
                "headers": {"Metadata": "True"},
                "format": {"type": "json", "subject_token_field_name": "access_token"}
            },
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/a:b",
            "service_account_impersonation": {"token_lifetime_seconds": 3600}
        })
    }

    fn read(file: &Value) -> Result<Identity, Wrong> {
        Identity::external(&file.to_string(), None)
    }

    #[test]
    fn a_file_as_google_writes_it_is_taken_as_it_is() {
        let Ok(Identity::External(taken)) = read(&file()) else { panic!("it is right") };
        assert_eq!(*taken, file());
        let mut plain = file();
        plain["credential_source"] = json!({"file": "/var/run/token"});
        plain["service_account_impersonation_url"] = Value::Null;
        assert!(read(&plain).is_ok());
        let elsewhere = Url::parse("http://127.0.0.1:9/token").expect("a URL");
        let taken = Identity::external(&plain.to_string(), Some(&elsewhere));
        let Ok(Identity::External(taken)) = taken else { panic!("it is right") };
        assert_eq!(taken["token_url"], "http://127.0.0.1:9/token");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let source = "credential_source";
        let aws = json!({"environment_id": "aws1", "url": "http://a/"});
        let impersonation = "service_account_impersonation";
        let cases = [
            ("type", json!("service_account"), "type: must be external_account"),
            ("audience", Value::Null, "audience: is missing"),
            ("audience", json!(7), "audience: must be a text"),
            ("token_url", json!("http://sts.googleapis.com/"), "token_url: must be an https URL"),
            ("token_url", json!("http://localhost/"), "token_url: must be an https URL"),
            (
                "service_account_impersonation_url",
                json!("http://10.0.0.1/"),
                "service_account_impersonation_url: must be an https URL",
            ),
            (source, Value::Null, "credential_source: is missing"),
            (source, json!({}), "credential_source: must have `file` or `url`"),
            (source, json!({"file": "a", "url": "http://a/"}), "must have `file` or `url`"),
            (source, json!({"url": "ftp://a/"}), "credential_source.url: must be an http or https"),
            (source, json!({"url": "http://a/", "headers": {"a b": "c"}}), "source.headers: must"),
            (source, json!({"file": "a", "format": {"type": "xml"}}), "format.type: must be text"),
            (
                source,
                json!({"file": "a", "format": {"type": "json"}}),
                "credential_source.format.subject_token_field_name: must be a text",
            ),
            (source, aws, "credential_source.environment_id: is not supported"),
            ("client_id", json!("a"), "client_id: belongs to people"),
            (
                impersonation,
                json!({"token_lifetime_seconds": 600}),
                "service_account_impersonation.token_lifetime_seconds: must be 3600",
            ),
        ];
        for (field, value, expected) in cases {
            let mut file = file();
            file[field] = value;
            let Err(error) = read(&file) else { panic!("{expected}") };
            assert!(error.to_string().contains(expected), "{error}");
        }
        let Err(error) = Identity::external("secret", None) else { panic!("no JSON") };
        assert_eq!(error.to_string(), "the file: must be a JSON object");
    }
}
