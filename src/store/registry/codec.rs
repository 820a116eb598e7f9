//! A profile as bytes, as both implementations store it: an iPhone's takes 66 where JSON takes
//! 230, and most of an Android's is its token, of a browser's its endpoint. At ten million devices
//! that is a gigabyte the page cache need not hold.
//!
//! First byte: the version of this form. Texts and lists carry their length before them as a
//! little-endian base 128 number. Only profiles that keep the rules (`domain::device::validate`)
//! are ever written, so an APNs token is hexadecimal and is kept as its bytes.
//!
//! Version 2 keeps a push address sealed ([`crate::store::vault`]), bound to the device's id; the
//! rest is as in version 1, which is what earlier releases wrote.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::cell::Cell;
use crate::domain::channel::{ApnsEnvironment, Channel, FcmAddressKind, PushAddress};
use crate::domain::device::{Interest, LocationConsent, Place, Profile, QuietHours};
use crate::domain::ids::DeviceId;
use crate::domain::webpush::{AUTH_BYTES, POINT_BYTES, Subscription};
use crate::store::vault::{Purpose, Vault};

const PLAIN: u8 = 1;
const SEALING: u8 = 2;

const WEBSOCKET: u8 = 0;
const APNS_PRODUCTION: u8 = 1;
const APNS_SANDBOX: u8 = 2;
const FCM_TOKEN: u8 = 3;
const FCM_FID: u8 = 4;
const WEBPUSH: u8 = 5;
const SEALED: u8 = 6;

const EXERCISES: u8 = 1;
const QUIET_HOURS: u8 = 2;
const CONSENT: u8 = 4;
const APP_VERSION: u8 = 8;

/// Bytes that are no profile of a known version.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a stored profile is damaged, of a newer version, or sealed with a key that is not here")]
pub struct Damaged;

/// Whose profile it is, and what its address is sealed with.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The device.
    pub id: DeviceId,
    /// The keys; none keeps addresses as they are.
    pub vault: Option<&'a Vault>,
}

/// A profile that keeps the rules, as bytes.
pub fn encode(profile: &Profile, owner: Owner<'_>) -> Vec<u8> {
    let vault = owner.vault.filter(|vault| vault.seals());
    let mut out = vec![if vault.is_some() { SEALING } else { PLAIN }];
    match (vault, &profile.address) {
        (None, address) | (_, address @ PushAddress::Websocket) => put_address(&mut out, address),
        (Some(vault), address) => {
            let mut plain = Vec::new();
            put_address(&mut plain, address);
            let sealed = vault.seal((Purpose::Address, owner.id.0.as_bytes()), &plain);
            out.push(SEALED);
            put_number(&mut out, sealed.len() as u64);
            out.extend(sealed);
        }
    }
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(profile.exercises, EXERCISES)
            | flag(profile.quiet_hours.is_some(), QUIET_HOURS)
            | flag(profile.location_consent.is_some(), CONSENT)
            | flag(profile.app_version.is_some(), APP_VERSION),
    );
    put_number(&mut out, profile.places.len() as u64);
    for place in &profile.places {
        put_text(&mut out, place.unit.as_str());
        // Zero is "no cell", so that a cell's bits are moved up by one.
        put_number(&mut out, place.cell.map_or(0, |cell| u64::from(cell.bits()) + 1));
    }
    put_number(&mut out, profile.languages.len() as u64);
    profile.languages.iter().for_each(|tag| put_text(&mut out, tag));
    put_number(&mut out, profile.muted.len() as u64);
    profile.muted.iter().for_each(|interest| put_interest(&mut out, *interest));
    if let Some(hours) = profile.quiet_hours {
        put_number(&mut out, u64::from(hours.from_minute));
        put_number(&mut out, u64::from(hours.to_minute));
    }
    if let Some(consent) = &profile.location_consent {
        put_text(&mut out, &consent.text_version);
        out.extend(consent.given_at.as_nanosecond().to_le_bytes());
    }
    if let Some(version) = &profile.app_version {
        put_text(&mut out, version);
    }
    out
}

fn put_address(out: &mut Vec<u8>, address: &PushAddress) {
    match address {
        PushAddress::Websocket => out.push(WEBSOCKET),
        PushAddress::Apns { token, environment, topic } => {
            out.push(match environment {
                ApnsEnvironment::Production => APNS_PRODUCTION,
                ApnsEnvironment::Sandbox => APNS_SANDBOX,
            });
            put_number(out, token.len() as u64 / 2);
            out.extend(
                token.as_bytes().chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])),
            );
            put_text(out, topic);
        }
        PushAddress::Fcm { kind, value } => {
            out.push(match kind {
                FcmAddressKind::Token => FCM_TOKEN,
                FcmAddressKind::Fid => FCM_FID,
            });
            put_text(out, value);
        }
        PushAddress::Webpush(subscription) => {
            out.push(WEBPUSH);
            put_text(out, &subscription.endpoint);
            // A profile that keeps the rules has both.
            out.extend(subscription.p256dh().unwrap_or([0; POINT_BYTES]));
            out.extend(subscription.auth().unwrap_or_default());
        }
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit & 15,
    }
}

/// Categories are spelled out: muting is rare, and a name outlives any order of ours.
fn put_interest(out: &mut Vec<u8>, interest: Interest) {
    match interest {
        Interest::News => put_text(out, "news"),
        Interest::Survey => put_text(out, "survey"),
        Interest::Status => put_text(out, "status"),
        Interest::Alert(category) => put_text(out, category.as_str()),
    }
}

/// A number in as few bytes as it takes.
pub fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A text after its length.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend(text.as_bytes());
}

/// A channel as it is stored.
pub fn channel_code(channel: Channel) -> u8 {
    match channel {
        Channel::Websocket => 0,
        Channel::Apns => 1,
        Channel::Fcm => 2,
        Channel::Webpush => 3,
    }
}

/// The channel of a stored code.
pub fn channel_of(code: u8) -> Option<Channel> {
    Channel::ALL.into_iter().find(|channel| channel_code(*channel) == code)
}

/// The profile that `encode` wrote.
pub fn decode(bytes: &[u8], owner: Owner<'_>) -> Result<Profile, Damaged> {
    let mut bytes = Reader(bytes);
    let version = bytes.byte()?;
    if ![PLAIN, SEALING].contains(&version) {
        return Err(Damaged);
    }
    let address = match bytes.0.first() {
        Some(&SEALED) if version == SEALING => bytes.sealed(owner)?,
        _ => bytes.address()?,
    };
    let flags = bytes.byte()?;
    let has = |bit: u8| flags & bit != 0;
    let profile = Profile {
        address,
        exercises: has(EXERCISES),
        places: bytes.list(Reader::place)?,
        languages: bytes.list(|bytes| bytes.text().map(String::from))?,
        muted: BTreeSet::from_iter(bytes.list(Reader::interest)?),
        quiet_hours: has(QUIET_HOURS).then(|| bytes.quiet_hours()).transpose()?,
        location_consent: has(CONSENT).then(|| bytes.consent()).transpose()?,
        app_version: has(APP_VERSION).then(|| bytes.text().map(String::from)).transpose()?,
    };
    if bytes.0.is_empty() { Ok(profile) } else { Err(Damaged) }
}

/// The push address of the profile that `encode` wrote, as it lies there: an APNs token's bytes, an
/// FCM value, a browser's endpoint, or any of them sealed; nothing for whoever has none.
#[inline]
pub fn address(profile: &[u8]) -> Result<&[u8], Damaged> {
    Reader(profile).address_bytes()
}

/// The places of the profile that `encode` wrote; a sealed address stays closed.
pub fn places(profile: &[u8]) -> Result<Vec<Place>, Damaged> {
    let mut bytes = Reader(profile);
    bytes.address_bytes()?;
    bytes.byte()?;
    bytes.list(Reader::place)
}

/// Reads what was put, piece by piece.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Damaged> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// So many bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = tail;
        Ok(head)
    }

    /// A number.
    #[inline]
    pub fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        // Nearly all are short.
        if let Some((&byte, rest)) = self.0.split_first().filter(|(byte, _)| **byte < 0x80) {
            self.0 = rest;
            return Ok(u64::from(byte));
        }
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    /// A length: no more than there is.
    #[inline]
    pub fn length(&mut self) -> Result<usize, Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        // Everything takes a byte at least, so no damage makes us reserve more than there is.
        if length <= self.0.len() { Ok(length) } else { Err(Damaged) }
    }

    /// A text.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Damaged)
    }

    fn list<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, Damaged>,
    ) -> Result<Vec<T>, Damaged> {
        let length = self.length()?;
        let mut list = Vec::with_capacity(length);
        for _ in 0..length {
            list.push(item(self)?);
        }
        Ok(list)
    }

    fn sealed(&mut self, owner: Owner<'_>) -> Result<PushAddress, Damaged> {
        self.byte()?;
        let length = self.length()?;
        let sealed = self.take(length)?;
        let what = (Purpose::Address, owner.id.0.as_bytes());
        let plain = owner.vault.ok_or(Damaged)?.open(what, sealed).map_err(|_| Damaged)?;
        let mut plain = Reader(&plain);
        let address = plain.address()?;
        if plain.0.is_empty() { Ok(address) } else { Err(Damaged) }
    }

    /// Reads over the version and the address.
    #[inline]
    fn address_bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let version = self.byte()?;
        let tag = self.byte()?;
        let sealed = tag == SEALED && version == SEALING;
        if !sealed && ![PLAIN, SEALING].contains(&version) {
            return Err(Damaged);
        }
        match tag {
            WEBSOCKET => Ok(&[]),
            FCM_TOKEN | FCM_FID | WEBPUSH | SEALED | APNS_PRODUCTION | APNS_SANDBOX => {
                let length = self.length()?;
                let address = self.take(length)?;
                let more = match tag {
                    WEBPUSH => POINT_BYTES + AUTH_BYTES,
                    APNS_PRODUCTION | APNS_SANDBOX => self.length()?,
                    _ => 0,
                };
                self.take(more)?;
                Ok(address)
            }
            _ => Err(Damaged),
        }
    }

    fn address(&mut self) -> Result<PushAddress, Damaged> {
        let tag = self.byte()?;
        let fcm = |kind, value: &str| PushAddress::Fcm { kind, value: value.into() };
        match tag {
            WEBSOCKET => Ok(PushAddress::Websocket),
            APNS_PRODUCTION => self.apns(ApnsEnvironment::Production),
            APNS_SANDBOX => self.apns(ApnsEnvironment::Sandbox),
            FCM_TOKEN => Ok(fcm(FcmAddressKind::Token, self.text()?)),
            FCM_FID => Ok(fcm(FcmAddressKind::Fid, self.text()?)),
            WEBPUSH => {
                let endpoint = self.text()?.to_owned();
                let (point, auth) = (self.take(POINT_BYTES)?, self.take(AUTH_BYTES)?);
                Ok(PushAddress::Webpush(Subscription::of_bytes(endpoint, point, auth)))
            }
            _ => Err(Damaged),
        }
    }

    fn apns(&mut self, environment: ApnsEnvironment) -> Result<PushAddress, Damaged> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let length = self.length()?;
        let mut token = vec![0; 2 * length];
        for (pair, byte) in token.chunks_exact_mut(2).zip(self.take(length)?) {
            let digit = |nibble: u8| DIGITS[usize::from(nibble)];
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        let token = String::from_utf8(token).map_err(|_| Damaged)?;
        Ok(PushAddress::Apns { token, environment, topic: self.text()?.into() })
    }

    fn place(&mut self) -> Result<Place, Damaged> {
        let unit = self.text()?.parse().map_err(|_| Damaged)?;
        let bits = u32::try_from(self.number()?).map_err(|_| Damaged)?;
        Ok(Place { unit, cell: bits.checked_sub(1).map(Cell::from_bits) })
    }

    fn interest(&mut self) -> Result<Interest, Damaged> {
        match self.text()? {
            "news" => Ok(Interest::News),
            "survey" => Ok(Interest::Survey),
            "status" => Ok(Interest::Status),
            category => category.parse().map(Interest::Alert).map_err(|_| Damaged),
        }
    }

    fn quiet_hours(&mut self) -> Result<QuietHours, Damaged> {
        let mut minute = || u16::try_from(self.number()?).map_err(|_| Damaged);
        Ok(QuietHours { from_minute: minute()?, to_minute: minute()? })
    }

    fn consent(&mut self) -> Result<LocationConsent, Damaged> {
        let text_version = self.text()?.into();
        let bytes = self.take(16)?.try_into().map_err(|_| Damaged)?;
        let given_at = Timestamp::from_nanosecond(i128::from_le_bytes(bytes));
        Ok(LocationConsent { text_version, given_at: given_at.map_err(|_| Damaged)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::Category;

    fn profiles() -> Vec<Profile> {
        let plain = Profile {
            address: PushAddress::Websocket,
            places: vec![],
            languages: vec!["vi".into()],
            muted: BTreeSet::new(),
            quiet_hours: None,
            location_consent: None,
            exercises: false,
            app_version: None,
        };
        let cell = "w3gvk1".parse().ok();
        let unit = |code: &str| code.parse().expect("a code");
        let full = Profile {
            address: PushAddress::Apns {
                token: "00ff9a".repeat(22),
                environment: ApnsEnvironment::Sandbox,
                topic: "vn.loa.app".into(),
            },
            places: vec![
                Place { unit: unit("26734"), cell },
                Place { unit: unit("x-1"), cell: None },
            ],
            languages: vec!["vi".into(), "zh-Hant-TW".into()],
            muted: [Interest::News, Interest::Status, Interest::Alert(Category::CBRNE)].into(),
            quiet_hours: Some(QuietHours { from_minute: 1439, to_minute: 0 }),
            location_consent: Some(LocationConsent {
                text_version: "2026-07".into(),
                given_at: Timestamp::MAX,
            }),
            exercises: true,
            app_version: Some("3.1.0 (éè)".into()),
        };
        let fcm = |kind| PushAddress::Fcm { kind, value: "c:APA91b_".repeat(18) };
        let cells = (0..2).map(|bits| Place { unit: unit("1"), cell: Some(Cell::from_bits(bits)) });
        let android = Profile {
            address: fcm(FcmAddressKind::Token),
            places: cells.collect(),
            ..plain.clone()
        };
        let newer = Profile { address: fcm(FcmAddressKind::Fid), ..full.clone() };
        let endpoint = "https://push.example/send/1?a=b".into();
        let subscription = Subscription::of_bytes(endpoint, &[4; POINT_BYTES], &[9; AUTH_BYTES]);
        let browser = Profile { address: PushAddress::Webpush(subscription), ..full.clone() };
        vec![plain, full, android, newer, browser]
    }

    fn vault() -> Vault {
        Vault::parse(&Vault::fresh()).expect("a key")
    }

    fn owner(vault: Option<&Vault>) -> Owner<'_> {
        Owner { id: DeviceId(uuid::Uuid::from_u128(7)), vault }
    }

    #[test]
    fn a_profile_comes_back_as_it_was() {
        let vault = vault();
        for profile in profiles() {
            let (plain, sealed) = (owner(None), owner(Some(&vault)));
            assert_eq!(decode(&encode(&profile, plain), plain), Ok(profile.clone()));
            // What was written before addresses were sealed is read with the keys at hand.
            assert_eq!(decode(&encode(&profile, plain), sealed), Ok(profile.clone()));
            assert_eq!(decode(&encode(&profile, sealed), sealed), Ok(profile.clone()));
            for owner in [plain, sealed] {
                let bytes = encode(&profile, owner);
                assert_eq!(places(&bytes), Ok(profile.places.clone()));
                let lies = address(&bytes).expect("an address");
                let wanted = match &profile.address {
                    PushAddress::Websocket => 0..=0,
                    PushAddress::Apns { token, .. } => token.len() / 2..=usize::MAX,
                    PushAddress::Fcm { value, .. } => value.len()..=usize::MAX,
                    PushAddress::Webpush(one) => one.endpoint.len()..=usize::MAX,
                };
                assert!(wanted.contains(&lies.len()), "{} bytes, {wanted:?}", lies.len());
            }
        }
    }

    #[test]
    fn a_sealed_address_cannot_be_read_and_is_its_devices_alone() {
        let (vault, other) = (vault(), vault());
        for profile in profiles() {
            if profile.address == PushAddress::Websocket {
                continue;
            }
            let mut plain = Vec::new();
            put_address(&mut plain, &profile.address);
            let bytes = encode(&profile, owner(Some(&vault)));
            let shows = bytes.windows(12).any(|part| plain.windows(12).any(|whole| whole == part));
            assert!(!shows, "{:?}", profile.address.channel());
            assert_eq!(decode(&bytes, owner(None)), Err(Damaged));
            assert_eq!(decode(&bytes, owner(Some(&other))), Err(Damaged));
            let stranger = Owner { id: DeviceId(uuid::Uuid::from_u128(8)), vault: Some(&vault) };
            assert_eq!(decode(&bytes, stranger), Err(Damaged));
        }
    }

    #[test]
    fn damage_is_noticed_and_never_panics() {
        let vault = vault();
        let owner = owner(Some(&vault));
        for bytes in profiles().iter().map(|profile| encode(profile, owner)) {
            for length in 0..bytes.len() {
                assert_eq!(decode(&bytes[..length], owner), Err(Damaged));
            }
            for (index, bit) in (0..bytes.len()).flat_map(|index| (0..8).map(move |b| (index, b))) {
                let mut damaged = bytes.clone();
                damaged[index] ^= 1 << bit;
                let _ = decode(&damaged, owner);
            }
        }
        assert_eq!(decode(&[SEALING + 1, 0], owner), Err(Damaged));
    }
}
