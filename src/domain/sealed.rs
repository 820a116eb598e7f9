//! What is said to one citizen alone, as it travels and rests: unreadable without their key.

use crate::domain::ids::PublicationId;

/// A publication for one citizen, sealed under their key. When the key is destroyed nobody can
/// read it any more, wherever copies of it are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The publication's id, which may be seen.
    pub id: PublicationId,
    /// Which key: a random name that follows from nothing of the citizen's.
    pub handle: Handle,
    /// The publication, sealed.
    pub bytes: Vec<u8>,
}

/// The name of a citizen's key.
pub type Handle = [u8; 16];
