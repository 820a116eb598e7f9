//! The desk: drafts, their decisions, and how a decision becomes a publication.
//!
//! A decision is stored before anything is published, under the moment it was taken; the message
//! that is published follows from the draft and that moment alone. So a crash between the two is
//! finished at the next start ([`Ingest::finish_drafts`]) and publishes the same message once. What
//! is published goes the way of everything else: read, checked, matched, held to the agency's
//! jurisdiction as it is then.

pub mod complete;
pub mod preview;
pub mod waiting;

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::auth::desk::Caller;
use crate::domain::agency::Agency;
use crate::domain::audit::{Act, Actor};
use crate::domain::draft::{Draft, DraftKind, Move, Refusal, State, Step};
use crate::domain::ids::{DraftId, PublicationId};
use crate::domain::lane::Lane;
use crate::domain::person::Right;
use crate::domain::publication::Action;
use crate::http::{Code, Problem};
use crate::ingest::Ingest;
use crate::ingest::alert::{Form, Reviewed, Warning, read};
use crate::ingest::cancel::CancelRequest;
use crate::ingest::desk::complete::Wording;
use crate::ingest::publish::{Checked, Published, store_problem};
use crate::ingest::signed::{hands_in, recalls};
use crate::store::drafts;
use crate::trail::Deed;

/// A step somebody asks for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which.
    pub step: Move,
    /// The version they saw; absent means whatever it is.
    pub version: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

/// A new draft.
#[derive(Clone, Debug)]
pub struct NewDraft {
    /// What it is to become.
    pub kind: DraftKind,
    /// What an update or cancel is of.
    pub of: Option<PublicationId>,
    /// The words.
    pub body: serde_json::Value,
    /// Only for those who take part in exercises.
    pub exercise: bool,
}

/// Whether what was checked waits for a second person: hot, and no withdrawal (which takes nothing
/// from anyone).
pub fn needs_second_person(checked: &Checked) -> bool {
    checked.lane == Lane::Emergency && checked.action() != Action::Cancel
}

impl Ingest {
    /// Begins a draft.
    pub async fn begin_draft(&self, caller: &Caller, new: NewDraft) -> Result<Draft, Problem> {
        caller.need(Right::Write)?;
        let draft = self.new_draft(&caller.agency, (caller.id(), DraftId(Uuid::new_v4())), new);
        self.drafts.create(draft.clone(), None).await.map_err(draft_problem)?;
        Ok(draft)
    }

    pub(super) fn new_draft(
        &self,
        agency: &Agency,
        (by, id): (String, DraftId),
        new: NewDraft,
    ) -> Draft {
        let now = self.clock.now();
        Draft {
            id,
            agency: agency.id.clone(),
            state: State::Editing,
            version: 1,
            created_by: by,
            created_at: now,
            updated_at: now,
            submitted_by: None,
            decided_by: None,
            decided_at: None,
            reason: None,
            publication: None,
            kind: new.kind,
            of: new.of,
            body: new.body,
            exercise: new.exercise,
            raw: false,
        }
    }

    /// A draft the caller may see; another agency's is not found.
    pub async fn draft(&self, caller: &Caller, id: DraftId) -> Result<Draft, Problem> {
        let draft = self.drafts.get(id).await.map_err(draft_problem)?;
        draft
            .filter(|draft| caller.sees(&draft.agency))
            .ok_or_else(|| Problem::new(Code::NotFound, format!("no draft {id}")))
    }

    /// Changes a draft's words.
    pub async fn edit_draft(
        &self,
        caller: &Caller,
        (id, version): (DraftId, u64),
        new: NewDraft,
    ) -> Result<Draft, Problem> {
        let order = Order { step: Move::Edit, version: Some(version), reason: None };
        let (draft, next) = self.step(caller, id, &order).await?;
        let NewDraft { kind, of, body, exercise } = new;
        let next = Draft { kind, of, body, exercise, raw: false, ..next };
        self.drafts.change(draft.version, next.clone()).await.map_err(draft_problem)?;
        Ok(next)
    }

    /// Takes a step. What decides for publication publishes too, and answers the draft with its
    /// publication.
    pub async fn take(&self, caller: &Caller, id: DraftId, order: Order) -> Result<Draft, Problem> {
        let outcome = self.taken(caller, id, &order).await;
        if let (Err(problem), Some(act)) = (&outcome, act_of(order.step))
            && problem.code.status() == axum::http::StatusCode::FORBIDDEN
        {
            let code = problem.code.as_str();
            self.trail.note(Deed::refused(caller.actor(), act, id, code)).await;
            return outcome.map_err(Problem::noted);
        }
        outcome
    }

    async fn taken(&self, caller: &Caller, id: DraftId, order: &Order) -> Result<Draft, Problem> {
        let (draft, next) = self.step(caller, id, order).await?;
        hands_in(caller, order.step, &next)?;
        if order.step == Move::Drop {
            self.drafts.remove(id, draft.version).await.map_err(draft_problem)?;
            self.trail.note(Deed::done(caller.actor(), Act::DropDraft, id)).await;
            return Ok(draft);
        }
        let decides = matches!(order.step, Move::Approve | Move::Override | Move::Publish);
        if decides || order.step == Move::Submit {
            let reviewed = self.review_draft(&caller.agency, &next).await?;
            if order.step == Move::Publish {
                alone(caller, &reviewed.checked)?;
            }
        }
        let deed = act_of(order.step).map(|act| {
            let deed = Deed::done(caller.actor(), act, id).because(next.reason.clone());
            deed.alone(order.step == Move::Override)
        });
        if let Some(deed) = deed.clone().filter(|_| order.step == Move::Override) {
            // An override is written down before it takes effect, or it takes none.
            self.trail.record(deed).await.map_err(|error| Problem::internal(&error))?;
        }
        self.drafts.change(draft.version, next.clone()).await.map_err(draft_problem)?;
        if let Some(deed) = deed.filter(|_| order.step != Move::Override) {
            self.trail.note(deed).await;
        }
        if next.is_due() {
            return self.publish_draft(&caller.agency, next, caller.actor()).await;
        }
        Ok(next)
    }

    /// The draft now and after a step, if the caller may take it.
    async fn step(
        &self,
        caller: &Caller,
        id: DraftId,
        order: &Order,
    ) -> Result<(Draft, Draft), Problem> {
        let draft = self.draft(caller, id).await?;
        if draft.agency != caller.agency.id {
            let detail = "only the agency's own people decide on its drafts";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let by = caller.id();
        match order.step {
            Move::Edit | Move::Submit | Move::Publish | Move::Drop => caller.need(Right::Write)?,
            // Whoever submitted it may take it back.
            Move::Return if draft.submitted_by.as_ref() == Some(&by) => {
                caller.need(Right::Write)?
            }
            Move::Approve | Move::Return | Move::Reject => caller.need(Right::Approve)?,
            Move::Override => caller.need(Right::Override)?,
        }
        if let Some(given) = order.version.filter(|given| *given != draft.version) {
            let now = draft.version;
            return Err(draft_problem(drafts::Error::Stale { id, given, now }));
        }
        if draft.state == State::Approved {
            // Decided, and on its way: only Loa itself takes it back.
            let refusal = Refusal::Illegal { from: draft.state, step: order.step.as_str() };
            return Err(refused(refusal));
        }
        let step =
            Step { step: order.step, by, at: self.clock.now(), reason: order.reason.clone() };
        let next = draft.after(step).map_err(refused)?;
        Ok((draft, next))
    }

    /// Checks a draft as if it were published at the moment of its decision, or now.
    pub async fn review_draft(&self, agency: &Agency, draft: &Draft) -> Result<Reviewed, Problem> {
        if !draft.raw {
            return self.review_wording(agency, &wording(draft, self.clock.now())).await;
        }
        let raw = self.drafts.raw(draft.id).await.map_err(draft_problem)?;
        let raw = raw.ok_or_else(|| Problem::internal(&"a draft's XML is gone"))?;
        let (alert, mut warnings) = read(&raw, Form::Xml)?;
        let mut reviewed = self.review_received(agency, alert, Some(raw)).await?;
        warnings.append(&mut reviewed.warnings);
        Ok(Reviewed { warnings, ..reviewed })
    }

    /// Publishes what was decided, and marks the draft. What cannot be published any more goes
    /// back to its writer.
    async fn publish_draft(
        &self,
        agency: &Agency,
        draft: Draft,
        actor: Actor,
    ) -> Result<Draft, Problem> {
        let now = self.clock.now();
        let id = match self.became(&wording(&draft, now)).await? {
            Some(known) => known,
            None => match self.publish_decided(agency, &draft).await {
                Ok(published) => {
                    self.note_signature(actor.clone(), &published).await;
                    published.id
                }
                Err(problem) if problem.code.status().is_server_error() => return Err(problem),
                Err(problem) => {
                    self.give_back(draft, &problem).await?;
                    return Err(problem);
                }
            },
        };
        let next = draft.published(id, now);
        self.drafts.change(draft.version, next.clone()).await.map_err(draft_problem)?;
        self.trail.note(Deed::done(actor, Act::Publish, id)).await;
        Ok(next)
    }

    async fn publish_decided(&self, agency: &Agency, draft: &Draft) -> Result<Published, Problem> {
        let reviewed = self.review_draft(agency, draft).await?;
        let mut published = self.publish(agency, vec![reviewed.checked]).await?;
        published.pop().ok_or_else(|| Problem::internal(&"one publication has one answer"))
    }

    async fn give_back(&self, draft: Draft, problem: &Problem) -> Result<(), Problem> {
        let reason: String = problem.detail.chars().take(200).collect();
        let (at, by) = (self.clock.now(), "system".to_owned());
        let returned = Draft { state: State::Approved, ..draft.clone() }.after(Step {
            step: Move::Return,
            by,
            at,
            reason: Some(format!("not published: {reason}")),
        });
        let returned = returned.map_err(refused)?;
        self.drafts.change(draft.version, returned).await.map_err(draft_problem)?;
        self.trail.note(Deed::done(Actor::System, Act::ReturnDraft, draft.id)).await;
        Ok(())
    }

    /// Publishes what was decided before a crash; call before serving. Answers how many were.
    ///
    /// Only what was decided at least so long ago: in a cluster the node that decided may be at it.
    pub async fn finish_drafts(&self, age: Duration) -> Result<usize, Problem> {
        let before = self.clock.now().checked_sub(age).unwrap_or(Timestamp::MIN);
        let mut due = self.drafts.due().await.map_err(draft_problem)?;
        due.retain(|draft| draft.decided_at.is_none_or(|at| at <= before));
        let mut finished = 0;
        for draft in due {
            let agency = self.agencies.get(&draft.agency).await;
            let agency = agency.map_err(|error| Problem::internal(&error))?;
            let Some(agency) = agency else {
                let gone = Problem::new(Code::NotFound, "its agency is gone");
                self.give_back(draft, &gone).await?;
                continue;
            };
            let id = draft.id;
            match self.publish_draft(&agency, draft, Actor::System).await {
                Ok(_) => finished += 1,
                Err(problem) if problem.code.status().is_server_error() => return Err(problem),
                Err(problem) => {
                    tracing::warn!(draft.id = %id, code = problem.code.as_str(), "not published");
                }
            }
        }
        Ok(finished)
    }

    /// Withdraws an alert of the caller's agency with one click.
    pub async fn recall(
        &self,
        caller: &Caller,
        id: PublicationId,
        request: CancelRequest,
    ) -> Result<(Published, Vec<Warning>), Problem> {
        if !caller.may(Right::Override) {
            caller.need(Right::Approve)?;
        }
        recalls(caller)?;
        let stored = self.alerts.get(id).await.map_err(store_problem)?;
        let stored = stored
            .filter(|stored| stored.publication.agency == caller.agency.id)
            .ok_or_else(|| Problem::new(Code::NotFound, format!("no publication {id}")))?;
        let reason = request.note.clone();
        let alert = self.cancel_of(&stored.publication, request).await?;
        let reviewed = self.review(&caller.agency, alert, None).await?;
        let published = self.publish(&caller.agency, vec![reviewed.checked]).await?;
        self.trail.note(Deed::done(caller.actor(), Act::Recall, id).because(reason)).await;
        Ok((published[0].clone(), reviewed.warnings))
    }
}

/// Whether the writer may publish it without anybody else.
fn alone(caller: &Caller, checked: &Checked) -> Result<(), Problem> {
    if needs_second_person(checked) {
        let detail = "a hot alert needs a second person: submit it, or override with a reason";
        return Err(Problem::new(Code::SecondPersonNeeded, detail));
    }
    let hot = checked.lane == Lane::Emergency;
    if hot && !caller.may(Right::Override) {
        // The withdrawal of a hot alert: one person is enough, but not any.
        caller.need(Right::Approve)?;
    }
    Ok(())
}

fn wording(draft: &Draft, now: Timestamp) -> Wording<'_> {
    Wording {
        id: draft.id,
        kind: draft.kind,
        of: draft.of,
        body: &draft.body,
        exercise: draft.exercise,
        at: draft.decided_at.unwrap_or(now),
    }
}

fn act_of(step: Move) -> Option<Act> {
    match step {
        Move::Edit => None,
        Move::Drop => Some(Act::DropDraft),
        Move::Submit => Some(Act::SubmitDraft),
        Move::Approve | Move::Publish => Some(Act::ApproveDraft),
        Move::Return => Some(Act::ReturnDraft),
        Move::Reject => Some(Act::RejectDraft),
        Move::Override => Some(Act::Override),
    }
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Illegal { .. } => Problem::new(Code::IllegalTransition, refusal.to_string()),
        Refusal::SamePerson(_) => Problem::new(Code::SamePerson, refusal.to_string()),
        Refusal::Reason => Problem::field("reason", "length", refusal),
    }
}

/// A refusal or failure of the drafts store, as an answer.
pub fn draft_problem(error: drafts::Error) -> Problem {
    match error {
        drafts::Error::Unknown(_) => Problem::new(Code::NotFound, error.to_string()),
        drafts::Error::Stale { .. } | drafts::Error::TooMany(_) => {
            Problem::new(Code::Conflict, error.to_string())
        }
        drafts::Error::Storage(_) => {
            tracing::error!(error = %error, "the drafts store takes nothing");
            Problem::new(Code::Unavailable, "nothing can be stored just now").retry_after(5)
        }
    }
}
