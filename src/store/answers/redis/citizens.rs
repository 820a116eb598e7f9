//! Citizens who are called otherwise now, on Redis: their answers lie under their pseudonym, and so
//! do the names that lead to them.

use std::collections::BTreeSet;

use super::row::{Kind, Name, Row};
use super::{FORGET_PIECE, Store};
use crate::domain::ids::{DeviceNum, PublicationId, SubjectId};
use crate::store::Failure;
use crate::store::answers::Result;

/// Times a row is read again because somebody answered anew meanwhile.
const RENAMES_MAX: usize = 100;

impl Store {
    /// Whether a citizen answered anything.
    pub async fn knows(&self, subject: &SubjectId) -> Result<bool> {
        let list = self.subject_key(subject.as_str());
        Ok(self.0.redis.ask(redis::cmd("EXISTS").arg(list)).await?)
    }

    /// Gives what a citizen answered to another pseudonym.
    pub async fn rename(
        &self,
        (from, to): (&SubjectId, &SubjectId),
        devices: &[DeviceNum],
    ) -> Result<()> {
        let devices = devices.iter().map(|device| self.device_key(&device.0.to_string()));
        let own = self.subject_key(from.as_str());
        // The citizen's own list last: whoever begins again finds the others by it.
        for list in devices.chain([own.clone()]) {
            for (name, at_ms) in self.names(list.clone()).await? {
                let renamed = self.rename_row(&name, (from, to)).await?;
                let to_list =
                    if list == own { self.subject_key(to.as_str()) } else { list.clone() };
                if renamed != name || list == own {
                    self.name(to_list, renamed.to_string(), at_ms).await?;
                    self.unname(list.clone(), name.to_string(), at_ms.saturating_add(1)).await?;
                }
            }
        }
        Ok(())
    }

    /// Puts a row under the other pseudonym; answers its name from then on.
    async fn rename_row(&self, name: &Name, (from, to): (&SubjectId, &SubjectId)) -> Result<Name> {
        let renamed = name.of_citizen((from, to));
        let keys = self.keys_of(name.publication);
        let rows = keys.key(name.kind.rows());
        for _ in 0..RENAMES_MAX {
            let mut get = redis::cmd("HGET");
            get.arg(&rows).arg(&name.name);
            let row: Option<String> = self.0.redis.ask(&get).await?;
            let Some(before) = row else { return Ok(renamed) };
            let mut row = Row::parse(&before)?;
            if row.subject.as_deref() != Some(from.as_str()) {
                return Ok(renamed);
            }
            row.subject = Some(to.to_string());
            let call = self.rows_call(&self.0.rename, &keys, name.kind).arg(name.kind.letter());
            let call = call.arg(&name.name).arg(&before).arg(&renamed.name).arg(row.text()?);
            if self.0.redis.run_lasting::<bool>(&keys, &call).await? {
                return Ok(renamed);
            }
        }
        Err(Failure::new(format!("the answer {name} is changed all the time")).into())
    }

    /// Citizens with such a pseudonym who answered anything: every answer is looked at.
    pub async fn citizens(&self, of: impl Fn(&SubjectId) -> bool) -> Result<Vec<SubjectId>> {
        let publications = self.0.redis.keys("answers").key("publications");
        let mut all = redis::cmd("ZRANGE");
        let ids: Vec<String> = self.0.redis.ask(all.arg(&publications).arg(0).arg(-1)).await?;
        let mut citizens = BTreeSet::new();
        for id in ids {
            let publication: PublicationId = id.parse().map_err(Failure::new)?;
            for kind in [Kind::Safety, Kind::Survey] {
                let rows = self.keys_of(publication).key(kind.rows());
                let mut cursor = "0".to_owned();
                loop {
                    let mut scan = redis::cmd("HSCAN");
                    scan.arg(&rows).arg(&cursor).arg("COUNT").arg(FORGET_PIECE);
                    let found: (String, Vec<(String, String)>) = self.0.redis.ask(&scan).await?;
                    for (_, row) in &found.1 {
                        let subject = Row::parse(row)?.subject.map(|subject| subject.parse());
                        let subject = subject.transpose().map_err(Failure::new)?;
                        citizens.extend(subject.filter(&of));
                    }
                    cursor = found.0;
                    if cursor == "0" {
                        break;
                    }
                }
            }
        }
        Ok(citizens.into_iter().collect())
    }
}
