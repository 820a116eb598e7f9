//! The certificates that an agency signs its CAP messages with.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::certificate::read_pem;
use crate::auth::desk::Caller;
use crate::console::Console;
use crate::console::manage::Outcome;
use crate::console::manage::agencies::{agency_id, status, store_problem};
use crate::domain::agency::Agency;
use crate::domain::audit::Act;
use crate::domain::certificate::{CERTIFICATES_MAX, Certificate, KeyKind, is_name};
use crate::domain::ids::AgencyId;
use crate::http::input::{Json, Path};
use crate::http::problem::{Code, Problem, Refused};
use crate::store::people::Change;
use crate::trail::Deed;

/// An agency's certificates.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CertificatesAnswer {
    /// By name.
    pub certificates: Vec<CertificateAnswer>,
}

/// A registered certificate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CertificateAnswer {
    /// Its name.
    pub name: String,
    /// SHA-256 of the whole certificate, hexadecimal.
    pub fingerprint: String,
    /// Whom it names.
    pub subject: String,
    /// `rsa`, `p256` or `p384`.
    #[schema(value_type = String)]
    pub kind: KeyKind,
    /// How long its key is.
    pub bits: u16,
    /// It verifies nothing before.
    #[schema(value_type = String, format = "date-time")]
    pub not_before: Timestamp,
    /// It verifies nothing after.
    #[schema(value_type = String, format = "date-time")]
    pub not_after: Timestamp,
}

impl CertificateAnswer {
    fn of(name: &str, one: &Certificate) -> Self {
        Self {
            name: name.to_owned(),
            fingerprint: one.fingerprint.clone(),
            subject: one.subject.clone(),
            kind: one.kind,
            bits: one.bits,
            not_before: one.not_before,
            not_after: one.not_after,
        }
    }
}

/// A certificate that is to be registered.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateInput {
    /// One X.509 certificate in PEM.
    pub pem: String,
}

impl Console {
    /// Registers a certificate with an agency as it is now.
    pub(super) async fn register(
        &self,
        id: &AgencyId,
        name: String,
        certificate: Certificate,
    ) -> Result<(), Problem> {
        let mut agency = self.agency(id).await?;
        room(&agency, &name, &certificate)?;
        agency.cap_signing.certificates.insert(name, certificate);
        self.desk.agencies.put(agency).await.map_err(store_problem)
    }
}

/// Refuses a name that is taken, and one more than there may be. The same once more is no change.
fn room(agency: &Agency, name: &str, certificate: &Certificate) -> Result<(), Problem> {
    let known = &agency.cap_signing.certificates;
    match known.get(name) {
        Some(one) if one == certificate => Ok(()),
        Some(_) => {
            let detail = format!("the agency already has a certificate named `{name}`");
            Err(Problem::new(Code::Conflict, detail))
        }
        None if known.len() >= CERTIFICATES_MAX => {
            let detail = format!("the agency already has {CERTIFICATES_MAX} certificates");
            Err(Problem::new(Code::Conflict, detail))
        }
        None => Ok(()),
    }
}

/// An agency's certificates for CAP messages.
#[utoipa::path(get, path = "/v1/console/agencies/{id}/certificates", tag = "desk",
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Agency id")),
    responses((status = 200, description = "Certificates", body = CertificatesAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<CertificatesAnswer>, Problem> {
    let agency = console.managed(&caller, &agency_id(&id)?).await?;
    let named = agency.cap_signing.certificates.iter();
    let certificates = named.map(|(name, one)| CertificateAnswer::of(name, one)).collect();
    Ok(axum::Json(CertificatesAnswer { certificates }))
}

/// Registers a certificate; what is signed with it is the agency's own word.
#[utoipa::path(put, path = "/v1/console/agencies/{id}/certificates/{name}", tag = "desk",
    request_body = CertificateInput,
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Agency id"),
        ("name" = String, Path, pattern = "^[A-Za-z0-9._-]{1,64}$",
            description = "The certificate's name")),
    responses((status = 200, description = "Done", body = Outcome),
        (status = 202, description = "Waits for a second admin", body = Outcome), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn put(
    State(console): State<Console>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    Json(input): Json<CertificateInput>,
) -> Result<(StatusCode, axum::Json<Outcome>), Problem> {
    let agency = console.managed(&caller, &agency_id(&id)?).await?;
    if !is_name(&name) {
        let message = "must be 1 to 64 letters, digits, dots, dashes or underscores";
        return Err(Problem::field("name", "certificate_name", message));
    }
    let certificate = read_pem(&input.pem, console.clock.now())
        .map_err(|unfit| Problem::field("pem", "certificate", unfit))?;
    room(&agency, &name, &certificate)?;
    let change = Change::Certificate { agency: agency.id, name, certificate };
    let outcome = console.more(&caller, change).await?;
    Ok((status(&outcome), axum::Json(outcome)))
}

/// Removes a certificate at once: it verifies nothing any more.
#[utoipa::path(delete, path = "/v1/console/agencies/{id}/certificates/{name}", tag = "desk",
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Agency id"),
        ("name" = String, Path, description = "The certificate's name")),
    responses((status = 204, description = "Removed"), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn remove(
    State(console): State<Console>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let mut agency = console.managed(&caller, &agency_id(&id)?).await?;
    if agency.cap_signing.certificates.remove(&name).is_none() {
        return Err(Problem::new(Code::NotFound, format!("no certificate `{name}`")));
    }
    let object = format!("{}/{name}", agency.id);
    console.desk.agencies.put(agency).await.map_err(store_problem)?;
    console.trail.note(Deed::done(caller.actor(), Act::RemoveCertificate, object)).await;
    Ok(StatusCode::NO_CONTENT)
}
