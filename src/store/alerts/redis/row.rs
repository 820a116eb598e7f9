//! A publication's row: `p:…` hash.

use std::sync::Arc;

use bytes::Bytes;

use super::{Failure, Keys, Redis};
use crate::domain::publication::Publication;
use crate::store::alerts::Stored;
use crate::store::alerts::personal::{self, Body};

/// What is kept beside what a publication says.
pub struct Row {
    /// Under which pseudonym it is kept; none for an area's.
    pub subject: Option<String>,
    superseded_by: Option<String>,
    logged: Option<String>,
    raw: Option<Vec<u8>>,
}

type Fields = (Option<String>, Option<String>, Option<String>, Option<String>, Option<Vec<u8>>);

impl Row {
    /// Reads what a publication says, and its row, by its id; none if there is none.
    pub async fn read(
        redis: &Redis,
        keys: &Keys,
        id: &str,
    ) -> Result<Option<(Body, Self)>, Failure> {
        let mut get = redis::cmd("HMGET");
        get.arg(keys.pair("p", id)).arg(&["body", "subject", "by", "position", "raw"]);
        let (body, subject, superseded_by, logged, raw): Fields = redis.ask(&get).await?;
        let Some(body) = body else { return Ok(None) };
        let body = personal::body(id.parse().map_err(Failure::new)?, &body)?;
        let subject = subject.filter(|subject| !subject.is_empty());
        Ok(Some((body, Self { subject, superseded_by, logged, raw })))
    }

    /// The row's publication, which says this.
    pub fn saying(self, publication: Publication) -> Result<Arc<Stored>, Failure> {
        let superseded_by = self.superseded_by.map(|by| by.parse()).transpose();
        Ok(Arc::new(Stored {
            publication: Arc::new(publication),
            superseded_by: superseded_by.map_err(Failure::new)?,
            logged: self.logged,
            raw: self.raw.map(Bytes::from),
        }))
    }
}
