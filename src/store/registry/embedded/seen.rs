//! Who was seen when, in the registry's file.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::ids::{DeviceId, DeviceNum};
use crate::store::registry::Error;
use crate::store::registry::embedded::{Embedded, schema};
use crate::store::registry::seen::{Unseen, last_seen};
use crate::store::sqlite::{from_ms, to_ms};

impl Embedded {
    /// Writes down that devices were seen; whoever is gone is passed over.
    pub async fn note_seen(&self, nums: Vec<DeviceNum>, now: Timestamp) -> Result<(), Error> {
        let note = move |connection: &Connection| -> Result<(), Error> {
            let sql = "UPDATE devices SET seen = ?2 WHERE num = ?1 AND ifnull(seen, 0) < ?2";
            let mut update = connection.prepare_cached(sql)?;
            for num in nums {
                update.execute(params![num.0 as i64, to_ms(now)])?;
            }
            Ok(())
        };
        self.database.write(note, |()| ()).await
    }

    /// When a device was seen.
    pub async fn seen_at(&self, num: DeviceNum) -> Result<Option<Timestamp>, Error> {
        let look = move |connection: &Connection| -> Result<Option<Timestamp>, Error> {
            let sql = "SELECT seen FROM devices WHERE num = ?1";
            let mut select = connection.prepare_cached(sql)?;
            let seen = select.query_row([num.0 as i64], |row| row.get(0)).optional()?;
            Ok(seen.flatten().map(from_ms).transpose()?)
        };
        self.database.read(look).await
    }

    /// Looks through the next devices for those not seen since an instant.
    pub async fn unseen(
        &self,
        after: DeviceNum,
        limit: usize,
        since: Timestamp,
    ) -> Result<Unseen, Error> {
        let noting_since = self.noting_since().await?;
        let look = move |connection: &Connection| -> Result<Unseen, Error> {
            let sql = "SELECT num, id, seen, address_since FROM devices WHERE num > ?1
                ORDER BY num LIMIT ?2";
            let mut select = connection.prepare_cached(sql)?;
            let mut rows = select.query(params![after.0 as i64, limit as i64])?;
            let mut unseen = Unseen::default();
            while let Some(row) = rows.next()? {
                let num = DeviceNum(row.get::<_, i64>(0)? as u64);
                let id = DeviceId(uuid::Uuid::from_bytes(row.get(1)?));
                let noted = row.get::<_, Option<i64>>(2)?.map(from_ms).transpose()?;
                let address_since = from_ms(row.get(3)?)?;
                unseen.last = Some(num);
                if last_seen(noted, address_since, noting_since) < since {
                    unseen.devices.push((num, id));
                }
            }
            Ok(unseen)
        };
        self.database.read(look).await
    }

    /// Since when it is noted who was seen: since this was asked first.
    async fn noting_since(&self) -> Result<Timestamp, Error> {
        if let Some(since) = self.database.read(schema::noting_since).await? {
            return Ok(since);
        }
        let now = self.clock.now();
        let set = move |connection: &Connection| schema::set_noting_since(connection, now);
        self.database.write(set, |()| ()).await?;
        Ok(now)
    }
}
