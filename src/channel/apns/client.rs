//! Skeleton of the client; the body follows.
use super::{Payload, Settings};
use crate::channel::{Delivery, Error, Health, payload};
use crate::clock::Clock;
use crate::domain::outcome::Outcome;
use crate::domain::push::PushContent;
use tokio_util::sync::CancellationToken;
/// Where one push goes.
#[derive(Clone, Copy)]
pub struct Address<'a> {
    /// The address.
    pub token: &'a str,
    /// Which environment issued it.
    pub environment: crate::domain::channel::ApnsEnvironment,
    /// The app's bundle id.
    pub topic: &'a str,
}
/// The client.
#[derive(Clone, Debug)]
pub struct Client {}
impl Client {
    pub(crate) fn open(_: &Settings, _: Clock, _: CancellationToken) -> Result<Self, Error> {
        Ok(Self {})
    }
    pub(crate) fn prepare(&self, _: &PushContent) -> Result<Payload, payload::Error> {
        Ok(Payload {})
    }
    pub(crate) async fn send(&self, _: &Payload, _: Address<'_>, _: &Delivery) -> Outcome {
        Outcome::Accepted
    }
    pub(crate) fn capacity(&self) -> usize {
        1
    }
    pub(crate) async fn ready(&self) -> bool {
        true
    }
    pub(crate) fn health(&self) -> Health {
        Health::default()
    }
    pub(crate) async fn drain(&self) {}
}
