//! The answers store in one SQLite file, `answers.db`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::{
    Count, Error, Own, PAGE_MAX, Respondent, Result, Safety, SafetyCounts, Said, Settings,
};
use crate::domain::ids::{DeviceNum, PublicationId, SubjectId};
use crate::domain::survey::Answer;
use crate::store::Failure;
use crate::store::sqlite::{Database, from_ms, to_ms, unsigned};

const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE safety (
        publication BLOB NOT NULL, device INTEGER NOT NULL, subject TEXT, unit TEXT,
        safety TEXT NOT NULL, note TEXT, at_ms INTEGER NOT NULL,
        PRIMARY KEY (publication, device)
    );
    CREATE INDEX safety_device ON safety (device);
    CREATE TABLE surveys ( -- a row for each option chosen, step, or text
        publication BLOB NOT NULL, respondent TEXT NOT NULL, device INTEGER NOT NULL,
        subject TEXT, unit TEXT, question TEXT NOT NULL, value TEXT, text TEXT,
        at_ms INTEGER NOT NULL
    );
    CREATE INDEX surveys_respondent ON surveys (publication, respondent);
    CREATE INDEX surveys_device ON surveys (device);
    CREATE INDEX surveys_subject ON surveys (subject) WHERE subject IS NOT NULL;
",
    "CREATE INDEX safety_subject ON safety (subject) WHERE subject IS NOT NULL;",
];

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the store of a directory.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let database = Database::plain(&settings.dir, "answers.db", &MIGRATIONS).await?;
        Ok(Store { database })
    }

    /// Remembers how somebody is.
    pub async fn put_safety(
        &self,
        publication: PublicationId,
        who: Respondent,
        (safety, note, at): (Safety, Option<String>, Timestamp),
    ) -> Result<()> {
        self.database
            .change(move |connection| {
                let upsert = "INSERT OR REPLACE INTO safety
                (publication, device, subject, unit, safety, note, at_ms)
                VALUES (?, ?, ?, ?, ?, ?, ?)";
                let (device, subject, unit) = columns(&who)?;
                let id = publication.0.as_bytes();
                let values = params![id, device, subject, unit, safety.as_str(), note, to_ms(at)];
                connection.execute(upsert, values)?;
                Ok(())
            })
            .await
    }

    /// How many are safe, and how many need help.
    pub async fn safety(&self, publication: PublicationId) -> Result<SafetyCounts> {
        self.database
            .look(move |connection| {
                let select = "SELECT safety, coalesce(unit, ''), count(*) FROM safety
                WHERE publication = ? GROUP BY 1, 2";
                let mut select = connection.prepare_cached(select)?;
                let mut rows = select.query([publication.0.as_bytes()])?;
                let mut counts = SafetyCounts::new();
                while let Some(row) = rows.next()? {
                    let word: String = row.get(0)?;
                    let safety = if word == "help" { Safety::Help } else { Safety::Safe };
                    counts.entry(safety).or_default().insert(row.get(1)?, unsigned(row, 2)?);
                }
                Ok(counts)
            })
            .await
    }

    /// Remembers a survey's answers.
    pub async fn put_survey(
        &self,
        publication: PublicationId,
        who: Respondent,
        (answers, at): (BTreeMap<String, Answer>, Timestamp),
    ) -> Result<()> {
        self.database
            .change(move |connection| {
                let (device, subject, unit) = columns(&who)?;
                let respondent = match &subject {
                    Some(subject) => format!("subject:{subject}"),
                    None => format!("device:{device}"),
                };
                let id = publication.0.as_bytes();
                let delete = "DELETE FROM surveys WHERE publication = ? AND respondent IN (?, ?)";
                // Whoever logged in since has answered already, as a device.
                let as_device = format!("device:{device}");
                connection.execute(delete, params![id, respondent, as_device])?;
                let insert = "INSERT INTO surveys
                (publication, respondent, device, subject, unit, question, value, text, at_ms)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
                let mut insert = connection.prepare_cached(insert)?;
                for (question, answer) in &answers {
                    let said: Vec<(Option<&str>, Option<&str>)> = match answer {
                        Answer::Chosen(ids) => ids.iter().map(|id| (Some(&**id), None)).collect(),
                        Answer::Text(text) => vec![(None, Some(&**text))],
                    };
                    for (value, text) in said {
                        insert.execute(params![
                            id,
                            respondent,
                            device,
                            subject,
                            unit,
                            question,
                            value,
                            text,
                            to_ms(at)
                        ])?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// How often each option and step was chosen.
    pub async fn tally(&self, publication: PublicationId) -> Result<Vec<Count>> {
        self.database
            .look(move |connection| {
                let select = "SELECT question, value, unit, count(*) FROM surveys
                WHERE publication = ? AND value IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
                let mut select = connection.prepare_cached(select)?;
                let rows = select.query_map([publication.0.as_bytes()], |row| {
                    let (question, value, unit) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(Count { question, value, unit, count: unsigned(row, 3)? })
                })?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    /// How many respondents a survey has.
    pub async fn respondents(&self, publication: PublicationId) -> Result<u64> {
        self.database
            .look(move |connection| {
                let select = "SELECT count(DISTINCT respondent) FROM surveys WHERE publication = ?";
                let mut select = connection.prepare_cached(select)?;
                Ok(select.query_row([publication.0.as_bytes()], |row| unsigned(row, 0))?)
            })
            .await
    }

    /// The newest free texts and notes.
    pub async fn said(&self, publication: PublicationId) -> Result<Vec<Said>> {
        self.database
            .look(move |connection| {
                let select = "SELECT question, unit, at_ms, text FROM surveys
                WHERE publication = ?1 AND text IS NOT NULL
                UNION ALL SELECT safety, unit, at_ms, note FROM safety
                WHERE publication = ?1 AND note IS NOT NULL ORDER BY 3 DESC LIMIT ?2";
                let mut select = connection.prepare_cached(select)?;
                let mut rows = select.query(params![publication.0.as_bytes(), PAGE_MAX as i64])?;
                let mut said = Vec::new();
                while let Some(row) = rows.next()? {
                    let (question, unit, text) = (row.get(0)?, row.get(1)?, row.get(3)?);
                    said.push(Said { question, unit, at: from_ms(row.get(2)?)?, text });
                }
                Ok(said)
            })
            .await
    }

    /// Everything a device answered.
    pub async fn of(&self, device: DeviceNum) -> Result<Vec<Own>> {
        self.database
            .look(move |connection| {
                let select = "SELECT publication, question, value, text, at_ms FROM surveys
                WHERE device = ?1
                UNION ALL SELECT publication, 'safety', safety, note, at_ms FROM safety
                WHERE device = ?1 ORDER BY 5 DESC LIMIT ?2";
                let mut select = connection.prepare_cached(select)?;
                let device = i64::try_from(device.0).map_err(Failure::new)?;
                let mut rows = select.query(params![device, PAGE_MAX as i64])?;
                let mut own = Vec::new();
                while let Some(row) = rows.next()? {
                    let id: [u8; 16] = row.get(0)?;
                    let (question, value, text) = (row.get(1)?, row.get(2)?, row.get(3)?);
                    let publication = PublicationId(uuid::Uuid::from_bytes(id));
                    own.push(Own { publication, question, value, text, at: from_ms(row.get(4)?)? });
                }
                Ok(own)
            })
            .await
    }

    /// Forgets what a device said, and a citizen.
    pub async fn erase(&self, device: Option<DeviceNum>, subject: Option<SubjectId>) -> Result<()> {
        self.database
            .change::<_, Error>(move |connection| {
                let device = device.map(|device| i64::try_from(device.0)).transpose();
                let device = device.map_err(Failure::new)?;
                let subject = subject.as_ref().map(SubjectId::as_str);
                for table in ["safety", "surveys"] {
                    let delete = format!("DELETE FROM {table} WHERE device = ? OR subject = ?");
                    connection.execute(&delete, params![device, subject])?;
                }
                Ok(())
            })
            .await?;
        Ok(self.database.scrub().await?)
    }

    /// Empties the journal.
    pub async fn scrub(&self) -> Result<()> {
        Ok(self.database.scrub().await?)
    }

    /// Whether a citizen answered anything.
    pub async fn knows(&self, subject: &SubjectId) -> Result<bool> {
        let subject = subject.to_string();
        self.database
            .look(move |connection| {
                let select = "SELECT EXISTS (SELECT 1 FROM safety WHERE subject = ?1)
                    OR EXISTS (SELECT 1 FROM surveys WHERE subject = ?1)";
                Ok(connection.prepare_cached(select)?.query_row([subject], |row| row.get(0))?)
            })
            .await
    }

    /// Gives what a citizen answered to another pseudonym.
    pub async fn rename(&self, (from, to): (&SubjectId, &SubjectId)) -> Result<()> {
        let (from, to) = (from.to_string(), to.to_string());
        self.database
            .change(move |connection| {
                let twice = "DELETE FROM surveys WHERE subject = ?1 AND publication IN
                    (SELECT publication FROM surveys WHERE subject = ?2)";
                let surveys = "UPDATE surveys SET subject = ?2, respondent = 'subject:' || ?2
                    WHERE subject = ?1";
                let safety = "UPDATE safety SET subject = ?2 WHERE subject = ?1";
                for change in [twice, surveys, safety] {
                    connection.prepare_cached(change)?.execute([&from, &to])?;
                }
                Ok(())
            })
            .await
    }

    /// Citizens with such a pseudonym who answered anything.
    pub async fn citizens(&self, of: impl Fn(&SubjectId) -> bool) -> Result<Vec<SubjectId>> {
        let all: Vec<String> = self
            .database
            .look::<_, Error>(|connection| {
                let select = "SELECT subject FROM safety WHERE subject IS NOT NULL
                    UNION SELECT subject FROM surveys WHERE subject IS NOT NULL";
                let mut select = connection.prepare_cached(select)?;
                let rows = select.query_map([], |row| row.get(0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await?;
        let all = all.iter().map(|subject| subject.parse().map_err(Failure::new));
        let all: Vec<SubjectId> = all.collect::<Result<_, Failure>>()?;
        Ok(all.into_iter().filter(of).collect())
    }

    /// Drops old answers.
    pub async fn forget(&self, before: Timestamp) -> Result<u64> {
        self.database
            .change(move |connection| {
                let mut deleted = 0;
                for table in ["safety", "surveys"] {
                    let delete = format!("DELETE FROM {table} WHERE at_ms < ?");
                    deleted += connection.execute(&delete, [to_ms(before)])? as u64;
                }
                Ok(deleted)
            })
            .await
    }
}

/// The device, the citizen and the unit as columns.
fn columns(who: &Respondent) -> Result<(i64, Option<String>, Option<String>), Failure> {
    let device = i64::try_from(who.device.0).map_err(Failure::new)?;
    let subject = who.subject.as_ref().map(ToString::to_string);
    Ok((device, subject, who.unit.as_ref().map(ToString::to_string)))
}
