//! From a draft's words to a checked message: what its author may leave out is filled in, by rules
//! that give the same message again after a crash.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::domain::agency::Agency;
use crate::domain::alert::{Alert, CapTime, Status};
use crate::domain::draft::DraftKind;
use crate::domain::ids::{DraftId, PublicationId};
use crate::domain::notice::Notice;
use crate::domain::publication::Publication;
use crate::http::input::parse_json;
use crate::http::{Code, Problem};
use crate::ingest::Ingest;
use crate::ingest::alert::{Form, Reviewed, read};
use crate::ingest::cancel::{alert_of, references, second};
use crate::ingest::publish::store_problem;

/// What is to be said, and the moment it counts from.
#[derive(Clone, Debug)]
pub struct Wording<'a> {
    /// The draft's id: the message's identifier, where its author gave none.
    pub id: DraftId,
    /// What it is to become.
    pub kind: DraftKind,
    /// What an update or cancel is of.
    pub of: Option<PublicationId>,
    /// The words.
    pub body: &'a Value,
    /// For those who take part in exercises.
    pub exercise: bool,
    /// When it was decided: CAP's `sent`, where its author gave none.
    pub at: Timestamp,
}

impl Ingest {
    /// Checks the words as if they were published at their moment.
    pub async fn review_wording(
        &self,
        agency: &Agency,
        wording: &Wording<'_>,
    ) -> Result<Reviewed, Problem> {
        match wording.kind {
            DraftKind::Notice => {
                if wording.exercise {
                    let message = "a notice has no exercise: only alerts have";
                    return Err(Problem::field("exercise", "alerts_only", message));
                }
                let document = notice_document(wording)?;
                let notice: Notice = parse_json(document.to_string().as_bytes())?;
                let checked = self.review_notice(agency, notice)?;
                Ok(Reviewed { checked, warnings: Vec::new() })
            }
            DraftKind::Cancel => {
                let alert = self.cancel_wording(agency, wording).await?;
                self.review(agency, alert, None).await
            }
            DraftKind::Alert | DraftKind::Update => {
                let document = self.alert_document(agency, wording).await?;
                let (alert, mut warnings) = read(document.to_string().as_bytes(), Form::Json)?;
                let mut reviewed = self.review(agency, alert, None).await?;
                warnings.append(&mut reviewed.warnings);
                Ok(Reviewed { warnings, ..reviewed })
            }
        }
    }

    /// An alert's or update's body with what its author left out.
    pub async fn alert_document(
        &self,
        agency: &Agency,
        wording: &Wording<'_>,
    ) -> Result<Value, Problem> {
        let mut members = object(wording.body)?;
        let sent = CapTime::new(second(wording.at), self.utc_offset_minutes);
        let given = |members: &Map<String, Value>, name: &str| {
            members.get(name).is_some_and(|value| !value.is_null() && value != "")
        };
        let fallbacks = [
            ("identifier", json!(wording.id)),
            ("sender", json!(format!("{}@loa", agency.id))),
            ("sent", json!(sent)),
            ("status", json!("Actual")),
            ("scope", json!("Public")),
            ("infos", json!([])),
        ];
        for (name, value) in fallbacks {
            if !given(&members, name) {
                members.insert(name.to_owned(), value);
            }
        }
        if wording.exercise {
            members.insert("status".to_owned(), json!("Exercise"));
        }
        let update = wording.kind == DraftKind::Update;
        let msg_type = if update { "Update" } else { "Alert" };
        members.insert("msg_type".to_owned(), json!(msg_type));
        if update && !given(&members, "references") {
            let earlier = self.continued_by(agency, wording).await?;
            let in_force = self.in_force(earlier.chain).await?.in_force;
            let alerts: Vec<&Alert> = in_force.iter().filter_map(alert_of).collect();
            members.insert("references".to_owned(), json!(references(&alerts)));
        }
        Ok(Value::Object(members))
    }

    async fn cancel_wording(
        &self,
        agency: &Agency,
        wording: &Wording<'_>,
    ) -> Result<Alert, Problem> {
        let earlier = self.continued_by(agency, wording).await?;
        let request = parse_json(Value::Object(object(wording.body)?).to_string().as_bytes())?;
        let alert = self.cancel_of(&earlier, request).await?;
        let sent = CapTime::new(second(wording.at), alert.sent.offset_minutes());
        let status = if wording.exercise { Status::Exercise } else { alert.status };
        Ok(Alert { identifier: wording.id.to_string(), sent, status, ..alert })
    }

    /// What an update or cancel is of.
    async fn continued_by(
        &self,
        agency: &Agency,
        wording: &Wording<'_>,
    ) -> Result<Publication, Problem> {
        let id = wording.of.ok_or_else(|| {
            Problem::field("of", "publication_named", "an update or cancel names what it is of")
        })?;
        let stored = self.alerts.get(id).await.map_err(store_problem)?;
        stored
            .filter(|stored| stored.publication.agency == agency.id)
            .map(|stored| (*stored.publication).clone())
            .ok_or_else(|| Problem::new(Code::NotFound, format!("no publication {id}")))
    }

    /// The publication that a draft became before a crash kept it from being marked, if it
    /// continues a chain that it may have ended itself.
    pub async fn became(&self, wording: &Wording<'_>) -> Result<Option<PublicationId>, Problem> {
        let Some(of) = wording.of else { return Ok(None) };
        let Some(first) = self.alerts.get(of).await.map_err(store_problem)? else {
            return Ok(None);
        };
        let chain = self.alerts.chain(first.publication.chain).await.map_err(store_problem)?;
        let identifier = wording.id.to_string();
        let mine = chain.iter().find(|stored| {
            alert_of(&stored.publication).is_some_and(|alert| alert.identifier == identifier)
        });
        Ok(mine.map(|stored| stored.publication.id))
    }
}

fn notice_document(wording: &Wording<'_>) -> Result<Value, Problem> {
    let mut members = object(wording.body)?;
    let named = members.get("identifier").is_some_and(|name| !name.is_null() && name != "");
    if !named {
        members.insert("identifier".to_owned(), json!(wording.id));
    }
    Ok(Value::Object(members))
}

fn object(body: &Value) -> Result<Map<String, Value>, Problem> {
    match body {
        Value::Object(members) => Ok(members.clone()),
        _ => Err(Problem::field("body", "object", "the body is a JSON object")),
    }
}
