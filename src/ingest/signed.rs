//! Agencies' own XML signatures on what comes in, and whether one must be there.
//!
//! A program of an agency that requires signatures speaks in signed CAP XML alone, a cancel
//! included: whoever holds a stolen API key can then neither warn nor silence. People at the desk
//! are exempt. Their login and the second person vouch for what they write, and their recall
//! withdraws an alert when the machine that signs is away.

use bytes::Bytes;

use crate::auth::certificate::{Claim, signer};
use crate::auth::desk::Caller;
use crate::domain::agency::Agency;
use crate::domain::alert::Alert;
use crate::domain::audit::{Act, Actor};
use crate::domain::certificate::SignedBy;
use crate::domain::draft::{Draft, DraftKind, Move};
use crate::domain::lint::Grade;
use crate::event::cap;
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;
use crate::ingest::alert::{Reviewed, Warning};
use crate::ingest::publish::Published;
use crate::trail::Deed;

const PATH: &str = "/alert/Signature";

/// What came in, as its signature vouches for it.
#[derive(Clone, Debug)]
pub struct Genuine {
    /// The alert; where a signature was verified, as the signed octets say it.
    pub alert: Alert,
    /// What verified it.
    pub signed_by: Option<SignedBy>,
    /// That nothing did.
    pub warning: Option<Warning>,
}

impl Ingest {
    /// Verifies the signature of what an agency's program sent, or refuses by name.
    pub fn genuine(
        &self,
        agency: &Agency,
        alert: Alert,
        raw: Option<&Bytes>,
    ) -> Result<Genuine, Problem> {
        let signing = &agency.cap_signing;
        let signed = !alert.signatures.is_empty();
        if !signed || signing.certificates.is_empty() {
            if signing.required {
                return Err(required(signed));
            }
            return Ok(Genuine { alert, signed_by: None, warning: signed.then(not_verified) });
        }
        let Some(raw) = raw else {
            let message = "stands in JSON: a signature is over CAP XML, send that";
            return Err(distrusted("signature_xml", message));
        };
        let read = cap::read_signed(raw, &cap::Limits::default()).map_err(|violations| {
            let error = |one: &cap::Violation| FieldError::new(&one.path, one.rule, &one.message);
            Problem::fields(Code::BadSignature, violations.iter().map(error).collect())
        })?;
        let claim = Claim {
            scheme: read.scheme,
            text: &read.signed_info,
            value: &read.value,
            presented: &read.presented,
        };
        let signed_by = signer(&signing.certificates, claim, self.clock.now())
            .map_err(|why| distrusted(why.rule(), &why.to_string()))?;
        let vouched = Alert { signatures: alert.signatures.clone(), ..read.alert };
        if vouched != alert {
            let message = "covers a document that reads differently from this one";
            return Err(distrusted("signature_reading", message));
        }
        Ok(Genuine { alert: vouched, signed_by: Some(signed_by), warning: None })
    }

    /// Verifies and checks what an agency's program sent.
    pub async fn review_received(
        &self,
        agency: &Agency,
        alert: Alert,
        raw: Option<Bytes>,
    ) -> Result<Reviewed, Problem> {
        let Genuine { alert, signed_by, warning } = self.genuine(agency, alert, raw.as_ref())?;
        let mut reviewed = self.review(agency, alert, raw).await?;
        reviewed.checked.signed_by = signed_by;
        reviewed.warnings.extend(warning);
        Ok(reviewed)
    }

    /// Writes down what a publication's signature was verified with.
    pub async fn note_signature(&self, actor: Actor, published: &Published) {
        if let Some(SignedBy { certificate, fingerprint }) = &published.signed_by {
            let object = format!("{} {certificate} {fingerprint}", published.id);
            self.trail.note(Deed::done(actor, Act::VerifySignature, object)).await;
        }
    }
}

/// Refuses a program that hands in, at the desk, what its agency's programs must sign.
pub fn hands_in(caller: &Caller, step: Move, next: &Draft) -> Result<(), Problem> {
    let hands_in = matches!(step, Move::Submit | Move::Publish | Move::Override);
    let exempt = next.raw || next.kind == DraftKind::Notice;
    if !caller.agency.cap_signing.required || caller.is_person() || !hands_in || exempt {
        return Ok(());
    }
    Err(required(false))
}

/// Refuses a program that withdraws, at the desk, what its agency's programs must sign.
pub fn recalls(caller: &Caller) -> Result<(), Problem> {
    if caller.agency.cap_signing.required && !caller.is_person() {
        return Err(required(false));
    }
    Ok(())
}

fn required(signed: bool) -> Problem {
    let message = if signed {
        "is by nobody: the agency has no certificate registered"
    } else {
        "is missing: this agency's programs must send signed CAP XML"
    };
    let error = FieldError::new(PATH, "signature_required", message);
    Problem::fields(Code::SignatureRequired, vec![error])
}

fn distrusted(rule: &str, message: &str) -> Problem {
    Problem::fields(Code::BadSignature, vec![FieldError::new(PATH, rule, message)])
}

fn not_verified() -> Warning {
    Warning {
        path: PATH.to_owned(),
        rule: "signature_not_verified".to_owned(),
        grade: Grade::Warning,
        message: "the signature was not verified: no certificate of yours is registered; it is \
            passed on as it came"
            .to_owned(),
    }
}
