//! Shared by the HTTP faces: problem details, limits, idempotency, serving with drain.
