//! The file that describes an external account: read whole, and refused by field where Loa cannot
//! do what it asks for. It holds no key, but its headers may be secret, so no value of it is shown.

use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use url::Url;

/// How long a service account's token is asked for, in seconds: Google's own default.
const LIFETIME_SECONDS: u64 = 3600;
/// What Google allows for it.
const LIFETIMES_SECONDS: std::ops::RangeInclusive<u64> = 600..=43_200;

/// What the file says.
#[derive(Debug)]
pub struct Config {
    /// The provider in a workload identity pool.
    pub audience: String,
    /// What kind of token the platform gives.
    pub subject_token_type: String,
    /// Google's token service.
    pub token_url: Url,
    /// Where the platform's token is.
    pub from: From,
    /// How it is written there.
    pub format: Format,
    /// Where a token of a service account is asked for; absent: the identity itself may send.
    pub impersonation_url: Option<Url>,
    /// How long that one shall be good.
    pub lifetime_seconds: u64,
}

/// Where a platform puts its token.
#[derive(Debug, PartialEq)]
pub enum From {
    /// A file, such as a projected volume of Kubernetes.
    File(PathBuf),
    /// An answer to a GET, as on Azure.
    Url {
        /// Where to ask.
        url: Url,
        /// What to say with it.
        headers: HeaderMap,
    },
}

/// How a token is written.
#[derive(Debug, PartialEq)]
pub enum Format {
    /// Nothing else is there.
    Text,
    /// In a field of a JSON object.
    Json {
        /// The field.
        field: String,
    },
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

/// An object of the file, with its path in it.
struct Fields<'a> {
    path: &'static str,
    map: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    fn optional(&self, field: &str) -> Result<Option<&str>, Wrong> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => wrong(&self.name(field), "must be a text"),
        }
    }

    fn text(&self, field: &str) -> Result<String, Wrong> {
        match self.optional(field)? {
            Some(text) => Ok(text.to_owned()),
            None => wrong(&self.name(field), "is missing"),
        }
    }

    fn object(&self, field: &'static str) -> Result<Option<Fields<'_>>, Wrong> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { path: field, map })),
            Some(_) => wrong(&self.name(field), "must be an object"),
        }
    }

    fn https(&self, field: &str, text: &str) -> Result<Url, Wrong> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" => Ok(url),
            _ => wrong(&self.name(field), "must be an https URL"),
        }
    }
}

impl Config {
    /// Reads a file's text.
    pub fn read(text: &str) -> Result<Self, Wrong> {
        let Ok(Value::Object(map)) = serde_json::from_str(text) else {
            return wrong("the file", "must be a JSON object");
        };
        let fields = Fields { path: "", map: &map };
        if fields.text("type")? != "external_account" {
            return wrong("type", "must be external_account");
        }
        for workforce in ["client_id", "client_secret", "workforce_pool_user_project"] {
            if fields.optional(workforce)?.is_some() {
                return wrong(workforce, "belongs to people (workforce pools), not to a workload");
            }
        }
        let Some(source) = fields.object("credential_source")? else {
            return wrong("credential_source", "is missing");
        };
        let impersonation = fields.optional("service_account_impersonation_url")?;
        Ok(Self {
            audience: fields.text("audience")?,
            subject_token_type: fields.text("subject_token_type")?,
            token_url: fields.https("token_url", &fields.text("token_url")?)?,
            from: from(&source)?,
            format: format(&source)?,
            impersonation_url: impersonation
                .map(|text| fields.https("service_account_impersonation_url", text))
                .transpose()?,
            lifetime_seconds: lifetime(&fields)?,
        })
    }
}

fn from(source: &Fields<'_>) -> Result<From, Wrong> {
    for other in ["environment_id", "executable", "certificate"] {
        if source.map.contains_key(other) {
            let rule = "is not supported; a token from `file` or `url` is";
            return wrong(&source.name(other), rule);
        }
    }
    match (source.optional("file")?, source.optional("url")?) {
        (Some(file), None) => Ok(From::File(file.into())),
        (None, Some(url)) => {
            let rule = "must be an http or https URL";
            let url = Url::parse(url).or_else(|_| wrong(&source.name("url"), rule))?;
            if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
                return wrong(&source.name("url"), rule);
            }
            Ok(From::Url { url, headers: headers(source)? })
        }
        _ => wrong(source.path, "must have `file` or `url`"),
    }
}

fn headers(source: &Fields<'_>) -> Result<HeaderMap, Wrong> {
    let rule = "must be an object of header names and texts";
    let mut headers = HeaderMap::new();
    let map = match source.map.get("headers") {
        None | Some(Value::Null) => return Ok(headers),
        Some(Value::Object(map)) => map,
        Some(_) => return wrong(&source.name("headers"), rule),
    };
    for (name, value) in map {
        let name = HeaderName::try_from(name.as_str());
        let value = value.as_str().map(HeaderValue::try_from);
        let (Ok(name), Some(Ok(mut value))) = (name, value) else {
            return wrong(&source.name("headers"), rule);
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn format(source: &Fields<'_>) -> Result<Format, Wrong> {
    const PATH: &str = "credential_source.format";
    let Some(format) = source.object("format")? else { return Ok(Format::Text) };
    let format = Fields { path: PATH, ..format };
    match format.text("type")?.as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json { field: format.text("subject_token_field_name")? }),
        _ => wrong("credential_source.format.type", "must be text or json"),
    }
}

fn lifetime(fields: &Fields<'_>) -> Result<u64, Wrong> {
    let Some(impersonation) = fields.object("service_account_impersonation")? else {
        return Ok(LIFETIME_SECONDS);
    };
    match impersonation.map.get("token_lifetime_seconds") {
        None | Some(Value::Null) => Ok(LIFETIME_SECONDS),
        Some(seconds) => match seconds.as_u64().filter(|s| LIFETIMES_SECONDS.contains(s)) {
            Some(seconds) => Ok(seconds),
            None => wrong(&impersonation.name("token_lifetime_seconds"), "must be 600 to 43200"),
        },
    }
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
            "service_account_impersonation": {"token_lifetime_seconds": 1200}
        })
    }

    #[test]
    fn a_file_as_google_writes_it_is_read() {
        let config = Config::read(&file().to_string()).expect("it is right");
        assert_eq!(config.lifetime_seconds, 1200);
        assert_eq!(config.format, Format::Json { field: "access_token".to_owned() });
        let From::Url { url, headers } = config.from else { panic!("a URL") };
        assert_eq!(
            (url.query(), &headers["metadata"]),
            (Some("resource=a"), &"True".parse().unwrap())
        );
        let mut plain = file();
        plain["credential_source"] = json!({"file": "/var/run/token"});
        plain["service_account_impersonation_url"] = Value::Null;
        let config = Config::read(&plain.to_string()).expect("it is right");
        assert_eq!(config.from, From::File("/var/run/token".into()));
        assert_eq!((config.format, config.impersonation_url), (Format::Text, None));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let source = "credential_source";
        let aws = json!({"environment_id": "aws1", "url": "http://a/"});
        let cases = [
            ("type", json!("service_account"), "type: must be external_account"),
            ("audience", Value::Null, "audience: is missing"),
            ("audience", json!(7), "audience: must be a text"),
            ("token_url", json!("http://sts.googleapis.com/"), "token_url: must be an https URL"),
            (source, Value::Null, "credential_source: is missing"),
            (source, json!({}), "credential_source: must have `file` or `url`"),
            (source, json!({"file": "a", "url": "http://a/"}), "must have `file` or `url`"),
            (source, json!({"url": "ftp://a/"}), "credential_source.url: must be an http or https"),
            (source, json!({"url": "http://a/", "headers": {"a b": "c"}}), "source.headers: must"),
            (source, json!({"file": "a", "format": {"type": "xml"}}), "format.type: must be text"),
            (
                source,
                json!({"file": "a", "format": {"type": "json"}}),
                "credential_source.format.subject_token_field_name: is missing",
            ),
            (source, aws, "credential_source.environment_id: is not supported"),
            ("client_id", json!("a"), "client_id: belongs to people"),
            (
                "service_account_impersonation",
                json!({"token_lifetime_seconds": 60}),
                "service_account_impersonation.token_lifetime_seconds: must be 600 to 43200",
            ),
        ];
        for (field, value, expected) in cases {
            let mut file = file();
            file[field] = value;
            let error = Config::read(&file.to_string()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Config::read("secret").expect_err("no JSON").to_string().contains("JSON object"));
    }
}
