//! The words: one meaning each, in code, logs, metrics, documents and screens. No input or output,
//! no clock; time and randomness come in as arguments.

pub mod agency;
pub mod alert;
pub mod allowance;
pub mod audience;
pub mod audit;
pub mod beside;
pub mod cell;
pub mod certificate;
pub mod channel;
pub mod device;
pub mod dispatch;
pub mod draft;
pub mod fingerprint;
pub mod forecast;
pub mod funnel;
pub mod geo;
pub mod ids;
pub mod lane;
pub mod level;
pub mod lint;
pub mod notice;
pub mod outcome;
pub mod person;
pub mod publication;
pub mod push;
pub mod receipt;
pub mod retry;
pub mod sealed;
pub mod secret_code;
pub mod status_change;
pub mod status_kinds;
pub mod summary;
pub mod survey;
pub mod webpush;
