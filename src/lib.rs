//! Loa (Vietnamese for loudspeaker): realtime notification and emergency alerts for a whole city.
//!
//! ```text
//! agency ─ HTTP ─→ ingest ─→ log: publications.<lane> ─┬→ route ─→ log: dispatches.<channel>.<…>
//!                                                      │                       ↓
//!                                                      │          fanout ─→ apns │ fcm │ webpush
//!                                                      └→ gateway ─→ websockets    │
//! citizens ─ HTTP ─→ registry (devices by unit and shard)                          ↓
//! operators ←─ funnel ←─ ledger ←─ receipts (providers' answers, apps' receipts) ←─┘
//! ```
//!
//! Modules in reading order; who may use whom is written in `docs/ARCHITECTURE.md` and held by a
//! test.

pub mod domain;

pub mod geofence;

pub mod event;

pub mod bus;
pub mod channel;
pub mod store;

pub mod auth;
pub mod http;
pub mod trail;

pub mod ingest;

pub mod route;

pub mod fanout;

pub mod receipt;

pub mod gateway;

pub mod console;

pub mod clock;
pub mod config;
pub mod lifecycle;
pub mod metrics;
pub mod telemetry;

pub mod simulator;

pub mod node;

pub mod cli;
