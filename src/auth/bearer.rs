//! The citizens' identity provider: bearer tokens of apps and logins of browsers, whose `sub`
//! becomes a pseudonym. The provider's own id is never stored.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::HeaderMap;
use serde::Deserialize;
use url::Url;

use crate::auth::oidc::login::{Answer, Client, Login};
use crate::auth::oidc::provider::{self, Provider};
use crate::auth::oidc::wire::{Wire, may_be_asked};
use crate::auth::pseudonym::Pseudonyms;
use crate::clock::Clock;
use crate::config::secret::Secret;
use crate::domain::ids::SubjectId;
use crate::store::people::Account;

/// An identity provider.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The `iss` claim, exactly; what the provider publishes of itself is found below it.
    pub issuer: String,
    /// The `aud` claim that means us.
    pub audience: String,
    /// The issuer's JWK set, inline, for a provider that publishes nothing.
    #[serde(default)]
    pub jwks: Option<String>,
    /// The same, in a file.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Authorities (PEM) trusted for the provider beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How browsers log in; absent: only apps do.
    #[serde(default)]
    pub login: Option<LoginSettings>,
}

/// How browsers log in.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginSettings {
    /// Where the provider sends people back to: our own address and `/v1/login/callback`.
    pub redirect_url: Url,
    /// Our secret at the provider, inline.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// The same, in a file.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// What we ask for.
    #[serde(default = "openid")]
    pub scope: String,
}

fn openid() -> String {
    "openid".to_owned()
}

impl Settings {
    /// Every rule that is broken, with the path below the provider's table.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let given = self.jwks.is_some() || self.jwks_file.is_some();
        if self.jwks.is_some() && self.jwks_file.is_some() {
            found.push("jwks, jwks_file: give one of them, or none".to_owned());
        }
        if !given && !Url::parse(&self.issuer).is_ok_and(|url| may_be_asked(&url)) {
            found.push("issuer: must be an https URL, for its keys are asked for there".to_owned());
        }
        if self.audience.is_empty() {
            found.push("audience: must not be empty".to_owned());
        }
        if let Some(login) = &self.login {
            if given {
                found.push("login: needs a provider that publishes itself, so no jwks".to_owned());
            }
            if !may_be_asked(&login.redirect_url) {
                found.push("login.redirect_url: must be https, or of this machine".to_owned());
            }
            if !login.scope.split(' ').any(|word| word == "openid") {
                found.push("login.scope: must hold `openid`".to_owned());
            }
            if login.secret.is_some() && login.secret_file.is_some() {
                found.push("login: give one of secret and secret_file, or none".to_owned());
            }
        }
        found
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LoginSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginSettings").finish_non_exhaustive()
    }
}

/// Why the verifier could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("jwks_file {path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The keys could not be used.
    #[error("the JWK set: {0}")]
    Keys(provider::Error),
    /// The provider could not be asked.
    #[error("{0}")]
    Trust(String),
    /// Our secret could not be had.
    #[error("login: {0}")]
    Secret(#[from] crate::config::secret::Error),
}

/// Who somebody is, by one issuer's word.
pub struct Verifier {
    provider: Arc<Provider>,
    login: Option<Login>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier for an issuer; `login_key` binds the two steps of a login, and `cookie` is the
    /// name of the cookie between them.
    pub fn new(
        settings: &Settings,
        login_key: &[u8],
        cookie: &'static str,
        clock: Clock,
    ) -> Result<Self, Error> {
        let (issuer, audience) = (&settings.issuer, &settings.audience);
        let text = match (&settings.jwks, &settings.jwks_file) {
            (Some(text), _) => Some(text.clone()),
            (None, Some(path)) => Some(
                std::fs::read_to_string(path)
                    .map_err(|cause| Error::File { path: path.clone(), cause })?,
            ),
            (None, None) => None,
        };
        let wire = Wire::new(settings.ca_file.as_deref()).map_err(Error::Trust)?;
        let provider = match text {
            Some(text) => {
                Provider::given(issuer, audience, &text, clock.clone()).map_err(Error::Keys)?
            }
            None => Provider::published(issuer, audience, wire.clone(), clock.clone()),
        };
        let provider = Arc::new(provider);
        let login = settings.login.as_ref().map(|login| {
            let own = (clock, login_key.to_vec());
            let client = client(audience, login)?;
            Ok::<_, Error>(Login::new(Arc::clone(&provider), wire, client, own, cookie))
        });
        Ok(Self { provider, login: login.transpose()? })
    }

    /// What whoever has this token is called: under each key, the newest first.
    pub async fn names(
        &self,
        token: &str,
        pseudonyms: &Pseudonyms,
    ) -> Result<Vec<SubjectId>, provider::Error> {
        let sub = self.provider.verify(token).await?.sub;
        Ok(pseudonyms.of(self.provider.issuer(), &sub))
    }

    /// How browsers log in, if they do.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// What whoever came back from a login is called: under each key, the newest first.
    pub async fn finished(
        &self,
        headers: &HeaderMap,
        answer: &Answer,
        pseudonyms: &Pseudonyms,
    ) -> Result<Vec<SubjectId>, provider::Error> {
        let login = self.login.as_ref().ok_or(provider::Error::Refused)?;
        let sub = login.finish(headers, answer).await?.sub;
        Ok(pseudonyms.of(self.provider.issuer(), &sub))
    }

    /// The accounts of whoever came back from a login, as they may be linked to a person: the
    /// provider's own id, and an address that it has verified.
    pub async fn accounts(
        &self,
        headers: &HeaderMap,
        answer: &Answer,
    ) -> Result<Vec<Account>, provider::Error> {
        let login = self.login.as_ref().ok_or(provider::Error::Refused)?;
        let claims = login.finish(headers, answer).await?;
        let issuer = self.provider.issuer();
        let email = claims.email.filter(|_| claims.email_verified);
        let email = email.map(|address| Account::email(issuer, &address));
        Ok([Some(Account::subject(issuer, &claims.sub)), email].into_iter().flatten().collect())
    }
}

fn client(audience: &str, login: &LoginSettings) -> Result<Client, Error> {
    let LoginSettings { redirect_url, secret, secret_file, scope } = login;
    let secret = match (secret, secret_file) {
        (None, None) => None,
        (inline, file) => Some(Secret::resolve("secret", inline.as_ref(), file.as_deref())?),
    };
    Ok(Client {
        id: audience.to_owned(),
        secret,
        redirect_url: redirect_url.clone(),
        scope: scope.clone(),
    })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::{Jwk, JwkSet};
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::{Value, json};

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::auth::oidc::provider::SKEW_SECONDS;
    use crate::auth::ring::{Keyring, Ring, SEED_BYTES};

    const ISSUER: &str = "https://id.example";

    fn pair() -> (EncodingKey, Verifier) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let signer = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&signer, Algorithm::ES256).expect("a JWK");
        jwk.common.key_id = Some("one".into());
        let set = serde_json::to_string(&JwkSet { keys: vec![jwk] }).expect("JSON");
        let settings = Settings {
            issuer: ISSUER.into(),
            audience: "loa".into(),
            jwks: Some(set),
            jwks_file: None,
            ca_file: None,
            login: None,
        };
        (signer, Verifier::new(&settings, b"salt", "loa_login", Clock::System).expect("one key"))
    }

    fn pseudonyms(first: u8) -> Pseudonyms {
        Pseudonyms::new(Keyring::new(Ring::fresh()), [first; SEED_BYTES], Clock::System)
    }

    fn token(signer: &EncodingKey, change: impl FnOnce(&mut Value)) -> String {
        let now = get_current_timestamp();
        let mut claims = json!({"iss": ISSUER, "aud": "loa", "sub": "079", "exp": now + 300});
        change(&mut claims);
        let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, signer).expect("a token")
    }

    async fn taken(verifier: &Verifier, token: &str) -> bool {
        verifier.names(token, &pseudonyms(1)).await.is_ok()
    }

    #[tokio::test]
    async fn a_good_token_gives_a_pseudonym_and_never_the_id() {
        let (signer, verifier) = pair();
        let token = token(&signer, |_| {});
        let names = verifier.names(&token, &pseudonyms(1)).await.expect("a good token");
        assert_eq!(names, pseudonyms(1).of(ISSUER, "079"));
        assert!(names.len() == 1 && !names[0].as_str().contains("079"));
        assert_ne!(names, pseudonyms(2).of(ISSUER, "079"), "under another key");
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let (signer, verifier) = pair();
        let now = get_current_timestamp();
        type Change = Box<dyn Fn(&mut Value)>;
        let changes: [(&str, Change); 10] = [
            ("issuer", Box::new(|c| c["iss"] = json!("https://evil.example"))),
            ("audience", Box::new(|c| c["aud"] = json!("other"))),
            ("expired", Box::new(move |c| c["exp"] = json!(now - SKEW_SECONDS - 5))),
            ("not yet", Box::new(move |c| c["nbf"] = json!(now + SKEW_SECONDS + 30))),
            ("no sub", Box::new(|c| c["sub"] = Value::Null)),
            ("another party", Box::new(|c| c["azp"] = json!("other"))),
            ("two audiences, no party", Box::new(|c| c["aud"] = json!(["loa", "other"]))),
            ("of the future", Box::new(move |c| c["iat"] = json!(now + SKEW_SECONDS + 30))),
            ("an empty sub", Box::new(|c| c["sub"] = json!(""))),
            ("no exp", Box::new(|c| c["exp"] = Value::Null)),
        ];
        for (what, change) in changes {
            assert!(!taken(&verifier, &token(&signer, change)).await, "{what}");
        }
        let within = token(&signer, |c| c["exp"] = json!(now - SKEW_SECONDS / 2));
        assert!(taken(&verifier, &within).await, "clocks may differ by a minute");
        let (stranger, _) = pair();
        assert!(!taken(&verifier, &token(&stranger, |_| {})).await, "another key");
        let shared = EncodingKey::from_secret(b"shared");
        let hs = encode(&Header::default(), &json!({"sub": "079"}), &shared).expect("a token");
        assert!(!taken(&verifier, &hs).await, "a shared secret");
        assert!(!taken(&verifier, "a.b.c").await);
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"one"}"#);
        let good = token(&signer, |_| {});
        let body = good.split('.').nth(1).expect("a body");
        assert!(!taken(&verifier, &format!("{head}.{body}.")).await, "alg none");
    }
}
