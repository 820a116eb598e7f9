//! An identity outside Google and Google's trust in it: a platform that gives its workload signed
//! tokens, the token service that exchanges them (RFC 8693), and the service account that may be
//! acted as. Checks what the real ones check, and answers with their errors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::fcm::{Issued, SCOPE};
use super::serve::{Asked, Reply};
use crate::clock::Clock;

/// Where tokens are exchanged.
pub const STS_PATH: &str = "/v1/token";
/// Where tokens of the service account are asked for.
pub const IMPERSONATION_PATH: &str = concat!(
    "/v1/projects/-/serviceAccounts/simulator@loa-simulated.iam.gserviceaccount.com",
    ":generateAccessToken"
);
/// How the name of an account begins that nobody may act as.
pub const DENIED: &str = "denied@";
/// Where the platform gives out its tokens, next to the metadata server.
pub const SUBJECT_PATH: &str = "/identity/token";
/// The header the platform wants to see.
pub const SUBJECT_HEADER: (&str, &str) = ("metadata", "True");
const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/loa";
const SUBJECT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
const ISSUER: &str = "https://platform.loa.example";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const IAM_SCOPE: &str = "https://www.googleapis.com/auth/iam";
/// How long a platform's token is good.
const SUBJECT_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// How long an exchanged token is good.
const EXCHANGED_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// The platform and the trust in it. Clones share both.
#[derive(Clone)]
pub struct Federation(Arc<Inner>);

struct Inner {
    clock: Clock,
    signs: EncodingKey,
    checks: DecodingKey,
    /// Where the platform is, and Google's token service and IAM: one socket without TLS, since
    /// Google's crate trusts only whom the machine trusts.
    here: Url,
    /// Tokens for FCM.
    issued: Arc<Issued>,
    /// Exchanged tokens, as the `authorization` header has them, and until when.
    exchanged: Mutex<HashMap<Box<[u8]>, Timestamp>>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
}

impl Federation {
    /// A platform, and a Google that trusts it, at a URL.
    pub fn new(issued: Arc<Issued>, here: &Url) -> Result<Self, String> {
        let fail = |error: jsonwebtoken::errors::Error| error.to_string();
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(Inner {
            clock: issued.clock.clone(),
            signs: EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).map_err(fail)?,
            checks: DecodingKey::from_ec_pem(key.public_key_pem().as_bytes()).map_err(fail)?,
            here: here.clone(),
            issued,
            exchanged: Mutex::default(),
        })))
    }

    /// A token as the platform gives it to its workload, good for ten minutes.
    pub fn subject_token(&self) -> String {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: "workload".to_owned(),
            aud: AUDIENCE.to_owned(),
            exp: (self.0.clock.now() + SUBJECT_LIFE).as_second(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.0.signs)
            .expect("the key signs ES256")
    }

    /// What the platform answers at its URL.
    pub fn subject_answer(&self) -> String {
        json!({ "access_token": self.subject_token(), "token_type": "Bearer" }).to_string()
    }

    /// The file that describes this identity, with its token in a file or at the platform's URL,
    /// acting as the service account or as itself.
    pub fn external_account(&self, file: Option<&str>, impersonates: bool) -> Value {
        let at = |path| self.0.here.join(path).expect("a path").to_string();
        let source = match file {
            Some(path) => json!({ "file": path }),
            None => json!({
                "url": at(SUBJECT_PATH),
                "headers": { SUBJECT_HEADER.0: SUBJECT_HEADER.1 },
                "format": { "type": "json", "subject_token_field_name": "access_token" },
            }),
        };
        let mut config = json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": SUBJECT_TYPE,
            "token_url": at(STS_PATH),
            "credential_source": source,
        });
        if impersonates {
            let url = at(IMPERSONATION_PATH);
            config["service_account_impersonation_url"] = json!(url);
            config["service_account_impersonation"] = json!({ "token_lifetime_seconds": 3600 });
        }
        config
    }

    /// What Google's side answers; `None` for what is asked of another service.
    pub(super) fn judge(&self, asked: &Asked) -> Option<Reply> {
        match asked.path.as_str() {
            STS_PATH => Some(self.exchange(asked)),
            path if path.ends_with(":generateAccessToken") => Some(self.impersonate(asked)),
            _ => None,
        }
    }

    fn exchange(&self, asked: &Asked) -> Reply {
        let form: HashMap<_, _> = form_urlencoded::parse(&asked.body).collect();
        let is = |field: &str, value: &str| form.get(field).is_some_and(|given| given == value);
        if asked.method != Method::POST || !is("grant_type", GRANT_TYPE) {
            return refuse(400, json!({ "error": "unsupported_grant_type" }));
        }
        let asked_well = is("requested_token_type", ACCESS_TOKEN)
            && is("subject_token_type", SUBJECT_TYPE)
            && is("audience", AUDIENCE);
        if !asked_well {
            return refuse(400, json!({ "error": "invalid_request" }));
        }
        if !form.get("subject_token").is_some_and(|token| self.is_genuine(token)) {
            return refuse(400, json!({ "error": "invalid_grant" }));
        }
        if is("scope", SCOPE) {
            let issued = self.0.issued.issue();
            let mut granted: Value = serde_json::from_str(&issued).expect("our own JSON");
            granted["issued_token_type"] = json!(ACCESS_TOKEN);
            return reply(200, granted.to_string());
        }
        if !is("scope", IAM_SCOPE) {
            return refuse(400, json!({ "error": "invalid_scope" }));
        }
        let token = format!("sts.{}", Uuid::new_v4().simple());
        let until = self.0.clock.now() + EXCHANGED_LIFE;
        let mut exchanged = self.0.exchanged.lock().unwrap_or_else(PoisonError::into_inner);
        exchanged.insert(format!("Bearer {token}").into_bytes().into(), until);
        let granted = json!({ "access_token": token, "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer", "expires_in": EXCHANGED_LIFE.as_secs() });
        reply(200, granted.to_string())
    }

    fn impersonate(&self, asked: &Asked) -> Reply {
        let google = |status: u16, code| {
            refuse(status, json!({ "error": { "code": status, "status": code } }))
        };
        if asked.path == IMPERSONATION_PATH.replace("simulator@", DENIED) {
            return google(403, "PERMISSION_DENIED");
        }
        if asked.path != IMPERSONATION_PATH || asked.method != Method::POST {
            return google(404, "NOT_FOUND");
        }
        let may = asked.headers.get(AUTHORIZATION).is_some_and(|bearer| {
            let exchanged = self.0.exchanged.lock().unwrap_or_else(PoisonError::into_inner);
            exchanged.get(bearer.as_bytes()).is_some_and(|until| self.0.clock.now() < *until)
        });
        if !may {
            return google(401, "UNAUTHENTICATED");
        }
        let wish: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        if wish["scope"] != json!([SCOPE]) || wish["lifetime"] != json!("3600s") {
            return google(400, "INVALID_ARGUMENT");
        }
        let granted: Value = serde_json::from_str(&self.0.issued.issue()).expect("our own JSON");
        let until = self.0.clock.now() + self.0.issued.lifetime;
        let granted = json!({ "accessToken": granted["access_token"],
            "expireTime": until.to_string() });
        reply(200, granted.to_string())
    }

    fn is_genuine(&self, token: &str) -> bool {
        let mut rules = Validation::new(Algorithm::ES256);
        // The simulator's clock decides, not the machine's.
        rules.validate_exp = false;
        rules.validate_aud = false;
        jsonwebtoken::decode::<Claims>(token, &self.0.checks, &rules).is_ok_and(|decoded| {
            let claims = decoded.claims;
            let now = self.0.clock.now().as_second();
            claims.iss == ISSUER && claims.aud == AUDIENCE && now < claims.exp
        })
    }
}

fn refuse(status: u16, error: Value) -> Reply {
    reply(status, error.to_string())
}

fn reply(status: u16, body: String) -> Reply {
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    Reply { status, headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]), body: Bytes::from(body) }
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Federation")
    }
}
