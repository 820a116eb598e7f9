//! Devices: register, change, remove, claim for a citizen. A device's secret is shown once.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::citizen::{AsDevice, AsSubject};
use crate::auth::device::{self as secrets, Secret};
use crate::domain::channel::PushAddress;
use crate::domain::device::{Device, Interest, LocationConsent, Place, Profile, QuietHours};
use crate::domain::ids::DeviceId;
use crate::gateway::Gateway;
use crate::gateway::places::{PlaceInput, check, registry_problem, resolve};
use crate::http::idempotency;
use crate::http::input::{Json, Path, body_problem, parse_json};
use crate::http::problem::{Code, Document, Problem};
use crate::store::registry::NewDevice;
use crate::store::replies::{Begun, Lease, Reply};

/// What a device says of itself.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceInput {
    /// Where its pushes go: `{"channel":"apns","token":"…","environment":"production",
    /// "topic":"…"}`, `{"channel":"fcm","kind":"token","value":"…"}`, or for a browser
    /// `{"channel":"webpush", …}` with the fields of `PushSubscription.toJSON()`; absent: reached
    /// only while it holds a stream.
    #[serde(default = "no_address")]
    #[schema(value_type = Object, required = false)]
    address: PushAddress,
    /// Where it wants to be warned for; at most 16.
    #[serde(default)]
    places: Vec<PlaceInput>,
    /// BCP 47 tags, the preferred first; at most 8.
    #[serde(default = "vietnamese")]
    languages: Vec<String>,
    /// What the person does not want: `{"alert":"Met"}`, `"news"`, `"survey"`, `"status"`. Never
    /// stops an emergency of the highest severity.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    muted: BTreeSet<Interest>,
    /// When nothing may sound: `{"from_minute":1320,"to_minute":360}`, local time.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    quiet_hours: Option<QuietHours>,
    /// The consent to keep a coarse cell: `{"text_version":"1","given_at":"…"}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    location_consent: Option<LocationConsent>,
    /// Takes part in exercises.
    #[serde(default)]
    exercises: bool,
    /// The app's version.
    #[serde(default)]
    app_version: Option<String>,
}

/// A device as it is kept.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(super) struct DeviceView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: DeviceId,
    /// Its secret: only in the answer to the registration, never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// The road by which it is reached; the address itself is not shown.
    channel: &'static str,
    /// Where it is warned for.
    #[schema(value_type = Vec<PlaceInput>)]
    places: Vec<Place>,
    /// The preferred first.
    languages: Vec<String>,
    /// What the person does not want.
    #[schema(value_type = Vec<Object>)]
    muted: BTreeSet<Interest>,
    /// When nothing may sound.
    #[schema(value_type = Option<Object>)]
    quiet_hours: Option<QuietHours>,
    /// The consent to keep a coarse cell.
    #[schema(value_type = Option<Object>)]
    location_consent: Option<LocationConsent>,
    /// Takes part in exercises.
    exercises: bool,
    /// The app's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_version: Option<String>,
    /// Whether it belongs to a citizen who logged in.
    claimed: bool,
}

impl DeviceView {
    pub(super) fn of(device: &Device) -> Self {
        let profile = device.profile.clone();
        Self {
            id: device.id,
            secret: None,
            channel: profile.address.channel().as_str(),
            places: profile.places,
            languages: profile.languages,
            muted: profile.muted,
            quiet_hours: profile.quiet_hours,
            location_consent: profile.location_consent,
            exercises: profile.exercises,
            app_version: profile.app_version,
            claimed: device.subject.is_some(),
        }
    }
}

fn no_address() -> PushAddress {
    PushAddress::Websocket
}

fn vietnamese() -> Vec<String> {
    vec!["vi".to_owned()]
}

/// Register a device
///
/// The answer holds the device's secret, once. With an `Idempotency-Key` a repeat gives the same
/// device and secret again.
#[utoipa::path(
    post,
    path = "/v1/devices",
    tag = "devices",
    request_body = DeviceInput,
    responses(
        (status = 201, description = "Registered", body = DeviceView),
        (status = 400, description = "Not the JSON that is expected", body = Document),
        (status = 413, description = "Too large", body = Document),
        (status = 415, description = "Not JSON", body = Document),
        (status = 422, description = "A field breaks a rule", body = Document)
    )
)]
pub(super) async fn register(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Problem> {
    let Some(key) = idempotency::key_of(&request)? else {
        let Json(input) = Json::<DeviceInput>::from_request(request, &()).await?;
        let (id, secret) = secrets::random();
        return create(&gateway, id, secret, input).await;
    };
    let scope = idempotency::scope_of(&request);
    let body = Bytes::from_request(request, &()).await.map_err(body_problem)?;
    let input: DeviceInput = parse_json(&body)?;
    let (id, secret) = secrets::derived(&gateway.parts.node_key, &scope, &key);
    let digest = idempotency::digest("/v1/devices", None, &body);
    let begun = gateway.parts.replies.begin(&scope, &key, digest).await;
    match begun.map_err(idempotency::store_problem)? {
        Begun::InProgress => Err(idempotency::in_progress()),
        Begun::Mismatch => Err(idempotency::mismatch()),
        // What was kept says only that it was done; the device and its secret are derived again.
        Begun::Replay(_) => {
            let stored = gateway.parts.registry.get(&id).await.map_err(registry_problem)?;
            let gone = || Problem::new(Code::NotFound, "the device was removed since");
            Ok(created(&stored.ok_or_else(gone)?.device, &secret))
        }
        Begun::New(lease) => {
            let outcome = create(&gateway, id, secret, input).await;
            remember(&gateway, lease, outcome.is_ok()).await;
            outcome
        }
    }
}

async fn remember(gateway: &Gateway, lease: Lease, done: bool) {
    let replies = &gateway.parts.replies;
    let kept = if done {
        let status = StatusCode::CREATED.as_u16();
        replies.finish(lease, Reply { status, headers: Vec::new(), body: Bytes::new() }).await
    } else {
        replies.abandon(lease).await
    };
    if let Err(error) = kept {
        tracing::warn!(error = %error, "an idempotent registration was not kept");
    }
}

async fn create(
    gateway: &Gateway,
    id: DeviceId,
    secret: Secret,
    input: DeviceInput,
) -> Result<Response, Problem> {
    let profile = profile(gateway, input)?;
    let new = NewDevice { id, secret_hash: secret.hash(), profile, subject: None };
    let device = gateway.parts.registry.register(new).await.map_err(registry_problem)?;
    Ok(created(&device, &secret))
}

fn created(device: &Device, secret: &Secret) -> Response {
    let view = DeviceView { secret: Some(secret.reveal()), ..DeviceView::of(device) };
    let location = HeaderValue::try_from(format!("/v1/devices/{}", device.id))
        .expect("a UUID is visible ASCII");
    let headers = [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::CREATED, headers, axum::Json(view)).into_response()
}

fn profile(gateway: &Gateway, input: DeviceInput) -> Result<Profile, Problem> {
    let places = resolve(&gateway.parts.city, &input.places)
        .map_err(|errors| Problem::fields(Code::Invalid, errors))?;
    let profile = Profile {
        address: input.address,
        places,
        languages: input.languages,
        muted: input.muted,
        quiet_hours: input.quiet_hours,
        location_consent: input.location_consent,
        exercises: input.exercises,
        app_version: input.app_version,
    };
    check(&profile)?;
    if let PushAddress::Apns { topic, environment, .. } = &profile.address
        && let Some(apps) = &gateway.parts.apns_apps
        && !apps.iter().any(|(app, place)| app == topic && place == environment)
    {
        let served: Vec<_> = apps.iter().map(|(app, place)| format!("{app} ({place})")).collect();
        let message = format!("must be an app that is served: {}", served.join(", "));
        return Err(Problem::field("address.topic", "known_app", message));
    }
    gateway.check_address(&profile.address)?;
    Ok(profile)
}

/// The device of the path, if it is the one that asks.
fn own(device: &Arc<Device>, id: &str) -> Result<DeviceId, Problem> {
    match id.parse::<DeviceId>() {
        Ok(id) if id == device.id => Ok(id),
        Ok(_) => Err(Problem::new(Code::Forbidden, "a device may ask only for itself")),
        Err(error) => Err(Problem::fields(
            Code::BadParameter,
            vec![crate::http::FieldError::new("id", "uuid", error)],
        )),
    }
}

/// Read a device
#[utoipa::path(
    get,
    path = "/v1/devices/{id}",
    tag = "devices",
    params(("id" = String, Path, format = "uuid", description = "The device's id")),
    responses(
        (status = 200, description = "The device", body = DeviceView),
        (status = 401, description = "Wrong credentials", body = Document),
        (status = 403, description = "Another device", body = Document)
    ),
    security(("device" = []))
)]
pub(super) async fn read(
    AsDevice(device): AsDevice,
    Path(id): Path<String>,
) -> Result<axum::Json<DeviceView>, Problem> {
    own(&device, &id)?;
    Ok(axum::Json(DeviceView::of(&device)))
}

/// Replace what a device says of itself
///
/// Alerts that are live in new places come at once: on its open stream, or as a push.
#[utoipa::path(
    put,
    path = "/v1/devices/{id}",
    tag = "devices",
    params(("id" = String, Path, format = "uuid", description = "The device's id")),
    request_body = DeviceInput,
    responses(
        (status = 200, description = "The device as it is now", body = DeviceView),
        (status = 400, description = "Not the JSON that is expected", body = Document),
        (status = 401, description = "Wrong credentials", body = Document),
        (status = 403, description = "Another device", body = Document),
        (status = 422, description = "A field breaks a rule", body = Document)
    ),
    security(("device" = []))
)]
pub(super) async fn replace(
    State(gateway): State<Gateway>,
    AsDevice(device): AsDevice,
    Path(id): Path<String>,
    Json(input): Json<DeviceInput>,
) -> Result<axum::Json<DeviceView>, Problem> {
    let id = own(&device, &id)?;
    let profile = profile(&gateway, input)?;
    let changed = gateway.parts.registry.update(&id, profile).await.map_err(registry_problem)?;
    gateway.device_changed(&changed).await?;
    Ok(axum::Json(DeviceView::of(&changed)))
}

/// Remove a device and all it said of itself
#[utoipa::path(
    delete,
    path = "/v1/devices/{id}",
    tag = "devices",
    params(("id" = String, Path, format = "uuid", description = "The device's id")),
    responses(
        (status = 204, description = "Removed; its streams are closed"),
        (status = 401, description = "Wrong credentials", body = Document),
        (status = 403, description = "Another device", body = Document)
    ),
    security(("device" = []))
)]
pub(super) async fn remove(
    State(gateway): State<Gateway>,
    AsDevice(device): AsDevice,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    own(&device, &id)?;
    gateway.erase(&device).await
}

impl Gateway {
    /// Removes a device, and closes its streams.
    pub(super) async fn erase(&self, device: &Device) -> Result<StatusCode, Problem> {
        let answers = self.parts.answers.erase(Some(device.num), None).await;
        answers.map_err(|error| Problem::internal(&error))?;
        self.parts.registry.remove(&device.id).await.map_err(registry_problem)?;
        self.parts.registry.scrub().await.map_err(registry_problem)?;
        self.hub.device_removed(device.num);
        Ok(StatusCode::NO_CONTENT)
    }
}

/// The device a citizen claims.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// The device's secret: whoever claims it must hold it.
    secret: String,
}

/// Claim a device for the citizen who logged in
#[utoipa::path(
    post,
    path = "/v1/devices/{id}/claim",
    tag = "devices",
    params(("id" = String, Path, format = "uuid", description = "The device's id")),
    request_body = Claim,
    responses(
        (status = 200, description = "It gets the citizen's status changes now", body = DeviceView),
        (status = 401, description = "Wrong token or secret", body = Document),
        (status = 409, description = "Another citizen's, or this one has too many", body = Document)
    ),
    security(("citizen" = []))
)]
pub(super) async fn claim(
    State(gateway): State<Gateway>,
    AsSubject(subject): AsSubject,
    Path(id): Path<String>,
    Json(claim): Json<Claim>,
) -> Result<axum::Json<DeviceView>, Problem> {
    let refused = || crate::auth::unauthorized("the secret of this device");
    let (id, secret) = (id.parse().ok(), Secret::parse(&claim.secret));
    let (Some(id), Some(secret)) = (id, secret) else { return Err(refused()) };
    let device = gateway.parts.doorkeeper.device(&id, &secret).await?;
    let names = gateway.names().all(&subject).await;
    let names = names.map_err(|error| Problem::internal(&error))?;
    if device.subject.as_ref().is_some_and(|owner| !names.contains(owner)) {
        let detail = "the device is another citizen's: it must be released first";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let claimed = gateway.parts.registry.claim(&id, Some(subject)).await;
    let claimed = claimed.map_err(registry_problem)?;
    gateway.device_changed(&claimed).await?;
    Ok(axum::Json(DeviceView::of(&claimed)))
}

/// Release a device from its citizen
#[utoipa::path(
    post,
    path = "/v1/devices/{id}/release",
    tag = "devices",
    params(("id" = String, Path, format = "uuid", description = "The device's id")),
    responses(
        (status = 200, description = "It is anonymous again", body = DeviceView),
        (status = 401, description = "Wrong credentials", body = Document),
        (status = 403, description = "Another device", body = Document)
    ),
    security(("device" = []))
)]
pub(super) async fn release(
    State(gateway): State<Gateway>,
    AsDevice(device): AsDevice,
    Path(id): Path<String>,
) -> Result<axum::Json<DeviceView>, Problem> {
    let id = own(&device, &id)?;
    let released = gateway.parts.registry.claim(&id, None).await.map_err(registry_problem)?;
    gateway.device_changed(&released).await?;
    Ok(axum::Json(DeviceView::of(&released)))
}
