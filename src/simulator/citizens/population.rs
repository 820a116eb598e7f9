//! A population: how many devices, where, with which channel. The same seed gives the same people.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use url::Url;
use uuid::Uuid;

use crate::auth::device::Secret;
use crate::domain::cell::Cell;
use crate::domain::channel::{ApnsEnvironment, Channel, FcmAddressKind, PushAddress};
use crate::domain::device::{LocationConsent, Place, Profile};
use crate::domain::ids::{DeviceId, UnitCode};
use crate::geofence::{City, UnitKind};
use crate::simulator::webpush::subscription;
use crate::store::registry::NewDevice;

/// Shares of a thousand devices.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// On APNs.
    pub apns: u32,
    /// On FCM; the rest are browsers and hold a websocket, or get Web Push.
    pub fcm: u32,
    /// With a second place.
    pub second_place: u32,
    /// With a coarse cell instead of a whole unit.
    pub cell: u32,
    /// Who prefer English.
    pub english: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { apns: 400, fcm: 500, second_place: 120, cell: 150, english: 60 }
    }
}

/// One device of the population, small enough for millions.
#[derive(Clone, Debug)]
pub struct Citizen {
    /// Its number in the population; everything else follows from it.
    pub index: u32,
    /// Its channel.
    pub channel: Channel,
}

/// Everyone. Ids, secrets and addresses follow from seed and number, so none is kept.
#[derive(Clone, Debug)]
pub struct Population {
    seed: u64,
    size: u32,
    mix: Mix,
    /// Of a thousand devices, how many are browsers with Web Push, and by which service.
    webpush: Option<(u32, Url)>,
    /// Units with the running sum of their weights.
    units: Vec<(UnitCode, f64, Vec<Cell>)>,
}

impl Population {
    /// A population over a city. A phường is weighted three times a xã: no register of residents
    /// is built in, and people live where the city is dense.
    pub fn new(city: &City, size: u32, (seed, mix): (u64, Mix)) -> Self {
        let mut sum = 0.0;
        let units = city.units().iter().map(|unit| {
            sum += match unit.kind {
                UnitKind::Phuong => 3.0,
                UnitKind::Xa => 1.0,
                UnitKind::DacKhu => 0.3,
            };
            (unit.code.clone(), sum, city.cells_of(&unit.code).to_vec())
        });
        Self { seed, size, mix, webpush: None, units: units.collect() }
    }

    /// The same, but of a thousand devices `share` more are browsers that a push service reaches.
    pub fn with_webpush(self, share: u32, service: &Url) -> Self {
        Self { webpush: Some((share, service.clone())), ..self }
    }

    /// How many.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Every device.
    pub fn citizens(&self) -> impl Iterator<Item = Citizen> + '_ {
        (0..self.size).map(|index| self.citizen(index))
    }

    /// One device.
    pub fn citizen(&self, index: u32) -> Citizen {
        let channel = match self.random(index, 0).random_range(0..1000) {
            roll if roll < self.mix.apns => Channel::Apns,
            roll if roll < self.mix.apns + self.mix.fcm => Channel::Fcm,
            roll if roll < self.mix.apns + self.mix.fcm + self.webpush_share() => Channel::Webpush,
            _ => Channel::Websocket,
        };
        Citizen { index, channel }
    }

    fn webpush_share(&self) -> u32 {
        self.webpush.as_ref().map_or(0, |(share, _)| *share)
    }

    /// The device of a push address, if it is one of this population's.
    pub fn by_token(&self, token: &str) -> Option<u32> {
        let digits = token.get(token.len().checked_sub(8)?..)?;
        let index = u32::from_str_radix(digits, 16).ok()?;
        (index < self.size && self.token(index, self.citizen(index).channel) == token)
            .then_some(index)
    }

    /// A device's id.
    pub fn id(&self, index: u32) -> DeviceId {
        let seed = (u128::from(self.seed) << 64) | u128::from(index);
        DeviceId(Uuid::new_v5(&Uuid::NAMESPACE_OID, &seed.to_be_bytes()))
    }

    /// A device's secret.
    pub fn secret(&self, index: u32) -> Secret {
        let mut bytes = [0; 32];
        self.random(index, 1).fill(&mut bytes);
        Secret::of_bytes(bytes)
    }

    /// As the registry takes it.
    pub fn device(&self, index: u32) -> NewDevice {
        NewDevice {
            id: self.id(index),
            secret_hash: self.secret(index).hash(),
            profile: self.profile(index),
            subject: None,
        }
    }

    fn profile(&self, index: u32) -> Profile {
        let mut random = self.random(index, 2);
        let citizen = self.citizen(index);
        let mut places = vec![self.place(&mut random)];
        if random.random_range(0..1000) < self.mix.second_place {
            let second = self.place(&mut random);
            if !places.contains(&second) {
                places.push(second);
            }
        }
        let consents = places.iter().any(|place| place.cell.is_some());
        let english = random.random_range(0..1000) < self.mix.english;
        Profile {
            address: self.address(index, citizen.channel),
            places,
            languages: vec![if english { "en" } else { "vi" }.to_owned()],
            muted: Default::default(),
            quiet_hours: None,
            location_consent: consents.then(|| LocationConsent {
                text_version: "simulated-1".to_owned(),
                given_at: jiff::Timestamp::UNIX_EPOCH,
            }),
            exercises: false,
            app_version: Some("simulated/1".to_owned()),
        }
    }

    fn place(&self, random: &mut StdRng) -> Place {
        let total = self.units.last().map_or(1.0, |(_, sum, _)| *sum);
        let roll = random.random_range(0.0..total);
        let index = self.units.partition_point(|(_, sum, _)| *sum <= roll);
        let (unit, _, cells) = &self.units[index.min(self.units.len() - 1)];
        let by_cell = random.random_range(0..1000) < self.mix.cell && !cells.is_empty();
        let cell = by_cell.then(|| cells[random.random_range(0..cells.len())]);
        Place { unit: unit.clone(), cell }
    }

    fn address(&self, index: u32, channel: Channel) -> PushAddress {
        let token = self.token(index, channel);
        match channel {
            Channel::Websocket => PushAddress::Websocket,
            Channel::Apns => PushAddress::Apns {
                token,
                environment: ApnsEnvironment::Production,
                topic: "vn.loa.app".to_owned(),
            },
            Channel::Fcm if index.is_multiple_of(4) => {
                PushAddress::Fcm { kind: FcmAddressKind::Fid, value: token }
            }
            Channel::Fcm => PushAddress::Fcm { kind: FcmAddressKind::Token, value: token },
            Channel::Webpush => match &self.webpush {
                Some((_, service)) => PushAddress::Webpush(subscription(service, &token)),
                None => PushAddress::Websocket,
            },
        }
    }

    /// APNs tokens are hexadecimal; the number stands at the end of each kind.
    fn token(&self, index: u32, channel: Channel) -> String {
        match channel {
            Channel::Apns => format!("{:048x}{:08}{index:08x}", self.seed, 0),
            _ => format!("simulated-{:x}-{index:08x}", self.seed),
        }
    }

    fn random(&self, index: u32, purpose: u64) -> StdRng {
        let mixed =
            self.seed ^ (u64::from(index) << 8 | purpose).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        StdRng::seed_from_u64(mixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_people_and_tokens_lead_back() {
        let city = City::builtin("hcmc").expect("built in");
        let service = Url::parse("https://push.example").expect("a URL");
        let everyone =
            || Population::new(&city, 500, (7, Mix::default())).with_webpush(50, &service);
        let (one, other) = (everyone(), everyone());
        for citizen in one.citizens() {
            let device = one.device(citizen.index);
            assert_eq!(device.profile, other.device(citizen.index).profile);
            assert_eq!(device.id, other.id(citizen.index));
            let found = match &device.profile.address {
                PushAddress::Apns { token, .. } => one.by_token(token),
                PushAddress::Fcm { value, .. } => one.by_token(value),
                PushAddress::Webpush(to) => {
                    one.by_token(to.endpoint.rsplit('/').next().expect("a name"))
                }
                PushAddress::Websocket => continue,
            };
            assert_eq!(found, Some(citizen.index));
        }
        for channel in [Channel::Websocket, Channel::Webpush] {
            let count = one.citizens().filter(|one| one.channel == channel).count();
            assert!((10..=45).contains(&count), "{channel}: {count}");
        }
        assert_eq!(one.by_token("somebody"), None);
    }
}
