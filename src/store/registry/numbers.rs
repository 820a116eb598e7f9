//! Who is in a range, by numbers alone: what is asked of tens of thousands whose devices nobody
//! needs to see.

use crate::domain::ids::{DeviceNum, Seq};
use crate::store::registry::{Error, Range, Registry};

/// Memberships, each with its device's number, in the order of Seq.
pub type Numbers = Vec<(Seq, DeviceNum)>;

impl Registry {
    /// As [`Registry::scan`], but only the numbers of the members and of their devices.
    pub async fn numbers(&self, range: &Range, limit: usize) -> Result<Numbers, Error> {
        match self {
            Self::Embedded(embedded) => embedded.numbers(range.clone(), limit).await,
            Self::Redis(shared) => {
                let members = shared.scan(range.clone(), limit).await?;
                Ok(members.iter().map(|member| (member.seq, member.num)).collect())
            }
        }
    }
}
