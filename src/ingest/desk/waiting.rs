//! A hot alert that came over the API of an agency that wants two people: it becomes a submitted
//! draft, and is published when another person or key approves it.

use uuid::Uuid;

use crate::auth::api_key::AsAgency;
use crate::domain::audit::{Act, Actor};
use crate::domain::draft::{Draft, DraftKind, Move, REASON_CHARS_MAX, State, Step};
use crate::domain::ids::DraftId;
use crate::domain::person::Right;
use crate::domain::publication::{Action, Content};
use crate::http::{Code, Problem};
use crate::ingest::Ingest;
use crate::ingest::desk::{NewDraft, draft_problem, needs_second_person};
use crate::ingest::publish::Checked;
use crate::trail::Deed;

/// Who a key is, for the audit.
pub fn actor(caller: &AsAgency) -> Actor {
    Actor::Agency { id: caller.agency.id.to_string(), key: caller.key_name.clone() }
}

impl Ingest {
    /// Refuses a key that lacks a right.
    pub async fn key_needs(&self, caller: &AsAgency, right: Right) -> Result<(), Problem> {
        let rights = self.agencies.key_rights(&caller.agency.id, &caller.key_name).await;
        if rights.map_err(|error| Problem::internal(&error))?.contains(&right) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, format!("the key lacks the right `{right}`")))
    }

    /// The draft that waits for a second person, if what was checked needs one; an override for a
    /// reason is written down before it takes effect.
    pub async fn held(
        &self,
        caller: &AsAgency,
        checked: &Checked,
        override_reason: Option<&str>,
    ) -> Result<Option<Draft>, Problem> {
        if !caller.agency.second_person || !needs_second_person(checked) {
            return Ok(None);
        }
        let Content::Alert(alert) = &checked.content else { return Ok(None) };
        let Some(reason) = override_reason else {
            return self.wait(caller, checked).await.map(Some);
        };
        self.key_needs(caller, Right::Override).await?;
        let count = reason.trim().chars().count();
        if !(1..=REASON_CHARS_MAX).contains(&count) {
            let message = format!("give a reason of 1 to {REASON_CHARS_MAX} characters");
            return Err(Problem::parameter("override_reason", "length", message));
        }
        let deed = Deed::done(actor(caller), Act::Override, &alert.identifier).alone(true);
        let deed = deed.because(Some(reason.trim().to_owned()));
        self.trail.record(deed).await.map_err(|error| Problem::internal(&error))?;
        Ok(None)
    }

    async fn wait(&self, caller: &AsAgency, checked: &Checked) -> Result<Draft, Problem> {
        let Content::Alert(alert) = &checked.content else {
            return Err(Problem::internal(&"only an alert waits"));
        };
        let body = serde_json::to_value(alert).map_err(|error| Problem::internal(&error))?;
        // The same message again is the same draft.
        let agency = &caller.agency.id;
        let name = format!("{agency}\0{}\0{}\0{}", alert.sender, alert.identifier, alert.sent);
        let id = DraftId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()));
        if let Some(known) = self.drafts.get(id).await.map_err(draft_problem)? {
            if known.body == body {
                return Ok(known);
            }
            let detail = "the message's identity was used with other content, by a draft";
            return Err(Problem::new(Code::Conflict, detail));
        }
        let kind = match checked.action() {
            Action::Update => DraftKind::Update,
            Action::Alert | Action::Cancel => DraftKind::Alert,
        };
        let of = checked.supersedes.last().copied();
        let new = NewDraft { kind, of, body, exercise: false };
        let by = format!("key:{}", caller.key_name);
        let draft = self.new_draft(&caller.agency, (by.clone(), id), new);
        let at = self.clock.now();
        let step = Step { step: Move::Submit, by, at, reason: None };
        let draft = draft.after(step).map_err(|error| Problem::internal(&error))?;
        let draft = Draft { raw: checked.raw.is_some(), version: 1, ..draft };
        debug_assert_eq!(draft.state, State::Submitted);
        self.drafts.create(draft.clone(), checked.raw.clone()).await.map_err(draft_problem)?;
        self.trail.note(Deed::done(actor(caller), Act::SubmitDraft, id)).await;
        Ok(draft)
    }
}
