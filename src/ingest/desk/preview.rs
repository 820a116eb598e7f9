//! What a draft would do, shown while it is written: who would get it, how loudly, in which words.
//! An unfinished draft shows as much as can be known; what is missing is a warning of grade
//! `error`, not a refusal.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::jws;
use crate::domain::agency::Agency;
use crate::domain::alert::{Alert, Area};
use crate::domain::audience::{AreaAudience, Audience};
use crate::domain::channel::Channel;
use crate::domain::device::Permission;
use crate::domain::draft::DraftKind;
use crate::domain::forecast::Forecast;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::lane::Lane;
use crate::domain::lint::Grade;
use crate::domain::notice::Notice;
use crate::domain::publication::{Content, Publication};
use crate::domain::push::Rendered;
use crate::domain::summary::Phrasebook;
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;
use crate::ingest::alert::Warning;
use crate::ingest::desk::complete::Wording;
use crate::ingest::desk::needs_second_person;

/// Languages that are shown.
const LANGUAGES: [&str; 2] = ["vi", "en"];

/// What a draft would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Preview {
    /// The lane it would take.
    pub lane: String,
    /// It would go on the emergency lane.
    pub hot: bool,
    /// Who would get it.
    pub audience: Reach,
    /// How long an undisturbed broadcast takes, by channel, and what limits it.
    #[schema(value_type = Object)]
    pub forecast: BTreeMap<Channel, Forecast>,
    /// Remarks; of grade `error` what stands in the way of publishing it.
    pub warnings: Vec<Warning>,
    /// What phones would show: by push channel, then language.
    #[schema(value_type = Object)]
    pub payloads: BTreeMap<Channel, BTreeMap<&'static str, Rendered>>,
    /// Where it lies outside the agency's jurisdiction.
    pub trespass: Vec<FieldError>,
    /// It needs a second person, or an override.
    pub needs_second_person: bool,
}

/// Who would get it.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Reach {
    /// How true the boundaries are.
    pub boundaries: &'static str,
    /// The units.
    pub units: Vec<ReachUnit>,
    /// Devices together.
    pub devices: u64,
    /// Devices by channel.
    pub channels: BTreeMap<String, u64>,
    /// Those whose place is a whole unit that is covered only in part.
    pub coarse: u64,
}

/// One unit of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReachUnit {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// The part of its area inside, 0..=1.
    pub share: f64,
    /// Its devices, by channel.
    pub channels: BTreeMap<String, u64>,
}

/// As much of a draft as can be read.
struct Seen {
    lane: Lane,
    second: bool,
    area: Option<AreaAudience>,
    content: Option<Content>,
    warnings: Vec<Warning>,
    trespass: Vec<FieldError>,
}

impl Ingest {
    /// Shows what a draft would do.
    pub async fn preview(
        &self,
        agency: &Agency,
        wording: &Wording<'_>,
    ) -> Result<Preview, Problem> {
        let seen = match self.review_wording(agency, wording).await {
            Ok(reviewed) => Seen {
                lane: reviewed.checked.lane,
                second: needs_second_person(&reviewed.checked),
                area: area_of(reviewed.checked.audience),
                content: Some(reviewed.checked.content),
                warnings: reviewed.warnings,
                trespass: Vec::new(),
            },
            Err(problem) if problem.code.status().is_server_error() => return Err(problem),
            Err(problem) => self.half_seen(agency, wording, problem).await,
        };
        self.shown(agency, seen).await
    }

    /// What an unfinished draft lets see.
    async fn half_seen(&self, agency: &Agency, wording: &Wording<'_>, problem: Problem) -> Seen {
        let (content, lane) = match wording.kind {
            DraftKind::Notice => {
                let notice = serde_json::from_value::<Notice>(wording.body.clone()).ok();
                (notice.map(|notice| Content::Notice(Box::new(notice))), Lane::Routine)
            }
            _ => {
                let document = self.alert_document(agency, wording).await.ok();
                let alert = document.and_then(|one| serde_json::from_value::<Alert>(one).ok());
                let lane = alert.as_ref().map_or(Lane::Routine, |a| Lane::of_message(a, []));
                (alert.map(|alert| Content::Alert(Box::new(alert))), lane)
            }
        };
        let area = match &content {
            Some(Content::Notice(notice)) => {
                self.audience_of_target(agency, notice.target.as_ref()).ok()
            }
            _ => self.audience_of_areas(&areas(wording.body)),
        };
        let errors = if problem.errors.is_empty() {
            vec![FieldError::new("body", problem.code.as_str(), &problem.detail)]
        } else {
            problem.errors
        };
        let (trespass, broken) = match problem.code {
            Code::OutsideJurisdiction => (errors, Vec::new()),
            _ => (Vec::new(), errors),
        };
        let warnings = broken.into_iter().map(|FieldError { path, rule, message }| Warning {
            path,
            rule,
            grade: Grade::Error,
            message,
        });
        let second = lane == Lane::Emergency && wording.kind != DraftKind::Cancel;
        Seen { lane, second, area, content, warnings: warnings.collect(), trespass }
    }

    async fn shown(&self, agency: &Agency, seen: Seen) -> Result<Preview, Problem> {
        let Seen { lane, second, area, content, warnings, trespass } = seen;
        let boundaries = self.city.boundaries().as_str();
        let mut reach = Reach { boundaries, ..Reach::default() };
        let mut forecast = BTreeMap::new();
        if let Some(area) = &area {
            let audience = Audience::Area(area.clone());
            let estimate = self.registry.estimate(&audience).await;
            let estimate = estimate.map_err(|error| Problem::internal(&error))?;
            let named = |counts: &BTreeMap<Channel, u64>| {
                counts.iter().map(|(channel, count)| (channel.to_string(), *count)).collect()
            };
            reach.units = area
                .units
                .iter()
                .map(|unit| ReachUnit {
                    code: unit.code.to_string(),
                    name: self.city.unit(&unit.code).map_or("", |known| &known.name).to_owned(),
                    share: unit.share,
                    channels: estimate.units.get(&unit.code).map(named).unwrap_or_default(),
                })
                .collect();
            reach.devices = estimate.total;
            reach.channels = named(&estimate.channels);
            reach.coarse = estimate.coarse;
            let counts = estimate.channels.iter().map(|(of, count)| (*of, *count));
            forecast = self.outlook.forecast(counts);
        }
        let payloads =
            content.map(|content| self.payloads(agency, (content, lane), area)).unwrap_or_default();
        Ok(Preview {
            lane: lane.to_string(),
            hot: lane == Lane::Emergency,
            audience: reach,
            forecast,
            warnings,
            payloads,
            trespass,
            needs_second_person: second,
        })
    }

    /// What phones would show, as the loudest permission lets them.
    fn payloads(
        &self,
        agency: &Agency,
        (content, lane): (Content, Lane),
        area: Option<AreaAudience>,
    ) -> BTreeMap<Channel, BTreeMap<&'static str, Rendered>> {
        let now = self.clock.now();
        let expires = match &content {
            Content::Notice(notice) => notice.expires,
            Content::Alert(alert) => {
                let ends = alert.infos.iter().filter_map(|info| info.expires);
                ends.map(|time| time.instant()).max().unwrap_or(now)
            }
            Content::StatusChange(_) => now,
        };
        let nowhere = AreaAudience {
            boundaries: self.city.boundaries(),
            vintage: self.city.vintage().clone(),
            units: Vec::new(),
        };
        let id = PublicationId(uuid::Uuid::nil());
        // The real one is as long, and takes its room from the words.
        let is_alert = matches!(content, Content::Alert(_));
        let signature = is_alert.then(|| "x".repeat(jws::BYTES));
        let publication = Publication {
            id,
            chain: ChainId::from(id),
            lane,
            agency: agency.id.clone(),
            agency_name: Some(agency.name.clone()),
            accepted_at: now,
            expires,
            supersedes: Vec::new(),
            audience: Audience::Area(area.unwrap_or(nowhere)),
            content,
            signature,
            signed_by: None,
        };
        let book = Phrasebook::new(&publication, &self.kinds);
        let mut payloads: BTreeMap<Channel, BTreeMap<&'static str, Rendered>> = BTreeMap::new();
        for language in LANGUAGES {
            let key = book.key(&[language.to_owned()], Permission::Loud, false);
            for (channel, rendered) in (self.render)(&book.content(key)) {
                payloads.entry(channel).or_default().insert(language, rendered);
            }
        }
        payloads
    }

    fn audience_of_areas(&self, areas: &[Area]) -> Option<AreaAudience> {
        self.audience_of_listed(areas).ok()
    }
}

fn area_of(audience: Audience) -> Option<AreaAudience> {
    match audience {
        Audience::Area(area) => Some(area),
        Audience::Subject { .. } => None,
    }
}

/// The areas of an alert's first `info` that has any, whatever else is missing.
fn areas(body: &Value) -> Vec<Area> {
    let infos = body["infos"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lists = infos.iter().filter_map(|info| info["areas"].as_array());
    let first = lists.filter(|list| !list.is_empty()).map(Vec::as_slice).next();
    let read = |area: &Value| serde_json::from_value(area.clone()).ok();
    first.unwrap_or_default().iter().filter_map(read).collect()
}
