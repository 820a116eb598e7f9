use super::*;

fn draft(state: State) -> Draft {
    Draft {
        id: DraftId(uuid::Uuid::from_u128(1)),
        agency: "a".parse().expect("an id"),
        state,
        version: 7,
        created_by: "person:lan".into(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        submitted_by: Some("person:lan".into()),
        decided_by: None,
        decided_at: None,
        reason: None,
        publication: None,
        kind: DraftKind::Alert,
        of: None,
        body: serde_json::json!({}),
        exercise: false,
        raw: false,
    }
}

fn step(step: Move, by: &str) -> Step {
    let at = Timestamp::from_second(60).expect("an instant");
    Step { step, by: by.into(), at, reason: Some("vì sao".into()) }
}

#[test]
fn every_pair_of_state_and_step_is_legal_by_the_table_or_refused_by_name() {
    use State::*;
    let legal = [
        (Editing, Move::Edit, Editing),
        (Returned, Move::Edit, Editing),
        (Editing, Move::Submit, Submitted),
        (Returned, Move::Submit, Submitted),
        (Submitted, Move::Approve, Approved),
        (Submitted, Move::Return, Returned),
        (Approved, Move::Return, Returned),
        (Submitted, Move::Reject, Rejected),
        (Editing, Move::Override, Overridden),
        (Submitted, Move::Override, Overridden),
        (Returned, Move::Override, Overridden),
        (Editing, Move::Publish, Approved),
        (Returned, Move::Publish, Approved),
        (Editing, Move::Drop, Editing),
        (Returned, Move::Drop, Returned),
    ];
    let mut illegal = 0;
    for state in State::ALL {
        for one in Move::ALL {
            let to = legal.iter().find(|(from, by, _)| (*from, *by) == (state, one));
            match (draft(state).after(step(one, "person:minh")), to) {
                (Ok(after), Some((.., to))) => {
                    assert_eq!((after.state, after.version), (*to, 8), "{state} {one:?}");
                }
                (Err(refusal), None) => {
                    illegal += 1;
                    let wanted = Refusal::Illegal { from: state, step: one.as_str() };
                    assert_eq!(refusal, wanted);
                }
                (got, wanted) => panic!("{state} {one:?}: {got:?}, not {wanted:?}"),
            }
        }
    }
    assert_eq!(illegal, State::ALL.len() * Move::ALL.len() - legal.len());
}

#[test]
fn the_submitter_cannot_approve_and_an_override_needs_a_reason() {
    let submitted = draft(State::Submitted);
    let refused = submitted.after(step(Move::Approve, "person:lan"));
    assert_eq!(refused, Err(Refusal::SamePerson("person:lan".into())));
    for one in [Move::Override, Move::Return, Move::Reject] {
        for reason in [None, Some("  ".to_owned()), Some("x".repeat(REASON_CHARS_MAX + 1))] {
            let refused = submitted.after(Step { reason, ..step(one, "person:minh") });
            assert_eq!(refused, Err(Refusal::Reason), "{one:?}");
        }
    }
}

#[test]
fn a_decision_is_due_until_it_is_published() {
    let approved = draft(State::Submitted).after(step(Move::Approve, "person:minh"));
    let approved = approved.expect("another person");
    assert!(approved.is_due());
    assert_eq!(approved.decided_by.as_deref(), Some("person:minh"));
    let id = PublicationId(uuid::Uuid::from_u128(2));
    let published = approved.published(id, Timestamp::UNIX_EPOCH);
    assert!(!published.is_due() && published.state == State::Published);
    let alone = draft(State::Editing).after(step(Move::Override, "person:lan")).expect("alone");
    assert_eq!(alone.published(id, Timestamp::UNIX_EPOCH).state, State::Overridden);
}
