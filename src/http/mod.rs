//! Shared by the HTTP faces (agencies, citizens, operators): problem details, limits,
//! idempotency, tracing, serving with drain.
//!
//! Promise 8: bad input is refused by name. Whatever goes wrong in a request, the answer is a
//! [`problem::Problem`] that says which field broke which rule; internal causes are logged and
//! never sent.

pub mod problem;

pub mod answers;
pub mod idempotency;
pub mod input;
pub mod limits;
pub mod pace;
pub mod pages;
pub mod proxies;
pub mod refusals;
pub mod serve;
pub mod shield;
pub mod tls;

pub use problem::{Code, FieldError, Problem};

/// The router every face builds: axum's routes and their OpenAPI description in one.
pub type Router<S = ()> = utoipa_axum::router::OpenApiRouter<S>;
