//! A publication as a row of the console's lists: what it is, where, and where it stands.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::console::Console;
use crate::domain::alert::{Alert, Severity};
use crate::domain::audience::{Audience, Coverage};
use crate::domain::ids::PublicationId;
use crate::domain::level::Level;
use crate::domain::publication::{Action, Content, Publication};
use crate::domain::summary::is_vietnamese;
use crate::http::Problem;
use crate::store::alerts::{Alerts, Stored};

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PublicationRow)]
pub struct Row {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: PublicationId,
    /// Its chain.
    pub chain: String,
    /// `alert`, `status_change` or `notice`.
    pub kind: &'static str,
    /// `alert`, `update` or `cancel`.
    #[schema(value_type = String)]
    pub action: Action,
    /// Who published it.
    pub agency: String,
    /// Its lane.
    pub lane: &'static str,
    /// CAP severity, for an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub severity: Option<Severity>,
    /// Level of disaster risk, 1 to 5, where the alert names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u8>)]
    pub level: Option<Level>,
    /// One line, Vietnamese where there is some.
    pub headline: String,
    /// When it was accepted.
    #[schema(value_type = String, format = "date-time")]
    pub accepted_at: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = "date-time")]
    pub expires: Timestamp,
    /// `live`, `expired`, `superseded` or `cancelled`.
    pub state: &'static str,
    /// Only for those who take part in exercises.
    pub exercise: bool,
    /// Codes of the units inside, whole or in part.
    pub units: Vec<String>,
    /// The later publication that replaced or withdrew it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub superseded_by: Option<PublicationId>,
}

impl Row {
    /// The row of a publication. `withdrawn`: what superseded it is a cancel.
    pub fn of(stored: &Stored, withdrawn: bool, now: Timestamp) -> Self {
        let publication = &*stored.publication;
        let alert = match &publication.content {
            Content::Alert(alert) => Some(&**alert),
            _ => None,
        };
        let state = match stored.superseded_by {
            Some(_) if withdrawn => "cancelled",
            Some(_) => "superseded",
            None if publication.is_expired(now) => "expired",
            None => "live",
        };
        let level = alert.and_then(|alert| {
            let levels = alert.infos.iter().filter_map(Level::of_info);
            levels.filter_map(Result::ok).max()
        });
        Self {
            id: publication.id,
            chain: publication.chain.to_string(),
            kind: kind(publication),
            action: publication.action(),
            agency: publication.agency.to_string(),
            lane: publication.lane.as_str(),
            severity: alert.map(|_| publication.severity()),
            level,
            headline: headline(&publication.content),
            accepted_at: publication.accepted_at,
            expires: publication.expires,
            state,
            exercise: publication.is_exercise(),
            units: units(publication),
            superseded_by: stored.superseded_by,
        }
    }
}

/// The kind's name.
pub fn kind(publication: &Publication) -> &'static str {
    match &publication.content {
        Content::Alert(_) => "alert",
        Content::StatusChange(_) => "status_change",
        Content::Notice(_) => "notice",
    }
}

fn headline(content: &Content) -> String {
    match content {
        Content::Alert(alert) => alert_headline(alert),
        Content::Notice(notice) => {
            let vietnamese = notice.texts.iter().find(|(language, _)| is_vietnamese(language));
            let text = vietnamese.or_else(|| notice.texts.iter().next());
            text.map_or_else(String::new, |(_, text)| text.title.clone())
        }
        Content::StatusChange(change) => change.kind.clone(),
    }
}

fn alert_headline(alert: &Alert) -> String {
    let vietnamese = alert.infos.iter().find(|info| is_vietnamese(&info.language));
    let info = vietnamese.or_else(|| alert.infos.first());
    info.map_or_else(String::new, |info| {
        info.headline.clone().unwrap_or_else(|| info.event.clone())
    })
}

fn units(publication: &Publication) -> Vec<String> {
    let Audience::Area(area) = &publication.audience else { return Vec::new() };
    let inside = area.units.iter().filter(|one| !matches!(one.coverage, Coverage::Cells { .. }));
    inside.map(|unit| unit.code.to_string()).collect()
}

/// The row of a publication, with what superseded it looked up.
pub async fn row(alerts: &Alerts, stored: &Stored, now: Timestamp) -> Result<Row, Problem> {
    let withdrawn = match stored.superseded_by {
        None => false,
        Some(by) => {
            let by = alerts.get(by).await.map_err(|error| Problem::internal(&error))?;
            by.is_some_and(|by| by.publication.action() == Action::Cancel)
        }
    };
    Ok(Row::of(stored, withdrawn, now))
}

impl Console {
    /// The row of a publication.
    pub(super) async fn row(&self, stored: &Arc<Stored>) -> Result<Row, Problem> {
        row(&self.alerts, stored, self.clock.now()).await
    }
}
