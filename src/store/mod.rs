//! The stores: one folder per question.

pub mod agencies;
pub mod alerts;
pub mod replies;
