//! Starts the simulated APNs, FCM and Web Push service on loopback ports, with keys of their own,
//! and hands out the settings that lead a sender to them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::DecodingKey;
use rustls::ServerConfig;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::apns::Apns;
use super::credentials::{self, Credentials};
use super::faults::{Faults, Limits};
use super::fcm::{Fcm, Issued, TOKEN_PATH};
use super::federation::Federation;
use super::metadata;
use super::record::{Delivered, Record};
use super::serve::{Provider, Server, listen};
use super::webpush::{Browsers, Webpush};
use crate::channel::webpush::vapid::Key;
use crate::channel::{self, apns, fcm, http2, throttle, webpush};
use crate::clock::Clock;
use crate::config::secret::Secret;

const KEY_ID: &str = "SIMULATED1";
const TEAM_ID: &str = "LOASIMTEAM";
/// Whom the simulated push service could write to.
const CONTACT: &str = "mailto:simulator@loa.example";
const CLIENT_EMAIL: &str = "simulator@loa-simulated.iam.gserviceaccount.com";

/// How the simulated providers behave from the start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Judges the age of tokens, and dates deliveries.
    pub clock: Clock,
    /// Port of the simulated APNs on 127.0.0.1; 0: any.
    pub apns_port: u16,
    /// Port of the simulated FCM on 127.0.0.1; 0: any.
    pub fcm_port: u16,
    /// Port of the simulated Web Push service on 127.0.0.1; 0: any.
    pub webpush_port: u16,
    /// MAX_CONCURRENT_STREAMS of new connections.
    pub max_concurrent_streams: u32,
    /// The simulated Firebase project.
    pub project: String,
    /// The app's bundle id.
    pub topic: String,
    /// Bundle ids of further apps.
    pub other_topics: Vec<String>,
    /// How long an access token for FCM is good.
    pub token_lifetime: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::System,
            apns_port: 0,
            fcm_port: 0,
            webpush_port: 0,
            max_concurrent_streams: 1000,
            project: "loa-simulated".to_owned(),
            topic: "vn.loa.app".to_owned(),
            other_topics: Vec::new(),
            token_lifetime: Duration::from_secs(3599),
        }
    }
}

impl Options {
    /// Every app's bundle id.
    fn topics(&self) -> Vec<String> {
        [&self.topic].into_iter().chain(&self.other_topics).cloned().collect()
    }
}

/// Why the simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket.
    #[error("the simulator cannot listen on 127.0.0.1: {0}")]
    Listen(#[from] std::io::Error),
    /// No keys.
    #[error("the simulator cannot make its keys: {0}")]
    Keys(String),
}

/// The key a sender signs with for the simulated APNs.
#[derive(Clone, Debug)]
pub struct ApnsKey {
    /// PKCS #8 PEM, as Apple's .p8 files.
    pub pem: Secret,
    /// `kid`.
    pub key_id: String,
    /// `iss`.
    pub team_id: String,
}

/// All simulated providers, running. Dropped, they stop.
#[derive(Debug)]
pub struct Providers {
    /// The simulated APNs (both environments).
    pub apns_url: Url,
    /// The simulated FCM, with its token endpoint.
    pub fcm_url: Url,
    /// The simulated Web Push service.
    pub webpush_url: Url,
    /// The root to trust, PEM.
    pub ca_pem: String,
    /// For the APNs settings.
    pub apns_key: ApnsKey,
    /// For the FCM settings; its `token_uri` leads to the simulator.
    pub fcm_service_account_json: Secret,
    /// Our VAPID key, for the Web Push settings.
    pub webpush_key: Secret,
    /// The browsers behind the Web Push service.
    pub browsers: Browsers,
    /// The app's bundle id.
    pub topic: String,
    /// A push certificate with its key, PEM, for each app.
    pub apns_certificates: Vec<Secret>,
    /// The metadata server, which gives access tokens for the simulated FCM to whoever asks well.
    pub metadata_url: Url,
    /// Another platform, whose identities the simulated Google trusts.
    pub federation: Federation,
    /// Faults on demand.
    pub faults: Faults,
    /// What was delivered.
    pub record: Record,
    issuer: credentials::Issuer,
    tls: Arc<ArcSwap<ServerConfig>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Providers {
    /// Starts all; they listen when this returns.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let topics = options.topics();
        let credentials = tokio::task::spawn_blocking(move || credentials::make(&topics))
            .await
            .map_err(|error| Error::Keys(error.to_string()))?
            .map_err(|error| Error::Keys(error.to_string()))?;
        let apns_socket = TcpListener::bind((Ipv4Addr::LOCALHOST, options.apns_port)).await?;
        let fcm_socket = TcpListener::bind((Ipv4Addr::LOCALHOST, options.fcm_port)).await?;
        let metadata_socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let webpush_socket = TcpListener::bind((Ipv4Addr::LOCALHOST, options.webpush_port)).await?;
        let url = |scheme: &str, socket: &TcpListener| -> Result<Url, Error> {
            let port = socket.local_addr()?.port();
            Ok(Url::parse(&format!("{scheme}://127.0.0.1:{port}")).expect("an address and a port"))
        };
        let (apns_url, fcm_url) = (url("https", &apns_socket)?, url("https", &fcm_socket)?);
        let metadata_url = url("http", &metadata_socket)?;
        let webpush_url = url("https", &webpush_socket)?;
        let (webpush_key, webpush) = simulated_webpush(&options, &webpush_url)?;
        let token_uri = fcm_url.join(TOKEN_PATH).expect("a path").to_string();
        let apns = simulated_apns(&options, &credentials)?;
        let fcm = simulated_fcm(&options, &credentials, (&metadata_url, &token_uri))?;
        let faults = Faults::new(Limits {
            max_concurrent_streams: options.max_concurrent_streams,
            goaway_every: None,
            quota_per_second: None,
        });
        let account = json!({
            "type": "service_account",
            "project_id": options.project,
            "private_key_id": KEY_ID,
            "private_key": credentials.google.serialize_pem(),
            "client_email": CLIENT_EMAIL,
            "token_uri": token_uri,
        });
        let pem = Secret::new(credentials.apns.serialize_pem());
        let providers = Self {
            apns_url,
            fcm_url,
            webpush_url,
            webpush_key,
            browsers: webpush.browsers.clone(),
            ca_pem: credentials.ca_pem.clone(),
            apns_key: ApnsKey { pem, key_id: KEY_ID.to_owned(), team_id: TEAM_ID.to_owned() },
            fcm_service_account_json: Secret::new(account.to_string()),
            topic: options.topic,
            apns_certificates: credentials.certificates.iter().map(Secret::new).collect(),
            metadata_url,
            federation: fcm.federation.clone(),
            faults,
            record: Record::default(),
            issuer: credentials.issuer,
            tls: Arc::new(ArcSwap::from_pointee(credentials.tls)),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let stop = providers.stop.clone();
        let tokens = (Arc::clone(&fcm.issued), fcm.federation.clone());
        let faults = providers.faults.clone();
        providers.tasks.spawn(metadata::listen(metadata_socket, tokens, faults, stop));
        providers.serve(apns_socket, Provider::Apns(apns));
        providers.serve(fcm_socket, Provider::Fcm(fcm));
        providers.serve(webpush_socket, Provider::Webpush(webpush));
        Ok(providers)
    }

    /// Settings that make an APNs sender talk to this simulator.
    pub fn apns_settings(&self) -> apns::Settings {
        apns::Settings {
            production: self.apns_url.clone(),
            sandbox: self.apns_url.clone(),
            credentials: apns::Credentials {
                team_id: self.apns_key.team_id.clone(),
                key_id: self.apns_key.key_id.clone(),
                key: Some(self.apns_key.pem.clone()),
                ..apns::Credentials::default()
            },
            apps: vec![apns::App {
                bundle_id: self.topic.clone(),
                critical_entitlement: true,
                ..apns::App::default()
            }],
            http2: self.http2_settings(),
            throttle: unlimited(),
        }
    }

    /// Settings that make an FCM sender talk to this simulator.
    pub fn fcm_settings(&self) -> fcm::Settings {
        fcm::Settings {
            endpoint: self.fcm_url.clone(),
            service_account: Some(self.fcm_service_account_json.clone()),
            http2: self.http2_settings(),
            throttle: unlimited(),
            ..fcm::Settings::default()
        }
    }

    /// Settings that make a Web Push sender talk to this simulator.
    pub fn webpush_settings(&self) -> webpush::Settings {
        let host = self.webpush_url.host_str().expect("an address");
        let port = self.webpush_url.port_or_known_default().expect("a port");
        webpush::Settings {
            contact: CONTACT.to_owned(),
            key: Some(self.webpush_key.clone()),
            private: vec![format!("{host}:{port}")],
            http2: self.http2_settings(),
            throttle: unlimited(),
            ..webpush::Settings::default()
        }
    }

    /// Settings for all channels.
    pub fn channel_settings(&self) -> channel::Settings {
        channel::Settings {
            apns: Some(self.apns_settings()),
            fcm: Some(self.fcm_settings()),
            webpush: Some(self.webpush_settings()),
        }
    }

    /// Everything delivered from now on. When the receiver lags by `capacity`, the providers wait
    /// for it: nothing is skipped.
    pub fn deliveries(&self, capacity: usize) -> mpsc::Receiver<Delivered> {
        self.record.subscribe(capacity)
    }

    /// Gives all servers a new certificate, of the same authority or of one that nobody trusts. It
    /// holds for new connections.
    pub fn change_certificate(&self, trusted: bool) -> Result<(), Error> {
        let make = || {
            if trusted {
                return credentials::tls(&self.issuer);
            }
            credentials::tls(&credentials::issuer()?)
        };
        let tls = make().map_err(|error| Error::Keys(error.to_string()))?;
        self.tls.store(Arc::new(tls));
        Ok(())
    }

    /// Stops all and waits for their tasks; open connections end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn http2_settings(&self) -> http2::Settings {
        http2::Settings { ca_pem: Some(self.ca_pem.clone()), ..http2::Settings::default() }
    }

    fn serve(&self, socket: TcpListener, provider: Provider) {
        let server = Arc::new(Server {
            provider,
            faults: self.faults.clone(),
            record: self.record.clone(),
            tls: self.tls.clone(),
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
        });
        self.tasks.spawn(listen(socket, server));
    }
}

impl Drop for Providers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The simulated Google has no quota but the one that is set as a fault.
fn unlimited() -> throttle::Settings {
    throttle::Settings { per_minute: Some(0), ..throttle::Settings::default() }
}

fn simulated_apns(options: &Options, credentials: &Credentials) -> Result<Apns, Error> {
    let public = credentials.apns.public_key_pem();
    Ok(Apns {
        clock: options.clock.clone(),
        key: DecodingKey::from_ec_pem(public.as_bytes())
            .map_err(|error| Error::Keys(error.to_string()))?,
        key_id: KEY_ID.to_owned(),
        team_id: TEAM_ID.to_owned(),
        topics: options.topics(),
        remembered: Mutex::new(HashMap::new()),
    })
}

fn simulated_fcm(
    options: &Options,
    credentials: &Credentials,
    (here, token_uri): (&Url, &str),
) -> Result<Fcm, Error> {
    let issued = Arc::new(Issued {
        clock: options.clock.clone(),
        lifetime: options.token_lifetime,
        tokens: Mutex::new(HashMap::new()),
    });
    let public = credentials.google.public_key_pem();
    Ok(Fcm {
        clock: options.clock.clone(),
        key: DecodingKey::from_rsa_pem(public.as_bytes())
            .map_err(|error| Error::Keys(error.to_string()))?,
        client_email: CLIENT_EMAIL.to_owned(),
        token_uri: token_uri.to_owned(),
        project: options.project.clone(),
        federation: Federation::new(Arc::clone(&issued), here).map_err(Error::Keys)?,
        issued,
    })
}

fn simulated_webpush(options: &Options, url: &Url) -> Result<(Secret, Webpush), Error> {
    let text = Key::generate().map_err(|error| Error::Keys(error.to_string()))?;
    let key = Key::parse(&text).map_err(|error| Error::Keys(error.to_string()))?;
    let webpush = Webpush {
        clock: options.clock.clone(),
        browsers: Browsers::new(url.clone()),
        application_server_key: key.public().to_owned(),
        verified: Mutex::new(HashMap::new()),
    };
    Ok((Secret::new(text), webpush))
}
