//! Templates by hazard: words that are ready when there is no time to find them. Data, so that a
//! city can have its own without a release (`console.templates_file`).

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::desk::Caller;
use crate::console::Console;
use crate::domain::alert::{Category, Certainty, ResponseType, Severity, Urgency};
use crate::domain::level::Level;
use crate::domain::lint::{Grade, lint_text};
use crate::domain::notice::TITLE_MAX;
use crate::http::problem::{Problem, Refused};

/// The built-in templates.
const BUILT_IN: &str = include_str!("templates.json");
/// The most templates of a file: more is a list nobody reads in an emergency.
const TEMPLATES_MAX: usize = 100;
/// A month: an alert does not last longer.
const MINUTES_MAX: u32 = 30 * 24 * 60;

/// Templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// One for each hazard, or several.
    pub templates: Vec<Template>,
}

/// One template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its id, unique.
    pub id: String,
    /// The hazard it is for.
    pub hazard: String,
    /// CAP category.
    #[schema(value_type = String)]
    pub category: Category,
    /// CAP severity.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// CAP urgency.
    #[schema(value_type = String)]
    pub urgency: Urgency,
    /// CAP certainty.
    #[schema(value_type = String)]
    pub certainty: Certainty,
    /// What people should do, in CAP's words.
    #[schema(value_type = Vec<String>)]
    pub response_types: Vec<ResponseType>,
    /// Level of disaster risk, 1 to 5.
    #[schema(value_type = u8)]
    pub level: Level,
    /// The words, by language; `vi` is required.
    pub texts: BTreeMap<String, TemplateText>,
    /// How long such an alert lasts.
    pub expires_minutes: u32,
}

/// A template's words in one language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateText {
    /// What kind of event.
    pub event: String,
    /// One line.
    pub headline: String,
    /// What happens.
    pub description: String,
    /// What to do.
    pub instruction: String,
}

/// Templates that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Templates {
    /// The built-in ones.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("the built-in templates are read by a test")
    }

    /// Reads a file; every rule it breaks is an error that names the template.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let read: Self = serde_json::from_str(text).map_err(|error| Error(error.to_string()))?;
        let count = read.templates.len();
        if count > TEMPLATES_MAX {
            return Err(Error(format!("{count} templates, at most {TEMPLATES_MAX}")));
        }
        let mut ids = BTreeSet::new();
        for template in &read.templates {
            if !ids.insert(&template.id) {
                return Err(Error(format!("template `{}` is there twice", template.id)));
            }
            template.check().map_err(|why| Error(format!("template `{}`: {why}", template.id)))?;
        }
        Ok(read)
    }
}

impl Template {
    fn check(&self) -> Result<(), String> {
        if !(1..=MINUTES_MAX).contains(&self.expires_minutes) {
            return Err(format!("expires_minutes: must be 1..={MINUTES_MAX}"));
        }
        // What the linter refuses in an alert must not come ready-made.
        let wanted = self.level.severity();
        if self.severity != wanted {
            let (level, given) = (self.level, self.severity);
            return Err(format!("severity: level {level} is severity {wanted}, not {given}"));
        }
        if !self.texts.contains_key("vi") {
            return Err("texts: no words in Vietnamese (vi)".to_owned());
        }
        for (language, text) in &self.texts {
            let TemplateText { event, headline, description, instruction } = text;
            if headline.chars().count() > TITLE_MAX {
                return Err(format!("texts.{language}.headline: over {TITLE_MAX} characters"));
            }
            for part in [event, headline, description, instruction] {
                let errors = lint_text(language, part);
                let wrong = errors.iter().find(|found| found.severity == Grade::Error);
                if part.trim().is_empty() {
                    return Err(format!("texts.{language}: an empty text"));
                }
                if let Some(wrong) = wrong {
                    return Err(format!("texts.{language}: {}", wrong.message));
                }
            }
        }
        Ok(())
    }
}

/// Templates by hazard.
#[utoipa::path(get, path = "/v1/console/templates", tag = "desk",
    responses((status = 200, description = "Templates", body = Templates), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    _: Caller,
) -> Result<axum::Json<Templates>, Problem> {
    Ok(axum::Json((*console.templates).clone()))
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::domain::alert::CapTime;
    use crate::domain::level::PARAMETER;
    use crate::domain::lint::lint;

    #[test]
    fn the_built_in_ones_cover_nine_hazards_in_both_languages() {
        let all = Templates::built_in().templates;
        let hazards: BTreeSet<_> = all.iter().map(|one| one.hazard.as_str()).collect();
        let wanted = [
            "air",
            "fire",
            "flood-tide",
            "health",
            "heavy-rain",
            "security",
            "storm",
            "traffic",
            "water-cut",
        ];
        assert_eq!(hazards, wanted.into());
        for one in &all {
            assert!(one.texts.contains_key("en") && !one.response_types.is_empty(), "{}", one.id);
        }
    }

    #[test]
    fn the_linter_finds_nothing_in_an_alert_made_of_a_template() {
        let now: Timestamp = "2026-08-01T09:00:00Z".parse().expect("an instant");
        for one in Templates::built_in().templates {
            let minutes = SignedDuration::from_mins(one.expires_minutes.into());
            let end = now.checked_add(minutes).expect("a month at most");
            let infos = one.texts.iter().map(|(language, text)| {
                json!({"language": language, "categories": [one.category], "event": text.event,
                    "response_types": one.response_types, "urgency": one.urgency,
                    "severity": one.severity, "certainty": one.certainty,
                    "expires": CapTime::new(end, 420), "headline": text.headline,
                    "description": text.description, "instruction": text.instruction,
                    "parameters": [{"name": PARAMETER, "value": one.level.to_string()}],
                    "areas": [{"description": "Cả thành phố"}]})
            });
            let alert = json!({"identifier": one.id, "sender": "bch",
                "sent": CapTime::new(now, 420), "status": "Actual", "msg_type": "Alert",
                "scope": "Public", "infos": infos.collect::<Vec<_>>()});
            let alert = serde_json::from_value(alert).expect("an alert");
            assert_eq!(lint(&alert, now), [], "{}", one.id);
        }
    }

    #[test]
    fn a_file_is_refused_with_the_template_and_the_rule() {
        let spoil = |from: &str, to: &str| BUILT_IN.replacen(from, to, 1);
        for (text, named) in [
            (spoil("\"id\": \"fire\"", "\"id\": \"air\""), "`air` is there twice"),
            (spoil("\"expires_minutes\": 360", "\"expires_minutes\": 0"), "expires_minutes"),
            (spoil("\"vi\"", "\"fr\""), "Vietnamese"),
            (spoil("\"Triều cường\"", "\" \""), "empty"),
            (spoil("\"Met\"", "\"Weather\""), "Weather"),
            (spoil("\"Severe\"", "\"Minor\""), "level 3 is severity Severe, not Minor"),
        ] {
            let error = Templates::parse(&text).expect_err(named).to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
