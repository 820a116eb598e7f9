//! CAP alerts and updates: from the body to a checked draft.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::agency::{Agency, Kind};
use crate::domain::alert::profile;
use crate::domain::alert::rules::{self, Mode, Violation};
use crate::domain::alert::{Alert, MsgType, Scope};
use crate::domain::audience::Audience;
use crate::domain::lane::Lane;
use crate::domain::lint::{self, Grade};
use crate::domain::publication::{Content, Publication};
use crate::event::cap;
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;
use crate::ingest::cancel::alert_of;
use crate::ingest::publish::{Checked, store_problem, within_jurisdiction};
use crate::store::alerts::Identity;

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// CAP XML.
    Xml,
    /// The JSON form of the same model.
    Json,
}

/// A remark of the content linter, or a liberty of the profile: nothing that stops it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Warning {
    /// Where.
    pub path: String,
    /// The rule's stable name.
    pub rule: String,
    /// `error`: worth stopping for, though nothing stops; `warning`: worth a look.
    #[schema(value_type = String)]
    pub grade: Grade,
    /// What to do better.
    pub message: String,
}

/// A draft with what its author should know.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// Ready to be published.
    pub checked: Checked,
    /// Remarks.
    pub warnings: Vec<Warning>,
}

/// Reads an alert, with what its author should know; every broken rule is an error of the problem.
pub fn read(body: &[u8], form: Form) -> Result<(Alert, Vec<Warning>), Problem> {
    match form {
        Form::Xml => cap::read(body, Mode::Strict, &cap::Limits::default())
            .map(|read| (read.alert, read.liberties.into_iter().map(Warning::from).collect())),
        Form::Json => cap::read_json(body).map(|alert| (alert, Vec::new())),
    }
    .map_err(violated)
}

impl From<Violation> for Warning {
    fn from(liberty: Violation) -> Self {
        let Violation { path, rule, message, .. } = liberty;
        Self { path, rule: rule.to_owned(), grade: Grade::Warning, message }
    }
}

impl From<lint::Finding> for Warning {
    fn from(finding: lint::Finding) -> Self {
        let lint::Finding { path, rule, severity: grade, message } = finding;
        Self { path, rule: rule.to_owned(), grade, message }
    }
}

fn violated(violations: Vec<Violation>) -> Problem {
    let errors = violations.iter().filter(|violation| violation.severity == rules::Severity::Error);
    Problem::fields(Code::BadCap, errors.map(field_error).collect())
}

fn field_error(violation: &Violation) -> FieldError {
    FieldError::new(violation.path.as_str(), violation.rule, &violation.message)
}

impl Ingest {
    /// Checks an alert, update or cancel of an agency.
    pub async fn review(
        &self,
        agency: &Agency,
        alert: Alert,
        raw: Option<Bytes>,
    ) -> Result<Reviewed, Problem> {
        supported(&alert)?;
        if alert.msg_type == MsgType::Cancel {
            return self.review_cancel(agency, alert, raw).await;
        }
        let warnings = self.profile(&alert)?;
        let now = self.clock.now();
        let expires = alert.infos.iter().filter_map(|info| info.expires).map(|time| time.instant());
        let expires = expires.max().ok_or_else(|| missing_expiry(&alert))?;
        if expires <= now {
            let message = format!("it expired at {expires}");
            let error = FieldError::new("/alert/info/expires", "expires_in_future", message);
            return Err(Problem::fields(Code::Expired, vec![error]));
        }
        let continued = match alert.msg_type {
            MsgType::Update => Some(self.continued(agency, &alert).await?),
            _ => None,
        };
        let audience = Audience::Area(self.audience_of(&alert)?);
        let mut categories: Vec<_> =
            alert.infos.iter().flat_map(|info| info.categories.iter().copied()).collect();
        categories.sort_unstable();
        categories.dedup(); // every language repeats them
        let severity = alert.infos.iter().map(|info| info.severity).min();
        within_jurisdiction(agency, Kind::Alert, &audience, (&categories, severity))?;
        let replaced = continued.iter().flat_map(|one| one.in_force.iter().map(|old| old.lane));
        let checked = Checked {
            lane: Lane::of_message(&alert, replaced),
            chain: continued.as_ref().map(|one| one.chain),
            supersedes: continued.map(|one| one.supersedes()).unwrap_or_default(),
            identity: identity(&alert),
            audience,
            expires,
            raw,
            signed_by: None,
            content: Content::Alert(Box::new(alert)),
        };
        Ok(Reviewed { checked, warnings })
    }

    /// The publication of a message that came before, whatever has become of its chain since: a
    /// publisher whose answer was lost repeats itself, and is answered as it was.
    pub async fn repeated(
        &self,
        agency: &Agency,
        alert: &Alert,
    ) -> Result<Option<(Arc<Publication>, Vec<Warning>)>, Problem> {
        let (sender, identifier) = (&alert.sender, &alert.identifier);
        let known = self.alerts.by_identity(sender, identifier, alert.sent.instant()).await;
        let known = known.map_err(store_problem)?.filter(|stored| {
            let same = alert_of(&stored.publication) == Some(alert);
            same && stored.publication.agency == agency.id && stored.logged.is_some()
        });
        let warnings = || self.profile(alert).unwrap_or_default();
        Ok(known.map(|stored| (Arc::clone(&stored.publication), warnings())))
    }

    /// The rules for what is published here, beyond CAP's own, and the content linter.
    fn profile(&self, alert: &Alert) -> Result<Vec<Warning>, Problem> {
        let (errors, liberties): (Vec<_>, Vec<_>) = profile::profile(alert)
            .into_iter()
            .partition(|violation| violation.severity == rules::Severity::Error);
        if !errors.is_empty() {
            return Err(violated(errors));
        }
        let findings = lint::lint(alert, self.clock.now()).into_iter().map(Warning::from);
        Ok(liberties.into_iter().map(Warning::from).chain(findings).collect())
    }
}

/// The identity of a CAP message: sender, identifier and sent.
pub fn identity(alert: &Alert) -> Identity {
    Identity::Alert {
        sender: alert.sender.clone(),
        identifier: alert.identifier.clone(),
        sent: alert.sent.instant(),
    }
}

fn missing_expiry(alert: &Alert) -> Problem {
    let message = format!("message {} has no `expires`", alert.identifier);
    let error = FieldError::new("/alert/info/expires", "expires_required", message);
    Problem::fields(Code::BadCap, vec![error])
}

/// What is for machines or for named recipients is refused, never treated as a public alert.
fn supported(alert: &Alert) -> Result<(), Problem> {
    let mut errors = Vec::new();
    if matches!(alert.msg_type, MsgType::Ack | MsgType::Error) {
        let message = format!("{} is not published; Alert, Update and Cancel are", alert.msg_type);
        errors.push(FieldError::new("/alert/msgType", "msg_type_supported", message));
    }
    if alert.scope != Scope::Public {
        let message = format!("{} alerts are not broadcast; Public ones are", alert.scope);
        errors.push(FieldError::new("/alert/scope", "scope_supported", message));
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::fields(Code::BadCap, errors)) }
}
