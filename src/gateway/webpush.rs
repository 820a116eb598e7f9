//! Web Push from the citizens' side: the key that browsers subscribe with, and which of their
//! subscriptions are taken.

use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, UnparsedPublicKey};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::channel::PushAddress;
use crate::domain::webpush::Subscription;
use crate::gateway::Gateway;
use crate::http::problem::{Code, Document, FieldError, Problem};

/// The key changes only when an operator changes it.
const CACHE_SECONDS: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// What a browser subscribes with.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Vapid {
    /// `applicationServerKey` of `pushManager.subscribe()`: base64url.
    application_server_key: String,
}

/// The key that browsers subscribe with
#[utoipa::path(
    get,
    path = "/v1/push/vapid",
    tag = "devices",
    responses(
        (status = 200, description = "Our public key", body = Vapid),
        (status = 404, description = "No Web Push on this node", body = Document)
    )
)]
pub(super) async fn vapid(State(gateway): State<Gateway>) -> Result<impl IntoResponse, Problem> {
    let missing = || Problem::new(Code::NotFound, "this node is not set up for Web Push");
    let offer = gateway.parts.webpush.as_ref().ok_or_else(missing)?;
    let application_server_key = offer.application_server_key.clone();
    Ok(([(CACHE_CONTROL, CACHE_SECONDS)], axum::Json(Vapid { application_server_key })))
}

impl Gateway {
    /// Refuses a subscription that could never be sent to: what it names is connected to later.
    pub(super) fn check_address(&self, address: &PushAddress) -> Result<(), Problem> {
        let PushAddress::Webpush(subscription) = address else { return Ok(()) };
        self.check_subscription(subscription)
            .map_err(|error| Problem::fields(Code::Invalid, vec![error]))
    }

    fn check_subscription(&self, subscription: &Subscription) -> Result<(), FieldError> {
        let Some(offer) = &self.parts.webpush else {
            let message = "this node is not set up for Web Push";
            return Err(FieldError::new("address.channel", "offered", message));
        };
        if subscription.url().and_then(|url| offer.services.admit(&url)).is_none() {
            let message = "is not an endpoint of a push service known here";
            return Err(FieldError::new("address.endpoint", "known_push_service", message));
        }
        let point = subscription.p256dh().map(|point| UnparsedPublicKey::new(&ECDH_P256, point));
        match point.map(ParsedPublicKey::try_from) {
            Some(Ok(_)) => Ok(()),
            _ => {
                let message = "is no point on the curve P-256";
                Err(FieldError::new("address.keys.p256dh", "on_curve", message))
            }
        }
    }
}
