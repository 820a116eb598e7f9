//! Problem details (RFC 9457): the one form of every error answer, and the one list of codes.

use std::fmt;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Field errors in one answer; a body that breaks more rules is told so in `detail`.
pub const FIELD_ERRORS_MAX: usize = 100;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident, $title:literal;)*) => {
        /// Every problem a face of Loa answers with. Codes are stable: clients match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, for the documentation.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The stable name, snake case.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code),* }
            }

            /// The HTTP status it is answered with.
            pub fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status),* }
            }

            /// One line for people, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or not of the wanted shape.
    BadJson = "bad_json", BAD_REQUEST, "The body is not the JSON that is expected";
    /// The body is not well-formed CAP XML, or breaks rules of CAP.
    BadCap = "bad_cap", UNPROCESSABLE_ENTITY, "The CAP message breaks rules";
    /// A field breaks a rule.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "A field breaks a rule";
    /// A parameter of the query or the path breaks a rule.
    BadParameter = "bad_parameter", BAD_REQUEST, "A parameter breaks a rule";
    /// A header breaks a rule.
    BadHeader = "bad_header", BAD_REQUEST, "A header breaks a rule";
    /// Anything else that is wrong with the request itself.
    BadRequest = "bad_request", BAD_REQUEST, "The request cannot be understood";
    /// No credentials, or wrong ones.
    Unauthorized = "unauthorized", UNAUTHORIZED, "Credentials are missing or wrong";
    /// The credentials are right but do not allow this.
    Forbidden = "forbidden", FORBIDDEN, "This is not allowed to you";
    /// The API key needs a client certificate that was not presented, or another one.
    CertificateRequired = "certificate_required", UNAUTHORIZED,
        "The API key needs its client certificate";
    /// The session's token against forged requests is missing or wrong.
    Csrf = "csrf", FORBIDDEN, "The request does not prove that it comes from our own page";
    /// Who submitted it may not decide on it.
    SamePerson = "same_person", FORBIDDEN, "A second person must decide";
    /// One person alone may not publish this.
    SecondPersonNeeded = "second_person_needed", FORBIDDEN, "This needs a second person";
    /// The message's own XML signature does not hold.
    BadSignature = "bad_signature", FORBIDDEN, "The XML signature does not hold";
    /// The agency's programs must sign what they send.
    SignatureRequired = "signature_required", FORBIDDEN, "This must be signed CAP XML";
    /// The publication lies outside the agency's jurisdiction.
    OutsideJurisdiction = "outside_jurisdiction", FORBIDDEN, "Outside the agency's jurisdiction";
    /// There is no such thing, or not for you.
    NotFound = "not_found", NOT_FOUND, "There is no such thing";
    /// The path exists with other methods; see `Allow`.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    /// The request did not end in time.
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The request took too long";
    /// It contradicts what is already there.
    Conflict = "conflict", CONFLICT, "It contradicts what is already there";
    /// The state it is in does not allow this step.
    IllegalTransition = "illegal_transition", CONFLICT, "Its state does not allow this step";
    /// The same Idempotency-Key is being worked on.
    InProgress = "in_progress", CONFLICT, "The same request is still being worked on";
    /// The same Idempotency-Key came with another body.
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY,
        "The Idempotency-Key was used for another request";
    /// The audience is empty: nobody would be warned.
    AudienceEmpty = "audience_empty", UNPROCESSABLE_ENTITY, "The target contains no unit";
    /// The publication's time is already over.
    Expired = "expired", UNPROCESSABLE_ENTITY, "Its time is already over";
    /// The body is larger than allowed.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The content type is not one of those accepted.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The content type is not accepted here";
    /// The request must be upgraded to a websocket.
    UpgradeRequired = "upgrade_required", UPGRADE_REQUIRED, "This path speaks websocket";
    /// Too many requests or connections from this address; see `Retry-After`.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    /// Our own failure; nothing is known about what was done.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    /// Not able to serve just now: starting, draining or full; see `Retry-After`.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not able to serve this just now";
}

/// One broken rule in the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON path such as `places[1].unit`, an element path, a parameter or header name;
    /// empty where the whole text is meant.
    #[schema(examples("places[1].unit"))]
    pub path: String,
    /// The stable name of the rule.
    #[schema(examples("known_unit"))]
    pub rule: String,
    /// What is wrong, for people.
    pub message: String,
}

impl FieldError {
    /// A broken rule at a place.
    pub fn new(path: impl Into<String>, rule: &str, message: impl ToString) -> Self {
        Self { path: path.into(), rule: rule.to_owned(), message: message.to_string() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// What happened this time; never an internal cause.
    pub detail: String,
    /// The broken rules, if the input is at fault.
    pub errors: Vec<FieldError>,
    /// When to try again (`Retry-After`), in seconds.
    pub retry_after_s: Option<u64>,
    /// Whether the refusal is in the audit already.
    pub noted: bool,
}

/// The code of an answer that is a problem and not in the audit yet; an extension of it.
#[derive(Clone, Copy, Debug)]
pub struct Coded(pub Code);

/// The document of a [`Problem`] on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// `urn:loa:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status again.
    pub status: u16,
    /// Stable and machine-readable.
    pub code: String,
    /// The same for every occurrence of the code.
    pub title: String,
    /// What happened this time.
    pub detail: String,
    /// Every broken rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Every refusal, as the description of the API says it once.
#[derive(Debug, IntoResponses)]
#[response(
    status = "4XX",
    description = "Refused by name: problem details (RFC 9457)",
    content_type = "application/problem+json"
)]
pub struct Refused(#[expect(dead_code, reason = "only described")] Document);

impl Problem {
    /// A problem with what happened this time.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_s: None, noted: false }
    }

    /// Input that breaks rules. The detail repeats the first, for those who read one line.
    pub fn fields(code: Code, mut errors: Vec<FieldError>) -> Self {
        let detail = match (errors.first(), errors.len()) {
            (None, _) => code.title().to_owned(),
            (Some(first), 1) => first.to_string(),
            (Some(first), n) => format!("{first} (and {} more)", n - 1),
        };
        errors.truncate(FIELD_ERRORS_MAX);
        Self { errors, ..Self::new(code, detail) }
    }

    /// One field that breaks one rule.
    pub fn field(path: impl Into<String>, rule: &str, message: impl ToString) -> Self {
        Self::fields(Code::Invalid, vec![FieldError::new(path, rule, message)])
    }

    /// One wrong parameter of the query.
    pub fn parameter(name: &str, rule: &str, message: impl ToString) -> Self {
        Self::fields(Code::BadParameter, vec![FieldError::new(name, rule, message)])
    }

    /// A failure of our own: the cause goes to the log, once, and never to the client.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "request failed");
        Self::new(Code::Internal, "the cause was logged; try again with the same Idempotency-Key")
    }

    /// With a time to wait before the next try.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// Whose refusal is in the audit already.
    pub fn noted(self) -> Self {
        Self { noted: true, ..self }
    }

    /// As it goes over the wire.
    pub fn document(&self) -> Document {
        Document {
            kind: format!("urn:loa:problem:{}", self.code.as_str()),
            status: self.code.status().as_u16(),
            code: self.code.as_str().to_owned(),
            title: self.code.title().to_owned(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        }
    }

    /// The problem that stands for a bare status, as axum and hyper answer some refusals.
    pub fn from_status(status: StatusCode, detail: &str) -> Self {
        let code = Code::ALL.iter().copied().find(|code| code.status() == status);
        let code = match status {
            StatusCode::BAD_REQUEST => Code::BadRequest,
            StatusCode::UNPROCESSABLE_ENTITY => Code::Invalid,
            StatusCode::CONFLICT => Code::Conflict,
            status if status.is_server_error() => code.unwrap_or(Code::Internal),
            _ => code.unwrap_or(Code::BadRequest),
        };
        let detail = if detail.is_empty() { code.title() } else { detail };
        Self::new(code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), Json(self.document())).into_response();
        if !self.noted {
            response.extensions_mut().insert(Coded(self.code));
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static("Loa-Device, Bearer");
            headers.insert(axum::http::header::WWW_AUTHENTICATE, schemes);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_snake_case_and_errors() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.iter().all(|n| n.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn a_problem_names_field_and_rule_and_is_bounded() {
        let errors = vec![FieldError::new("places[1].unit", "known_unit", "no such unit"); 300];
        let problem = Problem::fields(Code::Invalid, errors);
        assert_eq!(problem.detail, "places[1].unit: no such unit (and 299 more)");
        let document = serde_json::to_value(problem.document()).expect("a document");
        assert_eq!(document["type"], "urn:loa:problem:invalid");
        assert_eq!(document["errors"].as_array().map(Vec::len), Some(FIELD_ERRORS_MAX));
        assert_eq!(document["errors"][0]["rule"], "known_unit");
        let whole = Problem::fields(Code::BadJson, vec![FieldError::new("", "not_json", "EOF")]);
        assert_eq!(whole.detail, "EOF", "what has no place of its own is not given one");
    }

    #[test]
    fn bare_statuses_become_problems() {
        let problem = Problem::from_status(StatusCode::METHOD_NOT_ALLOWED, "");
        assert_eq!(problem.code, Code::MethodNotAllowed);
        assert_eq!(Problem::from_status(StatusCode::IM_A_TEAPOT, "x").code, Code::BadRequest);
        assert_eq!(Problem::from_status(StatusCode::BAD_GATEWAY, "").code, Code::Internal);
        assert_eq!(Problem::from_status(StatusCode::CONFLICT, "").code, Code::Conflict);
    }
}
