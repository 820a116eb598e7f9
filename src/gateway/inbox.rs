//! The inbox: what was published for a device, newest first, whatever became of it. Where a client
//! goes when its stream could not be resumed.

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::citizen::{AsCitizen, Citizen};
use crate::domain::audience::{Audience, Fit};
use crate::domain::device::{Device, Permission};
use crate::domain::ids::{PublicationId, SubjectId};
use crate::domain::publication::{Action, Publication};
use crate::gateway::Gateway;
use crate::gateway::view::{Languages, View, is_for_citizens, languages};
use crate::gateway::viewer::Stay;
use crate::http::input::{Query, page_limit};
use crate::http::problem::{Document, Problem};
use crate::store::alerts::Stored;

/// Items of one page.
const PAGE_MAX: usize = 100;
const PAGE_DEFAULT: usize = 50;
/// Publications read at a time, and how often, to fill a page: what one request may cost.
const READ: usize = 200;
const READS_MAX: usize = 10;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Ask {
    /// The `next` of the page before.
    #[param(value_type = Option<String>, format = "uuid")]
    before: Option<PublicationId>,
    /// 1 to 100; 50 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// A page of the inbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page {
    /// Newest first.
    items: Vec<Item>,
    /// Ask for what is older with this as `before`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    next: Option<PublicationId>,
}

/// One publication in the inbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Item {
    /// What it said.
    publication: View,
    /// `live`, `superseded` or `expired`.
    state: &'static str,
    /// The later one that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    superseded_by: Option<PublicationId>,
}

/// Read the inbox
#[utoipa::path(
    get,
    path = "/v1/inbox",
    tag = "devices",
    params(Ask),
    responses(
        (status = 200, description = "A page", body = Page),
        (status = 400, description = "A parameter breaks a rule", body = Document),
        (status = 401, description = "Wrong credentials", body = Document)
    ),
    security(("device" = []), ("citizen" = []))
)]
pub(super) async fn read(
    State(gateway): State<Gateway>,
    AsCitizen(citizen): AsCitizen,
    Query(ask): Query<Ask>,
) -> Result<axum::Json<Page>, Problem> {
    let limit = page_limit(ask.limit, (PAGE_DEFAULT, PAGE_MAX))?;
    let (device, subject) = match citizen {
        Citizen::Device(device) => (Some(Arc::clone(&device)), device.subject.clone()),
        Citizen::Subject(subject) => (None, Some(subject)),
    };
    let stays = match &device {
        Some(device) => gateway.stays(device).await?,
        None => Vec::new(),
    };
    let reader = Reader { gateway: &gateway, device, subject, stays, now: gateway.hub.now() };
    reader.page(ask.before, limit).await.map(axum::Json)
}

struct Reader<'a> {
    gateway: &'a Gateway,
    device: Option<Arc<Device>>,
    subject: Option<SubjectId>,
    stays: Vec<Stay>,
    now: Timestamp,
}

impl Reader<'_> {
    async fn page(&self, before: Option<PublicationId>, limit: usize) -> Result<Page, Problem> {
        let (mut before, mut items) = (before, Vec::new());
        for _ in 0..READS_MAX {
            let (read, is_last) = self.read(before).await?;
            for stored in &read {
                before = Some(stored.publication.id);
                items.extend(self.item(stored));
                if items.len() == limit {
                    return Ok(Page { items, next: before });
                }
            }
            if is_last {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: before })
    }

    /// The newest of both kinds before an id, and whether nothing is older. Of two lists only the
    /// part that both cover may be given out, or the next page would miss something.
    async fn read(
        &self,
        before: Option<PublicationId>,
    ) -> Result<(Vec<Arc<Stored>>, bool), Problem> {
        let alerts = &self.gateway.parts.alerts;
        let internal = |error| Problem::internal(&error);
        let mut area = match &self.device {
            Some(_) => alerts.recent(before, READ).await.map_err(internal)?,
            None => Vec::new(),
        };
        let mut own = match &self.subject {
            Some(subject) => alerts.for_subject(subject, before, READ).await.map_err(internal)?,
            None => Vec::new(),
        };
        let oldest = |list: &[Arc<Stored>]| {
            list.last().filter(|_| list.len() == READ).map(|stored| stored.publication.id)
        };
        let floor = oldest(&area).max(oldest(&own));
        area.append(&mut own);
        area.sort_unstable_by_key(|stored| std::cmp::Reverse(stored.publication.id));
        if let Some(floor) = floor {
            area.retain(|stored| stored.publication.id >= floor);
        }
        Ok((area, floor.is_none()))
    }

    fn item(&self, stored: &Stored) -> Option<Item> {
        let publication = &stored.publication;
        let coarse = self.fit(publication)?;
        let profile = self.device.as_ref().map(|device| &device.profile);
        let wanted = match profile {
            Some(profile) => {
                let interests = publication.interests();
                let severity = publication.severity();
                // Noon: quiet hours only silence, and an inbox makes no sound.
                let allowed = profile.permission(publication.lane, severity, &interests, 720);
                if allowed == Permission::Muted || (publication.is_exercise() && !profile.exercises)
                {
                    return None;
                }
                let wanted = profile.languages.iter().map(String::as_str);
                Languages::chosen(languages(publication), wanted)
            }
            None => Languages::ALL,
        };
        let state = match stored.superseded_by {
            Some(_) => "superseded",
            None if publication.is_expired(self.now) => "expired",
            None => "live",
        };
        let view = View { coarse, ..View::of(publication, wanted) };
        Some(Item { publication: view, state, superseded_by: stored.superseded_by })
    }

    /// Whether it was for this citizen, and whether coarsely.
    fn fit(&self, publication: &Publication) -> Option<bool> {
        if !is_for_citizens(publication) {
            return None;
        }
        match &publication.audience {
            own @ Audience::Subject { .. } => {
                let reader = self.subject.as_ref();
                reader.is_some_and(|reader| own.is_subject(reader)).then_some(false)
            }
            Audience::Area(area) => {
                // An all-clear is only for those who were there before it.
                let told = |stay: &Stay| {
                    publication.action() != Action::Cancel
                        || stay.joined_at <= publication.accepted_at
                };
                let fits = self.stays.iter().filter(|stay| {
                    let left = stay.left_at.is_some_and(|left| left <= publication.accepted_at);
                    !left && told(stay)
                });
                let fits: Vec<Fit> = fits.filter_map(|stay| area.fit(&stay.place)).collect();
                if fits.is_empty() { None } else { Some(!fits.contains(&Fit::Exact)) }
            }
        }
    }
}
