//! Extractors whose refusals are problems that name the field: `Json`, `Query`, `Path`.

use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::http::problem::{Code, FieldError, Problem};

/// Whole numbers up to here are exact in a floating point number: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A JSON body of a wanted shape.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

/// The query string, as a wanted shape.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

/// The path's parameters, as a wanted shape.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(is_json) {
            let given = kind.unwrap_or("nothing").to_owned();
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                format!("expected application/json, got {given}"),
            ));
        }
        let body = Bytes::from_request(request, state).await.map_err(body_problem)?;
        parse_json(&body).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(refusal) => Err(parameter("query", &refusal)),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(refusal) => Err(parameter("path", &refusal)),
        }
    }
}

/// Reads a JSON body; a refusal names the path of the value, line and column.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde would take an array for an object, its values in the order of the fields.
    if body.trim_ascii_start().starts_with(b"[") {
        let error = FieldError::new("body", "shape", "must be an object, not an array");
        return Err(Problem::fields(Code::BadJson, vec![error]));
    }
    // Where the path of each value is noted on the way, as axum does for its messages, numbers take
    // half as long again: only what is refused is read so.
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    match axum::Json::<T>::from_bytes(body) {
        Ok(axum::Json(value)) => Ok(value),
        Err(refusal) => Err(json_problem(&refusal)),
    }
}

/// The problem of a body that could not be read.
pub fn body_problem(refusal: BytesRejection) -> Problem {
    match refusal.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Code::TooLarge, "the body is larger than this path allows")
        }
        _ => Problem::new(Code::BadRequest, "the body ended early or could not be read"),
    }
}

/// How many a page is to hold: the usual number where none was given, and 1 to `max`.
pub fn page_limit(given: Option<usize>, (usual, max): (usize, usize)) -> Result<usize, Problem> {
    match given {
        None => Ok(usual),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::parameter("limit", "range", format!("must be 1 to {max}"))),
    }
}

/// A whole number as JSON has it: `5.0` is one too, for those whose language knows no other.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let exact = |real: &f64| real.fract() == 0.0 && (0.0..=EXACT_MAX).contains(real);
    number
        .as_u64()
        .or_else(|| number.as_f64().filter(exact).map(|real| real as u64))
        .ok_or_else(|| D::Error::custom("a whole number from 0 is expected"))
}

/// The same, where there may be none.
pub fn whole_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "whole")] u64);
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|Whole(number)| number))
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

fn json_problem(refusal: &JsonRejection) -> Problem {
    let rule = match refusal {
        JsonRejection::JsonSyntaxError(_) => "syntax",
        _ => "shape",
    };
    // axum keeps the path of the value only in the message of a type it does not export:
    // `<path>: <what is wrong> at line <line> column <column>`.
    let text = innermost(refusal).to_string();
    let (path, message) = match text.split_once(": ") {
        Some((path, message)) if is_path(path) => (path, message),
        _ => ("body", text.as_str()),
    };
    Problem::fields(Code::BadJson, vec![FieldError::new(path, rule, message)])
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]-?".contains(c))
}

fn innermost<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner
}

fn parameter(place: &str, refusal: &(dyn std::error::Error + 'static)) -> Problem {
    let message = innermost(refusal).to_string();
    // serde names the field as `missing field `x`` or `x: invalid digit…`; otherwise the place.
    let named = message
        .split('`')
        .nth(1)
        .filter(|_| message.starts_with("missing") || message.starts_with("unknown"))
        .or_else(|| message.split_once(": ").map(|(field, _)| field))
        .filter(|field| field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(place)
        .to_owned();
    Problem::fields(Code::BadParameter, vec![FieldError::new(named, "shape", message)])
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code)]
        places: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code)]
        unit: u8,
    }

    fn refuse(text: &str) -> FieldError {
        let problem = parse_json::<Outer>(text.as_bytes()).expect_err(text);
        assert_eq!(problem.code, Code::BadJson);
        problem.errors.into_iter().next().expect("one error")
    }

    #[test]
    fn a_wrong_type_is_refused_with_the_path_of_the_field() {
        let error = refuse(r#"{"places": [{"unit": 1}, {"unit": "x"}]}"#);
        assert_eq!((error.path.as_str(), error.rule.as_str()), ("places[1].unit", "shape"));
        assert!(error.message.contains("line 1 column"), "{error:?}");
    }

    #[test]
    fn broken_syntax_is_refused_with_line_and_column() {
        let error = refuse("{\n \"places\": [,]}");
        assert_eq!(error.rule, "syntax");
        assert!(error.message.contains("line 2 column"), "{error:?}");
        assert_eq!(refuse("").rule, "syntax");
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let error = refuse(r#"{"places": [], "plaecs": []}"#);
        assert!(error.message.contains("plaecs") || error.path.contains("plaecs"), "{error:?}");
    }

    #[test]
    fn json_content_types() {
        assert!(is_json("application/json; charset=utf-8") && is_json("application/geo+json"));
        assert!(!is_json("text/plain") && !is_json("application/xml"));
    }

    #[test]
    fn an_array_is_no_object_although_its_values_would_fit() {
        for body in ["[]", " [[]]", "\n[[{\"unit\": 1}]]"] {
            let problem = parse_json::<Outer>(body.as_bytes()).expect_err(body);
            assert_eq!(problem.code, Code::BadJson, "{body}");
        }
        assert!(parse_json::<Outer>(b" {\"places\": [{\"unit\": 1}]}").is_ok());
    }

    #[test]
    fn a_page_has_its_usual_size_or_one_within_its_bounds() {
        let limit = |given| page_limit(given, (50, 100)).map_err(|problem| problem.code);
        assert_eq!([limit(None), limit(Some(1)), limit(Some(100))], [Ok(50), Ok(1), Ok(100)]);
        assert_eq!([limit(Some(0)), limit(Some(101))], [Err(Code::BadParameter); 2]);
    }
}
