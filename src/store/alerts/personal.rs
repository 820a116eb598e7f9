//! What is said to one citizen alone is stored, and put on the log, sealed under a key of that
//! citizen. The key is kept under the vault's, and destroyed when the citizen leaves: then every
//! copy on the log, in a backup or in an old page of a file is noise.
//!
//! A sealed publication is stored as text: `sealed:`, the key's handle as 32 digits, and the bytes
//! as base64. An area's publications, and those that an older release stored, are JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::domain::audience::Audience;
use crate::domain::ids::{PublicationId, SubjectId};
use crate::domain::publication::Publication;
use crate::domain::sealed::{Handle, Sealed};
use crate::store::Failure;
use crate::store::vault::{KEY_BYTES, Key, Purpose, Vault};

/// What the text of a sealed publication begins with.
const MARK: &str = "sealed:";
/// Digits of a handle.
pub const HANDLE_DIGITS: usize = 32;

/// Whose publication it is, if it is one citizen's.
pub fn subject_of(publication: &Publication) -> Option<&SubjectId> {
    match &publication.audience {
        Audience::Subject { subject, .. } => Some(subject),
        Audience::Area(_) => None,
    }
}

/// The same publication, for its citizen as they are called now.
pub fn readdressed(publication: Publication, names: Vec<SubjectId>) -> Publication {
    let mut names = names.into_iter();
    match (&publication.audience, names.next()) {
        (Audience::Subject { .. }, Some(subject)) => {
            let audience = Audience::Subject { subject, former: names.collect() };
            Publication { audience, ..publication }
        }
        _ => publication,
    }
}

/// A handle as digits.
pub fn digits(handle: &Handle) -> String {
    uuid::Uuid::from_bytes(*handle).simple().to_string()
}

/// A citizen's key.
#[derive(Debug)]
pub struct SubjectKey {
    handle: Handle,
    key: Key,
}

impl SubjectKey {
    /// A new key's handle, and the key as it is kept.
    pub fn fresh(vault: &Vault) -> (Handle, Vec<u8>) {
        let handle: Handle = rand::random();
        let key: [u8; KEY_BYTES] = rand::random();
        (handle, vault.seal((Purpose::SubjectKey, &handle), &key))
    }

    /// A key that is kept.
    pub fn open(vault: &Vault, handle: Handle, kept: &[u8]) -> Result<Self, Failure> {
        let key = vault.open((Purpose::SubjectKey, &handle), kept).map_err(Failure::new)?;
        let key: [u8; KEY_BYTES] =
            key.try_into().map_err(|_| Failure::new("a citizen's key is damaged"))?;
        Ok(Self { handle, key: Key::new(&key) })
    }

    /// A publication as the text that is stored.
    pub fn seal(&self, publication: &Publication) -> Result<String, Failure> {
        let plain = serde_json::to_vec(publication).map_err(Failure::new)?;
        let what = (Purpose::Publication, publication.id.0.as_bytes());
        let bytes = STANDARD_NO_PAD.encode(self.key.seal(what, &plain));
        Ok(format!("{MARK}{}:{bytes}", digits(&self.handle)))
    }

    /// The publication; none if another key of the same citizen sealed it.
    pub fn read(&self, sealed: &Sealed) -> Result<Option<Publication>, Failure> {
        let what = (Purpose::Publication, sealed.id.0.as_bytes());
        let Ok(plain) = self.key.open(what, &sealed.bytes) else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&plain).map_err(Failure::new)?))
    }
}

/// A stored text.
pub enum Body {
    /// Readable by all.
    Open(Box<Publication>),
    /// One citizen's.
    Sealed(Sealed),
}

/// Takes a stored text apart.
pub fn body(id: PublicationId, text: &str) -> Result<Body, Failure> {
    let Some(rest) = text.strip_prefix(MARK) else {
        return Ok(Body::Open(serde_json::from_str(text).map_err(Failure::new)?));
    };
    let damaged = || Failure::new(format!("publication {id} is stored damaged"));
    let (handle, bytes) = rest.split_at_checked(HANDLE_DIGITS).ok_or_else(damaged)?;
    let handle = uuid::Uuid::try_parse(handle).map_err(|_| damaged())?.into_bytes();
    let bytes = bytes.strip_prefix(':').ok_or_else(damaged)?;
    let bytes = STANDARD_NO_PAD.decode(bytes).map_err(|_| damaged())?;
    Ok(Body::Sealed(Sealed { id, handle, bytes }))
}

/// How a publication goes onto the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Carried {
    /// As it is.
    Open,
    /// Sealed for one citizen.
    Sealed(Sealed),
    /// Not at all: its citizen has left.
    Gone,
}

impl Carried {
    /// How one that is stored as this text goes; none: it is not stored any more.
    pub fn of(id: PublicationId, text: Option<&str>) -> Result<Self, Failure> {
        Ok(match text.map(|text| body(id, text)).transpose()? {
            Some(Body::Open(_)) => Carried::Open,
            Some(Body::Sealed(sealed)) => Carried::Sealed(sealed),
            None => Carried::Gone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_text_is_noticed() {
        let id = PublicationId(uuid::Uuid::from_u128(1));
        let handle = digits(&[7; 16]);
        assert!(matches!(body(id, &format!("sealed:{handle}:AAAA")), Ok(Body::Sealed(_))));
        for text in ["sealed:", "sealed:0:AAAA", &format!("sealed:{handle}AAAA"), "{}", ""] {
            assert!(body(id, text).is_err(), "{text}");
        }
        assert!(body(id, &format!("sealed:{handle}:?")).is_err());
    }
}
